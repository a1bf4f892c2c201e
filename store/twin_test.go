package store

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// twin is a store that does everything the obvious way: it keeps a copy of all
// files at every rev, and every event.
type twin struct {
	config  Config
	time    int64
	oldest  int64
	trees   []map[string]*Event // by rev
	events  []*Event
	clients []*twinClient // in order of last use
	nextID  uint64
}

type twinClient struct {
	id, floor uint64
	used      int64
	results   map[uint64]Result
	sent      map[uint64]Command // all it ever sent: a seq is never used for another write
}

func newTwin() *twin {
	return &twin{config: defaultConfig(), trees: []map[string]*Event{{}}, nextID: 1}
}

func (w *twin) rev() int64 { return int64(len(w.trees) - 1) }

func isDirIn(tree map[string]*Event, path string) bool {
	if path == "/" {
		return true
	}
	for p := range tree {
		if strings.HasPrefix(p, path+"/") {
			return true
		}
	}
	return false
}

func (w *twin) expire() {
	w.clients = slices.DeleteFunc(w.clients, func(c *twinClient) bool { return w.time-c.used > w.config.ClientTTL })
	for len(w.clients) > w.config.MaxClients {
		w.clients = w.clients[1:]
	}
}

func (w *twin) slide() {
	bytes := func() (n int64) {
		for _, e := range w.events {
			if e.Rev > w.oldest {
				n += e.cost()
			}
		}
		return n
	}
	revs := func() int64 {
		seen := map[int64]bool{}
		for _, e := range w.events {
			if e.Rev > w.oldest {
				seen[e.Rev] = true
			}
		}
		return int64(len(seen))
	}
	for w.rev()-w.oldest > 1 && (revs() > w.config.History || bytes() > w.config.HistoryBytes) {
		w.oldest++
	}
}

func (w *twin) apply(now int64, c Command) Result {
	w.time = max(w.time, now)
	w.expire()
	if err := c.check(); err != nil {
		return Result{Err: err}
	}
	switch c.Kind {
	case Register:
		w.clients = append(w.clients, &twinClient{id: w.nextID, floor: 1, used: w.time, results: map[uint64]Result{}, sent: map[uint64]Command{}})
		w.nextID++
		w.expire()
		return Result{Rev: w.rev(), Client: w.nextID - 1}
	case Configure:
		epoch := w.config.Epoch
		w.config = w.config.merge(c.Config)
		if w.config.Epoch > epoch {
			w.nextID = max(w.nextID, w.config.Epoch<<32+1)
			if epoch > 0 {
				w.clients = nil
			}
		}
		w.expire()
		w.slide()
	case Write, System:
		if c.Client != 0 {
			return w.writeOnce(c)
		}
		return w.write(c)
	}
	return Result{Rev: w.rev()}
}

func (w *twin) writeOnce(c Command) Result {
	i := slices.IndexFunc(w.clients, func(cl *twinClient) bool { return cl.id == c.Client })
	if i < 0 {
		return Result{Err: &Error{Code: ClientExpired}}
	}
	cl := w.clients[i]
	w.clients = append(slices.Delete(w.clients, i, i+1), cl)
	cl.used = w.time
	if c.Seq < cl.floor {
		return Result{Err: &Error{Code: ClientExpired}}
	}
	cl.floor = max(cl.floor, c.Ack)
	maps.DeleteFunc(cl.results, func(seq uint64, _ Result) bool { return seq < cl.floor })
	if r, ok := cl.results[c.Seq]; ok {
		return r
	}
	if c.Seq >= cl.floor+uint64(w.config.ClientWindow) {
		return Result{Err: &Error{Code: ClientExpired}}
	}
	r := w.write(c)
	cl.results[c.Seq] = r
	return r
}

