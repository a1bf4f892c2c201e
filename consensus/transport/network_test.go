package transport

import (
	"net"
	"testing"

	"github.com/doozer-store/doozer/test/memnet"
)

// network is that of all tests, which share no address and run in a bubble of
// testing/synctest. TestThreeNodes and TestKill use TCP.
var network = memnet.Net{Else: new(Limits).dialTCP}

// relisten listens again at an address of loopback.Listen.
func relisten(t testing.TB, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
