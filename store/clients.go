package store

import (
	"slices"
	"sort"
	"strings"
)

// clients is the exactly-once table: for each client, what came of those of its
// writes that it may send again.
type clients struct {
	byID    map[uint64]*client
	lru     client    // its next is the client idle longest, its prev the one used last
	last    uint64    // highest id given out
	touches uint64    // uses of all clients, ever
	results int       // remembered in all
	changed []*client // since the last Capture, forgotten ones too
}

// client is what the store remembers of one client. It is made by a Register
// command, and used by every sound write that carries its id, refused or not.
type client struct {
	id    uint64
	floor uint64 // results of writes below are forgotten
	used  int64  // log time of the last use
	touch uint64 // number of the last use: orders clients used at the same time
	// results are ordered by seq, which is at least floor.
	results    []result
	prev, next *client // ring of clients in order of touch
	saved      bool    // may be in the records that Captures have been written to
	changed    bool    // is in the list of those
}

// result is what came of one write, without the path and the file that its
// error names: the write that is sent again has the one, the tree the other.
type result struct {
	seq   uint64
	rev   int64 // of the change or, if code is not OK, of the error
	code  Code
	op    bool
	index uint8
}

func (t *clients) init() {
	t.byID = make(map[uint64]*client)
	t.lru.prev, t.lru.next = &t.lru, &t.lru
}

// register makes a client and returns its id.
func (s *Store) register() uint64 {
	t := &s.clients
	t.last++
	c := &client{id: t.last, floor: 1}
	t.byID[c.id] = c
	s.useClient(c)
	s.limitClients()
	return c.id
}

// useClient makes c the client used last.
func (s *Store) useClient(c *client) {
	t := &s.clients
	c.detach()
	t.attach(c)
	t.touches++
	c.used, c.touch = s.time, t.touches
	t.change(c)
}

// change puts c on the list for the next Capture. Where clients come and go, most
// of a long list is of no use to that: it is taken out before the list grows.
func (t *clients) change(c *client) {
	if c.changed {
		return
	}
	if len(t.changed) == cap(t.changed) {
		t.changed = slices.DeleteFunc(t.changed, func(c *client) bool { return !c.saved && !t.has(c) })
		t.changed = slices.Grow(t.changed, len(t.changed)+1)
	}
	c.changed = true
	t.changed = append(t.changed, c)
}

// has tells whether c has not been forgotten.
func (t *clients) has(c *client) bool { return t.byID[c.id] == c }

// attach puts c at the end of the ring; detach takes it out, if it is in it.
func (t *clients) attach(c *client) {
	c.prev, c.next = t.lru.prev, &t.lru
	c.prev.next, c.next.prev = c, c
}

func (c *client) detach() {
	if c.next != nil {
		c.prev.next, c.next.prev = c.next, c.prev
	}
}

// forget drops c and its results. The next Capture deletes its record, unless
// no Capture ever wrote one.
func (t *clients) forget(c *client) {
	c.detach()
	delete(t.byID, c.id)
	t.results -= len(c.results)
	c.results = nil
	t.change(c)
}

// beginEpoch forgets all clients and moves on to the ids of the present epoch,
// which has just begun: the log may be another than the one in which the clients
// were last served, and an id that was given out there must not be given again.
// Those of epoch 0 are kept: the first epoch begins while a new cluster serves
// its first clients already, and there is no backup from before it.
func (s *Store) beginEpoch(before uint64) {
	t := &s.clients
	for c := t.lru.next; before > 0 && c != &t.lru; c = t.lru.next {
		t.forget(c)
	}
	t.last = max(t.last, s.config.Epoch*epochClients)
}

// expireClients forgets the clients that have been idle for too long. The ring
// is in order of last use, so that only those and one more are looked at.
func (s *Store) expireClients() {
	t := &s.clients
	for c := t.lru.next; c != &t.lru && s.time-c.used > s.config.ClientTTL; c = t.lru.next {
		t.forget(c)
	}
}

// limitClients forgets the clients that are idle longest until the table is
// within its bounds. It never forgets the one used last.
func (s *Store) limitClients() {
	t := &s.clients
	for len(t.byID) > 1 && (len(t.byID) > s.config.MaxClients || t.results > MaxResults) {
		t.forget(t.lru.next)
	}
}

// writeOnce does a write unless its result is remembered, or may have been
// forgotten. Results below floor have been forgotten, those from floor on are
// all there: a number from floor on without a result has never been applied.
// That is what makes it safe to apply, and why a client that is not known is
// refused rather than taken for new.
func (s *Store) writeOnce(c *Command) (Result, []*Event) {
	cl := s.clients.byID[c.Client]
	if cl == nil {
		return refused(&Error{Code: ClientExpired, Msg: "no such client"})
	}
	s.useClient(cl)
	if c.Seq < cl.floor {
		return refused(&Error{Code: ClientExpired, Msg: "the sequence number is below the acknowledged one"})
	}
	s.acknowledge(cl, c.Ack)
	i, found := cl.find(c.Seq)
	if found {
		return s.repeat(c, cl.results[i]), nil
	}
	if c.Seq-cl.floor >= uint64(s.config.ClientWindow) {
		return refused(&Error{Code: ClientExpired, Msg: "the sequence number is beyond the client's window"})
	}
	res, events := s.write(c)
	r := result{seq: c.Seq, rev: res.Rev}
	if err := res.Err; err != nil {
		r.code, r.rev, r.index, r.op = err.Code, err.Rev, uint8(err.Index), err.Op
	}
	cl.results = slices.Insert(cl.results, i, r)
	s.clients.results++
	s.limitClients()
	return res, events
}

// acknowledge forgets the results of c's writes below ack.
func (s *Store) acknowledge(c *client, ack uint64) {
	if ack <= c.floor {
		return
	}
	c.floor = ack
	i, _ := c.find(ack)
	if s.clients.results -= i; i == len(c.results) {
		c.results = c.results[:0]
		return
	}
	c.results = slices.Delete(c.results, 0, i)
}

// find returns the place of seq's result, and whether it is there. Clients
// count up, so that it is most often at the end.
func (c *client) find(seq uint64) (int, bool) {
	n := len(c.results)
	if n == 0 || c.results[n-1].seq < seq {
		return n, false
	}
	i := sort.Search(n, func(i int) bool { return c.results[i].seq >= seq })
	return i, c.results[i].seq == seq
}

// repeat returns the result of the write c once more, from what is remembered
// of it. The state that a failed condition named is there as long as that
// version can be read.
func (s *Store) repeat(c *Command, r result) Result {
	if r.code == OK {
		return Result{Rev: r.rev}
	}
	err := &Error{Code: r.code, Rev: r.rev, Index: int(r.index), Op: r.op}
	switch {
	case r.op && err.Index < len(c.Ops):
		err.Path = strings.Clone(c.Ops[err.Index].Path)
	case !r.op && err.Index < len(c.Conds):
		err.Path = strings.Clone(c.Conds[err.Index].Path)
	}
	if n := s.lookup(err.Path); n != nil && r.code == RevMismatch {
		if e := n.fileAt(r.rev); e != nil && e.Rev == r.rev {
			err.Present = e
		}
	}
	return Result{Err: err}
}
