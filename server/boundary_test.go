package server

import (
	"fmt"
	"strings"
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/protobuf/proto"
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
// and from its queue. It is delivered once. All on one goroutine: the changes
// come while the watch sends.
func TestQueueAndWindowOverlap(t *testing.T) {
	n := start(t, Limits{MessageBytes: 1, WatchEvents: 4})
	req := &doozerpb.WatchRequest{Glob: "/**"}
	glob, err := store.CompileGlob(req.Glob)
	if err != nil {
		t.Fatal(err)
	}
	rec, sent, meanwhile := newRecording(t, n, req), 0, 0
	w := &watcher{s: n.Server, glob: glob, ctx: t.Context(), sub: n.machine.hub.subscribe(glob)}
	defer w.sub.close()
	w.tell = n.tellAlone(func(m *encoded) error {
		out := &doozerpb.WatchResponse{}
		if err := proto.Unmarshal(m.parts.Materialize(), out); err != nil {
			return err
		}
		rec.take(out)
		if sent++; sent%10 == 3 { // the queue fills again by now
			for range 3 {
				n.set(t, "/b", fmt.Sprint(sent))
				meanwhile++
			}
		}
		return nil
	})
	if err := w.start(req); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		for range 10 { // more than the queue holds
			n.set(t, "/a", "v")
		}
		for range 3 { // from the window, then from the queue, then nothing
			if err := w.deliver(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rev := n.machine.Rev(); rec.sent != rev {
		t.Errorf("delivered up to %d of %d", rec.sent, rev)
	}
	rec.reliable()
	if meanwhile < 10 || n.metrics.watchLags.Load() < 5 {
		t.Errorf("%d changes came meanwhile, %d lags: this has tested nothing", meanwhile, n.metrics.watchLags.Load())
	}
}
