package check

import "testing"

func fileItem(e Event) Item { return Item{Kind: File, Event: e} }
func end(rev int64) Item    { return Item{Kind: FilesEnd, Rev: rev} }
func some(s ...Item) []Item { return s }

func TestRecorded(t *testing.T) {
	l := ledger(t, book)
	first := Item{Event: book[2], More: true}
	resync := Item{Kind: Resync}
	at := func(i int) Item { return change(book[i]) }
	for name, c := range map[string]struct {
		r    Recording
		want string
	}{
		"nothing":              {Recording{Glob: "/h/*", From: 3}, ""},
		"from":                 {Recording{Glob: "/h/*", From: 3, Items: some(mark(2), first, at(3), mark(3), at(4))}, ""},
		"from the future":      {Recording{Glob: "/h/*", From: 30, Items: some(mark(29))}, ""},
		"from the present":     {Recording{Glob: "/h/*", Items: some(mark(4), at(5), mark(5))}, ""},
		"snapshot":             {Recording{Glob: "/h/*", Snapshot: true, Items: some(mark(3), fileItem(book[2]), fileItem(book[1]), fileItem(book[3]), end(3), at(4))}, ""},
		"snapshot cut off":     {Recording{Glob: "/h/*", Snapshot: true, Items: some(mark(3), fileItem(book[2]), fileItem(book[1]))}, ""},
		"resync":               {Recording{Glob: "/h/a", From: 1, Items: some(mark(0), at(0), resync, fileItem(book[2]), end(4), mark(5))}, ""},
		"resync in a snapshot": {Recording{Glob: "/h/a", Snapshot: true, Items: some(mark(1), fileItem(book[0]), resync, fileItem(book[2]), end(5))}, ""},
		"too late":             {Recording{Glob: "/h/a", From: 1, Items: some(mark(0)), TooLate: 3}, ""},

		"canary: no mark first":           {Recording{Glob: "/h/a", From: 1, Items: some(at(0))}, "bookmarked: the first"},
		"canary: begins later":            {Recording{Glob: "/h/*", From: 2, Items: some(mark(3), at(4))}, "resumable: a watch from 2 begins after 3"},
		"canary: skips one":               {Recording{Glob: "/h/*", From: 2, Items: some(mark(1), at(1), at(4), mark(4))}, "reliable: rev 3"},
		"canary: skips one, then a mark":  {Recording{Glob: "/h/*", From: 5, Items: some(mark(4), mark(5))}, "reliable: rev 5"},
		"canary: twice":                   {Recording{Glob: "/h/*", From: 4, Items: some(mark(3), at(4), at(4))}, "unique: rev 4"},
		"canary: splits a rev":            {Recording{Glob: "/h/*", From: 3, Items: some(mark(2), at(2))}, "atomic: rev 3"},
		"canary: before the future":       {Recording{Glob: "/h/*", From: 6, Items: some(mark(5), at(5))}, "filtered: rev 5"},
		"canary: snapshot lacks one":      {Recording{Glob: "/h/*", Snapshot: true, Items: some(mark(3), fileItem(book[2]), fileItem(book[3]), end(3))}, "the snapshot at rev 3 lacks rev 2"},
		"canary: snapshot has an old one": {Recording{Glob: "/h/a", Snapshot: true, Items: some(mark(3), fileItem(book[0]), end(3))}, "the snapshot at rev 3 has rev 1"},
		"canary: snapshot out of order":   {Recording{Glob: "/h/*", Snapshot: true, Items: some(mark(3), fileItem(book[3]), fileItem(book[2]), fileItem(book[1]), end(3))}, "ordered: the snapshot has"},
		"canary: gap after the snapshot":  {Recording{Glob: "/h/*", Snapshot: true, Items: some(mark(1), fileItem(book[0]), end(1), first, at(3))}, "reliable: rev 2"},
		"canary: back after a resync":     {Recording{Glob: "/h/a", From: 1, Items: some(mark(0), at(0), first, mark(4), resync, fileItem(book[2]), end(3))}, "ordered: a snapshot of rev 3 after rev 4"},
		"canary: change in a snapshot":    {Recording{Glob: "/h/a", Snapshot: true, Items: some(mark(1), fileItem(book[0]), first)}, "atomic: a snapshot was interrupted"},
		"canary: not too late":            {Recording{Glob: "/h/a", From: 4, Items: some(mark(3)), TooLate: 3}, "resumable: from 4 was too late"},
		"canary: window too short":        {Recording{Glob: "/h/a", From: 1, Items: some(mark(0)), TooLate: 5}, "resumable: from 1 was too late"},
	} {
		t.Run(name, func(t *testing.T) { must(t, Recorded(c.r, l, 3), c.want) })
	}
}

