package rig

import (
	"io"
	"net"
	"sync"

	"github.com/doozer-store/doozer/drill/proxy"
)

// front is the address by which others reach one server. It finds out which host
// a connection comes from and gives each host a wire of its own, so that a host can be
// cut off from a server that others still reach.
type front struct {
	net    *Net
	to     string // name of the host that the server is on
	target string
	ln     net.Listener
	done   sync.WaitGroup

	mu    sync.Mutex
	links map[string]*proxy.Link // by the name of the host they come from; guarded by mu
	conns map[net.Conn]bool      // guarded by mu
	shut  bool                   // guarded by mu
}

func newFront(n *Net, addr, to, target string) (*front, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	f := &front{net: n, to: to, target: target, ln: ln, links: map[string]*proxy.Link{}, conns: map[net.Conn]bool{}}
	f.done.Go(f.accept)
	return f, nil
}

func (f *front) accept() {
	for {
		nc, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.done.Go(func() { f.serve(nc.(*net.TCPConn)) })
	}
}

// serve carries one connection over the wire of the host that it comes from.
func (f *front) serve(near *net.TCPConn) {
	defer near.Close()
	if !f.add(near) {
		return
	}
	defer f.remove(near)
	l, err := f.link(f.net.hostOf(near))
	if err != nil {
		return
	}
	nc, err := net.Dial("tcp", l.Addr())
	if err != nil {
		near.SetLinger(0)
		return
	}
	far := nc.(*net.TCPConn)
	defer far.Close()
	if !f.add(far) {
		return
	}
	defer f.remove(far)
	var both sync.WaitGroup
	pump := func(dst, src *net.TCPConn) {
		io.Copy(dst, src)
		dst.Close()
		src.Close()
	}
	both.Go(func() { pump(far, near) })
	both.Go(func() { pump(near, far) })
	both.Wait()
}

func (f *front) add(nc net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		nc.Close()
		return false
	}
	f.conns[nc] = true
	return true
}

func (f *front) remove(nc net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, nc)
}

// link is the wire that comes from a host.
func (f *front) link(from string) (*proxy.Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.links[from]; l != nil {
		return l, nil
	}
	if f.shut {
		return nil, net.ErrClosed
	}
	l, err := proxy.New(f.target, proxy.Options{})
	if err != nil {
		return nil, err
	}
	if f.net.isCut(from, f.to) {
		if err := l.Cut(proxy.Both); err != nil {
			return nil, err
		}
	}
	f.links[from] = l
	return l, nil
}

func (f *front) close() {
	f.ln.Close()
	f.mu.Lock()
	f.shut = true
	for nc := range f.conns {
		nc.Close()
	}
	links := f.links
	f.mu.Unlock()
	for _, l := range links {
		l.Close()
	}
	f.done.Wait()
}