func (w *twin) write(c Command) Result {
	tree := maps.Clone(w.trees[w.rev()])
	for i, cond := range c.Conds {
		e := tree[cond.Path]
		err := &Error{Code: RevMismatch, Path: cond.Path, Index: i, Present: e}
		if e != nil {
			err.Rev = e.Rev
		}
		switch {
		case cond.Kind == Missing && e == nil && isDirIn(tree, cond.Path):
			return Result{Err: &Error{Code: IsDir, Path: cond.Path, Index: i}}
		case cond.Kind == Missing && e != nil, cond.Kind == Unchanged && (e == nil || e.Rev > cond.Rev):
			return Result{Err: err}
		}
	}
	var events []*Event
	for i, op := range c.Ops {
		err := &Error{Path: op.Path, Index: i, Op: true}
		v := Version{Path: op.Path, Rev: w.rev() + 1, Time: w.time, Ordinal: i, Del: op.Del, Last: i == len(c.Ops)-1,
			Value: op.Value, Author: c.Author, Message: c.Message}
		for up := parentKey(op.Path); up != ""; up = parentKey(up) {
			if tree[up] != nil {
				err.Code = NotDir
			}
		}
		switch {
		case isDirIn(tree, op.Path):
			err.Code = IsDir
		case op.Del && tree[op.Path] == nil:
			err.Code = NoEnt
		}
		if err.Code != OK {
			return Result{Err: err}
		}
		e := v.Event()
		if op.Del {
			delete(tree, op.Path)
		} else {
			tree[op.Path] = e
		}
		events = append(events, e)
	}
	if len(events) > 0 {
		w.trees = append(w.trees, tree)
		w.events = append(w.events, events...)
		for _, e := range events {
			w.forget(e)
		}
		w.slide()
	}
	return Result{Rev: w.rev()}
}

// forget puts in the place of the version before e the one before that, in all
// trees that have it, if it is a volatile file's rewrite on its own.
func (w *twin) forget(e *Event) {
	was := w.trees[e.Rev-1][e.Path()]
	if was == nil || was.Rev <= w.oldest || was.Ordinal() > 0 || !was.Last() {
		return
	}
	before := w.trees[was.Rev-1][e.Path()]
	volatile := slices.ContainsFunc(strings.Fields(w.config.Volatile), func(pattern string) bool {
		g, err := CompileGlob(pattern)
		return err == nil && g.Match(e.Path())
	})
	if before == nil || !volatile {
		return
	}
	for rev := was.Rev; rev < e.Rev; rev++ {
		w.trees[rev][e.Path()] = before
	}
	w.events = slices.DeleteFunc(w.events, func(o *Event) bool { return o == was })
}

// entries returns the direct entries of dir at rev, with the number of entries
// and the hash of directories.
func (w *twin) entries(dir string, rev int64) []string {
	prefix := key(dir) + "/"
	hash := map[string]uint64{}
	kids := map[string]map[string]bool{}
	lines := map[string]string{}
	for path, e := range w.trees[rev] {
		if !strings.HasPrefix(path, prefix) {
			continue
		}
		name, rest, below := strings.Cut(path[len(prefix):], "/")
		if !below {
			lines[name] = fmt.Sprintf("%s file %d %x %s", path, e.Rev, e.hash, e.Value())
			continue
		}
		if kids[name] == nil {
			kids[name] = map[string]bool{}
		}
		kid, _, _ := strings.Cut(rest, "/")
		kids[name][kid] = true
		hash[name] += e.hash
	}
	for name := range kids {
		if rev != w.rev() {
			hash[name] = 0
		}
		lines[name] = fmt.Sprintf("%s dir %d %x", prefix+name, len(kids[name]), hash[name])
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		list = append(list, lines[name])
	}
	return list
}

// sameEvent compares all of two events but the identity.
func sameEvent(a, b *Event) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Path() == b.Path() && bytes.Equal(a.Value(), b.Value()) && a.Rev == b.Rev && a.Time == b.Time && a.Author() == b.Author() &&
		a.Message() == b.Message() && a.Del() == b.Del() && a.Last() == b.Last() && a.Ordinal() == b.Ordinal() && a.hash == b.hash
}

// sameResult compares results; the state a failed condition named may be
// missing from a repeated one.
func sameResult(got, want Result) bool {
	g, w := got.Err, want.Err
	if g == nil || w == nil {
		return g == w && got == want
	}
	return g.Code == w.Code && g.Rev == w.Rev && g.Index == w.Index && g.Op == w.Op &&
		(g.Path == w.Path || w.Code == ClientExpired) && (g.Present == nil || sameEvent(g.Present, w.Present))
}

