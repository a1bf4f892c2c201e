package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// TestWrite is one store written to, step by step.
func TestWrite(t *testing.T) {
	r := newRig(t)
	for i, row := range []struct {
		ops  string // see parseOps
		want Code
		path string // of the error
		at   int    // index of the error
	}{
		{ops: "/a=1"},
		{ops: "/a=2"},
		{"/a/b=1", NotDir, "/a/b", 0},
		{"/a/b/c/d=1", NotDir, "/a/b/c/d", 0},
		{ops: "/d/e/f=1"},
		{"/d=1", IsDir, "/d", 0},
		{"/d/e=1", IsDir, "/d/e", 0},
		{"-/d/e", IsDir, "/d/e", 0},
		{"/=1", IsDir, "/", 0},
		{"-/", IsDir, "/", 0},
		{"-/x", NoEnt, "/x", 0},
		{"-/a/b", NoEnt, "/a/b", 0},
		{"/ctl/x=1", ReadOnly, "/ctl/x", 0},
		{"/b=1 -/x", NoEnt, "/x", 1},
		{"/d/e/g=1 /d/e=2", IsDir, "/d/e", 1},
		{"-/a /a/b=1 -/nope", NoEnt, "/nope", 2},
		{ops: "-/a /a/b=1"},
		{"/a=3", IsDir, "/a", 0},
		{"/a=1 -/a/b", IsDir, "/a", 0},
		{ops: "-/a/b /a=3"},
		{ops: "-/d/e/f /d/g=1 /d/h/i=2"},
		{"-/d/e/f", NoEnt, "/d/e/f", 0},
		{ops: "-/d/g -/d/h/i /d=x"},
		{"/d/g=1", NotDir, "/d/g", 0},
		{ops: "-/a -/d"},
	} {
		before := snapshot(t, r.s)
		delete(before, "m")
		rev, hash := r.s.Rev(), r.s.Hash()
		ops := strings.Fields(row.ops)
		res, events := r.write(ops...)
		checkInvariants(t, r.s)
		if row.want == OK {
			if res.Err != nil || res.Rev != rev+1 || r.s.Rev() != rev+1 || len(events) != len(ops) {
				t.Fatalf("%d %s: %+v, %d events", i, row.ops, res, len(events))
			}
			continue
		}
		err := res.Err
		if err == nil || err.Code != row.want || err.Path != row.path || err.Index != row.at || events != nil {
			t.Fatalf("%d %s: %+v, want %v %s %d", i, row.ops, err, row.want, row.path, row.at)
		}
		after := snapshot(t, r.s)
		delete(after, "m")
		sameRecords(t, row.ops, after, before)
		if r.s.Hash() != hash || r.s.Rev() != rev {
			t.Fatalf("%d %s: refused, but it changed the hash or the rev", i, row.ops)
		}
	}
	if r.s.Files() != 0 || r.s.Hash() != 0 {
		t.Fatalf("all deleted, but %d files and hash %x", r.s.Files(), r.s.Hash())
	}
	if info, err := r.s.Stat("/", 0); err != nil || !info.IsDir || info.Len != 0 || info.Path != "/" {
		t.Fatalf("the empty root: %+v, %v", info, err)
	}
}

func TestConditions(t *testing.T) {
	r := newRig(t)
	r.must("/a=1")   // rev 1
	r.must("/d/x=1") // rev 2
	r.must("/a=2")   // rev 3
	r.must("/gone=1")
	r.must("-/gone") // rev 5
	for _, row := range []struct {
		cond Condition
		want Code
		rev  int64
	}{
		{Condition{"/a", Any, 0}, OK, 0},
		{Condition{"/x", Any, 0}, OK, 0},
		{Condition{"/x", Missing, 0}, OK, 0},
		{Condition{"/a", Missing, 0}, RevMismatch, 3},
		{Condition{"/d", Missing, 0}, IsDir, 0},
		{Condition{"/", Missing, 0}, IsDir, 0},
		{Condition{"/gone", Missing, 0}, OK, 0},
		{Condition{"/a/below", Missing, 0}, OK, 0},
		{Condition{"/a", Unchanged, 3}, OK, 0},
		{Condition{"/a", Unchanged, 100}, OK, 0},
		{Condition{"/a", Unchanged, 2}, RevMismatch, 3},
		{Condition{"/gone", Unchanged, 100}, RevMismatch, 0},
		{Condition{"/x", Unchanged, 100}, RevMismatch, 0},
		{Condition{"/d", Unchanged, 100}, RevMismatch, 0},
	} {
		rev := r.s.Rev()
		res, _ := r.apply(Command{Kind: Write, Conds: []Condition{{Path: "/q"}, row.cond}})
		if row.want == OK {
			if res.Err != nil || res.Rev != rev {
				t.Errorf("%+v: %+v %v", row.cond, res, res.Err)
			}
			continue
		}
		err := res.Err
		if err == nil || err.Code != row.want || err.Rev != row.rev || err.Index != 1 || err.Op || err.Path != row.cond.Path {
			t.Errorf("%+v: %+v", row.cond, err)
		} else if (err.Present != nil) != (row.rev != 0) || err.Present != nil && err.Present.Rev != row.rev {
			t.Errorf("%+v: present %+v", row.cond, err.Present)
		}
		if r.s.Rev() != rev {
			t.Errorf("%+v used a rev", row.cond)
		}
	}
}

