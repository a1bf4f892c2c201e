package client

import (
	"context"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Get reads a whole file. Without options the read is linearizable: it sees
// every write that was acknowledged before it began. A missing file is
// ErrNotExist, a directory ErrIsDir.
func (c *Client) Get(ctx context.Context, path string, opts ...ReadOption) (File, error) {
	cfg := readOptions(opts)
	k := c.calls.get(verbGet, path)
	defer c.calls.put(k)
	k.getReq.Path, k.getReq.Rev, k.getReq.Local = path, cfg.rev, cfg.local
	k.local, k.served = cfg.local, cfg.served
	k.getRes.reset(path)
	if err := c.runInto(ctx, k, &k.getReq, &k.getRes); err != nil {
		return File{}, err
	}
	return k.getRes.file, nil
}

// Stat describes a file or a directory. A missing one is ErrNotExist.
func (c *Client) Stat(ctx context.Context, path string, opts ...ReadOption) (Info, error) {
	cfg := readOptions(opts)
	k := c.calls.get(verbStat, path)
	defer c.calls.put(k)
	k.local, k.served = cfg.local, cfg.served
	var res doozerpb.StatResponse
	if err := c.run(ctx, k, &doozerpb.StatRequest{Path: path, Rev: cfg.rev, Local: cfg.local}, &res); err != nil {
		return Info{}, err
	}
	return infoOf(res.GetFile()), nil
}

// Set writes a whole file and returns the rev of the change. It is applied at
// most once, however often it has to be sent. A condition that fails is
// ErrRevMismatch; a path that is a directory, or below a file, ErrIsDir or
// ErrNotDir. See ErrUnknownOutcome for what a deadline means.
func (c *Client) Set(ctx context.Context, path string, value []byte, opts ...WriteOption) (int64, error) {
	k := c.calls.get(verbSet, path)
	defer c.calls.put(k)
	k.setReq.Path, k.setReq.Value = path, value
	k.setReq.If, k.setReq.Message = writeOptions(opts)
	if err := c.runInto(ctx, k, &k.setReq, &k.setRes); err != nil {
		return 0, err
	}
	return k.setRes.rev, nil
}

// Del deletes a file and returns the rev of the change. It fails as Set does;
// a missing file is ErrNotExist.
func (c *Client) Del(ctx context.Context, path string, opts ...WriteOption) (int64, error) {
	k := c.calls.get(verbDel, path)
	defer c.calls.put(k)
	req := &doozerpb.DelRequest{Path: path}
	req.If, req.Message = writeOptions(opts)
	var res doozerpb.DelResponse
	if err := c.run(ctx, k, req, &res); err != nil {
		return 0, err
	}
	return res.GetRev(), nil
}

// Txn does a transaction and returns the one rev of its changes. If a
// condition fails, the error is a *RevMismatchError that tells the first.
func (c *Client) Txn(ctx context.Context, t Txn) (int64, error) {
	k := c.calls.get(verbTxn, "")
	defer c.calls.put(k)
	req := &doozerpb.TxnRequest{Message: t.Message, Conditions: conditionsOf(t.If)}
	for _, op := range t.Do {
		req.Ops = append(req.Ops, &doozerpb.Op{Path: op.Path, Value: op.Value, Del: op.Del})
	}
	var res doozerpb.TxnResponse
	if err := c.run(ctx, k, req, &res); err != nil {
		return 0, err
	}
	return res.GetRev(), nil
}

// Rev returns the rev of the store.
func (c *Client) Rev(ctx context.Context, opts ...ReadOption) (int64, error) {
	_, rev, err := c.Window(ctx, opts...)
	return rev, err
}

// Window returns the oldest rev that can be read, and the present one.
func (c *Client) Window(ctx context.Context, opts ...ReadOption) (oldest, rev int64, err error) {
	cfg := readOptions(opts)
	k := c.calls.get(verbRev, "")
	defer c.calls.put(k)
	k.local, k.served = cfg.local, cfg.served
	var res doozerpb.RevResponse
	err = c.run(ctx, k, &doozerpb.RevRequest{Local: cfg.local}, &res)
	return res.GetOldest(), res.GetRev(), err
}

// Nop goes through the log like a write, changes nothing and uses no rev.
func (c *Client) Nop(ctx context.Context) error {
	k := c.calls.get(verbNop, "")
	defer c.calls.put(k)
	return c.run(ctx, k, &doozerpb.NopRequest{}, &doozerpb.NopResponse{})
}

// Self asks a node who it is: the one that writes go to or, with Local, the one
// that Local reads go to. It needs no majority.
func (c *Client) Self(ctx context.Context, opts ...ReadOption) (Self, error) {
	cfg := readOptions(opts)
	k := c.calls.get(verbSelf, "")
	defer c.calls.put(k)
	k.local, k.served = cfg.local, cfg.served
	var res doozerpb.SelfResponse
	if err := c.run(ctx, k, &doozerpb.SelfRequest{}, &res); err != nil {
		return Self{}, err
	}
	h := k.header()
	return Self{
		Node: h.GetNode(), Name: res.GetName(), Version: res.GetVersion(), Identity: res.GetIdentity(),
		ClusterID: h.GetClusterId(), Epoch: h.GetEpoch(), Rev: h.GetRev(), Leader: h.GetLeader(),
		Age: time.Duration(h.GetAgeMs()) * time.Millisecond,
	}, nil
}

// Members tells the members of the cluster as one node knows them. It needs
// no majority.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	k := c.calls.get(verbStatus, "")
	defer c.calls.put(k)
	k.local = true
	var res doozerpb.StatusResponse
	if err := c.run(ctx, k, &doozerpb.StatusRequest{}, &res); err != nil {
		return nil, err
	}
	return membersOf(res.GetMembers()), nil
}

