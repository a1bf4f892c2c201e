package client

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// newIDs counts registrations; each gives a window of n.
func newIDs(n uint32) (*ids, *atomic.Int64) {
	var made atomic.Int64
	return &ids{register: func(context.Context, time.Time) (*doozerpb.RegisterResponse, uint64, error) {
		return &doozerpb.RegisterResponse{Client: uint64(made.Add(1)), Window: n}, 1, nil
	}}, &made
}

func acquire(t *testing.T, d *ids) *call {
	t.Helper()
	k := &call{verb: verbSet, deadline: time.Now().Add(time.Minute)}
	if err := d.acquire(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAckIsTheLowestOutstanding(t *testing.T) {
	d, _ := newIDs(8)
	a, b, c := acquire(t, d), acquire(t, d), acquire(t, d)
	if a.seq != 1 || c.seq != 3 || c.ack != 1 {
		t.Fatalf("seqs %d to %d, ack %d", a.seq, c.seq, c.ack)
	}
	d.release(b)
	if k := acquire(t, d); k.ack != 1 {
		t.Errorf("ack %d while 1 is out", k.ack)
	}
	d.release(a)
	if k := acquire(t, d); k.ack != 3 || k.seq != 5 {
		t.Errorf("seq %d ack %d, want 5 and 3", k.seq, k.ack)
	}
	if a.lease != nil {
		t.Error("a released call keeps its lease")
	}
}

// TestWindow: no number is given out that the store would not accept, whatever
// the order of the answers.
func TestWindow(t *testing.T) {
	d, made := newIDs(4)
	var out []*call
	for i := range 1000 {
		k := acquire(t, d)
		if k.seq >= k.ack+4 {
			t.Fatalf("seq %d with ack %d", k.seq, k.ack)
		}
		out = append(out, k)
		if len(out) == 4 {
			for _, j := range []int{2, 0, 3, 1} {
				d.release(out[j])
			}
			out = out[:0]
		}
		_ = i
	}
	if n := made.Load(); n != 1 {
		t.Errorf("%d ids", n)
	}
}

func TestFullWindowTakesAnotherID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, made := newIDs(2)
		a := acquire(t, d)
		acquire(t, d)
		start := time.Now()
		k := acquire(t, d)
		if k.lease == a.lease || made.Load() != 2 || time.Since(start) != windowWait {
			t.Errorf("after %v: client %d, seq %d", time.Since(start), k.lease.client, k.seq)
		}
		// The old id still works for what has it.
		d.release(a)
	})
}

func TestFullWindowWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, made := newIDs(2)
		a := acquire(t, d)
		acquire(t, d)
		go func() {
			time.Sleep(windowWait / 2)
			d.release(a)
		}()
		if k := acquire(t, d); k.seq != 3 || made.Load() != 1 {
			t.Errorf("client %d, seq %d", k.lease.client, k.seq)
		}
	})
}

func TestRegisterOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var made atomic.Int64
		d := &ids{register: func(context.Context, time.Time) (*doozerpb.RegisterResponse, uint64, error) {
			<-release
			if made.Add(1) == 1 {
				return nil, 0, errors.New("no luck")
			}
			return &doozerpb.RegisterResponse{Client: 9}, 1, nil
		}}
		results := make(chan error, 10)
		for range 10 {
			go func() {
				results <- d.acquire(t.Context(), &call{verb: verbSet, deadline: time.Now().Add(time.Minute)})
			}()
		}
		synctest.Wait()
		close(release)
		failed := 0
		for range 10 {
			if err := <-results; err != nil {
				failed++
			}
		}
		if failed != 1 || made.Load() != 2 {
			t.Errorf("%d failed, %d registrations", failed, made.Load())
		}
	})
}

func TestOtherEpoch(t *testing.T) {
	for _, c := range []struct {
		a, b uint64
		want bool
	}{{0, 0, false}, {1, 1, false}, {0, 1, false}, {1, 0, false}, {1, 2, true}, {2, 1, true}} {
		if got := otherEpoch(c.a, c.b); got != c.want {
			t.Errorf("otherEpoch(%d, %d) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
