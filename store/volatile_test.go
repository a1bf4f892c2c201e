package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// volatileRig has a window of ten revs, in which files of /s are volatile.
func volatileRig(t testing.TB) *rig {
	r := newRig(t)
	r.configure(Config{History: 10, Volatile: "/s/*"})
	return r
}

// found returns what is at path at rev, "-" if nothing.
func (r *rig) found(path string, rev int64) string {
	r.t.Helper()
	e, err := r.s.Get(path, rev)
	switch {
	case err == nil:
		return string(e.Value())
	case err.Code != NoEnt:
		r.t.Fatal(err)
	}
	return "-"
}

// changes returns the changes after rev, as "path=value" and "-path".
func (r *rig) changes(rev int64) []string {
	r.t.Helper()
	var list []string
	if _, err := r.s.Events(nil, &Span{From: rev + 1}, func(e *Event) bool {
		if e.Del() {
			list = append(list, "-"+e.Path())
		} else {
			list = append(list, e.Path()+"="+string(e.Value()))
		}
		return true
	}); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// TestVolatile writes heartbeats by the thousand beside one ordinary file. The
// window is not filled by them, nor is memory, and a store that was restored on
// the way is the same.
func TestVolatile(t *testing.T) {
	r := volatileRig(t)
	first := r.must("/f=1")
	r.must("/f=2")
	made := r.must("/s/a=new")
	for i := range 5 * minHoles {
		rev := r.must(fmt.Sprintf("/s/a=%d", i))
		r.must(fmt.Sprintf("/s/b=%d", i))
		if got := r.found("/s/a", rev); i%100 == 0 && got != fmt.Sprint(i) {
			t.Fatalf("before it is written again, rev %d shows %q", rev, got)
		}
		if n := len(r.s.window.changes); n > 3*minHoles {
			t.Fatalf("%d changes in the window", n)
		}
		if i%701 == 0 {
			checkInvariants(t, r.s)
			s, err := snapshot(t, r.s).load(r.index)
			if err != nil {
				t.Fatal(err)
			}
			sameRecords(t, "restored", snapshot(t, s), snapshot(t, r.s))
			r.s = s
		}
	}
	last := fmt.Sprint(5*minHoles - 1)
	if r.s.Oldest() != 0 || r.s.versions != 6 {
		t.Errorf("oldest %d, %d versions", r.s.Oldest(), r.s.versions)
	}
	want := []string{"/f=1", "/f=2", "/s/a=new", "/s/b=0", "/s/a=" + last, "/s/b=" + last}
	if got := r.changes(0); !slices.Equal(got, want) {
		t.Errorf("changes %q", got)
	}
	for _, c := range []struct {
		path string
		rev  int64
		want string
	}{
		{"/f", first, "1"}, {"/f", 0, "2"}, {"/s/a", first, "-"}, {"/s/a", made, "new"},
		{"/s/a", r.s.Rev() - 2, "new"}, {"/s/a", r.s.Rev() - 1, last}, {"/s/a", 0, last},
	} {
		if got := r.found(c.path, c.rev); got != c.want {
			t.Errorf("%s at rev %d: %q, not %q", c.path, c.rev, got, c.want)
		}
	}
}

// TestVolatileLife follows one file from its creation to its next: what the
// window says at each point of it.
func TestVolatileLife(t *testing.T) {
	r := volatileRig(t)
	for _, step := range []struct {
		ops  string
		want string
	}{
		{"/s/a=1", "/s/a=1"},
		{"/s/a=2", "/s/a=1 /s/a=2"},
		{"/s/a=3", "/s/a=1 /s/a=3"},
		{"-/s/a", "/s/a=1 -/s/a"},
		{"/s/a=4", "/s/a=1 -/s/a /s/a=4"},
		{"/s/a=5", "/s/a=1 -/s/a /s/a=4 /s/a=5"},
		{"/s/a=6 /f=1", "/s/a=1 -/s/a /s/a=4 /s/a=6 /f=1"},
		{"/s/a=7", "/s/a=1 -/s/a /s/a=4 /s/a=6 /f=1 /s/a=7"},
		{"/s/a=8", "/s/a=1 -/s/a /s/a=4 /s/a=6 /f=1 /s/a=8"},
		{"/s/a/x=1 -/s/a", "/s/a=1 -/s/a /s/a=4 /s/a=6 /f=1 /s/a=8"},
		{"/s/x/y=1", "/s/a=1 -/s/a /s/a=4 /s/a=6 /f=1 /s/a=8 /s/x/y=1"},
		{"/s/x/y=2", "/s/a=1 -/s/a /s/a=4 /s/a=6 /f=1 /s/a=8 /s/x/y=1 /s/x/y=2"},
		{"/s/x/y=3", "/s/a=1 -/s/a /s/a=4 /s/a=6 /f=1 /s/a=8 /s/x/y=1 /s/x/y=2 /s/x/y=3"},
	} {
		r.write(strings.Fields(step.ops)...)
		checkInvariants(t, r.s)
		if got := strings.Join(r.changes(0), " "); got != step.want {
			t.Fatalf("after %s: %s", step.ops, got)
		}
	}
}

// TestVolatileBase rewrites a file whose creation left the window long ago.
func TestVolatileBase(t *testing.T) {
	r := volatileRig(t)
	r.must("/s/a=old")
	for i := range 20 {
		r.must(fmt.Sprintf("/f=%d", i))
	}
	at := r.s.Rev()
	for i := range 50 {
		r.must(fmt.Sprintf("/s/a=%d", i))
	}
	checkInvariants(t, r.s)
	if got := r.found("/s/a", at); got != "old" {
		t.Errorf("rev %d shows %q", at, got)
	}
	if got := r.changes(at); !slices.Equal(got, []string{"/s/a=49"}) {
		t.Errorf("changes %q", got)
	}
	r.configure(Config{History: 1})
	if r.s.Oldest() != at || r.s.versions != 3 {
		t.Errorf("with one rev in the window, oldest is %d and not %d, %d versions", r.s.Oldest(), at, r.s.versions)
	}
	r.must("/f=last")
	checkInvariants(t, r.s)
	if r.s.Oldest() != r.s.Rev()-1 || r.s.versions != 3 || r.found("/s/a", r.s.Oldest()) != "49" {
		t.Errorf("oldest %d of %d, %d versions", r.s.Oldest(), r.s.Rev(), r.s.versions)
	}
}

func TestVolatileConfig(t *testing.T) {
	r := volatileRig(t)
	for _, bad := range []string{"s", "/s/*\n", "/a//b", "/a\n\n/b", strings.Repeat("/a\n", maxVolatile) + "/a", "/" + strings.Repeat("a", maxVolatileText)} {
		res, _ := r.apply(Command{Kind: Configure, Config: &Config{Volatile: bad}})
		if res.Err == nil || res.Err.Code != BadRequest {
			t.Errorf("%.40q: %v", bad, res.Err)
		}
	}
	r.configure(Config{History: 20})
	if got := r.s.Config().Volatile; got != "/s/*" {
		t.Errorf("a configure that does not name it left %q", got)
	}
	r.configure(Config{Volatile: NoVolatile})
	for i := range 5 {
		r.must(fmt.Sprintf("/s/a=%d", i))
	}
	if got := len(r.changes(0)); got != 5 {
		t.Errorf("%d changes of a file that is not volatile any more", got)
	}
}

// TestVolatileTwin is TestTwin on few files, of which most are volatile, so that
// they are rewritten often.
func TestVolatileTwin(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			runTwin(t, rand.New(rand.NewPCG(seed, 2)), 400, []string{"/a", "/a-b/a", "/a-b/b", "/b", "/x0/a", "/x0"},
				Command{Kind: Configure, Config: &Config{Volatile: "/a**\n/b"}})
		})
	}
}
