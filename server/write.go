package server

import (
	"context"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc/peer"
)

// call is one write on its way through consensus, from a Do stream or a unary
// RPC.
type call struct {
	s     *Server
	to    sink
	tag   uint64
	verb  verb
	size  int
	start int64
}

// sink is where an answer goes. deliver is called from any goroutine, usually
// the applier's, and does not block.
type sink interface{ deliver(answer) }

// propose gives data to consensus. The answer is delivered exactly once.
func (c *call) propose(data []byte, timeout time.Duration) {
	c.s.consensus.Propose(data, c.s.now().Add(timeout), c.done)
}

// done is called by consensus once.
func (c *call) done(result any, err error) { c.to.deliver(c.answer(result, err)) }

// answer makes what consensus said into what the caller is told. The result is
// that of the state machine on this node: that the others' is the same is what
// quarantine is about.
func (c *call) answer(result any, err error) answer {
	a := answer{tag: c.tag, verb: c.verb, start: c.start, size: c.size}
	if err != nil {
		a.err = consensusError(err, c.s.age())
		return a
	}
	if reason := c.s.machine.Quarantined(); reason != "" {
		// What this node's state came to says nothing about the others'.
		a.err = fail(doozerpb.Code_UNKNOWN_OUTCOME, "the node is quarantined: %s", reason)
		return a
	}
	res, ok := result.(*store.Result)
	switch {
	case !ok:
		a.err = fail(doozerpb.Code_INTERNAL, "the state machine returned a %T", result)
	case res.Err != nil:
		a.err = storeError(res.Err)
	case c.verb == verbRegister:
		a.msg = c.s.registered(res.Client)
	case c.verb != verbNop:
		a.rev = res.Rev
	}
	return a
}

// registered returns what there is to say of a client id just made.
func (s *Server) registered(client uint64) *doozerpb.RegisterResponse {
	var cfg store.Config
	s.machine.View(func(st *store.Store) { cfg = st.Config() })
	return &doozerpb.RegisterResponse{
		Client: client,
		TtlMs:  uint64(time.Duration(cfg.ClientTTL).Milliseconds()),
		Window: uint32(cfg.ClientWindow),
	}
}

// command makes r, a write, into cmd, whose slices it reuses. It returns why
// r may not be proposed. This is the one place where a write is checked before
// it gets into the log; what only the tree can tell, Apply decides. The author
// is the connection's and never the request's.
func (s *Server) command(cmd *store.Command, r *request, author string) *doozerpb.Error {
	if r.bad != nil {
		return r.bad
	}
	*cmd = store.Command{
		Kind:   store.Write,
		Client: r.id.client, Seq: r.id.seq, Ack: r.id.ack,
		Author: author, Message: r.text,
		Conds: cmd.Conds[:0], Ops: cmd.Ops[:0],
	}
	switch r.verb {
	case verbNop:
		*cmd = store.Command{Kind: store.Nop, Conds: cmd.Conds, Ops: cmd.Ops}
	case verbRegister:
		*cmd = store.Command{Kind: store.Register, Conds: cmd.Conds, Ops: cmd.Ops}
	case verbTxn:
		txn(cmd, r.msg.(*doozerpb.TxnRequest))
	default:
		if r.cond != doozerpb.If_ANY {
			cmd.Conds = append(cmd.Conds, store.Condition{Path: r.path, Kind: condKind(r.cond), Rev: r.condRev})
		}
		cmd.Ops = append(cmd.Ops, store.Op{Path: r.path, Value: r.value, Del: r.verb == verbDel})
	}
	return asStoreError(cmd.Validate(store.Options{MaxValue: s.limits.MaxValue, MaxCommand: s.limits.MaxCommand}))
}

// txn takes over m. Nothing is checked here: Validate does, for any command.
func txn(cmd *store.Command, m *doozerpb.TxnRequest) {
	id := writeIDOf(m.Id)
	cmd.Client, cmd.Seq, cmd.Ack = id.client, id.seq, id.ack
	cmd.Message = m.Message
	for _, c := range m.Conditions {
		cmd.Conds = append(cmd.Conds, store.Condition{Path: c.Path, Kind: condKind(c.If.GetKind()), Rev: c.If.GetRev()})
	}
	for _, op := range m.Ops {
		cmd.Ops = append(cmd.Ops, store.Op{Path: op.Path, Value: op.Value, Del: op.Del})
	}
}

// condKind returns what k is in the store; a kind no store knows for one that
// is not of this version, which Validate refuses.
func condKind(k doozerpb.If_Kind) store.CondKind {
	switch k {
	case doozerpb.If_ANY:
		return store.Any
	case doozerpb.If_MISSING:
		return store.Missing
	case doozerpb.If_UNCHANGED:
		return store.Unchanged
	default:
		return ^store.CondKind(0)
	}
}

// oneAnswer is the sink of a unary RPC.
type oneAnswer chan answer

func (o oneAnswer) deliver(a answer) { o <- a } // it has room for the only one

// write does a unary write. When the caller's time ends, consensus says so
// itself if it can tell that nothing was done; what comes of a call that is
// cancelled nobody waits for, and its outcome is unknown to the caller.
func (s *Server) write(ctx context.Context, r *request) (answer, *doozerpb.Error) {
	var cmd store.Command
	if e := s.command(&cmd, r, author(ctx)); e != nil {
		return answer{}, e
	}
	to := make(oneAnswer, 1)
	c := &call{s: s, to: to, verb: r.verb}
	c.propose(cmd.Append(nil), s.timeLeft(ctx))
	select {
	case a := <-to:
		return a, a.err
	case <-ctx.Done():
		// Consensus had the same deadline, unless the caller went away.
		return answer{}, fail(doozerpb.Code_UNKNOWN_OUTCOME, "the caller left before the write was answered")
	}
}

// timeLeft returns how long a unary RPC may take.
func (s *Server) timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return s.limits.DefaultTimeout
	}
	return min(time.Until(deadline), s.limits.MaxTimeout)
}

// author returns who a call's changes are said to be by: the address it comes
// from.
func author(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	return p.Addr.String()
}
