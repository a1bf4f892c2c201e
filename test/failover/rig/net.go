package rig

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/drill/proxy"
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

// Cut cuts every wire from a to b and from b to a: bytes stop, and nobody is
// told.
func (n *Net) Cut(a, b string) error { return n.set(a, b, true) }

// Heal takes a Cut back.
func (n *Net) Heal(a, b string) error { return n.set(a, b, false) }

func (n *Net) set(a, b string, cut bool) error {
	n.mu.Lock()
	n.cuts[[2]string{a, b}], n.cuts[[2]string{b, a}] = cut, cut
	fronts := n.fronts
	n.mu.Unlock()
	for _, f := range fronts {
		for _, pair := range [][2]string{{a, b}, {b, a}} {
			if f.to != pair[1] {
				continue
			}
			f.mu.Lock()
			l := f.links[pair[0]]
			f.mu.Unlock()
			if l == nil {
				continue
			}
			if !cut {
				l.Heal()
			} else if err := l.Cut(proxy.Both); err != nil {
				return err
			}
		}
	}
	return nil
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

// hostOf finds the host of the process that opened the other end of nc.
func (n *Net) hostOf(nc *net.TCPConn) string {
	inode := inodeOf(nc.RemoteAddr().(*net.TCPAddr), nc.LocalAddr().(*net.TCPAddr))
	if inode == "" {
		return Outside
	}
	n.mu.Lock()
	pids := map[string][]int{}
	for host, fs := range n.pids {
		for _, pid := range fs {
			pids[host] = append(pids[host], pid())
		}
	}
	n.mu.Unlock()
	for host, ids := range pids {
		for _, pid := range ids {
			if pid > 0 && holds(pid, "socket:["+inode+"]") {
				return host
			}
		}
	}
	return Outside
}

func holds(pid int, socket string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && to == socket {
			return true
		}
	}
	return false
}
