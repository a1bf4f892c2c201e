package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
)

// sampleStore has files and directories, present and past, a window with a rev
// that was forgotten, and clients.
func sampleStore(t testing.TB) *rig {
	r := newRig(t)
	r.configure(Config{ClusterID: [16]byte{7}, Epoch: 2, History: 5, ClientTTL: 1000e9, Volatile: "/b/*"})
	id := r.register()
	r.register()
	for i := range 8 {
		r.must(fmt.Sprintf("/a/%d=%d", i, i), fmt.Sprintf("/a-b/%d=v", i))
	}
	r.once(id, 1, 0, "/é/x=1")
	r.once(id, 3, 0, "-/nope")
	for i := range 4 {
		r.must(fmt.Sprintf("/b/x=%d", i))
	}
	r.must("-/a/1", "/z=")
	r.must("-/z")
	r.must("-/é/x")
	return r
}

func TestLoader(t *testing.T) {
	r := sampleStore(t)
	d := snapshot(t, r.s)
	s, err := d.load(42)
	if err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, s)
	if s.Index() != 42 {
		t.Errorf("index %d", s.Index())
	}
	sameRecords(t, "loaded", snapshot(t, s), d)
	changed := records{}
	save(t, s, changed)
	if len(changed) != 1 {
		t.Errorf("unchanged, but a Capture has %q", changed.keys())
	}
	empty, err := snapshot(t, New()).load(0)
	if err != nil || empty.Rev() != 0 {
		t.Errorf("the empty store: %v", err)
	}
}

// TestLoaderDamage takes a record away, adds one, changes each byte.
func TestLoaderDamage(t *testing.T) {
	good := snapshot(t, sampleStore(t).s)
	for _, k := range good.keys() {
		d := maps.Clone(good)
		delete(d, k)
		if _, err := d.load(1); !errors.Is(err, ErrDamaged) {
			t.Errorf("without %q: %v", k, err)
		}
		for i := range len(good[k]) {
			for _, flip := range []byte{1, 2, 0x80, 0xff} {
				d = maps.Clone(good)
				v := []byte(d[k])
				v[i] ^= flip
				d[k] = string(v)
				if _, err := d.load(1); !errors.Is(err, ErrDamaged) {
					t.Errorf("%q with another byte %d: %v", k, i, err)
				}
			}
		}
		for i := range len(k) {
			d = maps.Clone(good)
			delete(d, k)
			b := []byte(k)
			b[i] ^= 1
			d[string(b)] = good[k]
			if _, err := d.load(1); !errors.Is(err, ErrDamaged) {
				t.Errorf("%q in place of %q: %v", b, k, err)
			}
		}
	}
	for _, k := range []string{"", "a", "mm", "c", "v", "z", "v/x\x00\x00\x00\x00\x00\x00\x00\x00\x01", "c12345678"} {
		d := maps.Clone(good)
		d[k] = "\x00\x00\x00\x00"
		if _, err := d.load(1); !errors.Is(err, ErrDamaged) {
			t.Errorf("with %q: %v", k, err)
		}
	}
}

// checkLoad loads d, which may be damaged. What loads has to be sound.
func checkLoad(t testing.TB, d records, what string) {
	t.Helper()
	s, err := d.load(1)
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %v", what, err)
		}
		return
	}
	checkInvariants(t, s)
	sameRecords(t, what, snapshot(t, s), d)
	r := rig{t: t, s: s, index: s.Index(), now: s.Time()}
	for range 10 {
		r.write("/new=1")
		r.register()
	}
	r.write("-/new")
	checkInvariants(t, s)
}

func TestLoaderOrder(t *testing.T) {
	l := NewLoader()
	if err := l.Add([]byte("v/a\x00\x00\x00\x00\x00\x00\x00\x00\x01"), nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a version before the meta record: %v", err)
	}
	l = NewLoader()
	m := New().meta()
	if err := l.Add([]byte{metaKey}, m.record()); err != nil {
		t.Fatal(err)
	}
	if err := l.Add([]byte{metaKey}, m.record()); !errors.Is(err, ErrDamaged) {
		t.Errorf("a key twice: %v", err)
	}
	if err := NewLoader().Add([]byte{metaKey}, append([]byte{recordFormat + 1}, m.record()[1:]...)); err == nil ||
		!strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer format: %v", err)
	}
	if _, err := NewLoader().Finish(1); !errors.Is(err, ErrDamaged) {
		t.Errorf("nothing at all: %v", err)
	}
}

