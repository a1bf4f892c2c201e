package server

import (
	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// This file writes the protocol's busiest messages straight from the store's
// events. Each function has a twin made of generated messages in its test.

// Field numbers of doozer.proto that are written by hand.
const (
	fieldDoHeader    = 1 // DoResponse
	fieldDoResponses = 2
	fieldDoGoingAway = 3
	fieldTag         = 1 // Response
	fieldError       = 2
	fieldResultRev   = 2 // SetResponse, DelResponse, TxnResponse, RevResponse
	fieldGetFile     = 2 // GetResponse
	fieldWatchHeader = 1 // WatchResponse
	fieldWatchKind   = 2
	fieldWatchRev    = 3
	fieldWatchEvents = 4
)

// appendUint appends a varint field unless v is zero; uintSize is its length.
func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// All hand-written fields have numbers below 16: one byte of tag.
func uintSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

// appendBytes appends a length-delimited field unless v is empty.
func appendBytes[T string | []byte](b []byte, num protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = appendLen(b, num, len(v))
	return append(b, v...)
}

func bytesSize(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(n)
}

// appendLen appends the tag and length of a message field of n bytes.
func appendLen(b []byte, num protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(n))
}

// fileSize is the length of what appendFile appends: e as a File.
func fileSize(e *store.Event) int {
	return bytesSize(len(e.Path())) + bytesSize(len(e.Value())) + uintSize(uint64(e.Rev)) +
		uintSize(uint64(len(e.Value()))) + uintSize(uint64(e.Time)) +
		bytesSize(len(e.Author())) + bytesSize(len(e.Message())) + 2
}

func appendFile(b []byte, e *store.Event) []byte {
	b = appendBytes(b, 1, e.Path())
	b = appendBytes(b, 2, e.Value())
	b = appendUint(b, 3, uint64(e.Rev))
	b = appendUint(b, 5, uint64(len(e.Value())))
	b = appendUint(b, 6, uint64(e.Time))
	b = appendBytes(b, 7, e.Author())
	b = appendBytes(b, 8, e.Message())
	return appendUint(b, 9, 1)
}

// eventSize is the length of e as an Event.
func eventSize(e *store.Event) int {
	n := bytesSize(len(e.Path())) + uintSize(uint64(e.Rev)) + uintSize(uint64(e.Time)) +
		bytesSize(len(e.Author())) + bytesSize(len(e.Message()))
	if e.Del() {
		return n + 2
	}
	return n + bytesSize(len(e.Value())) + uintSize(uint64(len(e.Value())))
}

// watchEventBytes returns e as a whole `events` field of a WatchResponse.
func watchEventBytes(e *store.Event) []byte {
	n := eventSize(e)
	b := make([]byte, 0, 1+protowire.SizeBytes(n))
	b = appendLen(b, fieldWatchEvents, n)
	if e.Del() {
		b = appendUint(b, 1, uint64(doozerpb.Event_DEL))
	}
	b = appendBytes(b, 2, e.Path())
	if !e.Del() {
		b = appendBytes(b, 3, e.Value())
	}
	b = appendUint(b, 4, uint64(e.Rev))
	b = appendUint(b, 5, uint64(e.Time))
	b = appendBytes(b, 6, e.Author())
	b = appendBytes(b, 7, e.Message())
	return appendUint(b, 8, uint64(len(e.Value())))
}

// answer is what a request of a Do stream came to; one of its fields after
// size holds, by verb. err wins.
type answer struct {
	tag   uint64
	verb  verb
	start int64 // when the request was received, by Server.clock
	size  int   // what it gives back of the stream's bounds

	err   *doozerpb.Error
	rev   int64         // set, del, txn
	event *store.Event  // get
	msg   proto.Message // the others, without a header; nil: an empty one
}

// appendAnswer appends a as a `responses` field of a DoResponse.
func appendAnswer(b []byte, a *answer) []byte {
	head := uintSize(a.tag)
	num := protowire.Number(a.verb) + firstOp
	switch {
	case a.err != nil:
		return appendAnswerMessage(b, a.tag, fieldError, a.err)
	case a.event != nil:
		file := fileSize(a.event)
		get := 1 + protowire.SizeBytes(file)
		b = appendLen(b, fieldDoResponses, head+1+protowire.SizeBytes(get))
		b = appendUint(b, fieldTag, a.tag)
		b = appendLen(b, num, get)
		b = appendLen(b, fieldGetFile, file)
		return appendFile(b, a.event)
	case a.msg != nil:
		return appendAnswerMessage(b, a.tag, num, a.msg)
	default:
		body := uintSize(uint64(a.rev))
		b = appendLen(b, fieldDoResponses, head+1+protowire.SizeBytes(body))
		b = appendUint(b, fieldTag, a.tag)
		b = appendLen(b, num, body)
		return appendUint(b, fieldResultRev, uint64(a.rev))
	}
}

func appendAnswerMessage(b []byte, tag uint64, num protowire.Number, m proto.Message) []byte {
	n := proto.Size(m)
	b = appendLen(b, fieldDoResponses, uintSize(tag)+1+protowire.SizeBytes(n))
	b = appendUint(b, fieldTag, tag)
	b = appendLen(b, num, n)
	// Can't fail: every string in it passed utf8 checks on its way in.
	b, _ = proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
	return b
}

// fileOf returns e, a present file, as a File.
func fileOf(e *store.Event, value bool) *doozerpb.File {
	f := &doozerpb.File{
		Path:    e.Path(),
		Rev:     e.Rev,
		Len:     int64(len(e.Value())),
		Time:    e.Time,
		Author:  e.Author(),
		Message: e.Message(),
		Exists:  true,
	}
	if value {
		f.Value = e.Value()
	}
	return f
}

// fileOfInfo returns what Stat and List say of a file or directory. e is the
// file's event where its value is wanted, else nil.
func fileOfInfo(i store.Info, e *store.Event) *doozerpb.File {
	f := &doozerpb.File{
		Path:    i.Path,
		Rev:     i.Rev,
		IsDir:   i.IsDir,
		Len:     int64(i.Len),
		Time:    i.Time,
		Author:  i.Author,
		Message: i.Message,
		Exists:  true,
	}
	if i.IsDir {
		f.Rev, f.Hash = 0, i.Hash
	}
	if e != nil {
		f.Value = e.Value()
	}
	return f
}

func eventOf(e *store.Event, value bool) *doozerpb.Event {
	out := &doozerpb.Event{
		Path:    e.Path(),
		Rev:     e.Rev,
		Time:    e.Time,
		Author:  e.Author(),
		Message: e.Message(),
		Len:     int64(len(e.Value())),
	}
	if e.Del() {
		out.Kind = doozerpb.Event_DEL
	} else if value {
		out.Value = e.Value()
	}
	return out
}
