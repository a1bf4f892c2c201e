package rig

import (
	"maps"
	"net"
	"slices"
	"sync"
)

// front is the address by which others reach one server. Each connection has a wire
// of its own, so that a host can be cut off from a server that others still reach.
type front struct {
	net    *Net
	to     string // name of the host that the server is on
	target string
	ln     net.Listener
	done   sync.WaitGroup

	mu    sync.Mutex
	wires map[*wire]bool // guarded by mu
	shut  bool           // guarded by mu
}

func newFront(n *Net, addr, to, target string) (*front, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	f := &front{net: n, to: to, target: target, ln: ln, wires: map[*wire]bool{}}
	f.done.Go(f.accept)
	return f, nil
}

func (f *front) accept() {
	for {
		nc, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.done.Go(func() { f.serve(newWire(nc.(*net.TCPConn), f.to)) })
	}
}

// serve carries one connection. A cut that is made when the wire is among those that
// are open finds it there; one that was made before is seen by settle.
func (f *front) serve(w *wire) {
	defer w.end()
	if !f.add(w) {
		return
	}
	defer f.remove(w)
	f.net.settle([]*wire{w})
	w.carry(f.target)
}

func (f *front) add(w *wire) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return false
	}
	f.wires[w] = true
	return true
}

func (f *front) remove(w *wire) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.wires, w)
}

// open are the wires of all connections.
func (f *front) open() []*wire {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.wires))
}

func (f *front) close() {
	f.ln.Close()
	f.mu.Lock()
	f.shut = true
	f.mu.Unlock()
	for _, w := range f.open() {
		w.end()
	}
	f.done.Wait()
}