// TestEvents looks at what a transaction returns.
func TestEvents(t *testing.T) {
	r := newRig(t)
	r.must("/old=1")
	c := Command{Kind: Write, Author: "ann", Message: "why", Ops: parseOps("/b=2", "-/old", "/a=")}
	res, events := r.apply(c)
	if res.Rev != 2 || len(events) != 3 {
		t.Fatalf("%+v %v", res, events)
	}
	for i, want := range []string{"/b 2 false false", "/old  true false", "/a  false true"} {
		e := events[i]
		got := fmt.Sprintf("%s %s %v %v", e.Path(), e.Value(), e.Del(), e.Last())
		if got != want || e.Rev != 2 || e.Time != r.now || e.Author() != "ann" || e.Message() != "why" || e.Ordinal() != i || e.Hash() == 0 {
			t.Errorf("%d: %+v, want %s", i, e, want)
		}
	}
	if events[1].Value() != nil || events[2].Value() == nil {
		t.Error("a deletion has a value, or an empty file none")
	}
}

// TestApplyCopies overwrites the command after Apply.
func TestApplyCopies(t *testing.T) {
	s := New()
	apply := func(c Command) (Result, []*Event) {
		b := c.Append(nil)
		res, events := s.Apply(s.Index()+1, 1, b)
		for i := range b {
			b[i] = 'X'
		}
		return res, events
	}
	apply(Command{Kind: Write, Author: "ann", Message: "why", Ops: parseOps("/dir/file=value")})
	res, _ := apply(Command{Kind: Write, Conds: []Condition{{Path: "/dir/file", Kind: Missing}}, Ops: parseOps("/x=1")})
	if res.Err.Path != "/dir/file" {
		t.Errorf("error with path %q", res.Err.Path)
	}
	res, _ = apply(Command{Kind: Write, Ops: parseOps("-/nothing")})
	if res.Err.Path != "/nothing" {
		t.Errorf("error with path %q", res.Err.Path)
	}
	res, _ = apply(Command{Kind: Write, Ops: parseOps("/bad//path=")})
	if res.Err.Path != "/bad//path" {
		t.Errorf("error with path %q", res.Err.Path)
	}
	e, err := s.Get("/dir/file", 0)
	if err != nil || string(e.Value()) != "value" || e.Author() != "ann" || e.Message() != "why" || cap(e.Value()) > 16 {
		t.Errorf("%+v %v", e, err)
	}
	if len(s.scratch.Ops) != 0 || s.scratch.Author != "" || s.scratch.Ops[:1][0].Path != "" {
		t.Error("the scratch command holds on to the entry")
	}
}

func TestLogTime(t *testing.T) {
	s := New()
	for i, row := range []struct{ now, want int64 }{{100, 100}, {50, 100}, {-5, 100}, {101, 101}, {101, 101}} {
		c := Command{Kind: Write, Ops: parseOps(fmt.Sprintf("/a=%d", i))}
		_, events := s.Apply(uint64(i+1), row.now, c.Append(nil))
		if events[0].Time != row.want || s.Time() != row.want {
			t.Errorf("%d: time %d, want %d", i, events[0].Time, row.want)
		}
	}
	// An index may repeat, and not fall.
	if res, _ := s.Apply(5, 200, (&Command{Kind: Nop}).Append(nil)); res.Err != nil {
		t.Error(res.Err)
	}
	if res, _ := s.Apply(4, 300, (&Command{Kind: Nop}).Append(nil)); !errors.Is(res.Err, ErrBadRequest) || s.Time() != 200 || s.Index() != 5 {
		t.Errorf("an index that falls: %v", res.Err)
	}
}

