package boot

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/proto/peerpb"
)

const three = "a=127.0.0.1:1,b=127.0.0.1:2,c=127.0.0.1:3"

func TestIdentityIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := openIdentity(&Config{DataDir: dir, Name: "b", Cluster: three})
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != 2 || len(first.incarnation()) != 16 || !slices.Equal(first.voters(), []uint64{1, 2, 3}) {
		t.Fatalf("identity %+v, want id 2 of 1, 2, 3", first)
	}
	if p := first.peers(); len(p) != 2 || p[1] != "127.0.0.1:1" || p[3] != "127.0.0.1:3" {
		t.Fatalf("peers %v, want a and c", p)
	}
	// Without flags, and with other addresses, it is the same node.
	for _, cluster := range []string{"", "a=h1:1,b=h2:1,c=h3:1", ""} {
		again, err := openIdentity(&Config{DataDir: dir, Cluster: cluster})
		if err != nil {
			t.Fatal(err)
		}
		if again.ID != first.ID || again.Incarnation != first.Incarnation || again.bootstrapID() != first.bootstrapID() {
			t.Fatalf("identity changed: %+v, was %+v", again, first)
		}
	}
	if again, _ := openIdentity(&Config{DataDir: dir}); again.Addresses["a"] != "h1:1" {
		t.Errorf("the address last given was not kept: %v", again.Addresses)
	}
}

func TestIdentityRefusals(t *testing.T) {
	edit := func(t *testing.T, dir, from, to string) {
		t.Helper()
		path := filepath.Join(dir, identityFile)
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), from) {
			t.Fatalf("identity.json lacks %q: %s, %v", from, b, err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string, cfg *Config)
		want   string
	}{
		{"another node", func(_ *testing.T, _ string, c *Config) { c.Name = "c" }, "belongs to node b, not to c"},
		{"another cluster", func(_ *testing.T, _ string, c *Config) { c.Cluster = "b=h:1,x=h:2,y=h:3" }, "belongs to a cluster of a, b, c"},
		{"newer format", func(t *testing.T, dir string, _ *Config) { edit(t, dir, `"Format": 1`, `"Format": 2`) }, "use a newer doozerd"},
		{"not JSON", func(t *testing.T, dir string, _ *Config) { edit(t, dir, "{", "[") }, "is damaged"},
		{"id of another", func(t *testing.T, dir string, _ *Config) { edit(t, dir, `"ID": 2`, `"ID": 3`) }, "contradict each other"},
		{"id of nobody", func(t *testing.T, dir string, _ *Config) { edit(t, dir, `"ID": 2`, `"ID": 9`) }, "contradict each other"},
		{"state lost", func(t *testing.T, dir string, _ *Config) { edit(t, dir, `"Ready": false`, `"Ready": true`) }, "is missing"},
		{"log lost", func(t *testing.T, dir string, _ *Config) {
			edit(t, dir, `"Ready": false`, `"Ready": true`)
			for _, f := range []string{"log/next.tmp", "state.db"} {
				path := filepath.Join(dir, f)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
		}, "has no segments"},
		{"members out of order", func(t *testing.T, dir string, _ *Config) { edit(t, dir, "\"a\",\n", "\"z\",\n") }, "contradict each other"},
		{"identity lost", func(t *testing.T, dir string, _ *Config) {
			if err := os.Remove(filepath.Join(dir, identityFile)); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, logDir), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "has log but no identity.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := openIdentity(&Config{DataDir: dir, Name: "b", Cluster: three}); err != nil {
				t.Fatal(err)
			}
			cfg := Config{DataDir: dir}
			c.change(t, dir, &cfg)
			if id, err := openIdentity(&cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, %v; want an error with %q", id, err, c.want)
			}
		})
	}
}

func TestIdentityOfANewNode(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		id   uint64
		name string
		want string
	}{
		{cfg: Config{}, id: 1, name: "doozer"},
		{cfg: Config{Name: "x"}, id: 1, name: "x"},
		{cfg: Config{Name: "c", Cluster: three}, id: 3, name: "c"},
		{cfg: Config{Cluster: three}, want: "--name is missing"},
		{cfg: Config{Name: "d", Cluster: three}, want: "lacks this node's own name"},
		{cfg: Config{Name: "a", Cluster: "a=h:1,b=h:2"}, want: "1, 3 or 5"},
	} {
		c.cfg.DataDir = t.TempDir()
		id, err := openIdentity(&c.cfg)
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v, want an error with %q", c.cfg, err, c.want)
		case c.want == "" && (err != nil || id.ID != c.id || id.Name != c.name):
			t.Errorf("%+v: %+v, %v; want id %d", c.cfg, id, err, c.id)
		}
	}
}

func TestBootstrapIDIsOfTheNames(t *testing.T) {
	id := func(members ...string) [16]byte { return (&identity{Members: members}).bootstrapID() }
	if got := id("a", "b", "c"); got != id("a", "b", "c") {
		t.Errorf("it differs for the same names: %x", got)
	}
	if id("a", "b", "c") == id("a", "b", "d") || id("ab", "c", "d") == id("a", "bc", "d") {
		t.Error("it is the same for other names")
	}
}

// The names must lead to a directory, or to none yet.
func TestMakeDir(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "none"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "x"), filepath.Join(dir, "link", "x"), filepath.Join(dir, "link", "x", "y")} {
		if f, err := lockDir(path); err == nil {
			_ = f.Close()
			t.Errorf("%s was made", path)
		}
	}
}

