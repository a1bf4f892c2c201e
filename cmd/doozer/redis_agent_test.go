package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with the command line of redis agent is said before anything is
// touched.
func TestRedisAgentUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "auth")
	if err := os.WriteFile(bad, []byte("a b c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want string }{
		{"redis agent", "--group is missing"},
		{"redis agent -g g", "--redis is missing"},
		{"redis agent -g G --redis h:1", "bad name of a group"},
		{"redis agent -g g --redis h:1 --name a/b", "bad name of a node"},
		{"redis agent -g g --redis h:1 --priority -1", "--priority"},
		{"redis agent -g g --redis h:1 --tls-cert x", "belong together"},
		{"redis agent -g g --redis h:1 --tls-ca x", "are for --tls"},
		{"redis agent -g g --redis h:1 --dir " + dir + " --auth-file " + bad, "its first line"},
		{"redis agent x", "one argument too many"},
	} {
		inv := doozerAt("127.0.0.1:1", "", strings.Fields(c.line)...)
		if inv.status != statusUsage || !strings.Contains(inv.stderr.String(), c.want) {
			t.Errorf("%s: status %d, %s", c.line, inv.status, &inv.stderr)
		}
	}
}

func TestReadAuth(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth")
	for text, want := range map[string][2]string{"secret\n": {"", "secret"}, "user secret\nmore": {"user", "secret"}} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		user, password, err := readAuth(path)
		if err != nil || user != want[0] || password != want[1] {
			t.Errorf("%q: %q %q %v", text, user, password, err)
		}
	}
	if _, _, err := readAuth(path + ".none"); err == nil {
		t.Error("a file that is not there")
	}
}