func TestMirror(t *testing.T) {
	l := ledger(t, book)
	at := func(i int) Item { return change(book[i]) }
	gone := change(Event{Path: "/h/b", Rev: 4, Del: true}) // as a resync tells it
	for name, c := range map[string]struct {
		items []Item
		want  string
	}{
		"good":                        {some(at(0), mark(1), at(1), at(2), at(3), mark(3), at(4), mark(4)), ""},
		"a resync leaves changes out": {some(at(0), at(1), mark(2), at(2), at(3), gone, mark(4), at(5), mark(5)), ""},
		"canary: a change left out":   {some(at(0), at(1), mark(2), at(2), mark(3)), "the copy at mark 3 lacks rev 3"},
		"canary: a deletion left out": {some(at(0), at(1), mark(2), at(2), at(3), mark(4)), "the copy at mark 4 has rev 2"},
		"canary: a mark too early":    {some(at(0), mark(2), at(1)), "the copy at mark 2 lacks rev 2"},
		"canary: marks go back":       {some(at(0), mark(1), at(1), mark(2), mark(1)), "mark 1 after mark 2"},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, Mirror(Recording{Glob: "/h/*", Snapshot: true, Items: c.items}, l), c.want)
		})
	}
}

// TestLinearizableOfEverything has what the plain register of TestLinearizable
// has not: deletions, transactions and lists.
func TestLinearizableOfEverything(t *testing.T) {
	const illegal = "not linearizable: /a"
	del := func(cond, rev int64, out Outcome, call, ret int) Op {
		return did(Op{Kind: Del, Path: "/a", If: cond, Rev: rev, Outcome: out}, call, ret)
	}
	txn := func(rev int64, out Outcome, call, ret int, parts ...Part) Op {
		return did(Op{Kind: Txn, Rev: rev, Outcome: out, Parts: parts}, call, ret)
	}
	list := func(call, ret int, files ...Event) Op {
		return did(Op{Kind: List, Path: "/*", Files: files}, call, ret)
	}
	x := write("/a", "x", 1, OK, 0, 1)
	set2 := Part{Path: "/a", Set: true, Value: "y"}
	for name, c := range map[string]struct {
		ops  []Op
		want string
	}{
		"deleted":                         {[]Op{x, del(0, 2, OK, 2, 3), read("", 0, 4, 5), write("/a", "z", 3, OK, 6, 7)}, ""},
		"deletion unknown, not done":      {[]Op{x, del(0, 0, Unknown, 2, 3), read("x", 1, 4, 5)}, ""},
		"deletion unknown, done":          {[]Op{x, del(0, 0, Unknown, 2, 3), read("x", 1, 4, 5), read("", 0, 6, 7)}, ""},
		"deletion refused":                {[]Op{del(0, 0, Mismatch, 0, 1), x, del(0, 2, OK, 2, 3)}, ""},
		"transaction":                     {[]Op{x, txn(2, OK, 2, 3, set2, Part{Path: "/b", Set: true, Value: "b"}), list(4, 5, set("/a", "y", 2), set("/b", "b", 2))}, ""},
		"transaction refused":             {[]Op{x, did(Op{Kind: Txn, Rev: 1, Outcome: Mismatch, Index: 1, Parts: []Part{{Path: "/b", Missing: true}, {Path: "/a", Missing: true}}}, 2, 3)}, ""},
		"canary: deletion not seen":       {[]Op{x, del(0, 2, OK, 2, 3), read("x", 1, 4, 5)}, illegal},
		"canary: deleted nothing":         {[]Op{del(0, 2, OK, 0, 1)}, illegal},
		"canary: deleted another":         {[]Op{x, write("/a", "y", 2, OK, 2, 3), del(1, 3, OK, 4, 5)}, illegal},
		"canary: rev back after deletion": {[]Op{x, del(0, 5, OK, 2, 3), write("/a", "z", 4, OK, 4, 5)}, illegal},
		"canary: half a transaction":      {[]Op{x, txn(2, OK, 2, 3, set2, Part{Path: "/b", Set: true, Value: "b"}), list(4, 5, set("/a", "x", 1), set("/b", "b", 2))}, illegal},
		"canary: condition had failed":    {[]Op{x, txn(2, OK, 2, 3, Part{Path: "/a", Missing: true, Set: true, Value: "y"})}, illegal},
		"canary: list lacks a file":       {[]Op{x, list(2, 3)}, illegal},
	} {
		t.Run(name, func(t *testing.T) { must(t, Linearizable(c.ops, 10e9), c.want) })
	}
}
