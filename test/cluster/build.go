package cluster

import (
	"fmt"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
)

const doozerdPackage = "github.com/doozer-store/doozer/cmd/doozerd"

// build makes the doozerd that this process's clusters run, once.
var build = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("DOOZER_TEST_BIN"); bin != "" {
		return bin, nil
	}
	if err := os.MkdirAll(buildDir(), 0o755); err != nil {
		return "", err
	}
	bin := filepath.Join(buildDir(), "doozerd")
	args := []string{"build", "-o", bin}
	if raceEnabled || os.Getenv("DOOZER_TEST_RACE") == "1" {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, doozerdPackage)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", doozerdPackage, err, out)
	}
	return bin, nil
})

func buildDir() string {
	return filepath.Join(os.TempDir(), "doozer-cluster-"+strconv.Itoa(os.Getpid()))
}

// CleanUp removes what this process built. Call it once, at the very end.
func CleanUp() { os.RemoveAll(buildDir()) }

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
