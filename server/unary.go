package server

import (
	"context"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc/status"
)

// This file has the unary RPCs: each verb for a caller with any gRPC client.
// The Do stream does the same with the same functions, so that no check can be
// in one way and not in the other; a test compares them. A handler reads under
// the state's lock, and makes its header after that: the header's rev is then
// no older than what was read.

// unary runs one of them: it refuses what must be refused, counts and times.
func unary[T any](s *Server, v verb, fn func() (*T, *doozerpb.Error)) (*T, error) {
	start := s.clock()
	s.metrics.inFlight.Add(1)
	defer s.metrics.inFlight.Add(-1)
	e := s.refuse()
	var out *T
	if e == nil {
		out, e = fn()
	}
	s.metrics.observe(v, e.GetCode(), time.Duration(s.clock()-start))
	if e != nil {
		return nil, grpcError(e)
	}
	return out, nil
}

// stream does the same for a streaming RPC, whose duration says nothing. fn
// returns nil also when the stream broke: then nobody hears. It refuses only at
// the beginning; a stream that lasts asks again by itself.
func (s *Server) stream(ctx context.Context, v verb, fn func() *doozerpb.Error) error {
	s.metrics.inFlight.Add(1)
	defer s.metrics.inFlight.Add(-1)
	e := s.refuse()
	if e == nil {
		e = fn()
	}
	s.metrics.count(v, e.GetCode())
	if e == nil && ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return grpcError(e)
}

// Get implements doozerpb.DoozerServer.
func (s *Server) Get(ctx context.Context, req *doozerpb.GetRequest) (*doozerpb.GetResponse, error) {
	return unary(s, verbGet, func() (*doozerpb.GetResponse, *doozerpb.Error) {
		if e := s.prepare(ctx, req.Rev, req.Local); e != nil {
			return nil, e
		}
		var ev *store.Event
		var e *doozerpb.Error
		s.machine.View(func(st *store.Store) { ev, e = get(st, req.Path, req.Rev) })
		if e != nil {
			return nil, e
		}
		return &doozerpb.GetResponse{Header: s.header(), File: fileOf(ev, true)}, nil
	})
}

// Stat implements doozerpb.DoozerServer.
func (s *Server) Stat(ctx context.Context, req *doozerpb.StatRequest) (*doozerpb.StatResponse, error) {
	return unary(s, verbStat, func() (*doozerpb.StatResponse, *doozerpb.Error) {
		if e := s.prepare(ctx, req.Rev, req.Local); e != nil {
			return nil, e
		}
		var f *doozerpb.File
		var e *doozerpb.Error
		s.machine.View(func(st *store.Store) { f, e = stat(st, req.Path, req.Rev) })
		if e != nil {
			return nil, e
		}
		return &doozerpb.StatResponse{Header: s.header(), File: f}, nil
	})
}

// Rev implements doozerpb.DoozerServer.
func (s *Server) Rev(ctx context.Context, req *doozerpb.RevRequest) (*doozerpb.RevResponse, error) {
	return unary(s, verbRev, func() (*doozerpb.RevResponse, *doozerpb.Error) {
		if e := s.prepare(ctx, 0, req.Local); e != nil {
			return nil, e
		}
		r := s.revs()
		r.Header = s.header()
		return r, nil
	})
}

// revs returns the readable revs, without a header.
func (s *Server) revs() (r *doozerpb.RevResponse) {
	s.machine.View(func(st *store.Store) {
		r = &doozerpb.RevResponse{Rev: st.Rev(), Oldest: st.Oldest()}
	})
	return r
}

// Set implements doozerpb.DoozerServer.
func (s *Server) Set(ctx context.Context, req *doozerpb.SetRequest) (*doozerpb.SetResponse, error) {
	return unary(s, verbSet, func() (*doozerpb.SetResponse, *doozerpb.Error) {
		a, e := s.write(ctx, &request{
			verb: verbSet, path: req.Path, value: req.Value, text: req.Message,
			cond: req.If.GetKind(), condRev: req.If.GetRev(), id: writeIDOf(req.Id),
		})
		if e != nil {
			return nil, e
		}
		return &doozerpb.SetResponse{Header: s.header(), Rev: a.rev}, nil
	})
}

