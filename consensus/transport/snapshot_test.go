package transport

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/doozer-store/doozer/proto/peerpb"
)

func snapMessage() *raftpb.Message {
	m := message(raftpb.MsgSnap, 1, 2, 0, 0)
	m.Term = ptr(uint64(7))
	m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: ptr(uint64(1)), Term: ptr(uint64(1))}}
	return m
}

// take is a ReceiveSnapshot that reads everything.
func take(got *[]byte, msg **raftpb.Message) func(uint64, *raftpb.Message, io.Reader) error {
	return func(_ uint64, m *raftpb.Message, r io.Reader) error {
		b, err := io.ReadAll(r)
		*got, *msg = b, m
		return err
	}
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{0, 1, chunkBytes, chunkBytes + 1, 20 << 20} {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(rand.Uint32())
			}
			ns := nodes(t, 2, func(c *Config) {
				c.OpenSnapshot = func() (SnapshotMeta, io.ReadCloser, error) {
					return SnapshotMeta{Index: 50, Term: 6, ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}}}, io.NopCloser(bytes.NewReader(data)), nil
				}
			})
			var got []byte
			var m *raftpb.Message
			ns[1].snapshot = take(&got, &m)
			ns[0].Send([]*raftpb.Message{snapMessage()})
			ns[0].wait(t, "answer", func() bool { return len(ns[0].sent) == 1 })
			if ns[0].sent[0] != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes: %v, or they differ", size, ns[0].sent[0])
			}
			md := m.GetSnapshot().GetMetadata()
			if m.GetTerm() != 7 || md.GetIndex() != 50 || md.GetTerm() != 6 || !slices.Equal(md.GetConfState().GetVoters(), []uint64{1, 2}) {
				t.Fatalf("message %v", m)
			}
		}
	})
}

// What goes wrong on one side is known on the other.
func TestSnapshotFails(t *testing.T) {
	open := func(r io.Reader, err error) func(*Config) {
		return func(c *Config) {
			c.OpenSnapshot = func() (SnapshotMeta, io.ReadCloser, error) {
				return SnapshotMeta{Index: 1, Term: 1}, io.NopCloser(r), err
			}
		}
	}
	big := strings.NewReader(strings.Repeat("x", 30<<20))
	broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), iotest.ErrReader(errors.New("disk broke")))
	for _, c := range []struct {
		name    string
		open    func(*Config)
		receive func(io.Reader) error
		want    string
	}{
		{"receiver refuses", open(big, nil), func(io.Reader) error { return errors.New("no room here") }, "no room here"},
		{"receiver stops early", open(strings.NewReader(strings.Repeat("x", 1<<20)), nil), func(io.Reader) error { return nil }, "before its end"},
		{"source breaks", open(broken, nil), func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }, "disk broke"},
		{"no source", open(nil, errors.New("not now")), nil, "not now"},
		{"none configured", nil, nil, "no snapshots"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ns := nodes(t, 2, c.open)
				received := make(chan error, 1)
				ns[1].snapshot = func(_ uint64, _ *raftpb.Message, r io.Reader) error {
					err := c.receive(r)
					received <- err
					return err
				}
				ns[0].Send([]*raftpb.Message{snapMessage()})
				ns[0].wait(t, "answer", func() bool { return len(ns[0].sent) == 1 })
				if err := ns[0].sent[0]; err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("the sender got %v", err)
				}
				_ = ns[1].Close() // waits for the handler, if it was called at all
				select {
				case err := <-received:
					if err == nil && c.name == "source breaks" {
						t.Error("the receiver saw a whole snapshot")
					}
				default:
				}
			})
		})
	}
}

// piped starts two nodes whose snapshots come from opened.
func piped(t *testing.T) (ns []*node, opened chan *io.PipeWriter) {
	t.Helper()
	opened = make(chan *io.PipeWriter, 10)
	return nodes(t, 2, func(c *Config) {
		c.OpenSnapshot = func() (SnapshotMeta, io.ReadCloser, error) {
			r, w := io.Pipe()
			opened <- w
			return SnapshotMeta{Index: 1, Term: 1}, r, nil
		}
	}), opened
}