func TestConfigure(t *testing.T) {
	r := newRig(t)
	if r.s.Config() != defaultConfig() {
		t.Fatalf("%+v", r.s.Config())
	}
	r.configure(Config{ClusterID: [16]byte{1}, Epoch: 5})
	r.configure(Config{ClusterID: [16]byte{2}, Epoch: 4, History: 10, ClientWindow: 3})
	want := defaultConfig()
	want.ClusterID, want.Epoch, want.History, want.ClientWindow = [16]byte{1}, 5, 10, 3
	if r.s.Config() != want {
		t.Fatalf("%+v, want %+v", r.s.Config(), want)
	}
	for i := range 30 {
		r.must(fmt.Sprintf("/a=%d", i))
	}
	if r.s.Oldest() != 20 {
		t.Fatalf("oldest %d", r.s.Oldest())
	}
	r.configure(Config{History: 4})
	if r.s.Oldest() != 26 {
		t.Fatalf("oldest %d", r.s.Oldest())
	}
	r.configure(Config{History: 1000})
	r.must("/a=x")
	if r.s.Oldest() != 26 {
		t.Fatalf("oldest %d: it fell, or rose without need", r.s.Oldest())
	}
	checkInvariants(t, r.s)
}

// TestWindow reads at the edge of the window.
func TestWindow(t *testing.T) {
	r := newRig(t)
	r.configure(Config{History: 3})
	r.must("/a=1")   // 1
	r.must("/d/b=1") // 2
	r.must("-/d/b")  // 3
	r.must("/c=1")   // 4
	if r.s.Oldest() != 1 {
		t.Fatalf("oldest %d", r.s.Oldest())
	}
	if info, err := r.s.Stat("/d", 2); err != nil || info.Len != 1 {
		t.Errorf("/d at 2: %+v %v", info, err)
	}
	for _, rev := range []int64{1, 3, 4} {
		if _, err := r.s.Stat("/d", rev); !errors.Is(err, ErrNoEnt) {
			t.Errorf("/d at %d: %v", rev, err)
		}
	}
	r.must("/c=2") // 5, oldest 2
	if e, err := r.s.Get("/d/b", 2); err != nil || e.Rev != 2 {
		t.Errorf("/d/b at oldest: %v", err)
	}
	if _, err := r.s.Get("/a", 1); err == nil || err.Code != TooLate || err.Rev != 2 {
		t.Errorf("below the window: %v", err)
	}
	r.must("/c=3") // 6, oldest 3
	if r.s.lookup("/d") != nil || r.s.lookup("/d/b") != nil {
		t.Error("what can't be read any more is still there")
	}
	if e, err := r.s.Get("/a", 3); err != nil || e.Rev != 1 {
		t.Errorf("/a at oldest: %v", err)
	}
	if _, err := r.s.Events(nil, &Span{From: 3}, nil); err == nil || err.Code != TooLate || err.Rev != 3 {
		t.Errorf("events from oldest: %v", err)
	}
	if _, err := r.s.Events(nil, &Span{From: -1}, nil); !errors.Is(err, ErrBadRequest) {
		t.Errorf("events from -1: %v", err)
	}
}

func TestHistoryBytes(t *testing.T) {
	r := newRig(t)
	r.configure(Config{HistoryBytes: 10 * (eventOverhead + 110)})
	value := strings.Repeat("v", 100)
	for i := range 100 {
		r.must(fmt.Sprintf("/f%d=%s", i%7, value))
	}
	if r.s.HistoryBytes() > r.s.Config().HistoryBytes || r.s.Rev()-r.s.Oldest() < 9 {
		t.Fatalf("%d bytes in %d revs", r.s.HistoryBytes(), r.s.Rev()-r.s.Oldest())
	}
	r.must("/big=" + strings.Repeat("v", 1<<20))
	if r.s.Oldest() != r.s.Rev()-1 {
		t.Fatalf("oldest %d at rev %d: the newest rev stays, and it alone", r.s.Oldest(), r.s.Rev())
	}
	r.must("/small=1")
	checkInvariants(t, r.s)
	if e, err := r.s.Get("/big", 0); err != nil || len(e.Value()) != 1<<20 {
		t.Fatal("the file itself is gone")
	}
}