// Del implements doozerpb.DoozerServer.
func (s *Server) Del(ctx context.Context, req *doozerpb.DelRequest) (*doozerpb.DelResponse, error) {
	return unary(s, verbDel, func() (*doozerpb.DelResponse, *doozerpb.Error) {
		a, e := s.write(ctx, &request{
			verb: verbDel, path: req.Path, text: req.Message,
			cond: req.If.GetKind(), condRev: req.If.GetRev(), id: writeIDOf(req.Id),
		})
		if e != nil {
			return nil, e
		}
		return &doozerpb.DelResponse{Header: s.header(), Rev: a.rev}, nil
	})
}

// Txn implements doozerpb.DoozerServer.
func (s *Server) Txn(ctx context.Context, req *doozerpb.TxnRequest) (*doozerpb.TxnResponse, error) {
	return unary(s, verbTxn, func() (*doozerpb.TxnResponse, *doozerpb.Error) {
		a, e := s.write(ctx, &request{verb: verbTxn, msg: req})
		if e != nil {
			return nil, e
		}
		return &doozerpb.TxnResponse{Header: s.header(), Rev: a.rev}, nil
	})
}

// Nop implements doozerpb.DoozerServer.
func (s *Server) Nop(ctx context.Context, _ *doozerpb.NopRequest) (*doozerpb.NopResponse, error) {
	return unary(s, verbNop, func() (*doozerpb.NopResponse, *doozerpb.Error) {
		if _, e := s.write(ctx, &request{verb: verbNop}); e != nil {
			return nil, e
		}
		return &doozerpb.NopResponse{Header: s.header()}, nil
	})
}

// Register implements doozerpb.DoozerServer.
func (s *Server) Register(ctx context.Context, _ *doozerpb.RegisterRequest) (*doozerpb.RegisterResponse, error) {
	return unary(s, verbRegister, func() (*doozerpb.RegisterResponse, *doozerpb.Error) {
		a, e := s.write(ctx, &request{verb: verbRegister})
		if e != nil {
			return nil, e
		}
		r := a.msg.(*doozerpb.RegisterResponse)
		r.Header = s.header()
		return r, nil
	})
}

// Await implements doozerpb.DoozerServer.
func (s *Server) Await(ctx context.Context, req *doozerpb.AwaitRequest) (*doozerpb.AwaitResponse, error) {
	return unary(s, verbAwait, func() (*doozerpb.AwaitResponse, *doozerpb.Error) {
		ctx, cancel := context.WithTimeout(ctx, s.timeLeft(ctx))
		defer cancel()
		r, e := s.await(ctx, req)
		if e != nil {
			return nil, e
		}
		r.Header = s.header()
		return r, nil
	})
}

// Self implements doozerpb.DoozerServer.
func (s *Server) Self(ctx context.Context, _ *doozerpb.SelfRequest) (*doozerpb.SelfResponse, error) {
	return unary(s, verbSelf, func() (*doozerpb.SelfResponse, *doozerpb.Error) {
		r := s.self(author(ctx))
		r.Header = s.header()
		return r, nil
	})
}

// self returns who answers and who asks, without a header.
func (s *Server) self(identity string) *doozerpb.SelfResponse {
	return &doozerpb.SelfResponse{Name: s.name, Version: s.version, Identity: identity}
}

// Status implements doozerpb.DoozerServer.
func (s *Server) Status(ctx context.Context, _ *doozerpb.StatusRequest) (*doozerpb.StatusResponse, error) {
	return unary(s, verbStatus, func() (*doozerpb.StatusResponse, *doozerpb.Error) {
		r := s.statusResponse()
		r.Header = s.header()
		return r, nil
	})
}
