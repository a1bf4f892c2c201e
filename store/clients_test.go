package store

import (
	"errors"
	"fmt"
	"testing"
)

func (r *rig) register() uint64 {
	r.t.Helper()
	res, _ := r.apply(Command{Kind: Register})
	if res.Err != nil || res.Client == 0 {
		r.t.Fatalf("register: %+v", res)
	}
	return res.Client
}

// once applies a write of client with seq and ack.
func (r *rig) once(client, seq, ack uint64, ops ...string) (Result, []*Event) {
	r.t.Helper()
	return r.apply(Command{Kind: Write, Client: client, Seq: seq, Ack: ack, Ops: parseOps(ops...)})
}

// TestExactlyOnce is one client with a window of 4, step by step.
func TestExactlyOnce(t *testing.T) {
	r := newRig(t)
	r.configure(Config{ClientWindow: 4})
	id := r.register()
	for i, row := range []struct {
		seq, ack uint64
		op       string
		want     Code
		rev      int64 // of the result, or of the error
		applied  bool
	}{
		{1, 0, "/a=1", OK, 1, true},
		{1, 0, "/a=1", OK, 1, false},
		{3, 0, "/a=3", OK, 2, true}, // out of order
		{2, 0, "-/x", NoEnt, 0, false},
		{2, 0, "-/x", NoEnt, 0, false},
		{3, 1, "/a=3", OK, 2, false},
		{5, 1, "/a=5", ClientExpired, 0, false}, // beyond the window
		{5, 2, "/a=5", OK, 3, true},             // which the ack moves
		{1, 0, "/a=1", ClientExpired, 0, false}, // below the floor
		{2, 0, "-/x", NoEnt, 0, false},
		{3, 0, "/a=3", OK, 2, false},
		{9, 9, "/a=9", OK, 4, true},
		{5, 2, "/a=5", ClientExpired, 0, false},
		{12, 0, "/a=12", OK, 5, true},
		{13, 0, "/a=13", ClientExpired, 0, false},
		{10, 10, "/a/b=10", NotDir, 0, false},
		{9, 9, "/a=9", ClientExpired, 0, false},
		{10, 10, "/a/b=10", NotDir, 0, false},
		{12, 0, "/a=12", OK, 5, false},
		{1 << 63, 1 << 63, "/a=z", OK, 6, true},
		{1<<64 - 1, 1<<64 - 1, "/a=z", OK, 7, true},
		{1<<64 - 1, 0, "/a=z", OK, 7, false},
	} {
		res, events := r.once(id, row.seq, row.ack, row.op)
		checkInvariants(t, r.s)
		code := OK
		if res.Err != nil {
			code = res.Err.Code
		}
		if code != row.want || res.Rev != row.rev || (len(events) > 0) != row.applied {
			t.Fatalf("%d: %+v: %+v %v", i, row, res, res.Err)
		}
	}
}

// TestRepeatedRefusal repeats a refused write: its result is the same, though
// the tree has changed, and names the file as it was while that can be read.
func TestRepeatedRefusal(t *testing.T) {
	r := newRig(t)
	r.configure(Config{History: 3})
	r.must("/lock=mine")
	id := r.register()
	c := Command{Kind: Write, Client: id, Seq: 1, Ops: parseOps("/x=1"),
		Conds: []Condition{{Path: "/y", Kind: Missing}, {Path: "/lock", Kind: Missing}}}
	first, _ := r.apply(c)
	check := func(res Result, present bool) {
		t.Helper()
		err := res.Err
		if err == nil || err.Code != RevMismatch || err.Path != "/lock" || err.Rev != 1 || err.Index != 1 || err.Op {
			t.Fatalf("%+v", err)
		}
		if (err.Present != nil) != present || present && err.Present != first.Err.Present {
			t.Fatalf("present %+v", err.Present)
		}
	}
	check(first, true)
	r.must("-/lock")
	res, _ := r.apply(c)
	check(res, true)
	for i := range 5 {
		r.must(fmt.Sprintf("/x=%d", i))
	}
	res, _ = r.apply(c)
	check(res, false)
	// A client that breaks the rules gets an answer, and no panic.
	res, _ = r.apply(Command{Kind: Write, Client: id, Seq: 1, Ops: parseOps("/x=1")})
	if res.Err == nil || res.Err.Code != RevMismatch {
		t.Fatalf("%+v", res)
	}
}

