package server

import (
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// intake is the receiving half of a doStream; its goroutine is the only one
// to touch it. Its fields are what is kept from one request, or message, to
// the next.
type intake struct {
	d   *doStream
	now int64 // when the message was received, by Server.clock

	req  request
	cmd  store.Command
	left int // bytes of the message that are not yet taken

	// calls and data are slabs: one allocation for many writes. What was cut
	// off them is left to the garbage collector with its last user.
	calls []call
	data  []byte

	// global are the message's reads that ask a majority, with one question;
	// local those that may be done at once.
	global, local *readGroup
}

// take serves the requests of one DoRequest. It waits while too much is in
// flight. It returns an error when the message can't be read.
func (in *intake) take(msg []byte) error {
	in.now = in.d.s.clock()
	for {
		in.left = len(msg)
		rest, ok, err := nextRequest(msg, &in.req)
		if err != nil || !ok {
			in.flush()
			return err
		}
		msg = rest
		for !in.d.admit(in.req.size) {
			in.flush() // what is waited for may be in it
			if err := in.d.waitRoom(); err != nil {
				return err
			}
		}
		in.d.s.metrics.inFlight.Add(1)
		in.serve(&in.req)
	}
}

// serve answers r, or sees to it that it will be.
func (in *intake) serve(r *request) {
	s := in.d.s
	if e := s.refuse(); e != nil {
		in.answer(r, answer{err: e})
		return
	}
	switch r.verb {
	case verbSet, verbDel, verbTxn, verbNop, verbRegister:
		in.write(r)
	case verbGet, verbStat, verbList, verbRev:
		in.read(r)
	case verbAwait:
		in.await(r)
	case verbSelf:
		in.answer(r, answer{msg: s.self(in.d.author)})
	case verbStatus:
		in.answer(r, answer{msg: s.statusResponse()})
	default:
		r.verb = verbDo // for the metrics: it names no operation
		in.answer(r, answer{err: fail(doozerpb.Code_BAD_REQUEST, "the request names no operation this node knows")})
	}
}

// answer delivers a to r, which needs nobody else.
func (in *intake) answer(r *request, a answer) {
	a.tag, a.verb, a.size, a.start = r.tag, r.verb, r.size, in.now
	in.d.deliver(a)
}

// write proposes r. Its answer comes through call.done, perhaps before write
// returns.
func (in *intake) write(r *request) {
	s := in.d.s
	if e := s.command(&in.cmd, r, in.d.author); e != nil {
		in.answer(r, answer{err: e})
		return
	}
	c := in.newCall()
	*c = call{s: s, to: in.d, tag: r.tag, verb: r.verb, size: r.size, start: in.now}
	c.propose(in.encode(r), s.limits.timeout(r.timeout))
}

// expect returns how many requests are left in the message, were they all like
// the present one; a slab is sized by it.
func (in *intake) expect() int { return min(256, in.left/(in.req.size+2)+1) }

// newCall cuts a call off the slab.
func (in *intake) newCall() *call {
	if len(in.calls) == cap(in.calls) {
		in.calls = make([]call, 0, in.expect())
	}
	in.calls = in.calls[:len(in.calls)+1]
	return &in.calls[len(in.calls)-1]
}

// encode appends the command to the slab and returns it.
func (in *intake) encode(r *request) []byte {
	// A guess of the command's length; append makes good what it lacks.
	need := r.size + len(in.d.author) + 32
	if cap(in.data)-len(in.data) < need {
		in.data = make([]byte, 0, max(need, min(2*in.left, 32<<10)))
	}
	at := len(in.data)
	in.data = in.cmd.Append(in.data)
	return in.data[at:len(in.data):len(in.data)]
}

// read puts r with the reads that go when the message ends: all that ask a
// majority share one question.
func (in *intake) read(r *request) {
	x := read{
		tag: r.tag, verb: r.verb, size: r.size, path: r.path, rev: r.rev,
		start: in.now, deadline: in.now + int64(in.d.s.limits.timeout(r.timeout)),
	}
	local := r.local
	if m, ok := r.msg.(*doozerpb.ListRequest); ok {
		l, e := in.d.s.newLister(m)
		if e != nil {
			in.answer(r, answer{err: e})
			return
		}
		x.list, x.rev, local = l, m.Rev, m.Local
	}
	if x.rev < 0 {
		in.answer(r, answer{err: badRev()})
		return
	}
	if local || x.rev > 0 {
		in.local = in.local.add(in.d, x, in.expect())
	} else {
		in.global = in.global.add(in.d, x, in.expect())
	}
}

// flush lets the reads gathered so far go.
func (in *intake) flush() {
	if g := in.local; g != nil {
		in.local = nil
		in.d.readable(g)
	}
	if g := in.global; g != nil {
		in.global = nil
		// The group waits as long as the most patient of it.
		in.d.s.consensus.ReadIndex(in.d.s.now().Add(time.Duration(g.deadline-in.now)), g.confirmed)
	}
}
