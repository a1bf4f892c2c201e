package ring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
)

// A Live has every epoch, in order, and the file's rev is the epoch.
func TestLiveFollows(t *testing.T) {
	c := startStore(t).client()
	first := create(t, c, "cache", &File{})
	var mu sync.Mutex
	var epochs []int64
	l := open(t, c, "cache", Config{OnChange: func(old, new *Ring) {
		mu.Lock()
		defer mu.Unlock()
		if len(epochs) > 0 && (old == nil || old.Epoch() != epochs[len(epochs)-1]) {
			t.Errorf("OnChange was given %v after epoch %d", old, epochs[len(epochs)-1])
		}
		epochs = append(epochs, new.Epoch())
	}})
	if got := l.Epoch(); got != first {
		t.Fatalf("epoch %d, want %d", got, first)
	}
	want := []int64{first}
	before := l.Ring()
	for i := range 5 {
		rev := edit(t, c, "cache", func(f *File) error { return f.SetValue("b", fmt.Sprint("b:", i), "") })
		want = append(want, rev)
		r := wait(t, l, rev)
		if r.Node("b").Addr != fmt.Sprint("b:", i) || &r.first[0] != &before.first[0] {
			t.Errorf("epoch %d: %+v; a new address should use the same table", rev, r.Node("b"))
		}
	}
	rev := edit(t, c, "cache", func(f *File) error { return f.Add("d", Spec{Addr: "d:1"}) })
	want = append(want, rev)
	if r := wait(t, l, rev); r.Node("d") == nil || before.Node("d") != nil {
		t.Error("d is not where it should be")
	}
	if same := edit(t, c, "cache", func(*File) error { return nil }); same != rev {
		t.Errorf("an edit that changes nothing is rev %d, want %d", same, rev)
	}
	if st := l.Status(); st.Epoch != rev || st.Err != nil || !st.Saved.IsZero() || st.SaveErr != nil {
		t.Errorf("%+v", st)
	}
	l.Close()
	l.Close()
	if !slices.Equal(epochs, want) {
		t.Errorf("epochs %v, want %v", epochs, want)
	}
	if l.Ring().Epoch() != rev {
		t.Error("the last ring is gone after Close")
	}
	if _, err := l.Wait(t.Context(), rev+1); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Wait after Close: %v", err)
	}
}

// What cannot be used does not replace what can.
func TestLiveBadFile(t *testing.T) {
	c := startStore(t).client()
	first := create(t, c, "cache", &File{})
	l := open(t, c, "cache", Config{})
	good, err := c.Get(t.Context(), "/ring/cache")
	if err != nil {
		t.Fatal(err)
	}
	bad := set(t, c, "/ring/cache", `{"v":1,"nodes":{"a":{"wieght":1}}}`)
	until(t, "the bad file is told", func() bool { return l.Status().Err != nil })
	st := l.Status()
	want := fmt.Sprintf(`bad ring file: "nodes": "a": "wieght": there is no such member in this version of the format (rev %d of /ring/cache)`, bad)
	if !errors.Is(st.Err, ErrBadFile) || st.Err.Error() != want || st.Epoch != first || l.Epoch() != first {
		t.Errorf("%+v", st)
	}
	if _, err := Edit(t.Context(), c, "cache", func(*File) error { return nil }); !errors.Is(err, ErrBadFile) {
		t.Errorf("editing a bad file: %v", err)
	}
	rev := set(t, c, "/ring/cache", string(good.Value))
	wait(t, l, rev)
	until(t, "all is well", func() bool { return l.Status().Err == nil })

	if _, err := c.Del(t.Context(), "/ring/cache"); err != nil {
		t.Fatal(err)
	}
	until(t, "the deletion is told", func() bool { return errors.Is(l.Status().Err, client.ErrNotExist) })
	if l.Epoch() != rev || l.Ring().Owner("x") == nil {
		t.Error("the last good ring is gone")
	}
	wait(t, l, set(t, c, "/ring/cache", string(good.Value)))
	until(t, "all is well again", func() bool { return l.Status().Err == nil })
}