func TestClientTTL(t *testing.T) {
	r := newRig(t)
	r.configure(Config{ClientTTL: 10e9})
	a, b := r.register(), r.register() // at 2 s and 3 s
	if a != 1 || b != 2 {
		t.Fatalf("ids %d %d", a, b)
	}
	r.now = 9e9
	if res, _ := r.once(a, 1, 0, "/a=1"); res.Err != nil { // at 10 s
		t.Fatal(res.Err)
	}
	r.now = 12e9
	r.apply(Command{Kind: Nop}) // at 13 s: b is idle for 10 s, not more
	if r.s.Clients() != 2 {
		t.Fatalf("%d clients", r.s.Clients())
	}
	r.apply(Command{Kind: Nop})
	if r.s.Clients() != 1 {
		t.Fatalf("%d clients", r.s.Clients())
	}
	if res, _ := r.once(b, 1, 0, "/a=1"); !errors.Is(res.Err, ErrClientExpired) {
		t.Fatalf("%+v", res)
	}
	r.now = 5e9 // a clock that goes back changes nothing
	if res, _ := r.once(a, 1, 0, "/a=1"); res.Err != nil || res.Rev != 1 {
		t.Fatalf("%+v", res)
	}
	r.now = 100e9
	if res, _ := r.once(a, 1, 0, "/a=1"); !errors.Is(res.Err, ErrClientExpired) {
		t.Fatalf("%+v", res)
	}
	if c := r.register(); c != 3 {
		t.Fatalf("id %d is not new", c)
	}
}

func TestMaxClients(t *testing.T) {
	r := newRig(t)
	r.configure(Config{MaxClients: 3})
	a, b, c := r.register(), r.register(), r.register()
	r.once(a, 1, 0, "/a=1") // b is idle longest
	d := r.register()
	for client, want := range map[uint64]bool{a: true, b: false, c: true, d: true} {
		if (r.s.clients.byID[client] != nil) != want {
			t.Errorf("client %d: %v", client, !want)
		}
	}
	r.configure(Config{MaxClients: 1})
	if r.s.Clients() != 1 || r.s.clients.byID[d] == nil {
		t.Errorf("%d clients", r.s.Clients())
	}
	checkInvariants(t, r.s)
}

// TestMaxResults fills the table of results.
func TestMaxResults(t *testing.T) {
	if testing.Short() {
		t.Skip("a million writes")
	}
	s := New()
	apply := func(c Command) Result {
		res, _ := s.Apply(s.Index()+1, 1, c.Append(nil))
		return res
	}
	apply(Command{Kind: Configure, Config: &Config{ClientWindow: maxClientWindow, History: 10}})
	first := uint64(0)
	for range MaxResults/maxClientWindow + 2 {
		id := apply(Command{Kind: Register}).Client
		if first == 0 {
			first = id
		}
		for seq := range uint64(maxClientWindow) {
			if res := apply(Command{Kind: Write, Client: id, Seq: seq + 1, Conds: []Condition{{Path: "/a"}}}); res.Err != nil {
				t.Fatal(res.Err)
			}
		}
		if s.clients.results > MaxResults {
			t.Fatalf("%d results", s.clients.results)
		}
	}
	if s.clients.byID[first] != nil {
		t.Error("the client idle longest is still there")
	}
	checkInvariants(t, s)
}

func TestUnknownClient(t *testing.T) {
	r := newRig(t)
	for _, id := range []uint64{1, 99} {
		if res, _ := r.once(id, 1, 0, "/a=1"); !errors.Is(res.Err, ErrClientExpired) || r.s.Rev() != 0 {
			t.Errorf("client %d: %+v", id, res)
		}
	}
}

