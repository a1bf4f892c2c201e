package sentinel

import (
	"fmt"

	"github.com/doozer-store/doozer/client/failover"
)

// event is a message on a channel.
type event struct{ channel, text string }

// told is what a subscriber knows.
type told struct {
	// node and master are the last master that there was, and its address.
	node, master string
	// odown: it knows that there is none.
	odown bool
	nodes map[string]place // by name
}

// place is a node as a subscriber knows it.
type place struct {
	addr string
	down bool
}

// know is what v shows.
func know(v failover.View) told {
	t := told{odown: changing(v), nodes: make(map[string]place)}
	t.node, t.master = last(v)
	t.setNodes(v)
	return t
}

func (t *told) setNodes(v failover.View) {
	clear(t.nodes)
	for _, n := range v.Nodes {
		t.nodes[n.Name] = place{n.Addr, down(n)}
	}
}

// update brings it up to a fresh view, and returns what to say about that, in the
// words and the order of Sentinel. A change that was undone in between is not
// told.
func (t *told) update(v failover.View) (events []event) {
	say := func(channel, format string, args ...any) {
		events = append(events, event{channel, fmt.Sprintf(format, args...)})
	}
	for _, n := range v.Nodes {
		if before, ok := t.nodes[n.Name]; ok && before.down != down(n) {
			channel := "-sdown"
			if down(n) {
				channel = "+sdown"
			}
			if n.Name == t.node {
				say(channel, "master %s %s", v.Group, spaced(t.master))
			} else if n.Addr != "" {
				say(channel, "%s", replica(v.Group, n.Addr, t.master))
			}
		}
	}
	if changing(v) && !t.odown && t.master != "" {
		t.odown = true
		say("+odown", "master %s %s #quorum 1/1", v.Group, spaced(t.master))
	}
	addr, ok := master(v)
	switched := ok && addr != t.master
	switch {
	case switched:
		old := t.master
		if old == "" {
			old = addr
		}
		say("+switch-master", "%s %s %s", v.Group, spaced(old), spaced(addr))
	case ok && t.odown:
		say("-odown", "master %s %s", v.Group, spaced(addr))
	}
	if ok {
		t.node, t.master, t.odown = v.Register.Node, addr, false
		for _, n := range replicasOf(v) {
			if before, known := t.nodes[n.Name]; switched || !known || before.addr != n.Addr {
				say("+slave", "%s", replica(v.Group, n.Addr, addr))
			}
		}
		t.setNodes(v)
		return events
	}
	for _, n := range v.Nodes {
		if before, known := t.nodes[n.Name]; known {
			t.nodes[n.Name] = place{before.addr, down(n)}
		}
	}
	return events
}

// replica is how events name one.
func replica(group, addr, master string) string {
	return fmt.Sprintf("slave %s %s @ %s %s", addr, spaced(addr), group, spaced(master))
}

// spaced is an address as events have it.
func spaced(addr string) string {
	host, port := split(addr)
	return host + " " + port
}
