//go:build unix

package viewtest

import (
	"fmt"
	"syscall"
	"testing"
)

// Refusing is an address at which connections are refused until the test ends:
// nobody else can take it meanwhile.
func Refusing(t testing.TB) (addr string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	// Bound, and never listened at.
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	own, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("127.0.0.1:", own.(*syscall.SockaddrInet4).Port)
}
