// Package build makes doozerd from the source that it is part of, for tests
// and programs that start clusters.
package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
)

const doozerdPackage = "github.com/doozer-store/doozer/cmd/doozerd"

// Doozerd makes the doozerd that this process's clusters run, once, and returns
// its path. DOOZER_TEST_BIN names one that is taken instead.
func Doozerd() (string, error) { return built() }

var built = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("DOOZER_TEST_BIN"); bin != "" {
		return bin, nil
	}
	if err := os.MkdirAll(dir(), 0o755); err != nil {
		return "", err
	}
	bin := filepath.Join(dir(), "doozerd")
	args := []string{"build", "-o", bin}
	if Race || os.Getenv("DOOZER_TEST_RACE") == "1" {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, doozerdPackage)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", doozerdPackage, err, out)
	}
	return bin, nil
})

func dir() string {
	return filepath.Join(os.TempDir(), "doozer-cluster-"+strconv.Itoa(os.Getpid()))
}

// CleanUp removes what this process built. Call it once, at the very end.
func CleanUp() { os.RemoveAll(dir()) }
