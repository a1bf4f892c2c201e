package loopback

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
)

// Listen listens at a port of the process's own address.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	pid := os.Getpid()
	lis, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+pid>>16&0x7f, pid>>8&0xff, 1+pid%254))
	if err != nil {
		lis, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	return lis
}

// given are the addresses that Addr has returned.
var given sync.Map

// Addr is an address where nobody listens. None is returned twice.
func Addr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		lis := Listen(t)
		lis.Close()
		if _, twice := given.LoadOrStore(lis.Addr().String(), true); !twice {
			return lis.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
