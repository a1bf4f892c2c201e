package client

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Why a pipe ended, where it was not the stream's error.
var (
	errSilent  = errors.New("it was silent")
	errDrained = errors.New("left: another node is used")
	errLeft    = errors.New("left: it knows no leader")
	// errAway is why a node is avoided, and ends no pipe.
	errAway = errors.New("it goes away")
	// errOvertaken ends a call, not a pipe.
	errOvertaken = errors.New("it does not lead any more, and owes the answer")
)

// pipe is one Do stream to one node. Three goroutines belong to it: send,
// receive and patrol (patrol.go). Each ends when the pipe does; the
// router that opened the pipe waits for them.
//
// Calls come in by roundTrip, from any goroutine: each appends its encoded
// request to the last chunk of out, and send takes whole chunks, so that what
// gathers while one is being sent goes out together.
type pipe struct {
	addr   string
	stream grpc.ClientStream
	cancel context.CancelFunc
	pool   *bufferPool
	// hear is called with the header of every message before its responses
	// are handed out; an error ends the pipe. lost is called when the pipe
	// has ended, with mu held, and with nil when the node is going away.
	hear func(*doozerpb.Header) error
	lost func(error)

	start time.Time
	// gone is closed when the pipe has ended.
	gone chan struct{}

	// What the node last said in a header, and when (since start).
	node, leader, epoch, age atomic.Uint64
	heard                    atomic.Int64
	// goingAway: the node said that it stops. closing: no new calls.
	goingAway, closing atomic.Bool
	// overtaken is when calls began to go to a new leader instead, since
	// start; 0 while they do not.
	overtaken atomic.Int64

	mu sync.Mutex
	// wake wakes send, which is the only one that waits for it.
	wake sync.Cond
	// out is what is to be sent, taken the number of chunks that send took.
	out   []chunk
	taken uint64
	// slots holds the unanswered calls. A tag's low bits are its slot, the
	// rest makes it unique, so that a late answer meets no other call.
	slots  []*call
	free   []uint32
	serial uint64
	live   int
	bytes  int
	// waiting callers want a slot; room holds a token when there is one.
	waiting int
	room    chan struct{}
	// busySince is when live last rose from 0.
	busySince time.Time
	// parked: patrol sleeps until stir.
	parked bool
	stir   chan struct{}
	// draining: the pipe ends with its last call.
	draining bool
	// dead is why the pipe ended; nil while it lives.
	dead error
}

// chunk is one DoRequest in the making.
type chunk struct {
	buf   *[]byte
	calls int
}

// newPipe makes a pipe of a stream. The caller sets hear and lost, then calls
// run.
func newPipe(addr string, stream grpc.ClientStream, cancel context.CancelFunc, pool *bufferPool) *pipe {
	p := &pipe{
		addr: addr, stream: stream, cancel: cancel, pool: pool,
		start: time.Now(), gone: make(chan struct{}),
		room: make(chan struct{}, 1), stir: make(chan struct{}, 1),
	}
	p.wake.L = &p.mu
	return p
}

// run starts the pipe's goroutines, to be waited for with wg.
func (p *pipe) run(wg *sync.WaitGroup) {
	wg.Go(p.send)
	wg.Go(p.receive)
	wg.Go(p.patrol)
}

// usable tells whether new calls may go here.
func (p *pipe) usable() bool { return !p.closing.Load() }

// roundTrip makes one attempt of k: it hands the request to the stream and
// waits for the answer, for k's deadline or for the end of ctx. Afterwards
// the pipe does not know k any more.
func (p *pipe) roundTrip(ctx context.Context, k *call, now time.Time) end {
	if how := p.enqueue(ctx, k, now); how != endReply {
		return how
	}
	if cancel := ctx.Done(); cancel != nil {
		select {
		case <-k.done:
			return k.how
		case <-cancel:
		}
		p.mu.Lock()
		mine := p.remove(k)
		p.mu.Unlock()
		if mine {
			return endCanceled
		}
	}
	// Somebody has taken k out and is about to signal, or there is no
	// context to look at: patrol keeps the deadline.
	<-k.done
	return k.how
}

// enqueue registers k and appends its request to what is to be sent. It waits
// while too much is in flight. endReply means that k is registered: from there
// on it counts as sent if send has taken its chunk, and only then.
func (p *pipe) enqueue(ctx context.Context, k *call, now time.Time) end {
	k.size = len(k.msg) + writeIDBound
	p.mu.Lock()
	for p.dead == nil && !p.draining && (p.live >= maxCalls || p.live > 0 && p.bytes+k.size > maxBytes) {
		if how := p.waitRoom(ctx, k); how != endReply {
			return how
		}
		now = time.Now()
	}
	if p.dead != nil || p.draining {
		k.cause = p.dead
		p.mu.Unlock()
		return endUnsent
	}
	p.add(k, now)
	n := len(p.out)
	if n == 0 || p.out[n-1].calls >= batchCalls || len(*p.out[n-1].buf)+k.size > batchBytes {
		p.out = append(p.out, chunk{buf: p.pool.Get(k.size)})
		n++
	}
	c := &p.out[n-1]
	*c.buf = appendRequest(*c.buf, k, k.tag, k.timeout(now))
	c.calls++
	k.chunk = p.taken + uint64(n-1)
	if p.parked {
		p.parked = false
		p.stir <- struct{}{}
	}
	if p.waiting > 0 && p.live < maxCalls {
		p.passRoom()
	}
	p.mu.Unlock()
	p.wake.Signal()
	return endReply
}

