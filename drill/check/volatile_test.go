package check

import "testing"

// beats is a log in which a session is made at rev 1, written alone at 2, 3, 5
// and 7, with another file at 6, deleted at 8 and made anew at 9. The revs 2, 3,
// 5 and 7 may be gone.
var beats = []Event{
	set("/s/a", "1", 1),
	set("/s/a", "2", 2),
	set("/s/a", "3", 3),
	set("/h/a", "4", 4),
	set("/s/a", "5", 5),
	set("/s/a", "6", 6),
	set("/h/a", "6h", 6),
	set("/s/a", "7", 7),
	{Path: "/s/a", Rev: 8, Del: true},
	set("/s/a", "9", 9),
}

func beaten(t *testing.T) *Ledger {
	l := ledger(t, beats)
	l.Volatile("/s/*")
	return l
}

func TestVolatile(t *testing.T) {
	l := beaten(t)
	for rev, want := range []bool{1: false, 2: true, 3: true, 4: false, 5: true, 6: false, 7: true, 8: false, 9: false} {
		if l.gone[int64(rev)] != want {
			t.Errorf("rev %d may be gone: %v", rev, !want)
		}
	}
	for history, want := range []int64{1: 9, 2: 8, 3: 6, 4: 4, 5: 1, 6: 1} {
		if got := l.lastOldest(int64(history)); history > 0 && got != want {
			t.Errorf("a window of %d begins at %d at the latest, not at %d", history, want, got)
		}
	}
}

// pick is some of beats, by their revs.
func pick(revs ...int64) (some []Event) {
	for _, e := range beats {
		for _, rev := range revs {
			if e.Rev == rev {
				some = append(some, e)
			}
		}
	}
	return some
}

func TestMergeVolatile(t *testing.T) {
	for name, c := range map[string]struct {
		stretches []Stretch
		written   []Event
		unsure    int
		holes     int
		want      string
	}{
		"rewrites left out":              {[]Stretch{{"x", pick(1, 3, 4, 6, 8, 9)}, {"y", beats}}, nil, 0, 0, ""},
		"known by who wrote it":          {[]Stretch{{"x", pick(1, 3, 4, 5, 6, 8, 9)}}, pick(2, 7), 0, 0, ""},
		"known by nobody":                {[]Stretch{{"x", pick(1, 3, 4, 5, 6, 7, 8, 9)}}, nil, 1, 1, ""},
		"canary: nobody can have made 2": {[]Stretch{{"x", pick(1, 3, 4, 5, 6, 7, 8, 9)}}, nil, 0, 1, "rev 3 right after 1"},
		"canary: not a session":          {[]Stretch{{"x", pick(1, 2, 3, 5)}, {"y", beats}}, nil, 9, 0, "rev 5 right after 3"},
		"canary: with another file":      {[]Stretch{{"x", pick(4, 5, 7)}, {"y", beats}}, nil, 9, 0, "rev 7 right after 5"},
		"canary: a deletion":             {[]Stretch{{"x", pick(7, 9)}, {"y", beats}}, nil, 9, 0, "rev 9 right after 7"},
		"canary: another was written":    {[]Stretch{{"x", beats}, {"y", append(pick(1), set("/s/a", "x", 2))}}, nil, 0, 0, "two histories"},
	} {
		t.Run(name, func(t *testing.T) {
			_, holes, err := Merge(c.stretches, "/s/*", c.written, c.unsure)
			must(t, err, c.want)
			if len(holes) != c.holes {
				t.Errorf("holes %v", holes)
			}
		})
	}
}

func TestRecordedVolatile(t *testing.T) {
	l := beaten(t)
	items := func(events []Event, rest ...Item) []Item {
		all := some(mark(0))
		for i, e := range events {
			all = append(all, Item{Event: e, More: i+1 < len(events) && events[i+1].Rev == e.Rev})
		}
		return append(all, rest...)
	}
	for name, c := range map[string]struct {
		glob  string
		items []Item
		want  string
	}{
		"all":                           {"/**", items(beats, mark(9)), ""},
		"none that may be gone":         {"/**", items(pick(1, 4, 6, 8, 9), mark(9)), ""},
		"some":                          {"/**", items(pick(1, 3, 4, 6, 7, 8, 9), mark(9)), ""},
		"up to a rewrite":               {"/**", items(pick(1, 3, 4), mark(5)), ""},
		"a snapshot of a rewrite":       {"/s/*", append(items(pick(1)), Item{Kind: Resync}, fileItem(beats[0]), end(3)), ""},
		"canary: late":                  {"/**", items(append(pick(1, 3, 4), beats[1])), "ordered"},
		"canary: no beginning":          {"/**", items(pick(2, 3, 4, 6, 8, 9), mark(9)), "reliable: rev 1"},
		"canary: no deletion":           {"/**", items(pick(1, 4, 6, 9), mark(9)), "reliable: rev 8"},
		"canary: half of 6":             {"/**", items(append(pick(1, 4), beats[5])), "atomic: rev 6"},
		"canary: not the newest":        {"/**", items(pick(1, 4, 6, 8), mark(9)), "bookmarked: mark 9"},
		"canary: a snapshot of another": {"/s/*", append(items(pick(1)), Item{Kind: Resync}, fileItem(beats[1]), end(7)), "the snapshot at rev 7"},
	} {
		t.Run(name, func(t *testing.T) { must(t, Recorded(Recording{Glob: c.glob, From: 1, Items: c.items}, l, 9), c.want) })
	}
	must(t, Mirror(Recording{Glob: "/**", Items: items(pick(1, 4, 6), mark(7), change(beats[8]), mark(8))}, l), "")
	must(t, Mirror(Recording{Glob: "/**", Items: items(pick(1, 4), mark(6))}, l), "the copy at mark 6 has rev 1")
}

func TestWindowVolatile(t *testing.T) {
	l := beaten(t)
	must(t, l.SameWindow("it", beats, 9), "")
	must(t, l.SameWindow("it", pick(1, 4, 6, 8, 9), 9), "")
	must(t, l.SameWindow("it", pick(1, 4, 8, 9), 9), "it has rev 8")
	must(t, l.SameWindow("it", append(pick(1), set("/s/a", "x", 3)), 3), "it has rev 3")
	must(t, l.SameFiles("it", "/s/*", 5, pick(1)), "")
	must(t, l.SameFiles("it", "/s/*", 5, pick(3)), "")
	must(t, l.SameFiles("it", "/s/*", 7, pick(3)), "it at rev 7 has rev 3")
	must(t, l.SameFiles("it", "/s/*", 5, nil), "it at rev 5 lacks rev 5")
	must(t, l.SameFiles("it", "/s/*", 2, pick(3)), "it at rev 2 has rev 3")
	must(t, l.SameFiles("it", "/s/*", 9, pick(7)), "it at rev 9 has rev 7")
	must(t, Answers([]Op{{Kind: List, Path: "/s/*", At: 7, Files: []Event{beats[5]}}}, l, 9), "")
	must(t, Answers([]Op{{Kind: List, Path: "/s/*", At: 1, Rev: 4, Outcome: TooLate}}, l, 4), "")
	must(t, Answers([]Op{{Kind: List, Path: "/s/*", At: 1, Rev: 5, Outcome: TooLate}}, l, 4), "not too late")
}