// universe is every path that the random commands use, and some that they
// don't. Its names sort around the slash.
func universe() []string {
	names := []string{"a", "a-b", "a-b-c", "a.c", "b", "é", "x0"}
	paths := []string{"/", "/ctl/x", "/none/at/all"}
	for _, n := range names {
		paths = append(paths, "/"+n)
		for _, m := range names[:4] {
			paths = append(paths, "/"+n+"/"+m, "/"+n+"/"+m+"/a", "/"+n+"/"+m+"/a-b")
		}
	}
	return paths
}

var twinGlobs = []string{"/**", "/*", "/a**", "/a-b/*", "/*/a", "/**/a", "/?", "/a/**", "/**-b**", "/a-b/a", "/*-*/**/a*"}

// randomCommand returns a command that has a fair chance to succeed.
func randomCommand(r *rand.Rand, paths []string, w *twin) Command {
	c := Command{Kind: Write, Author: fmt.Sprint("u", r.IntN(3)), Message: strings.Repeat("m", r.IntN(3))}
	switch k := r.IntN(100); {
	case k < 4:
		return Command{Kind: Register}
	case k < 6:
		return Command{Kind: Nop}
	case k < 7:
		volatile := []string{"", NoVolatile, "/a**", "/a-b/*\n/b**"}[r.IntN(4)]
		return Command{Kind: Configure, Config: &Config{Volatile: volatile, Epoch: uint64(r.IntN(9)), History: 1 + r.Int64N(30),
			HistoryBytes: 500 + r.Int64N(6000), ClientTTL: 20e9 + r.Int64N(30e9), MaxClients: 1 + r.IntN(5), ClientWindow: 1 + r.IntN(8)}}
	}
	if r.IntN(2) == 0 {
		c.Client = 1 + r.Uint64N(w.nextID)
		if n := len(w.clients); n > 0 && r.IntN(4) > 0 {
			c.Client = w.clients[r.IntN(n)].id
		}
		c.Seq = 1 + r.Uint64N(12)
		for _, cl := range w.clients {
			if cl.id == c.Client {
				c.Seq = max(1, cl.floor+r.Uint64N(10)-1)
			}
		}
		c.Ack = r.Uint64N(c.Seq + 1)
		if r.IntN(2) == 0 {
			c.Ack = 0
		}
	}
	for range r.IntN(3) {
		c.Conds = append(c.Conds, Condition{Path: paths[r.IntN(len(paths))], Kind: CondKind(r.IntN(3)), Rev: r.Int64N(w.rev() + 2)})
	}
	n := 1
	if r.IntN(3) == 0 {
		n = 1 + r.IntN(6)
	}
	for range n {
		c.Ops = append(c.Ops, Op{Path: paths[r.IntN(len(paths))], Del: r.IntN(2) == 0, Value: fmt.Appendf(nil, "v%d", r.IntN(1000))})
	}
	for _, cl := range w.clients {
		if cl.id != c.Client {
			continue
		}
		if sent, ok := cl.sent[c.Seq]; ok {
			c.Conds, c.Ops = sent.Conds, sent.Ops
		}
		cl.sent[c.Seq] = c
	}
	return c
}

// TestTwin drives a store and its twin with random commands. The store is
// captured at random points, restored from its records at others, and after
// every command all that can be read of it is compared with the twin.
func TestTwin(t *testing.T) {
	steps, seeds := 400, uint64(6)
	if testing.Short() {
		steps, seeds = 150, 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			runTwin(t, r, steps, universe())
		})
	}
}

