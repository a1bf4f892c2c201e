package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
)

// ReadLimit is how long reading a whole log or tree may take.
const ReadLimit = 2 * time.Minute

// Log reads every change since the beginning, of all paths.
func (c *Cluster) Log(cl *client.Client) []check.Event {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ReadLimit)
	defer cancel()
	var log []check.Event
	for e, err := range cl.Log(ctx, "/**", client.From(1)) {
		if err != nil {
			c.t.Fatalf("log: %v", err)
		}
		log = append(log, EventOf(e))
	}
	if err := check.Whole(log); err != nil {
		c.t.Fatalf("the log has gaps: %v", err)
	}
	return log
}

// EventOf is a client's event as the checkers take it.
func EventOf(e client.Event) check.Event {
	return check.Event{Path: e.Path, Value: string(e.Value), Rev: e.Rev, Del: e.Del, ID: e.Message}
}

// Tree reads the files that match glob.
func (c *Cluster) Tree(cl *client.Client, glob string) map[string]check.Event {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ReadLimit)
	defer cancel()
	tree := map[string]check.Event{}
	for f, err := range cl.Walk(ctx, glob) {
		if err != nil {
			c.t.Fatalf("walk %s: %v", glob, err)
		}
		tree[f.Path] = check.Event{Path: f.Path, Value: string(f.Value), Rev: f.Rev, ID: f.Message}
	}
	return tree
}

// Below is the part of a log whose paths are below prefix.
func Below(prefix string, log []check.Event) []check.Event {
	var out []check.Event
	for _, e := range log {
		if strings.HasPrefix(e.Path, prefix+"/") {
			out = append(out, e)
		}
	}
	return out
}

// Verify is the verdict over the ops of a load below prefix: every
// acknowledged write is in the log and in the tree, none was applied twice,
// revs rose, counters count, and all running nodes are alike. It returns the
// whole log.
func (c *Cluster) Verify(cl *client.Client, prefix string, ops []check.Op) []check.Event {
	c.t.Helper()
	log := c.Log(cl)
	mine := Below(prefix, log)
	for what, err := range map[string]error{
		"acknowledged writes": check.Acked(ops, mine, c.Tree(cl, prefix+"/**")),
		"revs":                check.Revs(ops),
		"counters":            countersErr(prefix, mine),
	} {
		if err != nil {
			c.t.Errorf("%s, %d operations:\n%v", what, len(ops), err)
		}
	}
	c.WaitEqual(StartLimit)
	return log
}

func countersErr(prefix string, log []check.Event) error {
	_, err := check.Counters(prefix+"/c/", log)
	return err
}

// Tally counts the outcomes of writes.
func Tally(ops []check.Op) (ok, unknown, failed int) {
	for _, o := range ops {
		switch {
		case !o.Writes():
		case o.Outcome == check.OK:
			ok++
		case o.Outcome == check.Unknown:
			unknown++
		case o.Outcome == check.Failed:
			failed++
		}
	}
	return ok, unknown, failed
}

// Losses shows some of the writes that were not acknowledged, one a line.
func Losses(ops []check.Op) string {
	const shown = 5
	s, n := "", 0
	for _, o := range ops {
		if n < shown && o.Writes() && (o.Outcome == check.Unknown || o.Outcome == check.Failed) {
			n++
			s += "\n" + o.String()
		}
	}
	return s
}

// Times tells durations as the notes want them.
func Times(d []time.Duration) string {
	d = slices.Sorted(slices.Values(d))
	if len(d) == 0 {
		return "none"
	}
	var all []string
	for _, x := range d {
		all = append(all, x.Round(time.Millisecond).String())
	}
	return fmt.Sprintf("median %v, worst %v (%s)",
		d[len(d)/2].Round(time.Millisecond), d[len(d)-1].Round(time.Millisecond), strings.Join(all, " "))
}