// run encodes the request, makes the call and decodes the response.
func (c *Client) run(ctx context.Context, k *call, req, res proto.Message) error {
	return c.runInto(ctx, k, req, messageResult{res})
}

// runInto is run with a result of the caller's kind.
func (c *Client) runInto(ctx context.Context, k *call, req proto.Message, res result) error {
	if err := k.encode(req); err != nil {
		// The only thing that cannot be encoded is text that is not UTF-8.
		kind := ErrBadRequest
		if !utf8.ValidString(k.path) {
			kind = ErrBadPath
		}
		return &OpError{Op: k.verb.String(), Path: strconv.Quote(k.path), Err: fmt.Errorf("%w: %w", kind, err)}
	}
	return c.do(ctx, k, res)
}

// readOptions of no options costs nothing: that is most reads.
func readOptions(opts []ReadOption) readConfig {
	if len(opts) == 0 {
		return readConfig{}
	}
	var cfg readConfig
	for _, o := range opts {
		o.read(&cfg)
	}
	return cfg
}

// writeOptions returns the condition and the message that options ask for.
func writeOptions(opts []WriteOption) (*doozerpb.If, string) {
	if len(opts) == 0 {
		return nil, ""
	}
	var cfg writeConfig
	for _, o := range opts {
		o.write(&cfg)
	}
	return ifOf(cfg.cond, cfg.rev), cfg.message
}

// conditionsOf are conditions in the protocol's words.
func conditionsOf(list []Cond) (out []*doozerpb.Condition) {
	for _, c := range list {
		out = append(out, &doozerpb.Condition{Path: c.Path, If: ifOf(c.Kind, c.Rev)})
	}
	return out
}

// ifOf is one condition in the protocol's words; nil stands for any.
func ifOf(kind CondKind, rev int64) *doozerpb.If {
	switch kind {
	case CondMissing:
		return &doozerpb.If{Kind: doozerpb.If_MISSING}
	case CondUnchanged:
		return &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: rev}
	}
	return nil
}
