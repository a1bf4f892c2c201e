package main

import (
	"fmt"
	"time"
)

// How cost grows: works that differ in one number. Their figures are named for
// the operation, because a work does several.

// growthNames are the names that -work takes for them.
var growthNames = []string{"grow-files", "grow-watchers", "grow-nodes", "grow-values", "grow-dirs", "grow-callers"}

// growthOf makes the works of a name; quick ones are smaller and fewer.
func growthOf(name string, quick bool) []*work {
	pick := func(all, few []int) []int {
		if quick {
			return few
		}
		return all
	}
	var out []*work
	switch name {
	case "grow-files":
		sizes := pick([]int{1000, 10_000, 100_000, 1_000_000}, []int{1000, 10_000, 100_000})
		out = each(sizes, "%d files", "", growFiles)
	case "grow-watchers":
		out = each(pick([]int{1, 10, 100, 1000, 10_000}, []int{1, 100, 1000}), "%d watchers", "", growWatchers)
	case "grow-nodes":
		out = each([]int{1, 3, 5}, "%d nodes", "", growNodes)
		for _, w := range out {
			w.nodes, w.filled = w.x, true
		}
	case "grow-values":
		out = each(pick([]int{16, 256, 4 << 10, 64 << 10, 1 << 20}, []int{16, 4 << 10, 1 << 20}), "values of %d bytes", "", growValues)
	case "grow-dirs":
		out = each(pick([]int{10, 100, 1000, 10_000, 100_000, 1_000_000}, []int{10, 1000, 100_000}), "%d entries in a directory", "", growDirs)
	case "grow-callers":
		out = each(pick([]int{1, 4, 16, 64, 256, 1000, 4000}, []int{1, 64, 1000}), "%d callers", "", growCallers)
		for _, w := range out {
			w.filled = true
		}
	}
	for _, w := range out {
		w.group, w.series = name, name
	}
	return out
}

// several does ops in turn on the files of a place and puts their figures
// together.
func (p *place) several(s system, o *options, callers, conns int, ops ...string) (figures, error) {
	all := figures{}
	for _, op := range ops {
		o.say.note("%s", op)
		f, err := p.measure(s, o, op, callers, conns, o.span)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		all[op+"/s"] = f["ops/s"]
		all[op+" server µs"] = f["server µs/op"]
		all[op+" p50 ms"], all[op+" p99 ms"] = f["p50 ms"], f["p99 ms"]
	}
	return all, nil
}

// growFiles has n files, a hundred to a directory.
func growFiles(s system, o *options, n int) (figures, error) {
	if _, err := fill(s, o, "/load", 0, n, o.value); err != nil {
		return nil, err
	}
	f, err := places("/load", n, o.value).several(s, o, 64, 16, "set", "get", "localget", "list")
	if err != nil {
		return nil, err
	}
	mem, err := usedMemory(s)
	if err != nil {
		return nil, err
	}
	disk, err := s.nodes()[0].disk()
	if err != nil {
		return nil, err
	}
	f["memory MB"], f["disk MB"] = float64(mem)/1e6, float64(disk)/1e6
	lead, err := s.leader()
	if err != nil {
		return nil, err
	}
	i := (lead + 1) % len(s.nodes())
	s.nodes()[i].kill()
	start := time.Now()
	err = s.restart(i)
	f["restart s"] = time.Since(start).Seconds()
	return f, err
}

// growWatchers has n watches of one directory under load, and n on globs of
// their own while others write.
func growWatchers(s system, o *options, n int) (figures, error) {
	out, err := fanout(s, o, n)
	if err != nil {
		return nil, err
	}
	delete(out, "client µs/event")
	mem, err := usedMemory(s)
	if err != nil {
		return nil, err
	}
	out["memory MB"] = float64(mem) / 1e6
	w, err := startWatchers(s, n, false, false, func(i int) string { return fmt.Sprintf("/apart/%d/%d", i%100, i) })
	if err != nil {
		return nil, err
	}
	defer w.close()
	f, err := o.at.measure(s, o, "set", 64, 16, o.span)
	out["set elsewhere/s"], out["set elsewhere server µs"] = f["ops/s"], f["server µs/op"]
	return out, err
}

func growNodes(s system, o *options, _ int) (figures, error) {
	f, err := o.at.several(s, o, 64, 16, "set", "get", "localget")
	if err != nil {
		return nil, err
	}
	one, err := o.at.several(s, o, 1, 1, "set", "get")
	if err != nil {
		return nil, err
	}
	f["one caller's set p50 ms"], f["one caller's get p50 ms"] = one["set p50 ms"], one["get p50 ms"]
	mem, err := usedMemory(s)
	f["memory MB"] = float64(mem) / 1e6
	return f, err
}

// inFlight is how many bytes the callers of growValues write at once, at most:
// there are 64 of them, and fewer for large values.
const inFlight = 8 << 20

// growValues has values of n bytes, at most 64 MiB of them together.
func growValues(s system, o *options, n int) (figures, error) {
	keys := min(10_000, max(2*txnKeys, 64<<20/n))
	prefix := fmt.Sprintf("/values/%d", n)
	if _, err := fill(s, o, prefix, 0, keys, n); err != nil {
		return nil, err
	}
	callers := min(64, max(4, inFlight/n))
	f, err := places(prefix, keys, n).several(s, o, callers, min(callers, 16), "set", "get", "localget")
	if err != nil {
		return nil, err
	}
	for _, op := range []string{"set", "get", "localget"} {
		f[op+" MB/s"] = f[op+"/s"] * float64(n) / 1e6
	}
	mem, err := usedMemory(s)
	f["memory MB"] = float64(mem) / 1e6
	return f, err
}

// growDirs has n files in one directory.
func growDirs(s system, o *options, n int) (figures, error) {
	dir := fmt.Sprintf("/flat/%d", n)
	p := &place{dirs: []string{dir}, value: make([]byte, o.value)}
	for i := range n {
		p.paths = append(p.paths, fmt.Sprintf("%s/%07d", dir, i))
	}
	if err := p.fill(s, o); err != nil {
		return nil, err
	}
	f, err := p.several(s, o, 64, 16, "set", "get", "localget")
	if err != nil {
		return nil, err
	}
	// One list has to begin and end in time.
	span := max(o.span, time.Duration(n)*20*time.Microsecond)
	l, err := p.measure(s, o, "list", 1, 1, span)
	if err != nil {
		return nil, err
	}
	f["entries listed/s"] = l["ops/s"] * float64(n)
	f["entry listed server µs"] = l["server µs/op"] / float64(n)
	f["list p50 ms"] = l["p50 ms"]
	return f, nil
}

func growCallers(s system, o *options, n int) (figures, error) {
	f, err := o.at.several(s, o, n, min(n, 16), "set", "get")
	if err != nil || n < 100 {
		return f, err
	}
	g, err := o.at.several(s, o, n, 100, "set", "get")
	f["set on 100/s"], f["get on 100/s"] = g["set/s"], g["get/s"]
	f["set on 100 p99 ms"], f["get on 100 p99 ms"] = g["set p99 ms"], g["get p99 ms"]
	return f, err
}