// runTwin does the commands of first, then random ones on paths.
func runTwin(t *testing.T, r *rand.Rand, steps int, paths []string, first ...Command) {
	s, w, disk := New(), newTwin(), records{}
	straight := New() // the same commands, never captured or restored
	now := int64(1e9)
	for i := range steps {
		c := randomCommand(r, paths, w)
		if i < len(first) {
			c = first[i]
		}
		now += r.Int64N(4e9) - 1e9
		b := c.Append(nil)
		index := uint64(i + 1)
		got, events := s.Apply(index, now, b)
		again, _ := straight.Apply(index, now, b)
		clear(b)
		before := w.rev()
		want := w.apply(now, c)
		if !sameResult(got, want) || !sameResult(again, want) {
			t.Fatalf("step %d: %+v: got %+v %v, want %+v %v", i, c, got, got.Err, want, want.Err)
		}
		made := slices.DeleteFunc(slices.Clone(w.events), func(e *Event) bool { return e.Rev <= before })
		if !slices.EqualFunc(events, made, sameEvent) {
			t.Fatalf("step %d: %+v: events %+v", i, c, events)
		}
		checkInvariants(t, s)
		compareTwin(t, s, w, paths, r)
		switch r.IntN(12) {
		case 0:
			save(t, s, disk)
			sameRecords(t, "captured", disk, snapshot(t, s))
		case 1:
			s.Uncapture(s.Capture())
		case 2:
			s.unsaved.sortOut(s.nodes)
		case 3:
			save(t, s, disk)
			loaded, err := disk.load(index)
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			s = loaded
			checkInvariants(t, s)
		}
		sameRecords(t, "straight", snapshot(t, s), snapshot(t, straight))
	}
}

// compareTwin compares all that can be read at a few revs of the window.
func compareTwin(t *testing.T, s *Store, w *twin, paths []string, r *rand.Rand) {
	t.Helper()
	if s.Rev() != w.rev() || s.Oldest() != w.oldest || s.Config() != w.config || s.Clients() != len(w.clients) {
		t.Fatalf("rev %d oldest %d clients %d, want %d %d %d", s.Rev(), s.Oldest(), s.Clients(), w.rev(), w.oldest, len(w.clients))
	}
	if _, err := s.Get("/a", w.rev()+1); err == nil || err.Code != BadRequest {
		t.Fatalf("a future rev: %v", err)
	}
	if w.oldest > 1 {
		if _, err := s.Get("/a", w.oldest-1); err == nil || err.Code != TooLate || err.Rev != w.oldest {
			t.Fatalf("a rev below the window: %v", err)
		}
	}
	revs := []int64{w.rev(), w.oldest, w.oldest + r.Int64N(w.rev()-w.oldest+1)}
	for _, rev := range revs {
		if rev == 0 && w.rev() > 0 {
			continue // 0 asks for the present one
		}
		compareAt(t, r, s, w, paths, rev)
	}
	compareEvents(t, r, s, w, w.oldest+1+r.Int64N(5), w.oldest+r.Int64N(9), twinGlobs[r.IntN(len(twinGlobs))])
}

func compareAt(t *testing.T, r *rand.Rand, s *Store, w *twin, paths []string, rev int64) {
	t.Helper()
	tree := w.trees[rev]
	for _, path := range paths {
		e, err := s.Get(path, rev)
		info, statErr := s.Stat(path, rev)
		dir := isDirIn(tree, path)
		switch want := tree[path]; {
		case want != nil:
			if !sameEvent(e, want) || statErr != nil || info != fileInfo(want) {
				t.Fatalf("%s at %d: %+v, %+v, want %+v", path, rev, e, info, want)
			}
		case dir:
			if err == nil || err.Code != IsDir || !info.IsDir || info.Path != path {
				t.Fatalf("directory %s at %d: %v, %+v", path, rev, err, info)
			}
		case err == nil || err.Code != NoEnt || statErr == nil || statErr.Code != NoEnt:
			t.Fatalf("%s at %d: %v, %v", path, rev, err, statErr)
		}
		compareList(t, r, s, w, path, rev, dir)
	}
	for _, pattern := range twinGlobs {
		compareFind(t, r, s, w, pattern, rev, paths[int(rev)%len(paths)])
	}
}

