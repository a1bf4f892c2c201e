package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
	doozerpb "github.com/doozer-store/doozer/proto"
)

const (
	// rawWatchers speak the protocol; libWatchers use the client library and
	// want to be told what they miss; mirrors use it with a snapshot first, and
	// keep a copy of the files.
	rawWatchers = 3
	libWatchers = 3
	mirrors     = 2
	// reach is how far from the present a watch may be asked to begin.
	reach = 100
	// turnMost is how long a watch lasts at most before its watcher turns to
	// another node.
	turnMost = 1500 * time.Millisecond
	// finishLimit is how long a watch may take to deliver what there is; only a
	// hang exceeds it.
	finishLimit = 30 * time.Second
)

// watchGlobs are what is watched: everything, the hot files, some, one, sessions.
var watchGlobs = []string{everything, hotGlob, sessionGlob, hotDir + "/**", hotDir + "/1*", hotDir + "/?", "/**/3", hotDir + "/5", "/ctl/**"}

// recording is what one watch was given.
type recording struct {
	check.Recording
	who    string
	mirror bool
	err    error // why it ended, when that was not for it to choose
}

// watchers are watches that begin at many places, on node after node.
type watchers struct {
	load  *load
	nodes []*cluster.Node
	libs  []*client.Client // one for each node, which it goes to first

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	// target is the rev that every watch has to reach before it may end; 0
	// until all writes are over.
	target atomic.Int64

	mu   sync.Mutex
	recs []recording // guarded by mu
}

// startWatchers starts them.
func startWatchers(c *cluster.Cluster, l *load, r *rand.Rand) (*watchers, error) {
	w := &watchers{load: l, nodes: c.Nodes()}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	c.TB().Cleanup(w.stop)
	for _, n := range w.nodes {
		w.libs = append(w.libs, c.ClientOf(c.URI(n), client.WithTargetFirst(), client.WithoutWait()))
	}
	conns := map[string]*grpc.ClientConn{}
	for _, n := range w.nodes {
		conn, err := dialNode(n.Addr())
		if err != nil {
			return nil, err
		}
		c.TB().Cleanup(func() { conn.Close() })
		conns[n.Name] = conn
	}
	each := func(name string, turn func(r *rand.Rand, name string) bool) {
		r := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		w.running.Go(func() {
			for w.ctx.Err() == nil && turn(r, name) {
			}
		})
	}
	for i := range rawWatchers {
		each(fmt.Sprint("watcher ", i), func(r *rand.Rand, name string) bool {
			n := w.nodes[r.IntN(len(w.nodes))]
			return w.raw(r, name+" at "+n.Name, conns[n.Name])
		})
	}
	for i := range libWatchers {
		each(fmt.Sprint("library watcher ", i), w.lib)
	}
	for i := range mirrors {
		each(fmt.Sprint("mirror ", i), func(r *rand.Rand, name string) bool { return w.mirror(r, name, i == 0) })
	}
	return w, nil
}

// finish lets every watch go on until it has delivered what there is up to rev,
// and returns all recordings.
func (w *watchers) finish(rev int64) []recording {
	w.target.Store(rev)
	t := time.AfterFunc(finishLimit, w.cancel)
	defer t.Stop()
	w.running.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recs
}

func (w *watchers) stop() {
	w.cancel()
	w.running.Wait()
}

// over tells whether a watch that has come to rev may end: always, until all
// writes are over.
func (w *watchers) over(rev int64, until time.Time) bool {
	if t := w.target.Load(); t != 0 {
		return rev >= t
	}
	return time.Now().After(until)
}

// keep takes in a recording; it tells whether the watcher is to go on.
func (w *watchers) keep(r recording) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(r.Items) > 0 || r.err != nil || r.TooLate != 0 {
		w.recs = append(w.recs, r)
	}
	return true
}

// turn is how long a watch lasts, and its context, which ends soon after unless
// all writes are over by then.
func (w *watchers) turn(r *rand.Rand) (context.Context, context.CancelFunc, time.Time) {
	d := turnMost/8 + time.Duration(r.Int64N(int64(turnMost)))
	ctx, cancel := context.WithCancel(w.ctx)
	t := time.AfterFunc(d+2*progressEach, func() {
		if w.target.Load() == 0 {
			cancel()
		}
	})
	return ctx, func() { t.Stop(); cancel() }, time.Now().Add(d)
}

// begin picks where a watch begins: at a rev near the present, with a snapshot,
// or at the present.
func (w *watchers) begin(r *rand.Rand, rec *recording) {
	rec.Glob = watchGlobs[r.IntN(len(watchGlobs))]
	switch n := r.IntN(10); {
	case n < 2:
	case n < 5:
		rec.Snapshot = true
	case n < 6:
		rec.From = max(1, w.load.rev.Load()-r.Int64N(w.load.keep*windowTimes/2)) // to the edge of the window, and beyond
	default:
		rec.From = max(1, w.load.rev.Load()-reach+r.Int64N(2*reach))
	}
}