func FuzzIdentity(f *testing.F) {
	dir := f.TempDir()
	if _, err := openIdentity(&Config{DataDir: dir, Name: "b", Cluster: three}); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte("null"))
	f.Add([]byte(`{"Format":1,"ID":18446744073709551615,"Members":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := decodeIdentity("dir", data)
		if err != nil {
			return
		}
		if len(id.incarnation()) != 16 || len(id.voters()) != len(id.Members) || len(id.peers()) != len(id.Members)-1 {
			t.Fatalf("taken, and unsound: %+v", id)
		}
		again, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decodeIdentity("dir", again); err != nil || same.bootstrapID() != id.bootstrapID() || same.ID != id.ID {
			t.Fatalf("%+v is read back as %+v, %v", id, same, err)
		}
	})
}

func FuzzPeerBook(f *testing.F) {
	f.Add([]byte(`{"2": "a22ed7b115bcc57ff294c09f19f52d2d"}`))
	f.Add([]byte("{}"))
	f.Add([]byte("null"))
	f.Add([]byte(`{"2": null}`))
	f.Add([]byte(`{"-1": "a22ed7b115bcc57ff294c09f19f52d2d"}`))
	dir := f.TempDir()
	incarnation := make([]byte, 16)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decodePeerBook(dir, data)
		if err != nil {
			return
		}
		before := len(b.known)
		_, known := b.known[3]
		same, err := b.check(3, incarnation)
		if err != nil || known && len(b.known) != before || !known && (!same || len(b.known) != before+1) {
			t.Fatalf("%q: %v, %v, %v", data, same, err, b.known)
		}
		if again, err := openPeerBook(dir); !known && (err != nil || len(again.known) != len(b.known)) {
			t.Fatalf("%q: read back as %v, %v", data, again, err)
		}
	})
}

func TestLockDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "deep")
	f, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("second lock: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = lockDir(dir); err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	_ = f.Close()
}

func TestPeerBookRemembers(t *testing.T) {
	dir := t.TempDir()
	open := func() *peerBook {
		b, err := openPeerBook(dir)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	check := func(b *peerBook, id uint64, incarnation string, want bool) {
		t.Helper()
		if same, err := b.check(id, []byte(incarnation)); err != nil || same != want {
			t.Errorf("check(%d, %s) = %v, %v; want %v", id, incarnation, same, err, want)
		}
	}
	b := open()
	const first, second = "the first of them", "another one here"
	check(b, 2, first[:16], true)
	check(b, 2, first[:16], true)
	check(b, 2, second, false)
	b = open()
	check(b, 2, second, false)
	check(b, 3, second, true)
	check(b, 2, first[:16], true)

	for _, damaged := range []string{"{", "null", `{"2": "abc"}`, `{"0": "a22ed7b115bcc57ff294c09f19f52d2d"}`} {
		if err := os.WriteFile(filepath.Join(dir, peersFile), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openPeerBook(dir); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("the book %s: %v", damaged, err)
		}
	}
}

func TestDifferences(t *testing.T) {
	file := func(name string, rev int64, hash uint64) *peerpb.TreeEntry {
		return &peerpb.TreeEntry{Name: name, Rev: rev, Hash: hash}
	}
	dir := func(name string, hash uint64) *peerpb.TreeEntry {
		return &peerpb.TreeEntry{Name: name, IsDir: true, Hash: hash}
	}
	ours := []*peerpb.TreeEntry{file("a", 1, 1), file("b", 2, 2), dir("c", 3), dir("d", 4), file("e", 5, 5), file("only-ours", 6, 6)}
	theirs := []*peerpb.TreeEntry{file("a", 1, 1), file("b", 9, 9), dir("c", 3), dir("d", 9), dir("e", 5), file("only-theirs", 7, 7)}
	files, dirs := differences("/x", ours, theirs)
	want := []difference{{"/x/b", 2}, {"/x/e", 5}, {"/x/only-ours", 6}, {"/x/only-theirs", 7}}
	if !slices.Equal(files, want) || !slices.Equal(dirs, []string{"/x/d"}) {
		t.Errorf("files %v, directories %v; want %v and /x/d", files, dirs, want)
	}
	if files, dirs := differences("/", ours, ours); len(files)+len(dirs) > 0 {
		t.Errorf("a directory differs from itself: %v %v", files, dirs)
	}
}

func TestOutvoted(t *testing.T) {
	for _, c := range []struct {
		name    string
		at      map[uint64]uint64 // node to hash
		mine    uint64
		members int
		want    uint64
	}{
		{"alone", map[uint64]uint64{1: 7}, 7, 3, 0},
		{"all agree", map[uint64]uint64{1: 7, 2: 7, 3: 7}, 7, 3, 0},
		{"one other differs", map[uint64]uint64{1: 7, 2: 8}, 7, 3, 0},
		{"two others agree", map[uint64]uint64{1: 7, 2: 8, 3: 8}, 7, 3, 2},
		{"two others differ too", map[uint64]uint64{1: 7, 2: 8, 3: 9}, 7, 3, 0},
		{"in the majority", map[uint64]uint64{1: 7, 2: 7, 3: 8}, 7, 3, 0},
		{"two of five", map[uint64]uint64{1: 7, 4: 8, 5: 8}, 7, 5, 0},
		{"three of five", map[uint64]uint64{1: 7, 3: 8, 4: 8, 5: 8}, 7, 5, 3},
	} {
		at := map[uint64]state{}
		for node, hash := range c.at {
			at[node] = state{rev: 5, hash: hash}
		}
		if got := outvoted(at, state{rev: 5, hash: c.mine}, c.members); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
