package cluster_test

import (
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
)

const refusedStatus = 2

// with returns a node's command line with some flags given other values.
func with(args []string, changes ...string) []string {
	args = slices.Clone(args)
	for i := 0; i < len(changes); i += 2 {
		at := slices.Index(args, changes[i])
		args[at+1] = changes[i+1]
	}
	return args
}

// expectRefusal runs doozerd with args, and says that it ends at once with
// status 2 and one line that has all of words in it.
func expectRefusal(t *testing.T, c *cluster.Cluster, args []string, words ...string) {
	t.Helper()
	logPath := filepath.Join(t.TempDir(), "refused.log")
	status, out, err := c.RunOnce(args, logPath)
	if err != nil {
		t.Fatal(err)
	}
	checkRefusal(t, status, out, words...)
}

// checkRefusal judges a process that has ended. What it logged before it knew
// does not count as a line of the refusal.
func checkRefusal(t *testing.T, status int, out string, words ...string) {
	t.Helper()
	out = strings.TrimSpace(regexp.MustCompile(`(?m)^time=.* level=INFO .*\n`).ReplaceAllString(out, ""))
	t.Logf("status %d: %s", status, out)
	if status != refusedStatus {
		t.Errorf("status %d, want %d", status, refusedStatus)
	}
	if out == "" || strings.Contains(out, "\n") {
		t.Errorf("want one line, got %d", len(strings.Split(out, "\n")))
	}
	for _, w := range words {
		if !regexp.MustCompile(`(?i)` + w).MatchString(out) {
			t.Errorf("the line does not say %q", w)
		}
	}
}

func TestRefusals(t *testing.T) {
	c := start(t, cluster.Options{})
	a, b := c.Node("a"), c.Node("b")
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 4, Clients: clients(c, 1), Prefix: "/load"})
	load.Await(t, 300)
	other := start(t, cluster.Options{NoStart: true}) // free addresses, other peers
	free := other.Node("a")
	at := func(n *cluster.Node) []string {
		return []string{"--listen", n.Listen(), "--peer-listen", n.PeerListen(), "--web", n.WebAddr()}
	}
	quoted := func(n *cluster.Node) string { return regexp.QuoteMeta(n.DataDir()) }

	t.Run("data directory in use", func(t *testing.T) {
		expectRefusal(t, c, with(a.Args(), at(free)...), quoted(a), "use")
	})
	b.Term()
	t.Run("data of another node", func(t *testing.T) {
		args := with(a.Args(), append(at(free), "--data-dir", b.DataDir())...)
		expectRefusal(t, c, args, quoted(b), "another node|node .?b")
	})
	t.Run("data of another cluster", func(t *testing.T) {
		members := strings.NewReplacer("a=", "x=", "c=", "y=").Replace(c.MemberList(b))
		expectRefusal(t, c, with(b.Args(), "--cluster", members), quoted(b), "cluster")
	})
	t.Run("own name missing", func(t *testing.T) {
		members := strings.Replace(c.MemberList(b), "b=", "z=", 1)
		expectRefusal(t, c, with(b.Args(), "--cluster", members), "cluster", `\bb\b`)
	})
	for _, flag := range []string{"--listen", "--peer-listen", "--web"} {
		t.Run("port in use: "+flag, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			addr := ln.Addr().String()
			args := with(b.Args(), flag, addr)
			if flag == "--peer-listen" {
				args = with(args, "--cluster", strings.Replace(c.MemberList(b), "b="+b.PeerListen(), "b="+addr, 1))
			}
			expectRefusal(t, c, args, regexp.QuoteMeta(addr), "in use")
		})
	}
	t.Run("unknown flag", func(t *testing.T) { expectRefusal(t, c, b.Args("--no-such-flag"), "no-such-flag") })
	b.Restart()
	load.Await(t, 100)
	c.Verify(c.Client(), "/load", load.Stop())
}

func TestWipedNode(t *testing.T) {
	c := start(t, cluster.Options{})
	cl := c.Client()
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 4, Clients: []*client.Client{cl}, Prefix: "/load"})
	load.Await(t, 200)
	wiped := c.Others(c.Leader())[0]
	wiped.Kill()
	wiped.Wipe()
	for range 2 {
		wiped.Start()
		checkRefusal(t, wiped.ExitStatus(), wiped.Output(), wiped.Name)
		load.Await(t, 200)
	}
	ops := load.Stop()
	c.Verify(cl, "/load", ops)
	if _, unknown, failed := cluster.Tally(ops); unknown+failed > 0 {
		t.Errorf("the others did not go on undisturbed: %d writes of unknown outcome, %d failed", unknown, failed)
	}
}

// segment is the log's segment of a node that is down, to be damaged.
type segment struct {
	path string
	b    []byte
	used int // bytes up to the last that is not zero
}

func (s *segment) write(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.path, s.b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// killedUnderLoad kills a follower of c while there is load, which goes on.
func killedUnderLoad(t *testing.T, c *cluster.Cluster) (*cluster.Load, *cluster.Node, *segment) {
	t.Helper()
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 8, Clients: clients(c, 2), Prefix: "/load", ValueSize: 500})
	load.Await(t, 1000)
	n := c.Others(c.Leader())[0]
	n.Kill()
	path := largestFile(t, n.DataDir(), regexp.MustCompile(`(?i)(wal|log|seg)`))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return load, n, &segment{path, b, len(strings.TrimRight(string(b), "\x00"))}
}

func TestDamagedLog(t *testing.T) {
	c := start(t, cluster.Options{})
	load, n, log := killedUnderLoad(t, c)
	at := log.used / 2
	log.b[at] ^= 0x40
	log.write(t)
	t.Logf("flipped a bit at %d of %d bytes in %s", at, log.used, log.path)
	n.Start()
	checkRefusal(t, n.ExitStatus(), n.Output(), regexp.QuoteMeta(filepath.Base(log.path)), "damage|corrupt|checksum|crc")
	log.b[at] ^= 0x40
	log.write(t)
	n.Restart()
	c.Verify(c.Client(), "/load", load.Stop())
}

// TestTornLog takes the last sector from a node's log, as a crash does to a
// batch that was not yet synced: the node cuts what is torn and is given the
// rest again. Here it may have been synced, and acknowledged to the leader:
// then the node must find that out, and may not go on.
func TestTornLog(t *testing.T) {
	const sector = 512
	c := start(t, cluster.Options{})
	load, n, log := killedUnderLoad(t, c)
	clear(log.b[(log.used-1)/sector*sector:])
	log.write(t)
	n.Start()
	ready := false
	cluster.Eventually(t, cluster.StartLimit, "the node serves, or refuses to", func() (bool, string) {
		code, body := n.Web("/readyz")
		ready = code == http.StatusOK
		return ready || !n.Running(), body
	})
	load.Await(t, 100)
	if ready && n.Running() {
		t.Log("the node cut its tail and goes on")
	} else {
		lines := strings.Split(strings.TrimSpace(n.Output()), "\n")
		checkRefusal(t, n.ExitStatus(), lines[len(lines)-1], "lost log entries")
	}
	c.Verify(c.Client(), "/load", load.Stop())
}

// largestFile finds the largest file below dir whose path there matches.
func largestFile(t *testing.T, dir string, match *regexp.Regexp) string {
	t.Helper()
	var found string
	var size int64 = -1
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, path)
		rel, err := filepath.Rel(dir, path)
		if err == nil && match.MatchString(rel) && info.Size() > size {
			found, size = path, info.Size()
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file like %v among %q: %v", match, all, err)
	}
	return found
}
