package client

import (
	"context"
	"math"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// end says how one attempt of a call ended.
type end uint8

const (
	// endReply: the node answered; the reply may be a refusal.
	endReply end = iota
	// endUnsent: the pipe ended before the request was handed to it.
	endUnsent
	// endBroken: the pipe ended without an answer; the request may have
	// arrived.
	endBroken
	// endExpired: the deadline passed while the request was out.
	endExpired
	// endCanceled: the context ended while the request was out.
	endCanceled
	// endWaiting: the deadline or the context ended before the request was
	// handed to a stream.
	endWaiting
)

// call is one request with its attempts. Its caller owns it, but for the
// fields below "pipe": while the call is registered with a pipe those are the
// pipe's, under its mutex. After done was signalled all are the caller's.
type call struct {
	verb  verb
	path  string // for errors
	local bool
	// served, if not nil, is told the header of the answer.
	served func(Header)
	// msg is the encoded request message, without its WriteId.
	msg []byte
	// deadline is the end of all attempts.
	deadline time.Time

	// lease and seq make the id of a write; lease is nil until it has one.
	lease    *lease
	seq, ack uint64
	// unknown: an attempt was handed to a stream and got no answer that says
	// what became of it. It never becomes false again.
	unknown  bool
	attempts int
	// reids counts the client ids that were found expired.
	reids int
	// epoch is that of the node that answered.
	epoch uint64
	// last is why the last attempt did not do.
	last error

	// pipe: owned by the pipe while registered.
	tag   uint64
	chunk uint64
	size  int
	how   end
	head  []byte // the header of the message that held reply
	reply []byte
	cause error // of endUnsent and endBroken
	done  chan struct{}

	// Messages of the two most frequent verbs, kept with the call so that
	// they cost no allocation.
	getReq doozerpb.GetRequest
	getRes getResult
	setReq doozerpb.SetRequest
	setRes setResult
}

// callPool keeps calls for reuse.
type callPool struct{ pool sync.Pool }

func (p *callPool) get(v verb, path string) *call {
	k, ok := p.pool.Get().(*call)
	if !ok {
		k = &call{done: make(chan struct{}, 1)}
	}
	k.verb, k.path = v, path
	return k
}

// put takes a call back that no pipe knows any more. It drops all that
// belongs to the caller.
func (p *callPool) put(k *call) {
	k.setReq.Value, k.setReq.If, k.setReq.Path, k.setReq.Message = nil, nil, "", ""
	k.getReq.Path, k.path = "", ""
	k.getRes.reset("")
	k.setRes = setResult{}
	if cap(k.msg) > keepBuffer {
		k.msg = nil
	}
	k.msg, k.local, k.served, k.deadline = k.msg[:0], false, nil, time.Time{}
	k.lease, k.seq, k.ack = nil, 0, 0
	k.unknown, k.attempts, k.reids, k.epoch = false, 0, 0, 0
	k.last, k.head, k.reply, k.cause = nil, nil, nil, nil
	p.pool.Put(k)
}

// encode sets the request message.
func (k *call) encode(req proto.Message) error {
	var err error
	k.msg, err = proto.MarshalOptions{}.MarshalAppend(k.msg[:0], req)
	return err
}

// header is that of the answer.
func (k *call) header() *doozerpb.Header {
	var h doozerpb.Header
	// It was decoded before, when it was received.
	_ = proto.Unmarshal(k.head, &h)
	return &h
}

// write tells whether the call needs a WriteId.
func (k *call) write() bool { return k.verb.idField() != 0 }

// timeout is what the node is told, in milliseconds: somewhat less than what
// is left, so that its answer wins over the deadline.
func (k *call) timeout(now time.Time) uint32 {
	left := k.deadline.Sub(now)
	left -= min(50*time.Millisecond, left/10)
	return uint32(min(max(left.Milliseconds(), 1), math.MaxUint32))
}

// limit sets the call's deadline: the context's, or d from now.
func (k *call) limit(ctx context.Context, now time.Time, d time.Duration) {
	if t, ok := ctx.Deadline(); ok {
		k.deadline = t
		return
	}
	k.deadline = now.Add(d)
}
