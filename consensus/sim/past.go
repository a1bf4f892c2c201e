package sim

import (
	"bytes"

	"github.com/doozer-store/doozer/store"
)

// past is what the window of every node must be, a twin of the store's that is
// made from the commands alone: the settings, and which changes there are no
// more. The changes themselves are truth.changes.
type past struct {
	t        *truth
	config   store.Config
	volatile []*store.Glob
	time     int64
	// oldest is the rev up to which changes have left the window; revs and
	// bytes are what is left of those after it.
	oldest, revs, bytes int64
	overhead            int64 // what a change counts for beside its bytes
	// forgotten are the rewrites of volatile files that were rewritten in their
	// turn, with the rev at which that was.
	forgotten map[*store.Event]int64
}

func newPast(t *truth) *past {
	p := &past{t: t, config: store.New().Config(), forgotten: map[*store.Event]int64{}}
	st, path := store.New(), "/a"
	cmd := store.Command{Kind: store.Write, Ops: []store.Op{{Path: path}}}
	st.Apply(1, 1, cmd.Append(nil))
	p.overhead = st.HistoryBytes() - int64(len(path))
	return p
}

// replay makes of the commands of an entry, and what they came to, the changes
// that they must have made.
func (p *past) replay(now int64, commands [][]byte, results []any) {
	p.time = max(p.time, now)
	for i, b := range commands {
		c, err := store.DecodeCommand(b)
		r := results[i].(*store.Result)
		switch {
		case err != nil || r.Err != nil:
		case c.Kind == store.Configure:
			p.configure(c.Config)
		case len(c.Ops) > 0 && r.Rev == p.t.rev()+1: // a lower one is that of an earlier attempt
			p.write(&c)
		}
	}
}

// configure takes new settings; zero is as before.
func (p *past) configure(c *store.Config) {
	if c.History != 0 {
		p.config.History = c.History
	}
	if c.HistoryBytes != 0 {
		p.config.HistoryBytes = c.HistoryBytes
	}
	if c.Volatile != "" {
		p.volatile = nil
		for line := range bytes.SplitSeq([]byte(c.Volatile), []byte("\n")) {
			if g, err := store.CompileGlob(string(line)); err == nil {
				p.volatile = append(p.volatile, g)
			}
		}
	}
	p.slide()
}

func (p *past) write(c *store.Command) {
	rev := p.t.rev() + 1
	for i := range c.Ops {
		op := &c.Ops[i]
		v := store.Version{Path: op.Path, Rev: rev, Time: p.time, Ordinal: i, Del: op.Del, Last: i == len(c.Ops)-1,
			Value: op.Value, Author: c.Author, Message: c.Message}
		p.t.learn(v.Event())
	}
	for _, e := range p.t.changes[rev] {
		p.count(e, 1)
		p.forget(e)
	}
	p.slide()
}

// count puts a change into the window, or takes it out.
func (p *past) count(e *store.Event, by int64) {
	p.bytes += by * (int64(len(e.Path())+len(e.Value())+len(e.Author())+len(e.Message())) + p.overhead)
	if e.Last() {
		p.revs += by
	}
}

// forget decides about the version before e: it goes if it was a rewrite of a
// volatile file, and all that its rev did.
func (p *past) forget(e *store.Event) {
	vs := p.t.files[e.Path()]
	if len(vs) < 3 || !p.isVolatile(e.Path()) {
		return
	}
	old, older := vs[len(vs)-2], vs[len(vs)-3]
	if old.Del() || older.Del() || old.Rev <= p.oldest || len(p.t.changes[old.Rev]) > 1 {
		return
	}
	p.forgotten[old] = e.Rev
	p.t.w.result.Forgotten++
	p.count(old, -1)
}

func (p *past) isVolatile(path string) bool {
	for _, g := range p.volatile {
		if g.Match(path) {
			return true
		}
	}
	return false
}

// slide lets the oldest revs go that are more than the settings allow.
func (p *past) slide() {
	for p.oldest < p.t.rev()-1 && (p.revs > p.config.History || p.bytes > p.config.HistoryBytes) {
		p.oldest++
		for _, e := range p.t.changes[p.oldest] {
			if p.forgotten[e] == 0 {
				p.count(e, -1)
			}
		}
	}
}

// goneBy tells whether a node at rev has forgotten e.
func (p *past) goneBy(e *store.Event, rev int64) bool {
	at := p.forgotten[e]
	return at != 0 && at <= rev
}

// shows tells whether a reader of the file at path, which was there at rev, may
// be shown a version that is so, by a node that was at some rev from lo to hi:
// the newest up to rev that the node had not forgotten.
func (p *past) shows(path string, rev, lo, hi int64, is func(*store.Event) bool) bool {
	vs := p.t.files[path]
	for i := len(vs) - 1; i >= 0; i-- {
		e := vs[i]
		switch {
		case e.Rev > rev:
		case !p.goneBy(e, lo) && is(e):
			return true
		case !p.goneBy(e, hi):
			return false
		}
	}
	return false
}

// compare tells whether st, in which everything so far is applied, has the
// changes after a rev as they must be, and those alone.
func (p *past) compare(st *store.Store, after int64) (why string) {
	var want []*store.Event
	after = max(after, p.oldest)
	for _, events := range p.t.changes[after+1:] {
		for _, e := range events {
			if p.forgotten[e] == 0 {
				want = append(want, e)
			}
		}
	}
	if p.t.rev() == after {
		return ""
	}
	_, err := st.Events(nil, &store.Span{From: after + 1}, func(e *store.Event) bool {
		if len(want) == 0 || !sameChange(e, want[0]) || e.Ordinal() > 0 && e.Rev != want[0].Rev {
			why = "the change of " + e.Path() + " is not the one that must come next"
			return false
		}
		want = want[1:]
		return true
	})
	switch {
	case err != nil:
		return "its changes can't be read: " + err.Error()
	case why == "" && len(want) > 0:
		return "the change of " + want[0].Path() + " is missing"
	}
	return why
}

func sameChange(a, b *store.Event) bool {
	return a.Path() == b.Path() && a.Rev == b.Rev && a.Time == b.Time && a.Author() == b.Author() && a.Message() == b.Message() &&
		a.Del() == b.Del() && a.Last() == b.Last() && bytes.Equal(a.Value(), b.Value())
}