// TestCapture follows single versions through Captures.
func TestCapture(t *testing.T) {
	r := newRig(t)
	r.configure(Config{History: 1})
	take := func(c *Capture) (puts, dels int) {
		c.Records(func(k, _ []byte) error {
			if k[0] == versionKey {
				puts++
			}
			return nil
		}, func([]byte) error { dels++; return nil })
		return puts, dels
	}
	check := func(what string, wantPuts, wantDels int) {
		t.Helper()
		if puts, dels := take(r.s.Capture()); puts != wantPuts || dels != wantDels {
			t.Errorf("%s: %d puts, %d dels, want %d, %d", what, puts, dels, wantPuts, wantDels)
		}
	}
	check("nothing", 0, 0)
	r.must("/a=1")
	check("a file", 1, 0)
	r.must("/a=2")
	check("overwritten, the old one is the base", 1, 0)
	for i := range 10 {
		r.must(fmt.Sprintf("/a=%d", i))
	}
	check("eight came and went", 2, 2)
	r.must("-/a")
	lost := r.s.Capture()
	r.must("/b=1")
	r.must("/b=2")
	r.s.Uncapture(lost)
	check("the deletion came and went in two Captures, of which one failed", 2, 2)
}

// TestCaptureWhileApplying encodes a Capture after the store has moved on.
func TestCaptureWhileApplying(t *testing.T) {
	r := sampleStore(t)
	want := snapshot(t, r.s)
	c := r.s.Capture()
	done := make(chan records)
	go func() {
		d := records{}
		c.Records(d.put, d.del)
		done <- d
	}()
	for i := range 200 {
		r.must(fmt.Sprintf("/a/%d=new", i%8))
		r.once(1, uint64(i+10), 0, "/once=1")
	}
	sameRecords(t, "captured", <-done, want)
}

// TestUnsavedBound writes without ever capturing: what was made and dropped since
// is bounded in number and in bytes.
func TestUnsavedBound(t *testing.T) {
	r := newRig(t)
	r.configure(Config{History: 10})
	for i := range 3 * minCompact {
		r.must(fmt.Sprintf("/f%d=v", i%100))
		if n := len(r.s.unsaved.puts) + len(r.s.unsaved.drops); n > 2*minCompact+200 {
			t.Fatalf("%d unsaved changes", n)
		}
	}
	d := records{}
	save(t, r.s, d)
	sameRecords(t, "captured", d, snapshot(t, r.s))
	r.configure(Config{HistoryBytes: 100_000})
	big := strings.Repeat("v", 1<<20)
	for range 50 {
		r.must("/big=" + big)
		var held int64
		for _, e := range r.s.unsaved.puts {
			held += e.cost()
		}
		if held > maxWaste+4<<20 {
			t.Fatalf("%d bytes held for the next Capture", held)
		}
	}
	c := r.s.Capture()
	r.must("/big=" + big)
	r.s.Uncapture(c)
	r.must("/big=small")
	if n := len(r.s.unsaved.puts); n > 110 {
		t.Fatalf("%d unsaved changes after a Capture that failed", n)
	}
	save(t, r.s, d)
	sameRecords(t, "captured", d, snapshot(t, r.s))
}

// TestDeterminism applies the same commands to stores that are captured and
// restored at different points.
func TestDeterminism(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	w, paths := newTwin(), universe()
	var cmds [][]byte
	for i := range 1500 {
		c := randomCommand(r, paths, w)
		w.apply(int64(i)*1e9, c)
		cmds = append(cmds, c.Append(nil))
	}
	run := func(every int) records {
		s := New()
		disk := records{}
		for i, cmd := range cmds {
			s.Apply(uint64(i/3), int64(i)*1e9, cmd)
			if every > 0 && i%every == 0 {
				save(t, s, disk)
				loaded, err := disk.load(s.Index())
				if err != nil {
					t.Fatal(err)
				}
				s = loaded
			}
		}
		checkInvariants(t, s)
		return snapshot(t, s)
	}
	want := run(0)
	for _, every := range []int{1, 7, 100, 999} {
		sameRecords(t, fmt.Sprint("every ", every), run(every), want)
	}
}

// FuzzLoader gives a Loader records that the input makes of sound ones: it
// deletes, inserts or changes them.
func FuzzLoader(f *testing.F) {
	good := snapshot(f, sampleStore(f).s)
	keys := good.keys()
	f.Add(uint16(0), 0, []byte{}, []byte{})
	f.Add(uint16(2), 1, []byte("v/b\x00\x00\x00\x00\x00\x00\x00\x00\x05"), []byte("\x00\x00\x01\x00\x00\x01v"))
	for i, k := range keys[:3] {
		v := []byte(good[k])
		f.Add(uint16(i), 7, []byte{}, v[:len(v)-8])
	}
	f.Add(uint16(3), 2, []byte(keys[3]), []byte(good[keys[3]]))
	f.Fuzz(func(t *testing.T, at uint16, what int, key, value []byte) {
		d := maps.Clone(good)
		k := keys[int(at)%len(keys)]
		if c := what & 4; c != 0 && len(key) > 0 && key[0] != versionKey {
			value = seal(key, value)
		}
		switch what & 3 {
		case 0:
			delete(d, k)
		case 1:
			d[string(key)] = string(value)
		case 2:
			delete(d, k)
			d[string(key)] = string(value)
		case 3:
			d[k] = string(value)
			if what&4 != 0 && k[0] != versionKey {
				d[k] = string(seal([]byte(k), value))
			}
		}
		checkLoad(t, d, "fuzzed")
	})
}
