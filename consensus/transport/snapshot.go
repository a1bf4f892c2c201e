package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/doozer-store/doozer/proto/peerpb"
)

// A snapshot has a connection of its own, so that no heartbeat waits behind
// it.

// sendSnapshot starts sending, unless a snapshot is on its way to the peer
// already: then the end of that one is the answer to both. A peer that has
// another address by now is told of too: raft waits for the answer.
func (l *link) sendSnapshot(m *raftpb.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snapping {
		return
	}
	l.snapping = l.t.spawn(func() {
		err := l.streamSnapshot(m)
		l.mu.Lock()
		l.snapping = false
		l.mu.Unlock()
		l.t.snapshotSent(l.id, err)
	})
}

// snapshotSent tells how the sending of a snapshot ended, unless the transport
// is closing.
func (t *Transport) snapshotSent(id uint64, err error) {
	if t.ctx.Err() == nil {
		t.c.Handler.SnapshotSent(id, err)
	}
}

func (l *link) streamSnapshot(m *raftpb.Message) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if l.t.c.OpenSnapshot == nil {
		return errors.New("transport: no snapshots here")
	}
	meta, r, err := l.t.c.OpenSnapshot()
	if err != nil {
		return fmt.Errorf("transport: open a snapshot: %w", err)
	}
	defer r.Close()
	m = proto.Clone(m).(*raftpb.Message)
	m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		Index: &meta.Index, Term: &meta.Term, ConfState: meta.ConfState,
	}}
	raw, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("transport: encode a snapshot message: %w", err)
	}
	// An error below cancels the call, which the peer sees as a cut stream.
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	cc, err := l.dial(ctx, l.t.c.Limits.Handshake)
	if err != nil {
		return err
	}
	defer cc.Close()
	stream, err := peerpb.NewPeerClient(cc).Snapshot(ctx)
	if err != nil {
		return err
	}
	if err := sendChunks(stream, &peerpb.SnapshotChunk{Hello: l.t.hello(l.id), Message: raw}, r); err != nil {
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}

// sendChunks sends all of r; head is the first chunk but for its data. A
// break of the stream is left for CloseAndRecv to explain. One buffer serves
// for all: grpc's codec encodes a message before Send returns.
func sendChunks(stream peerpb.Peer_SnapshotClient, head *peerpb.SnapshotChunk, r io.Reader) error {
	sum := sha256.New()
	buf := make([]byte, chunkBytes)
	chunk := head
	for {
		n, err := io.ReadFull(r, buf)
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return fmt.Errorf("transport: read a snapshot: %w", err)
		}
		chunk.Data = buf[:n]
		chunk.Crc = crc32.Checksum(chunk.Data, castagnoli)
		sum.Write(chunk.Data)
		if last {
			chunk.Sum = sum.Sum(nil)
		}
		if err := stream.Send(chunk); err != nil && err != io.EOF {
			return err
		} else if last || err == io.EOF {
			return nil
		}
		chunk = new(peerpb.SnapshotChunk)
	}
}

// Snapshot receives a state from a peer and answers when it is accepted.
func (p *peerServer) Snapshot(stream peerpb.Peer_SnapshotServer) error {
	t := p.t
	first, err := recvFirst(t, stream.Recv)
	if err != nil {
		return err
	}
	l, err := t.authenticate(first.GetHello())
	if err != nil {
		return err
	}
	m := &raftpb.Message{}
	if err := proto.Unmarshal(first.GetMessage(), m); err != nil {
		return status.Errorf(codes.InvalidArgument, "raft message: %v", err)
	}
	if err := t.addressed(l.id, m); err != nil {
		return err
	}
	if m.GetType() != raftpb.MsgSnap || m.GetSnapshot().GetMetadata() == nil {
		return status.Error(codes.InvalidArgument, "not a MsgSnap")
	}
	if !l.beginReceiving() {
		return status.Error(codes.ResourceExhausted, "a snapshot is being received already")
	}
	defer l.endReceiving()
	r := &chunkReader{recv: stream.Recv, sum: sha256.New()}
	r.take(first)
	if err := t.c.Handler.ReceiveSnapshot(l.id, m, r); err != nil {
		if _, ok := status.FromError(err); ok {
			return err
		}
		return status.Error(codes.Aborted, err.Error())
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		return status.Error(codes.Internal, "the snapshot was accepted before its end")
	}
	return stream.SendAndClose(&peerpb.SnapshotDone{})
}

func (l *link) beginReceiving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.receiving {
		return false
	}
	l.receiving = true
	return true
}

func (l *link) endReceiving() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receiving = false
}

// chunkReader is the data of a snapshot stream. It returns io.EOF only after
// a right sum; data before that has a right CRC, but may yet prove to be part
// of a damaged whole.
type chunkReader struct {
	recv func() (*peerpb.SnapshotChunk, error)
	sum  hash.Hash
	data []byte // received, not read
	err  error  // after data
}

// Read implements io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		c, err := r.recv()
		switch {
		case err == io.EOF:
			r.err = status.Error(codes.DataLoss, "the snapshot was cut short")
		case err != nil:
			r.err = err
		case c.GetHello() != nil || len(c.GetMessage()) > 0:
			r.err = status.Error(codes.InvalidArgument, "a second hello")
		default:
			r.take(c)
		}
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

func (r *chunkReader) take(c *peerpb.SnapshotChunk) {
	if crc32.Checksum(c.GetData(), castagnoli) != c.GetCrc() {
		r.err = status.Error(codes.DataLoss, "a snapshot chunk has a wrong CRC-32C")
		return
	}
	r.sum.Write(c.GetData())
	r.data = c.GetData()
	switch sum := c.GetSum(); {
	case len(sum) == 0:
	case bytes.Equal(sum, r.sum.Sum(nil)):
		r.err = io.EOF
	default:
		r.data, r.err = nil, status.Error(codes.DataLoss, "the snapshot has a wrong SHA-256")
	}
}
