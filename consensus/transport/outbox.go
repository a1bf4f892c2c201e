package transport

import (
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/doozer-store/doozer/proto/peerpb"
)

// outbox turns a queue into envelopes. It belongs to the sender. The
// envelope, its slices and the buffer they point into are used again: grpc's
// codec encodes a message before Send returns.
type outbox struct {
	urgent, normal []*raftpb.Message // taken, not sent; normal from next on
	next           int
	forwards       []forward
	hashes         []*peerpb.StateHash

	env   peerpb.Envelope
	buf   []byte
	size  int // of env, encoded, about
	bytes int // of the queue's count that env stands for
	count int
}

// fill makes the next envelope, urgent messages first, and reports whether
// there is anything in it. It takes the urgent ones anew each time, so that
// none waits for more than the envelope before it.
func (o *outbox) fill(l *link) bool {
	o.take(l)
	o.env.Raft, o.env.Forward, o.env.Hash = o.env.Raft[:0], o.env.Forward[:0], o.hashes
	o.buf, o.size, o.bytes, o.count = o.buf[:0], 0, 0, 0
	for i, m := range o.urgent {
		if !o.add(l, m) {
			o.urgent = append(o.urgent[:0], o.urgent[i:]...)
			return true
		}
	}
	clear(o.urgent)
	o.urgent = o.urgent[:0]
	for o.next < len(o.normal) {
		if !o.add(l, o.normal[o.next]) {
			return true
		}
		o.normal[o.next] = nil
		o.next++
	}
	for len(o.forwards) > 0 {
		if !o.addForward(l, &o.forwards[0]) {
			return true
		}
		o.forwards = o.forwards[1:]
	}
	return len(o.env.Raft)+len(o.env.Forward)+len(o.env.Hash) > 0 || o.count > 0
}

// take moves what is queued to the outbox; normal messages and forwards only
// when those taken before are sent, which keeps their order.
func (o *outbox) take(l *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(o.urgent) == 0 {
		o.urgent, l.q.urgent = l.q.urgent, o.urgent
	} else {
		o.urgent = append(o.urgent, l.q.urgent...)
		l.q.urgent = l.q.urgent[:0]
	}
	if o.next == len(o.normal) {
		o.normal, l.q.normal = l.q.normal, o.normal[:0]
		o.next = 0
	}
	if len(o.forwards) == 0 {
		o.forwards, l.q.forwards = l.q.forwards, nil
	}
	o.hashes, l.q.hashes = l.q.hashes, o.hashes[:0]
}

// add encodes a message into the envelope; false if it has to wait for the
// next one. One that no envelope can carry is dropped.
func (o *outbox) add(l *link, m *raftpb.Message) bool {
	n := proto.Size(m)
	if o.size > 0 && o.size+n > l.t.c.Limits.EnvelopeBytes {
		return false
	}
	o.bytes += estimate(m)
	o.count++
	at := len(o.buf)
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(o.buf, m)
	if err != nil || n > l.t.c.Limits.MessageBytes {
		l.t.c.Logger.Error("message dropped", "peer", l.id, "type", m.GetType(), "bytes", n, "err", err)
		signal(l.drops)
		return true
	}
	o.buf = b
	o.size += n + 8
	o.env.Raft = append(o.env.Raft, b[at:len(b):len(b)])
	return true
}

// addForward takes as many commands as fit and says whether that was all.
func (o *outbox) addForward(l *link, f *forward) bool {
	n := 0
	for ; n < len(f.ids); n++ {
		size := len(f.data[n]) + commandOverhead
		if o.size > 0 && o.size+size > l.t.c.Limits.EnvelopeBytes {
			break
		}
		o.size += size
		o.bytes += size
	}
	if n > 0 {
		slab := make([]peerpb.Command, n)
		cmds := make([]*peerpb.Command, n)
		for i := range slab {
			slab[i].Id, slab[i].Data = f.ids[i], f.data[i]
			cmds[i] = &slab[i]
		}
		o.count += n
		o.env.Forward = append(o.env.Forward, &peerpb.Forward{Term: f.term, Commands: cmds})
		f.ids, f.data = f.ids[n:], f.data[n:]
	}
	return len(f.ids) == 0
}
