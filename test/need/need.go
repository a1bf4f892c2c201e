package need

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Skip leaves the test out.
func Skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("DOOZER_TEST_REQUIRE") == "all" {
		t.Fatalf("DOOZER_TEST_REQUIRE=all, but the test would be skipped: %s", why)
	}
	t.Skip(why)
}

// Program leaves the test out where the program can't be found.
func Program(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		Skip(t, err.Error())
	}
}

// Strace leaves the test out where strace is not there, or may not trace.
func Strace(t testing.TB) {
	t.Helper()
	if err := exec.Command("strace", "-f", "-o", os.DevNull, "true").Run(); err != nil {
		Skip(t, fmt.Sprintf("strace can't trace here: %v", err))
	}
}