// One snapshot a peer: while it lasts, others are not begun, and both ends
// can be closed.
func TestSnapshotOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns, opened := piped(t)
		var got []byte
		var m *raftpb.Message
		ns[1].snapshot = take(&got, &m)
		ns[0].Send([]*raftpb.Message{snapMessage(), snapMessage(), snapMessage()})
		w := <-opened
		if _, err := w.Write(make([]byte, 3*chunkBytes)); err != nil {
			t.Fatal(err)
		}
		ns[0].Send([]*raftpb.Message{snapMessage()})
		_ = w.Close()
		ns[0].wait(t, "answer", func() bool { return len(ns[0].sent) > 0 })
		if len(opened) != 0 || len(ns[0].sent) != 1 || ns[0].sent[0] != nil || len(got) != 3*chunkBytes {
			t.Errorf("%d more opened, sent %v, %d bytes", len(opened), ns[0].sent, len(got))
		}

		ns[0].Send([]*raftpb.Message{snapMessage()})
		w = <-opened
		if _, err := w.Write(make([]byte, 2*chunkBytes)); err != nil {
			t.Fatal(err)
		}
		if err := ns[1].Close(); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		ns[0].wait(t, "failure", func() bool { return len(ns[0].sent) == 2 })
		if ns[0].sent[1] == nil {
			t.Error("sent to a closed node")
		}
	})
}

// Whatever becomes of a snapshot, its end is told: raft sends the peer nothing
// until then.
func TestSnapshotEndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns, opened := piped(t)
		var got []byte
		var m *raftpb.Message
		ns[1].snapshot = take(&got, &m)
		failed := func(n int) {
			t.Helper()
			ns[0].wait(t, "failure", func() bool { return len(ns[0].sent) == n && ns[0].sent[n-1] != nil })
		}

		// The peer gets another address while it is being sent.
		ns[0].Send([]*raftpb.Message{snapMessage()})
		w := <-opened
		if _, err := w.Write(make([]byte, 2*chunkBytes)); err != nil {
			t.Fatal(err)
		}
		old := ns[0].link(2)
		ns[0].SetPeer(2, "elsewhere")
		_ = w.Close()
		failed(1)

		// Before it is sent, but after the link was found.
		old.sendSnapshot(snapMessage())
		failed(2)

		// The peer is not known yet, or not any more.
		ns[0].RemovePeer(2)
		ns[0].Send([]*raftpb.Message{snapMessage()})
		failed(3)
	})
}

// Streams a broken or hostile peer could send.
func TestSnapshotDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, r := stranger(t, nil)
		var accepted atomic.Bool
		r.snapshot = func(_ uint64, _ *raftpb.Message, rd io.Reader) error {
			_, err := io.ReadAll(rd)
			if err == nil {
				accepted.Store(true)
			}
			return err
		}
		m := message(raftpb.MsgSnap, 2, 1, 0, 0)
		m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: ptr(uint64(1))}}
		raw := encode(t, m)
		chunk := func(data string) *peerpb.SnapshotChunk {
			return &peerpb.SnapshotChunk{Data: []byte(data), Crc: crc32.Checksum([]byte(data), castagnoli)}
		}
		sum := func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
		head := &peerpb.SnapshotChunk{Hello: hello(), Message: raw}
		for _, c := range []struct {
			name   string
			chunks []*peerpb.SnapshotChunk
			code   codes.Code
		}{
			{"good", []*peerpb.SnapshotChunk{head, chunk("abc"), {Sum: sum("abc")}}, codes.OK},
			{"wrong crc", []*peerpb.SnapshotChunk{head, {Data: []byte("abc"), Crc: 1}, {Sum: sum("abc")}}, codes.DataLoss},
			{"wrong sum", []*peerpb.SnapshotChunk{head, chunk("abc"), {Sum: sum("abd")}}, codes.DataLoss},
			{"short sum", []*peerpb.SnapshotChunk{head, chunk("abc"), {Sum: sum("abc")[:4]}}, codes.DataLoss},
			{"cut", []*peerpb.SnapshotChunk{head, chunk("abc")}, codes.DataLoss},
			{"empty", nil, codes.OK}, // the code is checked apart
			{"second hello", []*peerpb.SnapshotChunk{head, {Hello: hello()}}, codes.InvalidArgument},
			{"no hello", []*peerpb.SnapshotChunk{{Message: raw}}, codes.InvalidArgument},
			{"junk message", []*peerpb.SnapshotChunk{{Hello: hello(), Message: []byte("\xff")}}, codes.InvalidArgument},
			{"another's message", []*peerpb.SnapshotChunk{{Hello: hello(), Message: encode(t, message(raftpb.MsgSnap, 3, 1, 0, 0))}}, codes.InvalidArgument},
			{"no MsgSnap", []*peerpb.SnapshotChunk{{Hello: hello(), Message: encode(t, message(raftpb.MsgApp, 2, 1, 0, 0))}}, codes.InvalidArgument},
		} {
			s, err := p.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, ch := range c.chunks {
				_ = s.Send(ch)
			}
			accepted.Store(false)
			_, err = s.CloseAndRecv()
			if c.name == "empty" {
				if err == nil {
					t.Error("an empty stream was accepted")
				}
				continue
			}
			if status.Code(err) != c.code || accepted.Load() != (c.code == codes.OK) {
				t.Errorf("%s: %v, accepted %v", c.name, err, accepted.Load())
			}
		}
	})
}