// TestLargeDirectory fills a directory until it has many chunks, in three
// orders, and empties it again.
func TestLargeDirectory(t *testing.T) {
	const n = 5000
	for name, at := range map[string]func(i int) int{
		"ascending":  func(i int) int { return i },
		"descending": func(i int) int { return n - i },
		"scattered":  func(i int) int { return scatter(i, n) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.configure(Config{History: 10})
			for i := range n {
				r.must(fmt.Sprintf("/d/%05d=v", at(i)))
			}
			checkInvariants(t, r.s)
			last, count := "", 0
			r.s.List("/d", new(Scan), func(i Info, _ *Event) bool {
				if i.Path <= last {
					t.Fatalf("%s behind %s", i.Path, last)
				}
				last = i.Path
				count++
				return true
			})
			if info, _ := r.s.Stat("/d", 0); count != n || info.Len != n {
				t.Fatalf("%d entries, listed %d", info.Len, count)
			}
			for i := range n - 1 {
				r.must(fmt.Sprintf("-/d/%05d", at(i)))
			}
			checkInvariants(t, r.s)
			for i := range 20 {
				r.must(fmt.Sprintf("/x=%d", i))
			}
			if d := r.s.lookup("/d").dir; len(d.kids.chunks) != 1 {
				t.Fatalf("one entry in %d chunks", len(d.kids.chunks))
			}
		})
	}
}

// TestOrigins bounds the table and keeps the strings right.
func TestOrigins(t *testing.T) {
	table := origins{}
	for i := range 10 * maxInterned {
		v := fmt.Sprint("author ", i)
		if *table.share(v, "m") != (origin{v, "m"}) || len(table.known) > maxInterned {
			t.Fatalf("%s: %d strings", v, len(table.known))
		}
	}
	if long := strings.Repeat("x", maxInternedLen+1); *table.share("a", long) != (origin{"a", long}) || len(table.known) > maxInterned {
		t.Fatal("a long string")
	}
	if table.share("", "") != nil || table.share("a", "b") != table.last || *table.share("a", "c") != (origin{"a", "c"}) {
		t.Fatal("few strings")
	}
}

// TestApplyAllocs holds a repeated write to its event, and what there is a
// million of to its size.
func TestApplyAllocs(t *testing.T) {
	if e, n := unsafe.Sizeof(Event{}), unsafe.Sizeof(node{}); e > 40 || n > 32 {
		t.Errorf("an event has %d bytes, a node %d", e, n)
	}
	r := newRig(t)
	r.configure(Config{History: 10})
	id := r.register()
	for _, c := range []Command{
		{Kind: Write, Author: "10.0.0.1:1234", Ops: parseOps("/d/a=value")},
		{Kind: Write, Author: "10.0.0.1:1234", Client: id, Ops: parseOps("/d/b=value")},
	} {
		var b []byte
		index := r.index
		// Lists that grow do so ever more seldom.
		if n := testing.AllocsPerRun(10_000, func() {
			index++
			c.Seq++
			c.Ack = c.Seq
			b = c.Append(b[:0])
			if res, _ := r.s.Apply(index, 0, b); res.Err != nil {
				t.Fatal(res.Err)
			}
		}); n > 1 {
			t.Errorf("%v allocations", n)
		}
		r.index = index
	}
}

// FuzzApply does the commands of the input, each with its length before it.
func FuzzApply(f *testing.F) {
	var seed []byte
	for _, c := range sampleCommands() {
		seed = appendBytes(seed, c.Append(nil))
	}
	f.Add(seed)
	for _, spec := range []string{"/a=1|/a/b=1|-/a|/a/b=1|-/a/b /a=2", "/d/e/f=1|-/d/e/f|/d=1|/d-e=1 -/d"} {
		seed = appendBytes(nil, (&Command{Kind: Configure, Config: &Config{History: 1}}).Append(nil))
		for write := range strings.SplitSeq(spec, "|") {
			c := Command{Kind: Write, Ops: parseOps(strings.Fields(write)...)}
			seed = appendBytes(seed, c.Append(nil))
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, again := New(), New()
		d := decoder{b: b}
		for i := 0; !d.bad && len(d.b) > 0 && i < 200; i++ {
			cmd := bytes.Clone(d.bytes())
			now := int64(i) * 100e9
			res, _ := s.Apply(uint64(i), now, cmd)
			other, _ := again.Apply(uint64(i), now, cmd)
			if !sameResult(res, other) {
				t.Fatalf("%q: %+v and %+v", cmd, res, other)
			}
			if res.Err != nil && res.Err.Error() == "" {
				t.Fatal("an error that says nothing")
			}
			if i%5 == 0 {
				s.Capture()
			}
		}
		checkInvariants(t, s)
		d2 := snapshot(t, s)
		sameRecords(t, "twice", snapshot(t, again), d2)
		loaded, err := d2.load(s.Index())
		if err != nil {
			t.Fatal(err)
		}
		sameRecords(t, "loaded", snapshot(t, loaded), d2)
	})
}
