package sim

import (
	"bytes"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// callKind is what a client asks for.
type callKind int

const (
	callRegister callKind = iota
	callSet
	callDel
	callTxn
	callNop
	callGet
	callLocal
	callStat
	callRev
	callList
)

// call is one operation of a client, over all its attempts.
type call struct {
	c    *client
	kind callKind
	name string // unique; every change it makes carries it as message

	path  string
	value []byte
	cond  *doozerpb.If
	conds []*doozerpb.Condition
	ops   []*doozerpb.Op
	// client and seq are the write's id. A bare write has none, and is not
	// sent again once an attempt may have been applied.
	client, seq uint64
	bare        bool

	begun    int64
	lo       int64 // rev acknowledged before it began
	sent     *session
	tag      uint64
	attempts int
	// unknown: an attempt may have been applied.
	unknown bool
	// nodeRev is the rev of the node at which a local read arrived; rev and
	// glob are what a list asks for.
	nodeRev, rev int64
	glob         *store.Glob
}

func (k *call) writes() bool { return k.kind == callSet || k.kind == callDel || k.kind == callTxn }

// drawCall makes a call by chance.
func (c *client) drawCall() *call {
	w := c.w
	k := &call{path: c.drawPath()}
	if w.chance(w.set.beats) {
		k.kind, k.path, k.value = callSet, sessionOf(c.id), c.drawValue()
		return k
	}
	switch r := w.rng.IntN(100); {
	case r < 35:
		k.kind, k.value, k.cond = callSet, c.drawValue(), c.drawIf(k.path)
	case r < 43:
		k.kind, k.cond = callDel, c.drawIf(k.path)
	case r < 53:
		k.kind = callTxn
		c.drawTxn(k)
	case r < 55:
		k.kind = callNop
	case r < 75:
		k.kind = callGet
	case r < 85:
		k.kind = callLocal
	case r < 90:
		k.kind = callStat
	case r < 95:
		k.kind = callRev
	default:
		k.kind, k.glob = callList, w.drawGlob()
	}
	return k
}

func (c *client) drawValue() []byte {
	n := c.w.uniform(0, 120)
	if c.w.chance(c.w.set.bigValues) {
		n = c.w.uniform(1<<10, 9<<10)
	}
	return bytes.Repeat([]byte{byte('a' + c.made%26)}, n)
}

func (c *client) drawIf(path string) *doozerpb.If {
	switch c.w.rng.IntN(4) {
	case 0:
		return &doozerpb.If{Kind: doozerpb.If_MISSING}
	case 1, 2:
		if rev := c.known[path]; rev != 0 {
			return &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: rev}
		}
	}
	return nil
}

func (c *client) drawTxn(k *call) {
	for range c.w.uniform(0, 2) {
		path := c.drawPath()
		if cond := c.drawIf(path); cond != nil {
			k.conds = append(k.conds, &doozerpb.Condition{Path: path, If: cond})
		}
	}
	used := map[string]bool{}
	for range c.w.uniform(1, 4) {
		if path := c.drawPath(); !used[path] {
			used[path] = true
			k.ops = append(k.ops, &doozerpb.Op{Path: path, Value: c.drawValue(), Del: c.w.chance(0.2)})
		}
	}
}

// attempt sends the call, if there is a node to send it to.
func (k *call) attempt() {
	c, w := k.c, k.c.w
	if k.sent != nil || w.violation != nil {
		return
	}
	if w.now-k.begun > int64(opPatience) || k.bare && k.unknown {
		k.giveUp()
		return
	}
	s := c.connect()
	if s == nil {
		k.again(1)
		return
	}
	k.attempts++
	if k.attempts > 1 {
		w.result.Retries++
	}
	c.nextTag++
	k.sent, k.tag = s, c.nextTag
	tag := k.tag
	c.byTag[tag] = k
	timeout := w.between(200*time.Millisecond, 8*time.Second)
	s.arrive(func() {
		s.n.exec(0, func() {
			if s.dead {
				return
			}
			k.nodeRev = s.n.machine.Rev()
			b, err := proto.Marshal(&doozerpb.DoRequest{Requests: []*doozerpb.Request{k.request(tag, uint32(timeout.Milliseconds()))}})
			if err == nil {
				w.mixBytes(b)
				err = s.do.Receive(b)
			}
			if err != nil {
				w.fail("node %d does not take a request: %v", s.n.id, err)
			}
		})
	})
	// A node that says nothing is left.
	w.after(timeout+w.between(100*time.Millisecond, time.Second), func() {
		if k.sent == s && k.tag == tag {
			s.broke()
		}
	})
}

// again makes another attempt after a pause.
func (k *call) again(pauses int) {
	d := k.c.w.between(backoffLo, backoffHi)
	if pauses == 0 {
		d = 0
	}
	k.c.w.after(d, k.attempt)
}

// giveUp ends a call that had no answer for long.
func (k *call) giveUp() {
	k.c.end(k)
	k.c.w.result.Unknown++
	if k.writes() && !k.unknown {
		k.c.w.truth.neverApplied(k.name, "no attempt can have been applied")
	}
}

