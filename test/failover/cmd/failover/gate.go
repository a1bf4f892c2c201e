package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
)

// gateOptions are those of the gate's cost.
type gateOptions struct {
	rounds  int
	length  time.Duration
	clients int
	out     string
}

// gateResult is what is kept of it: SETs per second, a number for each round.
type gateResult struct {
	With    []float64 `json:"with_gate"`
	Without []float64 `json:"without"`
}

// gate measures what the gate costs a master of two replicas: redis-benchmark SET against
// a server whose agent holds the gate and against one that nobody guards, in turn, so that
// what else the machine does hits both.
func gate(ctx context.Context, args []string) error {
	var o gateOptions
	set := flag.NewFlagSet("failover gate", flag.ExitOnError)
	set.IntVar(&o.rounds, "rounds", 10, "rounds of each")
	set.DurationVar(&o.length, "for", 5*time.Second, "length of a round")
	set.IntVar(&o.clients, "clients", 50, "connections of redis-benchmark")
	set.StringVar(&o.out, "out", "", "file for the results, as JSON; empty: none")
	set.Parse(args)
	if err := rig.Available(); err != nil {
		return err
	}
	if _, err := exec.LookPath("redis-benchmark"); err != nil {
		return fmt.Errorf("redis-benchmark is not installed (Debian: redis-tools): %w", err)
	}
	dir, err := os.MkdirTemp("", "failover-gate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var res gateResult
	var stopped error
	if err := cluster.RunSolo("gate", dir, nil, func(t cluster.TB) { stopped = o.measure(ctx, t, &res) }); err != nil {
		return err
	}
	if len(res.With) > 0 {
		a, b := median(res.With), median(res.Without)
		fmt.Printf("median of %d rounds: %.0f SETs/s with the gate, %.0f without: %.1f %% less\n", len(res.With), a, b, 100*(1-a/b))
	}
	if o.out != "" {
		b, err := json.Marshal(res)
		return errors.Join(stopped, err, os.WriteFile(filepath.Clean(o.out), append(b, '\n'), 0o644))
	}
	return stopped
}

// measure does all rounds.
func (o *gateOptions) measure(ctx context.Context, t cluster.TB, res *gateResult) error {
	p, err := cluster.NewPorts()
	if err != nil {
		return err
	}
	t.Cleanup(p.Close)
	n := rig.NewDirectNet(p)
	guarded := rig.StartDoozer(t, n, rig.Case{}, false)
	bare := rig.StartBare(t, n)
	master := guarded.Host(guarded.Master()).Redis
	for _, addr := range []string{master.Addr, bare} { // warm up, not counted
		if _, err := o.bench(ctx, addr, 0); err != nil {
			return err
		}
	}
	rate := 0.0
	for i := range o.rounds {
		var both [2]float64
		for k, addr := range []string{master.Addr, bare} {
			var err error
			if both[k], err = o.bench(ctx, addr, rate); err != nil {
				return err
			}
			rate = both[k]
		}
		if now := guarded.Master(); now == "" || guarded.Host(now).Redis != master {
			return fmt.Errorf("round %d: the master was lost, to %q", i+1, now)
		}
		res.With, res.Without = append(res.With, both[0]), append(res.Without, both[1])
		fmt.Printf("round %d: %.0f SETs/s with the gate, %.0f without\n", i+1, both[0], both[1])
	}
	return nil
}

// bench is one run of redis-benchmark, of as many requests as take about o.length at
// that rate; 0: of a second's.
func (o *gateOptions) bench(ctx context.Context, addr string, rate float64) (float64, error) {
	const first = 50_000
	n := first
	if rate > 0 {
		n = int(rate * o.length.Seconds())
	}
	host, port, _ := strings.Cut(addr, ":")
	// Keys of their own, so that the two servers hold the same.
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-t", "set", "-c", strconv.Itoa(o.clients),
		"-n", strconv.Itoa(n), "-r", "100000", "--csv").Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(line, ","); strings.Trim(f[0], `"`) == "SET" && len(f) > 1 {
			return strconv.ParseFloat(strings.Trim(f[1], "\"\n"), 64)
		}
	}
	return 0, fmt.Errorf("redis-benchmark said %q", out)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}
