//go:build unix

package viewtest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/doozer-store/doozer/test/need"
)

// patience is the longest that a script may take to end: only one that hangs
// exceeds it.
const patience = time.Minute

// Script runs a script of a directory with a package-lock.json, whose modules it has,
// and returns the lines that it prints. It ends with the test.
func Script(t testing.TB, dir, name string, args ...string) <-chan string {
	t.Helper()
	paths := modules(t, dir)
	cmd := exec.Command("node", append([]string{filepath.Join(dir, name)}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+paths)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, stop := make(chan string), make(chan struct{})
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(lines)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-stop:
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		stdin.Close()
		hung := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer hung.Stop()
		<-read
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s: %v\n%s", name, err, &stderr)
		}
	})
	return lines
}

// modules installs what package-lock.json in a directory names, once for a
// machine, and returns where. Without node, npm or its registry the test
// is left out.
func modules(t testing.TB, from string) string {
	t.Helper()
	need.Program(t, "node")
	need.Program(t, "npm")
	lock, err := os.ReadFile(filepath.Join(from, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "doozer-test", fmt.Sprintf("clients-%x", sha256.Sum256(lock)))
	if _, err := os.Stat(dir); err == nil {
		return filepath.Join(dir, "node_modules")
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		t.Fatal(err)
	}
	// Installed beside it and then renamed: what is there is whole, and tests that
	// run at a time do not disturb each other.
	work, err := os.MkdirTemp(filepath.Dir(dir), "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(work, name), data, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install(t, work)
	if err := os.Rename(work, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "node_modules")
}

// install tries some times: a registry is a thing of the network.
func install(t testing.TB, dir string) {
	t.Helper()
	var out []byte
	for _, pause := range []time.Duration{0, 2 * time.Second, 10 * time.Second, 30 * time.Second} {
		time.Sleep(pause)
		cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=5")
		cmd.Dir = dir
		var err error
		if out, err = cmd.CombinedOutput(); err == nil {
			return
		}
	}
	need.Skip(t, fmt.Sprintf("npm can't install the clients: %s", out))
}
