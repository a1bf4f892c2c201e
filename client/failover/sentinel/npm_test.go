package sentinel

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover/viewtest"
)

// modules installs what testdata/clients/package-lock.json names, once for a
// machine, and returns the directory. Without node, npm or its registry the test
// is left out.
func modules(t *testing.T) string {
	t.Helper()
	viewtest.Need(t, "node")
	viewtest.Need(t, "npm")
	const from = "testdata/clients"
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
func install(t *testing.T, dir string) {
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
	viewtest.Skip(t, fmt.Sprintf("npm can't install the clients: %s", out))
}
