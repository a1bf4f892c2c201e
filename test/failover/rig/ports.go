package rig

import (
	"fmt"
	"math/rand"
	"net"
	"strconv"
)

// Ports are taken as package drill/cluster takes them, whose blocks these are: a
// block belongs to who listens at its first port, and lies below the range from
// which systems take ports of outgoing connections. A Redis server can't be told
// to listen at a port of its choice.
const (
	firstPort = 12000
	lastPort  = 32000
	portBlock = 80
)

// Ports hands out each port of its block once.
type Ports struct {
	guard net.Listener
	next  int
	end   int
}

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

// take is a loopback address where nobody listens.
func (p *Ports) take() (string, error) {
	for ; p.next < p.end; p.next++ {
		addr := local(p.next)
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			p.next++
			return addr, nil
		}
	}
	return "", fmt.Errorf("no free port left below %d", p.end)
}

func (p *Ports) Close() { p.guard.Close() }
