package rig

import (
	"net"
	"sync"
	"time"
)

// wire carries one connection to a server. What a cut does to it is what a cut cable
// does to TCP: bytes stop, nobody is told, and what was under way arrives after the
// cable is mended.
type wire struct {
	near *net.TCPConn  // the side of who connected
	to   string        // name of the host that the server is on
	done chan struct{} // closed by end

	mu    sync.Mutex
	host  string        // that near comes from; "" until it is asked for; guarded by mu
	pass  chan struct{} // closed while bytes pass; guarded by mu
	cut   bool          // pass is not closed; guarded by mu
	far   *net.TCPConn  // the server's side; nil until dialled; guarded by mu
	ended bool          // done is closed; guarded by mu
}

const (
	// wireChunk is how many bytes a cut wire holds in each direction, besides what the
	// kernel does; the sender of more feels it.
	wireChunk = 32 << 10
	// farLimit is how long a server may take to accept.
	farLimit = 5 * time.Second
)

// newWire is one that is not cut.
func newWire(near *net.TCPConn, to string) *wire {
	w := &wire{near: near, to: to, done: make(chan struct{}), pass: make(chan struct{})}
	close(w.pass)
	return w
}

// from is the name of the host that the connection comes from; "" while nobody has asked.
func (w *wire) from() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.host
}

// find finds out where the connection comes from: hosts are those of all sockets. One
// that has been closed there ends: whose it was nobody can tell.
func (w *wire) find(hosts map[string]string) {
	inode := inodeOf(w.near.RemoteAddr().(*net.TCPAddr), w.near.LocalAddr().(*net.TCPAddr))
	if inode == "" || inode == "0" {
		w.end()
		return
	}
	host := hosts[inode]
	if host == "" {
		host = Outside
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.host = host
}

// set lets bytes pass or not, as isCut says of the two hosts at present.
func (w *wire) set(isCut func(from, to string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	cut := isCut(w.host, w.to)
	switch {
	case cut && !w.cut:
		w.pass = make(chan struct{})
	case !cut && w.cut:
		close(w.pass)
	}
	w.cut = cut
}

// carry carries all bytes until one side ends. It dials when bytes pass, and a refusal
// travels back over the same wire.
func (w *wire) carry(target string) {
	defer w.end()
	if !w.await() {
		return
	}
	nc, err := net.DialTimeout("tcp", target, farLimit)
	if err != nil {
		w.await()
		w.near.SetLinger(0)
		return
	}
	far := nc.(*net.TCPConn)
	if !w.setFar(far) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { w.pump(w.near, far) })
	w.pump(far, w.near)
	back.Wait()
}

func (w *wire) setFar(far *net.TCPConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		far.Close()
		return false
	}
	w.far = far
	return true
}

// pump moves bytes until src ends or the wire does, and then ends the wire. A cut hides
// the end as well.
func (w *wire) pump(dst, src *net.TCPConn) {
	defer w.end()
	buf := make([]byte, wireChunk)
	for {
		n, err := src.Read(buf)
		if !w.await() {
			return
		}
		if _, failed := dst.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

// await waits until bytes pass; false when the wire ends first.
func (w *wire) await() bool {
	w.mu.Lock()
	pass := w.pass
	w.mu.Unlock()
	select {
	case <-pass:
		return true
	case <-w.done:
		return false
	}
}

// end ends both sides. It may be called again.
func (w *wire) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	w.ended = true
	close(w.done)
	w.near.Close()
	if w.far != nil {
		w.far.Close()
	}
}
