//go:build linux && !race

package quiet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Conn returns a connection that does what c does, and takes c's place. If c
// is not of TCP it returns c itself. Data may be unacknowledged for as long as
// unacked says, 0 for as long as the kernel likes: grpc, which asks for that
// itself, does not know the connection's type.
//
// Its system calls do not block, so that nothing is lost by not announcing
// them; other goroutines wait for as long as the kernel copies what is read or
// written.
func Conn(c net.Conn, unacked time.Duration) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	if unacked > 0 {
		_ = raw.Control(func(fd uintptr) { // keepalive notices too, later
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacked.Milliseconds()))
		})
	}
	q := &conn{TCPConn: tcp, raw: raw}
	q.in.try, q.out.try = q.in.read, q.out.write
	return q
}

// conn is what Conn returns.
type conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out half
}

// half is one direction of a conn: the call under way, if any.
type half struct {
	mu    sync.Mutex // held for a whole call, as the runtime does
	p     []byte     // guarded by mu, as are:
	n     int
	errno syscall.Errno
	try   func(fd uintptr) bool // read or write; false: wait
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.in.call(c, "read", c.raw.Read, p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return c.out.call(c, "write", c.raw.Write, p)
}

// call lets wait call try until it is done.
func (h *half) call(c *conn, op string, wait func(func(uintptr) bool) error, p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.p, h.n, h.errno = p, 0, 0
	err := wait(h.try)
	h.p = nil
	if err == nil && h.errno != 0 {
		err = &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, h.errno)}
	}
	return h.n, err
}

// read takes what is there.
func (h *half) read(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&h.p[0])), uintptr(len(h.p)))
		switch errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		case 0:
			h.n = int(n)
			return true
		default:
			h.errno = errno
			return true
		}
	}
}

// write gives all of it to the kernel, as it makes room.
func (h *half) write(fd uintptr) bool {
	for h.n < len(h.p) {
		rest := h.p[h.n:]
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&rest[0])), uintptr(len(rest)))
		switch errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		case 0:
			h.n += int(n)
		default:
			h.errno = errno
			return true
		}
	}
	return true
}
