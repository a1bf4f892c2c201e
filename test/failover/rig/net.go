package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/doozer-store/doozer/drill/cluster"
)

// Outside is the host of whoever belongs to no other: the clients of the tests.
const Outside = "outside"

// Net is the network between hosts, which are names of sets of processes. A
// connection to a server's front is carried unless its two hosts are cut off
// from each other. What connects to a server's own address is on its host, whoever
// it is.
type Net struct {
	ports  *cluster.Ports
	direct bool // servers have no fronts, and nothing can be cut

	mu     sync.Mutex
	fronts []*front                // guarded by mu
	cuts   map[[2]string]bool      // from, to; guarded by mu
	pids   map[string][]func() int // by host; guarded by mu
}

// NewNet makes a network without hosts.
func NewNet(p *cluster.Ports) *Net {
	return &Net{ports: p, cuts: map[[2]string]bool{}, pids: map[string][]func() int{}}
}

// NewDirectNet makes one whose connections cost nothing, and can't be cut.
func NewDirectNet(p *cluster.Ports) *Net {
	n := NewNet(p)
	n.direct = true
	return n
}

// Own tells which process is on a host; 0: it does not run.
func (n *Net) Own(host string, pid func() int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pids[host] = append(n.pids[host], pid)
}

// Front is a new address for a server of host that listens at target.
func (n *Net) Front(host, target string) (string, error) {
	if n.direct {
		return target, nil
	}
	addr, err := n.ports.FreeAddr()
	if err != nil {
		return "", err
	}
	f, err := newFront(n, addr, host, target)
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fronts = append(n.fronts, f)
	return addr, nil
}

// Cut cuts every wire between a host and others, in both directions and at the same
// time: bytes stop, and nobody is told.
func (n *Net) Cut(host string, others ...string) {
	n.find(n.touching(host, others)) // which takes a while, and so comes before
	n.set(host, others, true)
}

// Heal takes a Cut back.
func (n *Net) Heal(host string, others ...string) { n.set(host, others, false) }

func (n *Net) set(host string, others []string, cut bool) {
	n.mu.Lock()
	for _, o := range others {
		n.cuts[[2]string{host, o}], n.cuts[[2]string{o, host}] = cut, cut
	}
	n.mu.Unlock()
	n.settle(n.touching(host, others))
}

// touching are the wires that may be between a host and others.
func (n *Net) touching(host string, others []string) (all []*wire) {
	n.mu.Lock()
	fronts := n.fronts
	n.mu.Unlock()
	for _, f := range fronts {
		if f.to == host || slices.Contains(others, f.to) {
			all = append(all, f.open()...)
		}
	}
	return all
}

// settle cuts wires, and mends them, as Cut and Heal have said.
func (n *Net) settle(wires []*wire) {
	n.find(slices.DeleteFunc(slices.Clone(wires), func(w *wire) bool { return !n.isAlone(w.to) }))
	for _, w := range wires {
		w.set(n.isCut)
	}
}

// find finds out where wires come from. It is not asked where it does not matter: that
// costs more than all else that the rig does for a connection, and would cost it in the
// middle of what is measured.
func (n *Net) find(wires []*wire) {
	var hosts map[string]string // by the sockets of their processes; nil until it is asked for
	for _, w := range wires {
		if w.from() != "" {
			continue
		}
		if hosts == nil { // after the wires were made, so that it has the sockets of all
			hosts = n.sockets()
		}
		w.find(hosts)
	}
}

// isAlone tells whether a host is cut off from any other.
func (n *Net) isAlone(to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for pair, cut := range n.cuts {
		if cut && pair[1] == to {
			return true
		}
	}
	return false
}

func (n *Net) isCut(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cuts[[2]string{from, to}]
}

// Close ends all fronts.
func (n *Net) Close() {
	n.mu.Lock()
	fronts := n.fronts
	n.mu.Unlock()
	for _, f := range fronts {
		f.close()
	}
}

// sockets tells for each socket of the processes on all hosts, by its inode, which host
// that is.
func (n *Net) sockets() map[string]string {
	pids := map[int]string{}
	n.mu.Lock()
	for host, all := range n.pids {
		for _, pid := range all {
			pids[pid()] = host
		}
	}
	n.mu.Unlock()
	delete(pids, 0) // does not run
	hosts := map[string]string{}
	for pid, host := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, fd := range fds {
			to, err := os.Readlink(filepath.Join(dir, fd.Name()))
			if inode, ok := strings.CutPrefix(to, "socket:["); ok && err == nil {
				hosts[strings.TrimSuffix(inode, "]")] = host
			}
		}
	}
	return hosts
}
