package cluster

import (
	"errors"

	"github.com/doozer-store/doozer/drill/proxy"
)

// Links are the wires between all nodes, one for each that dials and each that
// is dialled.
func (c *Cluster) Links() []*proxy.Link {
	var all []*proxy.Link
	for _, from := range c.nodes {
		for _, to := range c.nodes {
			if l := c.links[[2]string{from.Name, to.Name}]; l != nil {
				all = append(all, l)
			}
		}
	}
	return all
}

// Link is the wire that from dials to.
func (c *Cluster) Link(from, to *Node) *proxy.Link {
	c.t.Helper()
	l := c.links[[2]string{from.Name, to.Name}]
	if l == nil {
		c.t.Fatalf("no link from %s to %s: the cluster was started without Proxy", from.Name, to.Name)
	}
	return l
}

// CutOneWay loses what from sends to to, on the connections of both.
func (c *Cluster) CutOneWay(from, to *Node) {
	c.t.Helper()
	if err := errors.Join(c.Link(from, to).Cut(proxy.Forward), c.Link(to, from).Cut(proxy.Back)); err != nil {
		c.t.Fatalf("cut %s from %s: %v", from.Name, to.Name, err)
	}
}

// Cut separates n from the others, both ways.
func (c *Cluster) Cut(n *Node, others ...*Node) {
	c.t.Helper()
	for _, o := range others {
		c.CutOneWay(n, o)
		c.CutOneWay(o, n)
	}
}

// Heal makes every link between nodes whole.
func (c *Cluster) Heal() {
	for _, l := range c.links {
		l.Heal()
	}
}

func newLink(free *Ports, target string, lose func([]byte) bool) (*proxy.Link, error) {
	addr, err := free.FreeAddr()
	if err != nil {
		return nil, err
	}
	return proxy.New(target, proxy.Options{Addr: addr, LoseReply: lose})
}

// linksTo are the wires that lead to n.
func (c *Cluster) linksTo(n *Node) []*proxy.Link {
	var all []*proxy.Link
	if n.front != nil {
		all = append(all, n.front)
	}
	for _, from := range c.nodes {
		if l := c.links[[2]string{from.Name, n.Name}]; l != nil {
			all = append(all, l)
		}
	}
	return all
}
