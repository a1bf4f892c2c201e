package main

import (
	"fmt"
	"strings"
)

// work is a piece of work, done on every system in every round.
type work struct {
	name string
	// group has its works on the same servers, started for them.
	group string
	do    func(s system, o *options) (figures, error)
	// filled: it needs the files that throughput work reads and writes.
	filled bool
	// nodes is how many servers it needs; 0 leaves that to the command line.
	nodes int
	// Of works that differ in one number alone: what they have in common, and
	// the number. line is that of the plot, where several share a number.
	series string
	x      int
	line   string
}

// workNames are the names that -work takes, in the order in which work is done.
var workNames = []string{
	"idle", "set", "create", "cas", "txn", "get", "localget", "list", "mixed", "open-set", "open-get", "fanout", "delivery", "globs",
	"lock", "handoff", "holders", "takeover", "hostloss", "elect", "ring", "kill", "million", "newcomer",
}

// groupOf is that of a name; the others are a group of their own.
var groupOf = map[string]string{
	"cas": "writes", "txn": "writes", "create": "writes", "fanout": "watches", "delivery": "watches", "globs": "watches",
	"open-set": "open", "open-get": "open", "lock": "locks", "handoff": "locks",
	"holders": "recipes", "takeover": "recipes", "hostloss": "recipes", "elect": "recipes", "ring": "recipes",
}

// choice is what the command line says of works.
type choice struct {
	pairs                    [][2]int
	watchers, waiters, rates []int
	quick                    bool
}

// works are those of these names, in their order.
func (c *choice) works(list string) ([]*work, error) {
	want := map[string]bool{}
	for n := range strings.SplitSeq(list, ",") {
		want[n] = true
	}
	var out []*work
	for _, n := range workNames {
		if want[n] || want["all"] {
			for _, w := range c.worksOf(n) {
				if w.group = groupOf[n]; w.group == "" {
					w.group = n
				}
				out = append(out, w)
			}
		}
		delete(want, n)
	}
	for _, n := range growthNames {
		if want[n] || want["growth"] {
			out = append(out, growthOf(n, c.quick)...)
		}
		delete(want, n)
	}
	delete(want, "all")
	delete(want, "growth")
	for n := range want {
		return nil, fmt.Errorf("-work: %q is none of %s, all, %s, growth", n, strings.Join(workNames, ", "), strings.Join(growthNames, ", "))
	}
	return out, nil
}

// worksOf makes one work of a name for each number of callers, watchers,
// waiters or calls a second.
func (c *choice) worksOf(name string) []*work {
	one := func(title string, do func(system, *options) (figures, error)) []*work {
		return []*work{{name: title, do: do}}
	}
	switch name {
	case "idle":
		return one("idle, nothing in it", idle)
	case "kill":
		return one("kill -9 of the leader", killLeader)
	case "million":
		return one("million files", million)
	case "newcomer":
		return one("a server that has nothing catches up", newcomer)
	case "holders":
		return one(fmt.Sprintf("%d sessions with %d locks each, idle", idleClients, idleLocks), recipe(idleHolders))
	case "takeover":
		return one("kill -9 of a lock's holder on this host", recipe(takeOver))
	case "hostloss":
		return one(fmt.Sprintf("a holder's machine is gone, TTL %v", lockTTL), recipe(hostLoss))
	case "elect":
		return one("kill -9 of the elected leader", recipe(leaders))
	case "ring":
		return one(fmt.Sprintf("a new ring for %d clients", ringClients), recipe(epochs))
	case "fanout":
		return each(c.watchers, "fanout, %d watchers", "watchers", fanout)
	case "delivery":
		return each(c.watchers, "delivery, %d watchers", "watchers", delivery)
	case "globs":
		out := each(c.watchers[len(c.watchers)-1:], "globs, %d watches", "watches", globs)
		out[0].filled = true
		return out
	case "handoff":
		return each(c.waiters, "hand-off of a lock, %d waiters", "waiters", handOff)
	}
	return c.throughputWorks(name)
}

// each makes a work for each number.
func each(list []int, title, of string, do func(system, *options, int) (figures, error)) []*work {
	var out []*work
	for _, n := range list {
		out = append(out, &work{name: fmt.Sprintf(title, n), series: strings.TrimSuffix(title, ", %d "+of), x: n,
			do: func(s system, o *options) (figures, error) { return do(s, o, n) }})
	}
	return out
}

// throughputWorks are those of many callers; two that have as many callers differ
// in their connections, and the first one is on the line of the plot.
func (c *choice) throughputWorks(name string) []*work {
	var out []*work
	if op, ok := strings.CutPrefix(name, "open-"); ok {
		layout := c.pairs[len(c.pairs)-1]
		for _, rate := range c.rates {
			out = append(out, &work{name: fmt.Sprintf("%s at %d/s, %d callers on %d", op, rate, layout[0], layout[1]), filled: true, series: "open loop " + op, x: rate,
				do: func(s system, o *options) (figures, error) { return openLoop(s, o, op, rate, layout[0], layout[1]) }})
		}
		return out
	}
	seen := map[int]bool{}
	for _, p := range c.pairs {
		w := &work{name: fmt.Sprintf("%s, %d callers on %d", name, p[0], p[1]), filled: true, series: name, x: p[0],
			do: func(s system, o *options) (figures, error) { return throughput(s, o, name, p[0], p[1]) }}
		if seen[p[0]] {
			w.line = fmt.Sprintf("on %d", p[1])
		}
		seen[p[0]] = true
		if name == "lock" {
			w.name, w.series, w.filled = fmt.Sprintf("lock+unlock, %d callers on %d", p[0], p[1]), "lock+unlock", false
			w.do = func(s system, o *options) (figures, error) { return uncontended(s, o, p[0], p[1]) }
		}
		out = append(out, w)
	}
	return out
}

// grouped cuts works where servers start anew: at each group or, with whole, only
// where the number of servers changes.
func grouped(works []*work, whole bool) [][]*work {
	var out [][]*work
	for i, w := range works {
		if i == 0 || w.nodes != works[i-1].nodes || (!whole && w.group != works[i-1].group) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], w)
	}
	return out
}
