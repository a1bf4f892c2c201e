package cluster

import (
	"fmt"
	"math/rand"
	"net"
	"strconv"
)

// Ports are chosen below the range from which systems take the ports of
// outgoing connections, so that none takes a node's port while it is down.
const (
	firstPort = 12000
	lastPort  = 32000
)

// ports hands out every port once, from a random one on.
type ports struct{ next int }

func newPorts() *ports { return &ports{next: firstPort + rand.Intn(lastPort-firstPort)} }

// freeAddr is a loopback address where nobody listens.
func (p *ports) freeAddr() (string, error) {
	for range lastPort - firstPort {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.next))
		if p.next++; p.next >= lastPort {
			p.next = firstPort
		}
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			ln.Close()
			return addr, nil
		}
	}
	return "", fmt.Errorf("no free port from %d to %d", firstPort, lastPort)
}
