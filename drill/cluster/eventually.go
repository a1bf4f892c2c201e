package cluster

import (
	"math/rand"
	"os"
	"strconv"
	"time"
)

// TB is what the harness needs of a test. testing.TB is one; programs bring
// their own.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
	TempDir() string
}

const pollEvery = 10 * time.Millisecond

// Eventually asks fn until it says true, and fails the test when it has not
// within timeout, with the state that fn told last.
func Eventually(t TB, timeout time.Duration, what string, fn func() (ok bool, state string)) {
	t.Helper()
	if state, ok := Poll(timeout, fn); !ok {
		t.Fatalf("not within %v: %s\nlast seen: %s", timeout, what, state)
	}
}

// Poll is Eventually for callers that decide themselves what a failure means.
func Poll(timeout time.Duration, fn func() (ok bool, state string)) (state string, ok bool) {
	deadline := time.Now().Add(timeout)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, state = fn()
		if ok || time.Now().After(deadline) {
			return state, ok
		}
		<-tick.C
	}
}

// Long tells whether the long form of the tests was asked for.
func Long() bool { return os.Getenv("DOOZER_TEST_LONG") == "1" }

// Scale is short, or long in the long form.
func Scale(short, long int) int {
	if Long() {
		return long
	}
	return short
}

// Rand is a source of random choices whose seed is told when the test fails.
func Rand(t TB) *rand.Rand {
	seed := time.Now().UnixNano()
	if s, err := strconv.ParseInt(os.Getenv("DOOZER_TEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("DOOZER_TEST_SEED=%d", seed)
		}
	})
	return rand.New(rand.NewSource(seed))
}