// raw records one stream of the protocol.
func (w *watchers) raw(r *rand.Rand, name string, conn *grpc.ClientConn) bool {
	rec := recording{who: name}
	w.begin(r, &rec)
	ctx, cancel, until := w.turn(r)
	defer cancel()
	req := &doozerpb.WatchRequest{
		Glob: rec.Glob, From: rec.From, Snapshot: rec.Snapshot, Local: r.IntN(2) == 0,
		NoResync: !rec.Snapshot && r.IntN(2) == 0, ProgressMs: uint32(progressEach.Milliseconds()),
	}
	stream, err := doozerpb.NewDoozerClient(conn).Watch(ctx, req)
	if err != nil {
		return w.again(ctx)
	}
	mark := int64(0)
	for {
		res, err := stream.Recv()
		if e := refusal(err); e.GetCode() == doozerpb.Code_TOO_LATE {
			rec.TooLate = e.GetRev()
			return w.keep(rec)
		}
		if err != nil {
			rec.err = w.hung(mark)
			w.keep(rec)
			return w.again(ctx)
		}
		rec.Items = append(rec.Items, itemsOf(res)...)
		if res.GetKind() == doozerpb.WatchResponse_PROGRESS || res.GetKind() == doozerpb.WatchResponse_SNAPSHOT_END {
			mark = res.GetRev()
			if w.over(mark, until) {
				w.keep(rec)
				return w.target.Load() == 0
			}
		}
	}
}

// again waits a moment before another stream.
func (w *watchers) again(ctx context.Context) bool {
	select {
	case <-ctx.Done():
	case <-time.After(redialEvery):
	}
	return true
}

// hung is an error if the watch was ended because it did not deliver.
func (w *watchers) hung(rev int64) error {
	if w.ctx.Err() == nil || w.target.Load() == 0 {
		return nil
	}
	return fmt.Errorf("reliable: a watch came to rev %d of %d and delivered no more within %v", rev, w.target.Load(), finishLimit)
}

// itemsOf is a message as checkers take it.
func itemsOf(res *doozerpb.WatchResponse) []check.Item {
	var items []check.Item
	list := res.GetEvents()
	for i, e := range list {
		it := check.Item{Event: eventOf(e)}
		if res.GetKind() == doozerpb.WatchResponse_SNAPSHOT {
			it.Kind = check.File
		} else {
			it.More = i+1 < len(list) && list[i+1].GetRev() == e.GetRev()
		}
		items = append(items, it)
	}
	switch res.GetKind() {
	case doozerpb.WatchResponse_PROGRESS:
		items = append(items, check.Item{Kind: check.Mark, Rev: res.GetRev()})
	case doozerpb.WatchResponse_SNAPSHOT_END:
		items = append(items, check.Item{Kind: check.FilesEnd, Rev: res.GetRev()})
	case doozerpb.WatchResponse_RESYNC:
		items = append(items, check.Item{Kind: check.Resync})
	}
	return items
}

// lib records one watch of the client library that is to tell when it misses
// something.
func (w *watchers) lib(r *rand.Rand, name string) bool {
	rec := recording{who: name}
	w.begin(r, &rec)
	rec.Snapshot = false
	opts := []client.WatchOption{client.NoResync()}
	if rec.From != 0 {
		opts = append(opts, client.From(rec.From))
	}
	if r.IntN(3) == 0 {
		opts = append(opts, client.Local())
	}
	return w.library(r, rec, opts, false)
}

// mirror records one watch of the client library that begins with a snapshot,
// until all is over or for a turn.
func (w *watchers) mirror(r *rand.Rand, name string, whole bool) bool {
	rec := recording{who: name, mirror: true}
	rec.Glob, rec.Snapshot = watchGlobs[r.IntN(len(watchGlobs))], true
	return w.library(r, rec, []client.WatchOption{client.Snapshot()}, whole)
}

// library records a watch by cl until its turn is over, or to the end.
func (w *watchers) library(r *rand.Rand, rec recording, opts []client.WatchOption, whole bool) bool {
	cl := w.libs[r.IntN(len(w.libs))]
	ctx, cancel, until := w.turn(r)
	defer cancel()
	if whole {
		ctx, until = w.ctx, time.Now().Add(time.Hour)
	}
	mark, done := int64(0), false
	var watch *client.Watcher
	nextCtx, enough := context.WithCancel(ctx)
	defer enough()
	opts = append(opts, client.Progress(func(rev int64) {
		rec.Items = append(rec.Items, check.Item{Kind: check.Mark, Rev: rev})
		mark = rev
		if done = w.over(rev, until); done {
			enough()
		}
	}))
	watch = cl.Watcher(rec.Glob, opts...)
	defer watch.Close()
	for {
		e, err := watch.Next(nextCtx)
		var late *client.TooLateError
		switch {
		case err == nil:
			ev := fileOf(e.File)
			ev.Del = e.Del
			rec.Items = append(rec.Items, check.Item{Event: ev, More: e.More})
			continue
		case errors.As(err, &late):
			rec.TooLate = late.Oldest
		case done:
		case ctx.Err() != nil:
			rec.err = w.hung(mark)
		case !errors.Is(err, client.ErrClosed):
			rec.err = err
		}
		w.keep(rec)
		return !done || w.target.Load() == 0
	}
}
