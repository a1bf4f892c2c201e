// Package test holds what is tested about the tree as a whole.
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/doozer-store/doozer"

// room is a package, or with /... all below it, and what of ours it may
// import. The reasons are in ARCHITECTURE.md.
type room struct {
	path   string
	may    []string
	reason string
}

var rooms = []room{
	{"proto", nil, "the wire format depends on nothing"},
	{"proto/peerpb", nil, "the wire format depends on nothing"},
	{"store", nil, "the tree is pure: the same commands give the same bytes anywhere"},
	{"consensus/wal", nil, "the log knows raft's entries and nothing above them"},
	{"consensus/wal/faultfs", []string{"consensus/wal"}, "a file system for tests of the log"},
	{"consensus/checkpoint", nil, "a checkpoint is records and an index, whatever they mean"},
	{"consensus/quiet", nil, "sockets and a timer know nobody's messages"},
	{"consensus", nil, "consensus declares what it needs; it knows no files, no disk and no network"},
	{"consensus/transport", []string{"proto/peerpb", "consensus/quiet"}, "siblings do not import each other: boot joins them"},
	{"client", []string{"proto"}, "a client needs the protocol alone"},
	{"client/fakestore", []string{"client"}, "a store in memory, for tests of what is built on the client"},
	{"client/session/sessiontest", []string{"client/fakestore", "client/session"}, "a session of a program, for tests of what is built on sessions"},
	{"client/session", []string{"client"}, "a recipe is a client like any other; session is the lowest"},
	{"client/session/line", []string{"client", "client/session"}, "what locks and elections share lies below both"},
	{"client/lock", []string{"client", "client/session", "client/session/line"}, "siblings do not import each other"},
	{"client/election", []string{"client", "client/session", "client/session/line"}, "siblings do not import each other"},
	{"client/ring", []string{"client"}, "a recipe is a client like any other"},
	{"client/failover", []string{"client", "client/session"}, "who decides does no I/O to Redis: its tests run without"},
	{"client/failover/replica", nil, "the replication protocol knows no groups"},
	{"client/failover/redistest", []string{"test/loopback", "test/need"}, "it runs a Redis for tests, and knows no groups"},
	{"client/failover/agent", []string{"client", "client/session", "client/failover", "client/failover/replica"}, "the agent joins the decisions with a Redis; ports are given its view by who starts it"},
	{"client/failover/redisdial", []string{"client", "client/session", "client/failover"}, "what shows a group needs its view alone"},
	{"client/failover/sentinel", []string{"client", "client/session", "client/failover"}, "what shows a group needs its view alone"},
	{"client/failover/viewtest", []string{"client/failover", "test/need"}, "a view that tests switch: for tests of what is built on views"},
	{"client/failover/web", []string{"client", "client/session", "client/failover"}, "what shows a group needs its view alone"},
	{"server", []string{"proto", "store", "consensus", "consensus/checkpoint"}, "the server is gRPC over store and consensus"},
	{"server/web", nil, "the web listener is given what it shows"},
	{"consensus/sim", []string{"proto", "store", "consensus", "consensus/wal", "consensus/wal/faultfs", "consensus/checkpoint", "server"}, "a simulation joins the real parts, as boot does; nobody imports it"},
	{"server/boot", []string{"proto/peerpb", "store", "consensus", "consensus/wal", "consensus/checkpoint", "consensus/quiet", "consensus/transport", "server", "server/web"}, "boot is the one place that knows every server part"},
	{"cmd/doozerd", []string{"server/boot"}, "a program starts a node through boot"},
	{"cmd/doozer", []string{"client", "client/session/...", "client/lock", "client/election", "client/ring", "client/failover/...", "drill/..."}, "the command line is a client like any other, and a fire drill"},
	{"drill/...", []string{"client", "proto", "drill/..."}, "faults come from outside: who does harm and judges sees what a user sees"},
	{"examples/...", []string{"client", "client/..."}, "an example is a program as users write it"},
	{"test/cluster/...", []string{"client", "proto", "drill/...", "test/cluster/..."}, "tests of processes see what a user sees"},
	{"test/failover/...", []string{"client", "client/...", "proto", "drill/...", "test/failover/..."}, "tests of processes see what a user sees"},
	{"test/loopback", nil, "addresses for tests, of whatever package"},
	{"test/memnet", nil, "a network for tests, of whatever package"},
	{"test/need", nil, "what tests need of the machine, of whatever package"},
	{"test/output", nil, "what is printed in tests, of whatever package"},
	{"test/watches", []string{"proto"}, "watches of fake nodes, of whatever package"},
	{"test/errbranch", nil, "it reads the tree as text"},
	{"test/canary", nil, "it breaks the tree from outside; its tests run drills"},
	{"test", nil, "tests of the tree"},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

// TestFloors holds the rule of the layout: imports point down, siblings do not
// import each other, and a package without a room has none.
func TestFloors(t *testing.T) {
	for _, p := range list(t) {
		own := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		r := find(own)
		if r == nil {
			t.Errorf("%s has no room in test/floors_test.go: which floor is it on?", own)
			continue
		}
		for _, imported := range p.Imports {
			other, ok := strings.CutPrefix(imported, module+"/")
			if ok && !allowed(r, other) {
				t.Errorf("%s may not import %s: %s", own, other, r.reason)
			}
		}
	}
}

// TestStoreIsPure: what could make two replicas differ is not even imported.
func TestStoreIsPure(t *testing.T) {
	impure := map[string]string{
		"time": "time is data", "os": "no I/O", "net": "no I/O", "math/rand": "no randomness", "math/rand/v2": "no randomness",
		"crypto/rand": "no randomness", "hash/maphash": "its seed differs in every process", "sync": "no goroutines", "context": "no goroutines",
	}
	for _, p := range list(t) {
		if p.ImportPath != module+"/store" {
			continue
		}
		for _, i := range p.Imports {
			if why, bad := impure[i]; bad {
				t.Errorf("store imports %s: %s", i, why)
			}
		}
	}
}

func find(own string) *room {
	for i := range rooms {
		if rooms[i].path == own || matches(rooms[i].path, own) {
			return &rooms[i]
		}
	}
	return nil
}

func allowed(r *room, other string) bool {
	for _, m := range r.may {
		if m == other || matches(m, other) {
			return true
		}
	}
	return false
}

// matches tells whether pattern ends in /... and covers path.
func matches(pattern, path string) bool {
	prefix, ok := strings.CutSuffix(pattern, "/...")
	return ok && (path == prefix || strings.HasPrefix(path, prefix+"/"))
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			t.Fatalf("go list: %v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