// inParts runs a scan to its end in parts of a random bound, at times ended by
// the caller at a random place. part is given whether to take one more.
func inParts(t *testing.T, r *rand.Rand, what string, part func(visits int, take func() bool) (bool, *Error)) *Error {
	t.Helper()
	for range 10_000 {
		left := 1000
		if r.IntN(3) == 0 {
			left = r.IntN(3)
		}
		more, err := part(r.IntN(4), func() bool { left--; return left >= 0 })
		if err != nil || !more {
			return err
		}
	}
	t.Fatalf("%s does not end", what)
	return nil
}

func compareList(t *testing.T, r *rand.Rand, s *Store, w *twin, dir string, rev int64, exists bool) {
	t.Helper()
	var got []string
	sc := Scan{Rev: rev}
	err := inParts(t, r, "list", func(visits int, take func() bool) (bool, *Error) {
		sc.Visits = visits
		return s.List(dir, &sc, func(i Info, e *Event) bool {
			switch {
			case !take():
				return false
			case i.IsDir:
				got = append(got, fmt.Sprintf("%s dir %d %x", i.Path, i.Len, i.Hash))
			default:
				got = append(got, fmt.Sprintf("%s file %d %x %s", i.Path, i.Rev, i.Hash, e.Value()))
			}
			return true
		})
	})
	if !exists {
		if code := NoEnt; err == nil || err.Code != code && err.Code != NotDir || (err.Code == NotDir) != (w.trees[rev][dir] != nil) {
			t.Fatalf("list %s at %d: %v", dir, rev, err)
		}
		return
	}
	want := w.entries(dir, rev)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("list %s at %d: %v\n%q, want\n%q", dir, rev, err, got, want)
	}
	if len(want) > 1 {
		var rest int
		after, _, _ := strings.Cut(want[0], " ")
		s.List(dir, &Scan{After: after, Rev: rev}, func(i Info, _ *Event) bool { rest++; return true })
		if rest != len(want)-1 {
			t.Fatalf("list %s after %s at %d: %d entries", dir, after, rev, rest)
		}
	}
	var sum uint64
	s.Find(Below(dir), &Scan{Rev: rev}, func(e *Event) bool { sum += e.hash; return true })
	if hash, ok := s.DirHash(dir); rev == w.rev() && (!ok || sum != hash || dir == "/" && hash != s.Hash()) {
		t.Fatalf("%s: the hashes below it do not add up", dir)
	}
}

func compareFind(t *testing.T, r *rand.Rand, s *Store, w *twin, pattern string, rev int64, after string) {
	t.Helper()
	g := mustGlob(t, pattern)
	for _, after := range []string{"", after} {
		var got, want []string
		sc := Scan{Rev: rev, After: after}
		err := inParts(t, r, "find", func(visits int, take func() bool) (bool, *Error) {
			sc.Visits = visits
			return s.Find(g, &sc, func(e *Event) bool {
				if !take() {
					return false
				}
				got = append(got, e.Path())
				return true
			})
		})
		for _, path := range slices.Sorted(maps.Keys(w.trees[rev])) {
			if g.Match(path) && path > after {
				want = append(want, path)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("find %s after %q at %d: %v, %q, want %q", pattern, after, rev, err, got, want)
		}
	}
}

func compareEvents(t *testing.T, r *rand.Rand, s *Store, w *twin, from, to int64, pattern string) {
	t.Helper()
	g := mustGlob(t, pattern)
	var got, want []*Event
	sp := Span{From: from, To: to}
	err := inParts(t, r, "events", func(visits int, _ func() bool) (bool, *Error) {
		sp.Visits = visits
		return s.Events(g, &sp, func(e *Event) bool { got = append(got, e); return true })
	})
	for _, e := range w.events {
		if e.Rev >= from && (to == 0 || e.Rev <= to) && g.Match(e.Path()) {
			want = append(want, e)
		}
	}
	if err != nil || !slices.EqualFunc(got, want, sameEvent) {
		t.Fatalf("events of %s from %d to %d: %v, got %d, want %d", pattern, from, to, err, len(got), len(want))
	}
	_, err = s.Events(nil, &Span{From: w.oldest}, func(*Event) bool { return true })
	if w.oldest > 0 && (err == nil || err.Code != TooLate || err.Rev != w.oldest) {
		t.Fatalf("events from oldest %d: %v", w.oldest, err)
	}
}
