package server

import (
	"fmt"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// verb is an operation of the protocol. The values up to verbAwait are the
// field numbers of Request.op minus 3, and of Response.result too.
type verb uint8

const (
	verbGet verb = iota
	verbSet
	verbDel
	verbTxn
	verbStat
	verbList
	verbRev
	verbSelf
	verbNop
	verbRegister
	verbStatus
	verbAwait
	verbLog
	verbWatch
	verbDo
	verbs // how many there are

	firstOp = 3 // field number of verbGet
	ops     = verbAwait + 1
)

var verbNames = [verbs]string{
	"get", "set", "del", "txn", "stat", "list", "rev", "self", "nop",
	"register", "status", "await", "log", "watch", "do",
}

func (v verb) String() string { return verbNames[v] }

// request is one request of a Do stream. The busiest verbs are decoded into
// its fields by hand, without a message for each; the others into msg.
type request struct {
	tag     uint64
	timeout uint32 // milliseconds, 0: the server's choice
	verb    verb
	size    int // bytes as received

	path    string
	rev     int64  // get, stat
	local   bool   // get, stat, rev
	value   []byte // set; aliases the message
	cond    doozerpb.If_Kind
	condRev int64
	id      writeID
	text    string // the write's message

	msg proto.Message   // *TxnRequest, *ListRequest, *AwaitRequest; nil for the others
	bad *doozerpb.Error // why the request is refused without looking further
}

// writeID is a WriteId.
type writeID struct{ client, seq, ack uint64 }

func writeIDOf(id *doozerpb.WriteId) writeID {
	return writeID{id.GetClient(), id.GetSeq(), id.GetAck()}
}

// nextRequest cuts the first request off b, a DoRequest, and decodes it into
// r. ok is false at the end of b. An error means the rest can't be read, nor
// the stream: where the next request begins is not known. What is wrong with
// one request alone is in r.bad, and refused like any other wrong request.
func nextRequest(b []byte, r *request) (rest []byte, ok bool, err error) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, false, protowire.ParseError(n)
		}
		b = b[n:]
		if num != 1 || typ != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return nil, false, protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		body, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return nil, false, protowire.ParseError(n)
		}
		*r = request{verb: verbs, size: len(body)}
		return b[n:], true, r.decode(body)
	}
	return nil, false, nil
}

// field is one field of a protobuf message.
type field struct {
	num  protowire.Number
	u    uint64 // of a varint
	data []byte // of a length-delimited field
}

// eachField calls fn for every varint and length-delimited field of b; others
// are skipped, as unknown fields are.
func eachField(b []byte, fn func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		f := field{num: num}
		known := true
		switch typ {
		case protowire.VarintType:
			f.u, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.data, n = protowire.ConsumeBytes(b)
		default:
			n, known = protowire.ConsumeFieldValue(num, typ, b), false
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if known {
			if err := fn(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// decode takes the fields of Request. Of several operations the last counts, as
// in protobuf; a request with none keeps the verb that names none.
func (r *request) decode(b []byte) error {
	return eachField(b, func(f field) error {
		switch {
		case f.num == 1:
			r.tag = f.u
		case f.num == 2:
			r.timeout = uint32(f.u)
		case f.num >= firstOp && f.num < firstOp+protowire.Number(ops):
			r.verb = verb(f.num - firstOp)
			return r.decodeOp(f.data)
		}
		return nil
	})
}

// decodeOp takes the operation that r.verb names. Values alias b, strings are
// copies: a string is checked and kept by whoever reads it, a value is copied
// once, into the command.
func (r *request) decodeOp(b []byte) error {
	switch r.verb {
	case verbGet, verbStat:
		return eachField(b, r.readField)
	case verbSet:
		return eachField(b, r.setField)
	case verbDel:
		return eachField(b, r.delField)
	case verbRev:
		return eachField(b, func(f field) error {
			if f.num == 1 {
				r.local = f.u != 0
			}
			return nil
		})
	case verbTxn:
		m := &doozerpb.TxnRequest{}
		r.msg = m
		if err := countTxn(b); err != nil {
			r.bad = fail(doozerpb.Code_BAD_REQUEST, "%v", err)
			return nil
		}
		return proto.Unmarshal(b, m)
	case verbList:
		m := &doozerpb.ListRequest{}
		r.msg = m
		return proto.Unmarshal(b, m)
	case verbAwait:
		m := &doozerpb.AwaitRequest{}
		r.msg = m
		if err := countTxn(b); err != nil {
			r.bad = fail(doozerpb.Code_BAD_REQUEST, "%v", err)
			return nil
		}
		return proto.Unmarshal(b, m)
	}
	return nil
}

// readField takes a field of GetRequest or StatRequest.
func (r *request) readField(f field) error {
	switch f.num {
	case 1:
		r.path = string(f.data)
	case 2:
		r.rev = int64(f.u)
	case 3:
		r.local = f.u != 0
	}
	return nil
}

// setField takes a field of SetRequest, delField one of DelRequest.
func (r *request) setField(f field) error {
	switch f.num {
	case 2:
		r.value = f.data
	case 3, 4, 5:
		f.num--
		return r.delField(f)
	case 1:
		r.path = string(f.data)
	}
	return nil
}

func (r *request) delField(f field) error {
	switch f.num {
	case 1:
		r.path = string(f.data)
	case 2:
		return eachField(f.data, func(f field) error {
			switch f.num {
			case 1:
				r.cond = doozerpb.If_Kind(int32(f.u))
			case 2:
				r.condRev = int64(f.u)
			}
			return nil
		})
	case 3:
		return eachField(f.data, func(f field) error {
			switch f.num {
			case 1:
				r.id.client = f.u
			case 2:
				r.id.seq = f.u
			case 3:
				r.id.ack = f.u
			}
			return nil
		})
	case 4:
		r.text = string(f.data)
	}
	return nil
}

// maxTxnParts is how many fields a TxnRequest can have: 128 conditions, 128
// operations, an id and a message. Counted before a message is made of it: an
// empty operation is two bytes on the wire and a hundred as a message.
const maxTxnParts = store.MaxConds + store.MaxOps + 2

func countTxn(b []byte) error {
	n := 0
	return eachField(b, func(field) error {
		if n++; n > maxTxnParts {
			return fmt.Errorf("over %d conditions and %d operations", store.MaxConds, store.MaxOps)
		}
		return nil
	})
}