// request is the message for one attempt.
func (k *call) request(tag uint64, timeout uint32) *doozerpb.Request {
	r := &doozerpb.Request{Tag: tag, TimeoutMs: timeout}
	id := &doozerpb.WriteId{Client: k.client, Seq: k.seq, Ack: min(k.c.ack(), k.seq)}
	if k.bare || k.attempts > 1 && k.c.w.cfg.Wrong.RetryWithoutID {
		id = nil
	}
	switch k.kind {
	case callRegister:
		r.Op = &doozerpb.Request_Register{Register: &doozerpb.RegisterRequest{}}
	case callSet:
		r.Op = &doozerpb.Request_Set{Set: &doozerpb.SetRequest{Path: k.path, Value: k.value, If: k.cond, Id: id, Message: k.name}}
	case callDel:
		r.Op = &doozerpb.Request_Del{Del: &doozerpb.DelRequest{Path: k.path, If: k.cond, Id: id, Message: k.name}}
	case callTxn:
		r.Op = &doozerpb.Request_Txn{Txn: &doozerpb.TxnRequest{Conditions: k.conds, Ops: k.ops, Id: id, Message: k.name}}
	case callNop:
		r.Op = &doozerpb.Request_Nop{Nop: &doozerpb.NopRequest{}}
	case callGet, callLocal:
		r.Op = &doozerpb.Request_Get{Get: &doozerpb.GetRequest{Path: k.path, Local: k.kind == callLocal}}
	case callStat:
		r.Op = &doozerpb.Request_Stat{Stat: &doozerpb.StatRequest{Path: k.path}}
	case callRev:
		r.Op = &doozerpb.Request_Rev{Rev: &doozerpb.RevRequest{}}
	case callList:
		// A rev that the node has: one to come would be waited for.
		k.rev = max(0, k.nodeRev-int64(k.c.w.rng.IntN(120)))
		r.Op = &doozerpb.Request_List{List: &doozerpb.ListRequest{Glob: k.glob.String(), Rev: k.rev, Local: true, Values: true, Limit: 1000}}
	}
	return r
}

// answered decides about an answer as client/retry.go does.
func (k *call) answered(h *doozerpb.Header, r *doozerpb.Response) {
	e := r.GetError()
	k.c.w.tracef("%s %s: node %d answers %v", k.name, k.path, h.GetNode(), e)
	switch e.GetCode() {
	case doozerpb.Code_DEADLINE:
		if k.kind != callList {
			k.c.w.fail("%s: node %d answers %v", k.name, h.GetNode(), e)
		}
		k.again(1)
	case doozerpb.Code_OVERLOADED, doozerpb.Code_NO_QUORUM, doozerpb.Code_STOPPING:
		if k.c.sess != nil && k.c.w.chance(0.5) {
			k.c.sess.broke() // another node may do better
		}
		k.again(1)
	case doozerpb.Code_UNKNOWN_OUTCOME:
		k.unknown = k.unknown || k.writes()
		k.again(1)
	case doozerpb.Code_CLIENT_EXPIRED:
		k.c.end(k)
		k.c.expired(k.client)
		k.c.w.result.Unknown++
		if !k.unknown {
			k.c.w.truth.neverApplied(k.name, "the client id is not known")
		}
	case doozerpb.Code_INTERNAL, doozerpb.Code_QUARANTINED:
		k.c.w.fail("%s: node %d answers %v", k.name, h.GetNode(), e)
	default:
		k.c.end(k)
		k.check(h, r)
	}
}

// check compares an answer with the truth.
func (k *call) check(h *doozerpb.Header, r *doozerpb.Response) {
	w, e := k.c.w, r.GetError()
	switch k.kind {
	case callRegister:
		k.c.registered, k.c.nextSeq = r.GetRegister().GetClient(), 1
	case callSet, callDel, callTxn:
		w.result.Writes++
		if e != nil {
			k.checkRefusal(e)
			return
		}
		k.checkWrite(max(r.GetSet().GetRev(), r.GetDel().GetRev(), r.GetTxn().GetRev()))
	case callNop:
		w.result.Writes++
	default:
		w.result.Reads++
		k.checkRead(h, r)
	}
}

// checkWrite: an acknowledged write is in the log at its rev, once, after all
// that was acknowledged before it began.
func (k *call) checkWrite(rev int64) {
	t := k.c.w.truth
	if at := t.ops[k.name]; at != rev {
		k.c.w.fail("%s was acknowledged at rev %d, but is applied at rev %d", k.name, rev, at)
		return
	}
	if rev <= k.lo {
		k.c.w.fail("%s was acknowledged at rev %d, but rev %d was known before it began", k.name, rev, k.lo)
	}
	for _, e := range t.changes[rev] {
		if e.Message() != k.name {
			k.c.w.fail("%s was acknowledged at rev %d, which is also of %s", k.name, rev, e.Message())
		}
		if !e.Del() {
			k.c.known[e.Path()] = rev
		}
	}
	t.ack(rev)
}

// checkRefusal: what was refused is not applied, and the reason was true at
// some time while it was under way.
func (k *call) checkRefusal(e *doozerpb.Error) {
	t := k.c.w.truth
	t.neverApplied(k.name, e.GetCode().String())
	if e.Rev != 0 {
		k.c.known[e.Path] = e.Rev
	}
	hi := t.rev()
	was := func(fn func(*store.Event) bool) {
		if !t.holds(e.Path, k.lo, hi, fn) {
			k.c.w.fail("%s was refused with %v, which was not so at any rev from %d to %d", k.name, e, k.lo, hi)
		}
	}
	switch e.Code {
	case doozerpb.Code_NOENT:
		was(func(f *store.Event) bool { return f == nil })
	case doozerpb.Code_REV_MISMATCH:
		cond := k.cond
		if k.kind == callTxn {
			cond = k.conds[e.Index].If
		}
		was(func(f *store.Event) bool {
			if f == nil {
				return cond.Kind == doozerpb.If_UNCHANGED && e.Rev == 0
			}
			return f.Rev == e.Rev && (cond.Kind == doozerpb.If_MISSING || f.Rev > cond.Rev)
		})
	default:
		k.c.w.fail("%s: unexpected %v", k.name, e)
	}
}

func (k *call) String() string { return fmt.Sprintf("%s of client %d", k.name, k.c.id) }