// TestEpoch raises the epoch, as restoring a backup does: the ids that were
// given out after the backup was made must not be given to others.
func TestEpoch(t *testing.T) {
	r := newRig(t)
	first := r.register()
	r.configure(Config{Epoch: 1})
	if res, _ := r.once(first, 1, 0, "/a=0"); res.Err != nil {
		t.Fatal("the first epoch forgets the clients that came before it")
	}
	before := r.register()
	r.once(before, 1, 0, "/a=1")
	d := records{}
	save(t, r.s, d)
	lost := r.register() // in the log that the backup knows nothing of
	restored, err := d.load(r.index)
	if err != nil {
		t.Fatal(err)
	}
	r.s = restored
	r.configure(Config{Epoch: 2})
	for _, id := range []uint64{first, before, lost} {
		if res, _ := r.once(id, 2, 0, "/a=2"); !errors.Is(res.Err, ErrClientExpired) {
			t.Fatalf("client %d of the old epoch: %+v", id, res)
		}
	}
	if n := r.s.Clients(); n != 0 || r.s.clients.results != 0 {
		t.Fatalf("%d clients, %d results", n, r.s.clients.results)
	}
	save(t, r.s, d)
	sameRecords(t, "captured", d, snapshot(t, r.s))
	if id := r.register(); id != 2*epochClients+1 {
		t.Fatalf("client %d", id)
	}
	// Nothing happens to clients by a Configure that leaves the epoch.
	r.configure(Config{Epoch: 2, History: 50})
	r.configure(Config{Epoch: 0})
	if res, _ := r.once(2*epochClients+1, 1, 0, "/a=3"); res.Err != nil {
		t.Fatal(res.Err)
	}
	r.configure(Config{Epoch: maxEpoch})
	if id := r.register(); id != maxEpoch*epochClients+1 {
		t.Fatalf("client %d", id)
	}
	if res, _ := r.apply(Command{Kind: Configure, Config: &Config{Epoch: maxEpoch + 1}}); !errors.Is(res.Err, ErrBadRequest) {
		t.Fatalf("an epoch beyond the last: %+v", res)
	}
	checkInvariants(t, r.s)
	d = snapshot(t, r.s)
	if _, err := d.load(r.index); err != nil {
		t.Fatal(err)
	}
	m := r.s.meta()
	m.lastClient = 5
	d[string(metaKey)] = string(m.record())
	if _, err := d.load(r.index); !errors.Is(err, ErrDamaged) {
		t.Fatalf("clients of an earlier epoch: %v", err)
	}
}

// TestClientEdges is a client at the exact edges of its time and of the table.
func TestClientEdges(t *testing.T) {
	r := newRig(t)
	r.configure(Config{ClientTTL: 10e9, MaxClients: 2, ClientWindow: 1})
	id := r.register()
	r.now += 9e9
	if res, _ := r.once(id, 1, 0, "/a=1"); res.Err != nil { // idle for exactly the TTL
		t.Fatal(res.Err)
	}
	r.now += 9e9 + 1
	if res, _ := r.once(id, 2, 2, "/a=2"); !errors.Is(res.Err, ErrClientExpired) {
		t.Fatalf("a nanosecond more than the TTL: %+v", res)
	}
	one, two := r.register(), r.register()
	if res, _ := r.once(one, 1, 0, "-/none"); res.Err == nil || res.Err.Code != NoEnt {
		t.Fatalf("%+v", res) // a refusal is a use too
	}
	three := r.register() // two is idle longest
	for id, want := range map[uint64]Code{one: NoEnt, two: ClientExpired, three: NoEnt} {
		if res, _ := r.once(id, 1, 0, "-/none"); res.Err == nil || res.Err.Code != want {
			t.Fatalf("client %d: %+v, want %v", id, res, want)
		}
	}
	if res, _ := r.once(three, 2, 0, "/a=3"); !errors.Is(res.Err, ErrClientExpired) {
		t.Fatalf("beyond a window of one: %+v", res)
	}
	if res, _ := r.once(three, 2, 2, "/a=3"); res.Err != nil {
		t.Fatalf("with the window moved: %+v", res)
	}
}

// TestClientsThatComeAndGo: what a Capture has to know of clients stays bounded
// however many there were before it.
func TestClientsThatComeAndGo(t *testing.T) {
	r := newRig(t)
	r.configure(Config{MaxClients: 10})
	longest := 0
	for range 1000 {
		r.register()
		longest = max(longest, cap(r.s.clients.changed))
	}
	if longest > 100 {
		t.Errorf("room for %d clients on the list for the next Capture, with 10 clients", longest)
	}
	if n := len(r.s.clients.capture()); n != 10 {
		t.Errorf("%d records, with 10 clients", n)
	}
	// Those that are saved are deleted by the next Capture.
	for range 20 {
		r.register()
	}
	deleted := 0
	for _, rec := range r.s.clients.capture() {
		if rec.value == nil {
			deleted++
		}
	}
	if deleted != 10 {
		t.Errorf("%d records deleted, not 10", deleted)
	}
}