func TestOpenErrors(t *testing.T) {
	s := startStore(t)
	c := s.client()
	set(t, c, "/ring/bad", "{}")
	if _, err := Open(t.Context(), c, "none", Config{}); !errors.Is(err, client.ErrNotExist) {
		t.Errorf("no ring: %v", err)
	}
	if _, err := Open(t.Context(), c, "bad", Config{}); !errors.Is(err, ErrBadFile) {
		t.Errorf("a bad ring: %v", err)
	}
	for _, name := range []string{"", "a/b", "*", strings.Repeat("r", 200)} {
		if _, err := Open(t.Context(), c, name, Config{}); err == nil {
			t.Errorf("%q is a ring", name)
		}
	}
	s.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Open(ctx, c, "cache", Config{Patience: time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "there is no copy") {
		t.Errorf("no store and no copy: %v", err)
	}
}

// Nodes are where the files say that they refer to; a new epoch waits for these.
func TestLiveRefs(t *testing.T) {
	c := startStore(t).client()
	set(t, c, "/redis/G1/master", "10.0.0.1:6379\n")
	f := &File{}
	for _, n := range []string{"G1", "G2"} {
		if err := f.Add(n, Spec{Ref: "/redis/" + n + "/master"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Create(t.Context(), c, "redis", f); err != nil {
		t.Fatal(err)
	}
	l := open(t, c, "redis", Config{Patience: hang})
	addr := func(name string) string { return l.Ring().Node(name).Addr }
	if addr("G1") != "10.0.0.1:6379" || addr("G2") != "" {
		t.Errorf("%+v", l.Ring().Nodes())
	}
	epoch := l.Epoch()
	for i, want := range []string{"10.0.0.2:6379", "10.0.0.3:6379", ""} {
		changed := l.Changed()
		if want == "" {
			if _, err := c.Del(t.Context(), "/redis/G2/master"); err != nil {
				t.Fatal(err)
			}
		} else {
			set(t, c, "/redis/G2/master", want)
		}
		<-changed
		until(t, fmt.Sprint("text ", i), func() bool { return addr("G2") == want })
	}
	set(t, c, "/redis/G2/master", strings.Repeat("x", maxRefText+1))
	until(t, "a text that is too long is told", func() bool { err := l.Status().Err; return err != nil && strings.Contains(err.Error(), "G2") })
	if addr("G2") != "" || l.Epoch() != epoch {
		t.Errorf("%.100q, epoch %d", addr("G2"), l.Epoch())
	}
	// Another file, and an address in its place.
	set(t, c, "/elsewhere", "e:1")
	rev := edit(t, c, "redis", func(f *File) error {
		return errors.Join(f.SetValue("G2", "", "/elsewhere"), f.SetValue("G1", "plain:1", ""))
	})
	wait(t, l, rev)
	if addr("G1") != "plain:1" || addr("G2") != "e:1" {
		t.Errorf("%+v", l.Ring().Nodes())
	}
	until(t, "all is well", func() bool { return l.Status().Err == nil })
}

// A program starts while the store is down, with the ring as it was, and goes on
// with the store's when that is back.
func TestStartWithoutStore(t *testing.T) {
	s := startStore(t)
	c := s.client()
	set(t, c, "/where", "10.0.0.9:1")
	create(t, c, "cache", &File{Algo: Slots})
	rev := edit(t, c, "cache", func(f *File) error { return f.SetValue("b", "", "/where") })
	path := filepath.Join(t.TempDir(), "cache.ring")
	l := open(t, c, "cache", Config{Snapshot: path})
	wait(t, l, rev)
	want := l.Ring()
	l.Close()
	s.stop()

	other := s.client()
	l = open(t, other, "cache", Config{Snapshot: path, Patience: time.Millisecond})
	st := l.Status()
	if st.Epoch != rev || st.Saved.IsZero() || st.Err != nil {
		t.Errorf("%+v", st)
	}
	for _, key := range testKeys(1000) {
		if l.Ring().Get(key) != want.Get(key) {
			t.Fatalf("%s is at %s, want %s", key, l.Ring().Get(key), want.Get(key))
		}
	}
	s.start()
	until(t, "the store's own ring", func() bool { return l.Status().Saved.IsZero() })
	next := edit(t, other, "cache", func(f *File) error { return f.Add("d", Spec{Addr: "d:1"}) })
	wait(t, l, next)
	l.Close()
	if saved, err := readSaved(path); err != nil || saved.Epoch != next {
		t.Errorf("the copy is %+v, %v", saved, err)
	}
	// A copy of another ring is none.
	s.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, s.client(), "other", Config{Snapshot: path, Patience: time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a copy of another ring: %v", err)
	}
}

// At a start with a bad file in the store, the last good ring is the copy's.
func TestStartWithBadFile(t *testing.T) {
	c := startStore(t).client()
	rev := create(t, c, "cache", &File{})
	path := filepath.Join(t.TempDir(), "cache.ring")
	open(t, c, "cache", Config{Snapshot: path}).Close()
	set(t, c, "/ring/cache", "garbage")
	l := open(t, c, "cache", Config{Snapshot: path, Patience: hang})
	if st := l.Status(); st.Epoch != rev || !errors.Is(st.Err, ErrBadFile) || st.Saved.IsZero() {
		t.Errorf("%+v", st)
	}
}

// A copy that cannot be written is told, and that is all.
func TestSaveFails(t *testing.T) {
	c := startStore(t).client()
	create(t, c, "cache", &File{})
	l := open(t, c, "cache", Config{Snapshot: filepath.Join(t.TempDir(), "no", "such", "dir")})
	rev := edit(t, c, "cache", func(f *File) error { return f.Add("d", Spec{}) })
	wait(t, l, rev)
	until(t, "the failure is told", func() bool { return errors.Is(l.Status().SaveErr, os.ErrNotExist) })
}

// A damaged copy is none, whatever the damage.
func TestSavedDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	if err := writeSaved(path, &savedRing{Name: "cache", Epoch: 7, Saved: time.Now(), File: []byte(goodFiles[1])}); err != nil {
		t.Fatal(err)
	}
	if s, err := readSaved(path); err != nil || s.Epoch != 7 || string(s.File) != goodFiles[1] {
		t.Fatalf("%+v, %v", s, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	for i := range data {
		flipped := slices.Clone(data)
		flipped[i] ^= 0x20
		for _, text := range [][]byte{flipped, data[:i]} {
			if err := os.WriteFile(damaged, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if s, err := readSaved(damaged); !errors.Is(err, errSaved) {
				t.Fatalf("damage at byte %d of %d: %+v, %v", i, len(data), s, err)
			}
		}
	}
}

// Edits of many at once are all made.
func TestEditRaces(t *testing.T) {
	c := startStore(t).client()
	create(t, c, "cache", &File{Algo: Slots})
	var wg sync.WaitGroup
	const writers = 6 // each try, one of them succeeds: editTries are enough
	for i := range writers {
		wg.Go(func() {
			_, err := Edit(t.Context(), c, "cache", func(f *File) error { return f.Add(fmt.Sprint("n", i), Spec{}) }, client.Message("more"))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f, rev, err := Read(t.Context(), c, "cache")
	if err != nil || len(f.Nodes) != 3+writers {
		t.Fatalf("%+v, %v", f, err)
	}
	if at, err := c.Get(t.Context(), "/ring/cache"); err != nil || at.Rev != rev || at.Message != "more" {
		t.Errorf("%+v, %v", at, err)
	}
	if _, err := Create(t.Context(), c, "cache", &File{}); !errors.Is(err, client.ErrRevMismatch) {
		t.Errorf("a second create: %v", err)
	}
	if _, err := Edit(t.Context(), c, "none", func(*File) error { return nil }); !errors.Is(err, client.ErrNotExist) {
		t.Errorf("an edit of no ring: %v", err)
	}
	broken := errors.New("no")
	if _, err := Edit(t.Context(), c, "cache", func(*File) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("an edit that fails: %v", err)
	}
}

// BenchmarkEpoch is the time from the start of a change to the moment when the
// last of 100 clients, each with a client and a ring of its own, is on the new
// epoch; all of them and the store share this machine.
func BenchmarkEpoch(b *testing.B) {
	s := startStore(b)
	c := s.client()
	create(b, c, "cache", &File{})
	for i := range 7 {
		edit(b, c, "cache", func(f *File) error { return f.Add(fmt.Sprint("n", i), Spec{}) })
	}
	var lives []*Live
	for range 100 {
		lives = append(lives, open(b, s.client(), "cache", Config{}))
	}
	var worst time.Duration
	i := 0
	for b.Loop() {
		start := time.Now()
		rev := edit(b, c, "cache", func(f *File) error {
			if i++; i%2 == 1 {
				return f.Add("joiner", Spec{})
			}
			return f.Remove("joiner")
		})
		for _, l := range lives {
			wait(b, l, rev)
		}
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
}

// A ring outlives its client: it goes on as it is, and says why.
func TestClientClosed(t *testing.T) {
	c := startStore(t).client()
	rev := create(t, c, "cache", &File{})
	l := open(t, c, "cache", Config{})
	c.Close()
	until(t, "the end of the client is told", func() bool { return errors.Is(l.Status().Err, client.ErrClosed) })
	if l.Epoch() != rev || l.Ring().Get("x") == "" {
		t.Errorf("epoch %d", l.Epoch())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Wait(ctx, rev+1); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := Open(t.Context(), c, "cache", Config{}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Open: %v", err)
	}
}

// What cannot be a ring is not written.
func TestCreateRefuses(t *testing.T) {
	c := startStore(t).client()
	if _, err := Create(t.Context(), c, "a/b", &File{}); err == nil {
		t.Error("a/b is a ring")
	}
	if _, err := Create(t.Context(), c, "cache", &File{Algo: "other"}); !errors.Is(err, ErrBadFile) {
		t.Errorf("a bad file: %v", err)
	}
	if _, _, err := Read(t.Context(), c, "cache"); !errors.Is(err, client.ErrNotExist) {
		t.Errorf("there is a ring: %v", err)
	}
}
