package sim

import (
	"flag"
	"fmt"
	"iter"
	"os"
	"syscall"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	seedsFlag = flag.Int("seeds", 0, "how many seeds TestSeeds does; 0: the fixed set")
	seedFlag  = flag.Uint64("seed", 0, "the first of them")
	nodesFlag = flag.Int("nodes", 0, "nodes of each run: 1, 3 or 5; 0: as the seed says")
	forFlag   = flag.Duration("for", 60*time.Second, "simulated time of each run's faults")
	timeFlag  = flag.Duration("time", 0, "stop after this time; 0: when all seeds are done")
	twiceFlag = flag.Bool("twice", false, "do every seed twice: the trace must be the same")
	firstFlag = flag.Bool("first", false, "stop at the first violation")
	traceFlag = flag.Bool("trace", false, "print everything that happens")
)

// do runs one seed and fails the test with the command that replays it.
func do(t *testing.T, cfg Config) Result {
	t.Helper()
	r, err := try(t, cfg)
	if err != nil {
		t.Errorf("seed %d: %v\nreplay: %s", cfg.Seed, err, replay(cfg))
	}
	return r
}

func try(t *testing.T, cfg Config) (Result, error) {
	t.Helper()
	cfg.Random = func(seed uint64) { cryptotest.SetGlobalRandom(t, seed) }
	return Run(cfg)
}

func replay(cfg Config) string {
	s := fmt.Sprintf("go test ./consensus/sim -run '^TestSeeds$' -count=1 -v -trace -seeds 1 -seed %d -for %v", cfg.Seed, cfg.For)
	if cfg.Nodes != 0 {
		s += fmt.Sprintf(" -nodes %d", cfg.Nodes)
	}
	return s
}

func config(seed uint64) Config {
	cfg := Config{Seed: seed, Nodes: *nodesFlag, For: *forFlag}
	if *traceFlag {
		cfg.Trace = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	return cfg
}

// TestSeeds does a fixed set of seeds, or as many as -seeds says.
func TestSeeds(t *testing.T) {
	n, first := *seedsFlag, *seedFlag
	if n == 0 {
		n, first = atMost(200, 5), 1
	}
	if *seedsFlag == 0 && *timeFlag == 0 {
		*timeFlag = patience
	}
	begin, failed := time.Now(), 0
	var total totals
	for i := range uint64(n) {
		if *timeFlag > 0 && time.Since(begin) > *timeFlag {
			break
		}
		r, err := try(t, config(first+i))
		total.add(r)
		if (i+1)%500 == 0 {
			t.Logf("%d seeds done", i+1)
		}
		if *twiceFlag && err == nil {
			var again Result
			if again, err = try(t, config(first+i)); err == nil && again != r {
				err = fmt.Errorf("another trace: %+v, and then %+v", r, again)
			}
		}
		if err != nil {
			t.Errorf("seed %d: %v\nreplay: %s", first+i, err, replay(config(first+i)))
			if failed++; *firstFlag || failed >= 10 {
				break
			}
		}
	}
	t.Log(total.report(time.Since(begin), processorTime()))
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// patience is when a test does without the runs that are left: on a machine
// that is busy with other things no test is to fail for that.
const patience = 2 * time.Minute

// atMost returns how many runs a test makes: under the race detector few, for
// they are slow there, and one goroutine has no races.
func atMost(n, race int) int {
	if raceEnabled {
		return race
	}
	return n
}

// seeds are 0, 1 and so on, n of them, or race under the race detector, as long
// as patience lasts.
func seeds(t *testing.T, n, race int) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		begin := time.Now()
		for seed := range uint64(atMost(n, race)) {
			if time.Since(begin) > patience {
				t.Logf("stopped after %d seeds", seed)
				return
			}
			if !yield(seed) {
				return
			}
		}
	}
}

// TestReplay: the same seed, the same trace.
func TestReplay(t *testing.T) {
	for seed := range seeds(t, 20, 2) {
		cfg := Config{Seed: 1000 + seed, For: 20 * time.Second}
		if a, b := do(t, cfg), do(t, cfg); a != b {
			t.Fatalf("seed %d: %+v, and again %+v", cfg.Seed, a, b)
		}
	}
}
