package cluster

import (
	"fmt"
	"math/rand"
	"net"
	"strconv"
)

// The ports are chosen below the range from which systems take the ports of
// outgoing connections, so that none takes a node's port while it is down. They
// come in blocks, each of which belongs to one harness, of whichever process: who
// listens at its first port has it.
const (
	firstPort = 12000
	lastPort  = 32000
	portBlock = 80
)

// Ports hands out every port of its block once.
type Ports struct {
	guard net.Listener // at the first port of the block
	next  int
	end   int
}

// NewPorts takes a block, the next free one from a random one on.
func NewPorts() (*Ports, error) {
	const blocks = (lastPort - firstPort) / portBlock
	at := rand.Intn(blocks)
	for i := range blocks {
		first := firstPort + (at+i)%blocks*portBlock
		if guard, err := net.Listen("tcp", local(first)); err == nil {
			return &Ports{guard: guard, next: first + 1, end: first + portBlock}, nil
		}
	}
	return nil, fmt.Errorf("no free ports from %d to %d", firstPort, lastPort)
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// FreeAddr is a loopback address where nobody listens. It is not handed out again.
func (p *Ports) FreeAddr() (string, error) {
	for ; p.next < p.end; p.next++ {
		addr := local(p.next)
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			ln.Close()
			p.next++
			return addr, nil
		}
	}
	return "", fmt.Errorf("no free port left below %d", p.end)
}

// Close gives the block back.
func (p *Ports) Close() { p.guard.Close() }