// waitRoom waits, with p.mu released, until a call has ended. It returns with
// p.mu held only if it returns endReply.
func (p *pipe) waitRoom(ctx context.Context, k *call) end {
	p.waiting++
	p.mu.Unlock()
	left := time.NewTimer(time.Until(k.deadline))
	defer left.Stop()
	how := endReply
	select {
	case <-p.room:
	case <-p.gone:
	case <-ctx.Done():
		how = endWaiting
	case <-left.C:
		how = endWaiting
	}
	p.mu.Lock()
	p.waiting--
	if how != endReply {
		if p.waiting > 0 {
			p.passRoom() // the token may have been for this one
		}
		p.mu.Unlock()
	}
	return how
}

// passRoom lets one waiting caller look again.
func (p *pipe) passRoom() {
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// add registers k under a tag of its own. Holds p.mu.
func (p *pipe) add(k *call, now time.Time) {
	if len(p.free) == 0 {
		p.free = append(p.free, uint32(len(p.slots)))
		p.slots = append(p.slots, nil)
	}
	slot := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.serial++
	k.tag = p.serial*maxCalls | uint64(slot)
	p.slots[slot] = k
	if p.live == 0 {
		p.busySince = now
	}
	p.live++
	p.bytes += k.size
}

// remove unregisters k, if it still is registered. Holds p.mu. Whoever removes
// a call owes its caller a signal on done, unless it is the caller itself.
func (p *pipe) remove(k *call) bool {
	slot := k.tag % maxCalls
	if slot >= uint64(len(p.slots)) || p.slots[slot] != k {
		return false
	}
	p.slots[slot] = nil
	p.free = append(p.free, uint32(slot))
	p.live--
	p.bytes -= k.size
	if p.waiting > 0 {
		p.passRoom()
	}
	if p.live == 0 && p.draining {
		p.endLocked(errDrained)
	}
	return true
}

// send writes chunks to the stream until the pipe ends. SendMsg blocks when
// the node does not read; chunks then gather, up to maxCalls and maxBytes, and
// patrol ends the pipe if it lasts.
func (p *pipe) send() {
	for {
		p.mu.Lock()
		for len(p.out) == 0 && p.dead == nil {
			p.wake.Wait()
		}
		busy := len(p.out) > 0 && p.live > 1
		if busy {
			// Others are at it: let those that can run add theirs.
			p.mu.Unlock()
			runtime.Gosched()
			p.mu.Lock()
		}
		if p.dead != nil {
			p.mu.Unlock()
			return
		}
		c := p.out[0]
		n := copy(p.out, p.out[1:])
		p.out[n] = chunk{}
		p.out = p.out[:n]
		p.taken++
		p.mu.Unlock()
		if err := p.stream.SendMsg(&outFrame{buf: c.buf}); err != nil {
			// The reason is what RecvMsg returns.
			return
		}
	}
}

// receive hands responses to their callers until the stream ends.
func (p *pipe) receive() {
	var in inFrame
	var b batch
	var calls []*call
	for {
		err := p.stream.RecvMsg(&in)
		if err == nil {
			p.heard.Store(int64(time.Since(p.start)))
			err = b.parse(in.data)
		}
		if err == nil && b.header != nil {
			err = p.readHeader(b.header)
		}
		if err != nil {
			p.end(err)
			return
		}
		if b.goingAway && !p.goingAway.Swap(true) {
			p.lost(nil)
		}
		calls = p.answer(&b, calls[:0])
	}
}

// answer gives the replies of b to their calls, using calls as scratch memory.
func (p *pipe) answer(b *batch, calls []*call) []*call {
	p.mu.Lock()
	for _, r := range b.replies {
		slot := r.tag % maxCalls
		if slot >= uint64(len(p.slots)) {
			continue
		}
		k := p.slots[slot]
		if k == nil || k.tag != r.tag {
			continue // given up, or a probe
		}
		k.how, k.head, k.reply, k.epoch = endReply, b.header, r.body, p.epoch.Load()
		p.remove(k)
		calls = append(calls, k)
	}
	p.mu.Unlock()
	for i, k := range calls {
		calls[i] = nil
		k.done <- struct{}{}
	}
	return calls
}

// readHeader keeps what the node says of itself, for whoever looks at the link,
// before any answer of the message is handed out: a call that sees its answer
// sees the header that came with it, or a later one.
func (p *pipe) readHeader(b []byte) error {
	var h doozerpb.Header
	if err := proto.Unmarshal(b, &h); err != nil {
		return err
	}
	p.node.Store(h.GetNode())
	p.epoch.Store(h.GetEpoch())
	p.age.Store(h.GetAgeMs())
	return p.hear(&h)
}

// drain takes no further call and ends the pipe when the last is answered.
func (p *pipe) drain() {
	p.closing.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	if p.live == 0 {
		p.endLocked(errDrained)
	}
}

// end ends the pipe at once: its calls end as unsent or broken.
func (p *pipe) end(cause error) {
	p.mu.Lock()
	p.endLocked(cause)
	p.mu.Unlock()
}

// endLocked is end. It tells each call whether its request can have reached
// the node: those of chunks that send never took cannot.
func (p *pipe) endLocked(cause error) {
	if p.dead != nil {
		return
	}
	p.dead = cause
	p.closing.Store(true)
	p.out = nil
	for _, k := range p.slots {
		if k == nil {
			continue
		}
		k.cause = cause
		k.how = endUnsent
		if k.chunk < p.taken {
			k.how = endBroken
		}
		k.done <- struct{}{}
	}
	p.slots, p.free, p.live = nil, nil, 0
	close(p.gone)
	p.wake.Broadcast()
	p.cancel()
	p.lost(cause)
}

// probeFrame is a DoRequest that asks the node who it is; nobody waits for
// the answer.
func probeFrame(b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, doRequests, protowire.BytesType),
		protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(verbSelf), protowire.BytesType), nil))
}
