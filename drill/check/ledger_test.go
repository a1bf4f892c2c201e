package check

import (
	"testing"
)

func by(id string, e Event) Event { e.ID = id; return e }

// book is a log with a transaction at rev 3, a deletion at 4 and a file made
// anew at 5.
var book = []Event{
	by("1", set("/h/a", "a1", 1)),
	by("2", set("/h/b", "b2", 2)),
	by("3", set("/h/a", "a3", 3)),
	by("3", set("/h/c", "c3", 3)),
	by("4", Event{Path: "/h/b", Rev: 4, Del: true}),
	by("5", set("/h/b", "b5", 5)),
}

func ledger(t *testing.T, log []Event) *Ledger {
	t.Helper()
	l, err := NewLedger(log)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMerge(t *testing.T) {
	other := append([]Event{}, book...)
	other[4] = by("9", set("/h/b", "b9", 4))
	for name, c := range map[string]struct {
		stretches []Stretch
		holes     int
		want      string
	}{
		"one":                       {[]Stretch{{"x", book}}, 0, ""},
		"two that overlap":          {[]Stretch{{"x", book[:4]}, {"y", book[1:]}}, 0, ""},
		"nobody saw rev 2":          {[]Stretch{{"x", book[:1]}, {"y", book[2:]}}, 1, ""},
		"canary: a rev left out":    {[]Stretch{{"x", append(book[:1:1], book[2:]...)}, {"y", book}}, 0, "rev 3 right after 1"},
		"canary: two histories":     {[]Stretch{{"x", book}, {"y", other}}, 0, "two histories: rev 4"},
		"canary: half of a rev":     {[]Stretch{{"x", book}, {"y", append(book[:3:3], book[4:]...)}}, 0, "two histories: rev 3"},
		"canary: a rev goes back":   {[]Stretch{{"x", append(book[:5:5], book[1])}}, 0, "rev 2 right after 4"},
		"canary: a rev given twice": {[]Stretch{{"x", append(book[:5:5], book[4])}}, 0, "rev 4 changes /h/b twice"},
	} {
		t.Run(name, func(t *testing.T) {
			log, holes, err := Merge(c.stretches, "/s/*", nil, 0)
			must(t, err, c.want)
			if len(holes) != c.holes {
				t.Errorf("holes %v", holes)
			}
			if c.want == "" && c.holes == 0 && len(log.Log()) != len(book) {
				t.Errorf("%d of %d changes", len(log.Log()), len(book))
			}
		})
	}
}

func TestLedgerAt(t *testing.T) {
	l := ledger(t, book)
	for _, c := range []struct {
		path           string
		rev, is, after int64
	}{
		{"/h/a", 0, 0, 1}, {"/h/a", 1, 1, 3}, {"/h/a", 2, 1, 3}, {"/h/a", 9, 3, 0},
		{"/h/b", 1, 0, 2}, {"/h/b", 3, 2, 4}, {"/h/b", 4, 0, 5}, {"/h/b", 5, 5, 0}, {"/h/x", 5, 0, 0},
	} {
		e, next, ok := l.At(c.path, c.rev)
		if e.Rev != c.is || next != c.after || ok != (c.is != 0) {
			t.Errorf("%s at %d: rev %d, next %d, %v; want %d, %d", c.path, c.rev, e.Rev, next, ok, c.is, c.after)
		}
	}
	must(t, l.SameFiles("it", "/h/*", 3, []Event{book[2], book[1], book[3]}), "")
	must(t, l.SameFiles("it", "/h/*", 3, []Event{book[2], book[3]}), "it at rev 3 lacks rev 2")
	must(t, l.SameFiles("it", "/h/*", 3, []Event{book[2], book[1], book[3], book[3]}), "it has /h/c twice")
	must(t, l.SameWindow("it", book[2:], 5), "")
	must(t, l.SameWindow("it", book[2:5], 5), `it has no rev 5`)
	must(t, l.SameWindow("it", append(book[2:5:5], by("x", book[5])), 5), "it has rev 5")
}

// did is an operation that lasted from call to ret.
func did(o Op, call, ret int) Op {
	w := write(o.Path, o.Value, o.Rev, o.Outcome, call, ret)
	o.Call, o.Return = w.Call, w.Return
	return o
}

func get(path string, rev int64, call, ret int) Op {
	return did(Op{Client: 9, Kind: Read, Path: path, Rev: rev}, call, ret)
}

func TestSerial(t *testing.T) {
	l := ledger(t, book)
	w := func(id, path string, rev int64, out Outcome, call, ret int) Op {
		return did(Op{Kind: Write, ID: id, Path: path, Rev: rev, Outcome: out}, call, ret)
	}
	list := func(call, ret int, files ...Event) Op {
		return did(Op{Kind: List, Path: "/h/*", Files: files}, call, ret)
	}
	txn := func(rev int64, index int, call, ret int, parts ...Part) Op {
		return did(Op{Kind: Txn, Outcome: Mismatch, Rev: rev, Index: index, Parts: parts}, call, ret)
	}
	const stale = "stale or impossible"
	for name, c := range map[string]struct {
		ops  []Op
		want string
	}{
		"good":                                  {[]Op{w("1", "/h/a", 1, OK, 0, 1), get("/h/a", 1, 2, 3), w("2", "/h/b", 2, OK, 2, 9), get("/h/a", 3, 10, 11)}, ""},
		"concurrent with its write":             {[]Op{w("2", "/h/b", 2, OK, 0, 9), get("/h/b", 2, 1, 2), get("/h/b", 0, 0, 1)}, ""},
		"missing again after the deletion":      {[]Op{get("/h/b", 2, 0, 1), get("/h/b", 0, 2, 3), get("/h/b", 5, 4, 5)}, ""},
		"unknown write, seen late":              {[]Op{w("5", "/h/b", 0, Unknown, 0, 1), get("/h/a", 3, 2, 3), get("/h/b", 2, 4, 5), get("/h/b", 5, 6, 7)}, ""},
		"unknown write, never seen":             {[]Op{w("77", "/h/b", 0, Unknown, 0, 1), get("/h/b", 2, 4, 5)}, ""},
		"list of one rev":                       {[]Op{get("/h/b", 0, 0, 1), list(2, 3, book[2], book[3]), list(4, 5, book[2], book[5], book[3])}, ""},
		"transaction refused":                   {[]Op{txn(3, 1, 0, 1, Part{Path: "/h/b", If: 2}, Part{Path: "/h/a", If: 1})}, ""},
		"canary: stale read":                    {[]Op{w("5", "/h/b", 5, OK, 0, 1), get("/h/b", 2, 2, 3)}, stale},
		"canary: stale read of another path":    {[]Op{get("/h/c", 3, 0, 1), get("/h/a", 1, 2, 3)}, stale},
		"canary: stale list":                    {[]Op{get("/h/b", 5, 0, 1), list(2, 3, book[2], book[3])}, stale},
		"canary: list of no rev":                {[]Op{list(2, 3, book[0], book[3])}, "impossible"},
		"canary: write before its call":         {[]Op{get("/h/b", 5, 0, 1), w("2", "/h/b", 2, OK, 2, 3)}, stale},
		"canary: unknown write before its call": {[]Op{get("/h/b", 5, 0, 1), w("2", "/h/b", 0, Unknown, 2, 3)}, "before its call"},
		"canary: revs against time":             {[]Op{w("4", "/h/b", 4, OK, 0, 1), w("3", "/h/a", 3, OK, 2, 3)}, stale},
		"canary: refused by an old state":       {[]Op{get("/h/b", 5, 0, 1), did(Op{Kind: CAS, Path: "/h/b", If: 1, Rev: 2, Outcome: Mismatch}, 2, 3)}, stale},
		"canary: refused by a state that never was": {[]Op{
			txn(3, 1, 0, 1, Part{Path: "/h/c", Missing: true}, Part{Path: "/h/a", If: 1})}, "impossible"},
	} {
		t.Run(name, func(t *testing.T) { must(t, Serial(c.ops, l), c.want) })
	}
}

func TestApplied(t *testing.T) {
	move := Op{Kind: Txn, ID: "3", Rev: 3, Parts: []Part{{Path: "/h/a", If: 1, Set: true, Value: "a3"}, {Path: "/h/c", Missing: true, Set: true, Value: "c3"}}}
	good := []Op{
		{Kind: Write, ID: "1", Path: "/h/a", Value: "a1", Rev: 1},
		{Kind: CAS, ID: "2", Path: "/h/b", Value: "b2", Rev: 2},
		move,
		{Kind: Del, ID: "4", Path: "/h/b", Outcome: Unknown},
		{Kind: Write, ID: "5", Path: "/h/b", Value: "b5", Rev: 5},
		{Kind: Write, ID: "6", Path: "/h/b", Value: "b6", Outcome: Unknown},
		{Kind: Write, ID: "7", Path: "/h/b", Value: "b7", Outcome: Failed},
	}
	with := func(i int, fn func(o *Op)) []Op {
		ops := append([]Op{}, good...)
		ops[i].Parts = append([]Part{}, ops[i].Parts...)
		fn(&ops[i])
		return ops
	}
	for name, c := range map[string]struct {
		ops  []Op
		log  []Event
		want string
	}{
		"good":                         {good, book, ""},
		"canary: lost":                 {append(good, Op{Kind: Del, ID: "8", Path: "/h/a", Rev: 6}), book, "lost"},
		"canary: twice":                {good, append(book, by("5", set("/h/b", "b5", 6))), "applied twice"},
		"canary: deleted twice":        {good, append(book, by("4", Event{Path: "/h/b", Rev: 6, Del: true})), "applied twice"},
		"canary: other rev":            {with(0, func(o *Op) { o.Rev = 2 }), book, "applied at another rev"},
		"canary: refused but applied":  {with(4, func(o *Op) { o.Outcome = Failed }), book, "refused but applied"},
		"canary: mismatched, applied":  {with(1, func(o *Op) { o.Outcome = Mismatch }), book, "refused but applied"},
		"canary: other value":          {with(0, func(o *Op) { o.Value = "x" }), book, "not as a whole"},
		"canary: half a transaction":   {with(2, func(o *Op) { o.Parts = append(o.Parts, Part{Path: "/h/d", Set: true, Value: "d"}) }), book, "not as a whole"},
		"canary: more than was asked":  {with(2, func(o *Op) { o.Parts = o.Parts[:1] }), book, "not as a whole"},
		"canary: condition had failed": {with(2, func(o *Op) { o.Parts[0].Missing = true }), book, "its condition did not hold"},
		"canary: create of what was":   {with(4, func(o *Op) { o.Kind, o.If = CAS, 2 }), book, "its condition did not hold"},
		"canary: from nowhere":         {good[:4], book, "nobody wrote rev 5"},
	} {
		t.Run(name, func(t *testing.T) { must(t, Applied(c.ops, ledger(t, c.log), "/h"), c.want) })
	}
}

func TestAnswers(t *testing.T) {
	l := ledger(t, book)
	for name, c := range map[string]struct {
		op   Op
		want string
	}{
		"local":                      {Op{Kind: Local, Path: "/h/a", Value: "a1", Rev: 1}, ""},
		"missing":                    {Op{Kind: Local, Path: "/h/zz"}, ""},
		"past":                       {Op{Kind: List, Path: "/h/*", At: 4, Files: []Event{book[2], book[3]}}, ""},
		"too late":                   {Op{Kind: List, Path: "/h/*", At: 2, Rev: 3, Outcome: TooLate}, ""},
		"mismatch":                   {Op{Kind: CAS, Path: "/h/a", If: 1, Rev: 3, Outcome: Mismatch}, ""},
		"canary: uncommitted":        {Op{Kind: Local, Path: "/h/a", Value: "a2", Rev: 2}, "nobody wrote what was read"},
		"canary: other value":        {Op{Kind: Read, Path: "/h/a", Value: "a2", Rev: 1}, "nobody wrote what was read"},
		"canary: past lacks one":     {Op{Kind: List, Path: "/h/*", At: 3, Files: []Event{book[2], book[3]}}, "a list at rev 3 lacks rev 2"},
		"canary: past from later":    {Op{Kind: List, Path: "/h/*", At: 1, Files: []Event{book[2]}}, "a list at rev 1"},
		"canary: list out of order":  {Op{Kind: List, Path: "/h/*", At: 4, Files: []Event{book[3], book[2]}}, "not in order"},
		"canary: not too late":       {Op{Kind: List, Path: "/h/*", At: 3, Rev: 3, Outcome: TooLate}, "not too late"},
		"canary: window too short":   {Op{Kind: List, Path: "/h/*", At: 3, Rev: 4, Outcome: TooLate}, "not too late"},
		"canary: condition held":     {Op{Kind: CAS, Path: "/h/a", If: 3, Rev: 3, Outcome: Mismatch}, "refused though"},
		"canary: there was none":     {Op{Kind: CAS, Path: "/h/a", Rev: 0, Outcome: Mismatch}, "refused though"},
		"canary: could be deleted":   {Op{Kind: Del, Path: "/h/a", Rev: 3, Outcome: Mismatch}, "refused though"},
		"canary: transaction's held": {Op{Kind: Txn, Rev: 3, Outcome: Mismatch, Parts: []Part{{Path: "/h/a", If: 3}}}, "refused though"},
	} {
		t.Run(name, func(t *testing.T) { must(t, Answers([]Op{c.op}, l, 3), c.want) })
	}
}

// TestTwins asks the two judges of linearizability, which share no code but the
// history's, about the same random histories of one path, good and bad: whatever
// porcupine refuses, the log's order refuses too.
func TestTwins(t *testing.T) {
	refused := 0
	for seed := range int64(40) {
		ops := history(seed, seed%2 == 1)
		var log []Event
		for i := range ops {
			o := &ops[i]
			o.ID = o.Value
			if o.Writes() && (o.Outcome == OK || o.Outcome == Unknown) {
				log = append(log, Event{Path: "/a", Value: o.Value, ID: o.ID, Rev: int64(len(log) + 1)})
			}
		}
		one, two := Linearizable(ops, 0x7fffffffff) != nil, Serial(ops, ledger(t, log)) != nil
		if one && !two {
			t.Errorf("seed %d: porcupine refuses it, the log's order does not", seed)
		}
		if seed%2 == 0 && two {
			t.Errorf("seed %d: a good history was refused: %v", seed, Serial(ops, ledger(t, log)))
		}
		if one {
			refused++
		}
	}
	if refused < 15 {
		t.Errorf("only %d of 20 bad histories were refused", refused)
	}
}
