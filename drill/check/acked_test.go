package check

import (
	"strings"
	"testing"
	"time"
)

// must fails unless err is nil (want "") or contains want.
func must(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("a good history was refused:\n%v", err)
	case want != "" && err == nil:
		t.Errorf("a bad history passed; want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("refused for the wrong reason:\n%v\nwant %q", err, want)
	}
}

func set(path, value string, rev int64) Event { return Event{Path: path, Value: value, Rev: rev} }

func write(path, value string, rev int64, out Outcome, call, ret int) Op {
	return Op{Kind: Write, Path: path, Value: value, Rev: rev, Outcome: out,
		Call: time.Duration(call), Return: time.Duration(ret)}
}

func TestAcked(t *testing.T) {
	ops := []Op{
		write("/a", "a1", 1, OK, 0, 1),
		write("/b", "b1", 2, OK, 2, 3),
		write("/a", "a2", 0, Unknown, 4, 9),
		write("/b", "b2", 0, Failed, 4, 5),
		{Kind: CAS, Path: "/b", Value: "b3", If: 1, Rev: 2, Outcome: Mismatch},
		{Kind: Read, Path: "/b", Value: "b1", Rev: 2},
	}
	log := []Event{set("/a", "a1", 1), set("/b", "b1", 2), set("/a", "a2", 3)}
	tree := Tree(log, maxRev)
	with := func(i int, e Event) []Event {
		l := append([]Event{}, log...)
		l[i] = e
		return l
	}
	for name, c := range map[string]struct {
		log  []Event
		tree map[string]Event
		want string
	}{
		"good":                           {log, tree, ""},
		"unknown one not applied":        {log[:2], Tree(log, 2), ""},
		"canary: lost":                   {log[1:], Tree(log[1:], maxRev), `lost: caller 0 set /a "a1"`},
		"canary: twice":                  {append(log, set("/a", "a1", 4)), tree, "applied twice"},
		"canary: other rev":              {with(1, set("/b", "b1", 3)), tree, "applied as another"},
		"canary: other path":             {with(1, set("/c", "b1", 2)), tree, "applied as another"},
		"canary: failed but applied":     {append(log, set("/b", "b2", 4)), tree, "refused but applied"},
		"canary: mismatched but applied": {append(log, set("/b", "b3", 4)), tree, "refused but applied"},
		"canary: from nowhere":           {append(log, set("/b", "zz", 4)), tree, "nobody wrote"},
		"canary: log goes back":          {[]Event{log[1], log[0], log[2]}, tree, "log goes back"},
		"canary: tree lacks a file":      {log, map[string]Event{"/a": log[2]}, "the tree lacks rev 2"},
		"canary: tree is old":            {log, map[string]Event{"/a": log[0], "/b": log[1]}, "the tree has rev 1"},
		"canary: tree has a ghost":       {log[:2], tree, "the tree has rev 3"},
	} {
		t.Run(name, func(t *testing.T) { must(t, Acked(ops, c.log, c.tree), c.want) })
	}
}

func TestTreeReplaysDeletes(t *testing.T) {
	log := []Event{set("/a", "1", 1), {Path: "/a", Rev: 2, Del: true}, set("/b", "2", 3)}
	if got := Tree(log, 1); len(got) != 1 || got["/a"].Rev != 1 {
		t.Errorf("at 1: %v", got)
	}
	if got := Tree(log, 3); len(got) != 1 || got["/b"].Rev != 3 {
		t.Errorf("at 3: %v", got)
	}
}

func TestRevs(t *testing.T) {
	for name, c := range map[string]struct {
		ops  []Op
		want string
	}{
		"good": {[]Op{write("/a", "1", 1, OK, 0, 2), write("/a", "2", 2, OK, 3, 4)}, ""},
		"concurrent writes in either order": {
			[]Op{write("/a", "1", 2, OK, 0, 5), write("/a", "2", 1, OK, 1, 4)}, ""},
		"unknown ones have no rev": {
			[]Op{write("/a", "1", 5, OK, 0, 1), write("/a", "2", 0, Unknown, 2, 3)}, ""},
		"canary: back": {
			[]Op{write("/a", "1", 7, OK, 0, 2), write("/b", "2", 6, OK, 3, 4)}, "rev goes back"},
		"canary: back behind a later write": {
			[]Op{write("/a", "1", 7, OK, 0, 2), write("/b", "2", 8, OK, 1, 9), write("/c", "3", 6, OK, 3, 4)}, "rev goes back"},
		"canary: shared": {
			[]Op{write("/a", "1", 7, OK, 0, 2), write("/b", "2", 7, OK, 1, 4)}, "one rev twice"},
		"canary: none": {[]Op{write("/a", "1", 0, OK, 0, 2)}, "no rev"},
	} {
		t.Run(name, func(t *testing.T) { must(t, Revs(c.ops), c.want) })
	}
}

func TestCounters(t *testing.T) {
	v := func(path string, n, rev int64) Event { return set(path, CounterValue(n, string(rune('a'+rev))), rev) }
	log := []Event{v("/c/x", 1, 1), v("/c/y", 1, 2), v("/c/x", 2, 3), set("/other", "z", 4)}
	sum, err := Counters("/c/", log)
	must(t, err, "")
	if sum != 3 {
		t.Errorf("sum %d, want 3", sum)
	}
	_, err = Counters("/c/", append(log, v("/c/x", 4, 5)))
	must(t, err, "counter at 2 followed by rev 5")
	_, err = Counters("/c/", append(log, v("/c/x", 2, 5)))
	must(t, err, "counter at 2 followed by rev 5")
	_, err = Counters("/c/", append(log, Event{Path: "/c/x", Del: true, Rev: 5}))
	must(t, err, "counter at 2 followed by rev 5 del")
}

func TestMaxGap(t *testing.T) {
	var ops []Op
	for _, at := range []int{10, 20, 30, 90, 100, 300} {
		ops = append(ops, write("/a", "v", 1, OK, 0, at))
	}
	ops = append(ops, write("/a", "v", 0, Unknown, 0, 50), Op{Kind: Read, Return: 60})
	for _, c := range []struct{ from, to, want int }{
		{0, 35, 10},
		{25, 95, 60},
		{25, 80, 50},
		{95, 299, 199},
		{400, 500, 100},
	} {
		if got := MaxGap(ops, time.Duration(c.from), time.Duration(c.to)); got != time.Duration(c.want) {
			t.Errorf("from %d to %d: %d, want %d", c.from, c.to, got, c.want)
		}
	}
}

func TestProblemsAreFewEnoughToRead(t *testing.T) {
	var p Problems
	for range 50 {
		p.addf("a problem")
	}
	if got := strings.Count(p.Error(), "\n"); got != maxProblems {
		t.Errorf("%d lines", got+1)
	}
	if !strings.Contains(p.Error(), "and 40 more") {
		t.Error(p.Error())
	}
}

func TestWhole(t *testing.T) {
	must(t, Whole(watched), "")
	must(t, Whole(watched[1:]), "rev 0 is followed by rev 2")
	must(t, Whole(append(watched[:1:1], watched[2:]...)), "rev 1 is followed by rev 3")
}
