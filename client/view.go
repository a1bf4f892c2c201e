package client

import (
	"cmp"
	"fmt"
	"slices"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// view turns the messages of Watch streams, one stream after the other, into
// one sequence of events. It does no I/O.
//
// Invariant: every change with rev <= pos was queued, if pos >= 0, and none
// after it. A stream that breaks thus loses nothing: the next one asks for
// pos+1 on.
type view struct {
	pos int64
	// queue[head:] is what the consumer has to be given yet.
	queue []step
	head  int
	epoch uint64
	begun bool // a message was taken in
	// known has the files as they are after the queue is consumed; nil if the
	// watch has no Snapshot.
	known map[string]knownFile
	round uint32
	// noResync: a resync is an error.
	noResync bool

	// mode says what SNAPSHOT messages mean; changed gathers them.
	mode    viewMode
	changed []Event
	held    *Event
}

// step is one of these.
type step struct {
	// list are changes as they came; other watches may have been given them too.
	list []*doozerpb.Event
	// event is one that was made of a snapshot.
	event *Event
	// mark is a progress mark.
	mark int64
}

// queueKept is how many steps a queue that is empty keeps its room for.
const queueKept = 8

type knownFile struct {
	rev int64
	// round in which a snapshot last named it.
	round uint32
}

type viewMode uint8

const (
	// viewChanges: no snapshot is expected.
	viewChanges viewMode = iota
	// viewFirst: the snapshot is new to the consumer as a whole.
	viewFirst
	// viewDelta: only what differs from what the consumer has is delivered.
	viewDelta
	// viewAll: as viewDelta, but revs may not be compared: after a restore
	// the same rev may be another change.
	viewAll
)

// nowhere is a pos that is not known yet.
const nowhere = -1

// newView is a view at the start of a watch: before the first change it asks
// for, nowhere if that is for the node to say, or in need of a snapshot.
func newView(cfg watchConfig) view {
	v := view{pos: nowhere, noResync: cfg.noResync}
	if cfg.from > 0 {
		v.pos = cfg.from - 1
	}
	if cfg.snapshot {
		v.known = make(map[string]knownFile)
		v.mode = viewFirst
	}
	return v
}

// placed tells whether the watch has begun.
func (v *view) placed() bool { return v.begun && (v.pos != nowhere || v.mode != viewChanges) }

// request is what the next stream is asked for.
func (v *view) request(glob string, cfg watchConfig) *doozerpb.WatchRequest {
	req := &doozerpb.WatchRequest{
		Glob: glob, Local: cfg.local, NoResync: cfg.noResync,
		ProgressMs: uint32(watchProgress.Milliseconds()),
	}
	switch {
	case v.mode != viewChanges:
		req.Snapshot = true
	case v.pos != nowhere:
		req.From = v.pos + 1
	}
	return req
}

// empty tells whether there is nothing to pop.
func (v *view) empty() bool { return v.head == len(v.queue) }

// pop takes an event, or a mark, off the queue, which is not empty.
func (v *view) pop() (ev Event, mark int64, isMark bool) {
	s := &v.queue[v.head]
	switch {
	case s.list != nil:
		e := s.list[0]
		ev = eventOf(e)
		if s.list = s.list[1:]; len(s.list) > 0 {
			ev.More = s.list[0].GetRev() == e.GetRev()
			return ev, 0, false
		}
	case s.event != nil:
		ev = *s.event
	default:
		mark, isMark = s.mark, true
	}
	*s = step{}
	if v.head++; v.empty() {
		if v.head = 0; cap(v.queue) > queueKept {
			v.queue = nil
		}
		v.queue = v.queue[:0]
	}
	return ev, mark, isMark
}

// push and pushMark queue in the order in which the consumer is to see them: a
// mark stands behind every event that it covers.
func (v *view) push(ev Event) { v.queue = append(v.queue, step{event: &ev}) }

func (v *view) pushMark(rev int64) { v.queue = append(v.queue, step{mark: rev}) }

// take takes in one message; first tells that it is the first of its stream.
func (v *view) take(res *doozerpb.WatchResponse, first bool) error {
	epoch := res.GetHeader().GetEpoch()
	if otherEpoch(v.epoch, epoch) {
		v.epoch = epoch
		return errEpoch
	}
	v.epoch, v.begun = max(v.epoch, epoch), true
	switch res.GetKind() {
	case doozerpb.WatchResponse_EVENTS:
		return v.events(res)
	case doozerpb.WatchResponse_SNAPSHOT:
		return v.snapshot(res)
	case doozerpb.WatchResponse_SNAPSHOT_END:
		return v.snapshotEnd(res.GetRev())
	case doozerpb.WatchResponse_PROGRESS:
		v.progress(res.GetRev(), first)
	case doozerpb.WatchResponse_RESYNC:
		if v.noResync {
			return &TooLateError{Oldest: res.GetRev()}
		}
		v.resync(viewDelta)
	default:
		return fmt.Errorf("%w: a watch message of kind %v", ErrInternal, res.GetKind())
	}
	return nil
}

// events queues changes. Those of one rev are never split over messages, so
// that pos may rise with the message as a whole.
func (v *view) events(res *doozerpb.WatchResponse) error {
	if v.mode != viewChanges {
		return fmt.Errorf("%w: changes before the end of the snapshot", ErrInternal)
	}
	list := res.GetEvents()
	for len(list) > 0 && list[0].GetRev() <= v.pos {
		list = list[1:] // of a node that starts earlier than it was asked to
	}
	if len(list) == 0 {
		return nil
	}
	if v.known != nil {
		for _, e := range list {
			v.note(e.GetPath(), e.GetRev(), e.GetKind() == doozerpb.Event_DEL)
		}
	}
	v.queue = append(v.queue, step{list: list})
	v.pos = list[len(list)-1].GetRev()
	return nil
}

// note brings known up to date.
func (v *view) note(path string, rev int64, del bool) {
	switch {
	case v.known == nil:
	case del:
		delete(v.known, path)
	default:
		v.known[path] = knownFile{rev: rev, round: v.round}
	}
}

// progress takes in a mark. The first one of a stream tells only where it
// starts, which is news when the view asked for no place.
func (v *view) progress(rev int64, first bool) {
	switch {
	case v.mode != viewChanges:
		return
	case v.pos == nowhere:
		v.pos = rev
	case first && rev > v.pos:
		return
	}
	v.pos = max(v.pos, rev)
	v.pushMark(rev)
}

// resync expects a snapshot, to be delivered according to mode.
func (v *view) resync(mode viewMode) {
	v.mode = max(v.mode, mode)
	if v.mode == viewFirst {
		v.mode = viewDelta
	}
	v.changed, v.held = nil, nil
	v.round++
}

// abort prepares for another stream: a snapshot that was not complete starts
// over, as one that is compared with what was delivered of it. A mode other
// than viewChanges asks for a snapshot to be delivered that way.
func (v *view) abort(mode viewMode) {
	switch {
	case mode != viewChanges:
		v.resync(mode)
	case v.mode == viewFirst:
		if len(v.known) > 0 {
			v.resync(viewDelta)
		}
		v.held = nil
	case v.mode != viewChanges:
		v.resync(v.mode)
	}
}

// snapshot takes in files of a snapshot.
func (v *view) snapshot(res *doozerpb.WatchResponse) error {
	if v.mode == viewChanges {
		return fmt.Errorf("%w: a snapshot that was not asked for", ErrInternal)
	}
	for _, e := range res.GetEvents() {
		ev := eventOf(e)
		if v.mode == viewFirst {
			v.hold(&ev)
			continue
		}
		differs := v.mode == viewAll || ev.Rev > v.pos
		if v.known != nil {
			have, ok := v.known[ev.Path]
			differs = v.mode == viewAll || !ok || have.rev != ev.Rev
			have.round = v.round
			if ok {
				v.known[ev.Path] = have
			}
		}
		if differs {
			v.changed = append(v.changed, ev)
		}
	}
	return nil
}

// hold queues the event held before, of which it is clear by now whether more
// follows, and holds ev (nil: nothing).
func (v *view) hold(ev *Event) {
	if v.held != nil {
		v.held.More = ev != nil
		v.note(v.held.Path, v.held.Rev, false)
		v.push(*v.held)
	}
	v.held = ev
}

// snapshotEnd completes a snapshot at rev.
func (v *view) snapshotEnd(rev int64) error {
	switch v.mode {
	case viewChanges:
		return fmt.Errorf("%w: the end of a snapshot that was not asked for", ErrInternal)
	case viewFirst:
		v.hold(nil)
	default:
		v.deliverDelta(rev)
	}
	v.mode, v.pos = viewChanges, rev
	v.pushMark(rev)
	return nil
}

// deliverDelta queues the difference between what the consumer has and the
// snapshot at rev, sorted by rev.
func (v *view) deliverDelta(rev int64) {
	list := v.changed
	v.changed = nil
	for path, have := range v.known {
		if have.round != v.round {
			list = append(list, Event{File: File{Path: path, Rev: rev}, Del: true})
		}
	}
	slices.SortFunc(list, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Rev, b.Rev), cmp.Compare(a.Path, b.Path))
	})
	for i, ev := range list {
		ev.More = i+1 < len(list)
		v.note(ev.Path, ev.Rev, ev.Del)
		v.push(ev)
	}
}
