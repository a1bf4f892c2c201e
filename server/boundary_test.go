package server

import (
	"fmt"
	"strings"
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// A rev is never split over messages, however small they are: neither when its
// events come from the queue nor when they come from the window.
func TestARevIsNeverSplit(t *testing.T) {
	for name, limits := range map[string]Limits{
		"from the queue":  {MessageBytes: 100},
		"from the window": {MessageBytes: 100, WatchEvents: 1, Visits: 1},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, limits)
			req := &doozerpb.WatchRequest{Glob: "/**"}
			d, rec := runDirect(t, n, req), newRecording(t, n, req)
			rec.take(d.next())
			var rev int64
			for i := range 20 {
				cmd := store.Command{Kind: store.Write, Author: "s"}
				for k := range 7 {
					cmd.Ops = append(cmd.Ops, store.Op{Path: fmt.Sprintf("/%d", k), Value: []byte(strings.Repeat("v", 10+i))})
				}
				rev = n.apply(t, cmd).Rev
			}
			rec.until(rev, d.next)
			rec.sameTree(rev)
			if rec.messages < 20 {
				t.Errorf("%d messages: this has tested nothing", rec.messages)
			}
		})
	}
}

// What is published while a watch reads the window comes to it twice, from there
// and from its queue. It is delivered once.
func TestQueueAndWindowOverlap(t *testing.T) {
	n := start(t, Limits{MessageBytes: 1, WatchEvents: 4})
	req := &doozerpb.WatchRequest{Glob: "/**"}
	d, rec := runDirect(t, n, req), newRecording(t, n, req)
	rec.take(d.next())
	var rev int64
	for round := range 5 {
		for i := range 10 { // more than the queue holds
			rev = n.set(t, "/a", fmt.Sprint(round, i))
		}
		// The queue fills again from before the first message of the window on.
		// Messages of what was queued at first may come before it.
		for n.metrics.watchLags.Load() < uint64(round+1) || max(rec.mark, rec.sent) < rev-5 {
			rec.take(d.next())
		}
		for i := range 3 {
			rev = n.set(t, "/b", fmt.Sprint(round, i))
		}
		rec.until(rev, d.next)
	}
}
