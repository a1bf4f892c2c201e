package check

import (
	"slices"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		glob, path string
		want       bool
	}{
		{"/a", "/a", true},
		{"/a", "/ab", false},
		{"/a**", "/a/b", true},
		{"/a**", "/ab", true},
		{"/a*", "/a/b", false},
		{"/*/b", "/a/b", true},
		{"/**/a", "/x/y/a", true},
		{"/**/a", "/a", false},
		{"/?", "/é", true},
		{"/?", "/ab", false},
		{"/a.c", "/abc", false},
		{"/**", "/ctl/cluster/id", true},
	} {
		if got := Match(c.glob, c.path); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.glob, c.path, got)
		}
	}
}

// watched is a log with a transaction at rev 3 and something to filter out.
var watched = []Event{
	set("/w/a", "1", 1),
	set("/x", "2", 2),
	set("/w/a", "3", 3),
	set("/w/b", "3b", 3),
	{Path: "/w/a", Rev: 4, Del: true},
	set("/w/c", "5", 5),
}

func change(e Event) Item        { return Item{Kind: Change, Event: e} }
func mark(rev int64) Item        { return Item{Kind: Mark, Rev: rev} }
func del(s []Item, i int) []Item { return slices.Delete(slices.Clone(s), i, i+1) }
func swap(s []Item, i, j int) []Item {
	s = slices.Clone(s)
	s[i], s[j] = s[j], s[i]
	return s
}
func put(s []Item, i int, it Item) []Item { return slices.Insert(slices.Clone(s), i, it) }

func TestWatch(t *testing.T) {
	first := change(watched[2])
	first.More = true
	good := []Item{
		change(watched[0]), mark(2), first, change(watched[3]), mark(3), change(watched[4]), change(watched[5]), mark(5),
	}
	changed := watched[4]
	changed.Del, changed.Value = false, "?"
	for name, c := range map[string]struct {
		from, to int64
		items    []Item
		want     string
	}{
		"good":                        {1, 5, good, ""},
		"good, resumed":               {4, 5, good[5:], ""},
		"good, ends before the log":   {1, 4, good[:6], ""},
		"canary: skips one":           {1, 5, del(good, 5), "reliable: rev 4"},
		"canary: skips the last":      {1, 5, good[:6], "reliable: rev 5"},
		"canary: skips the first":     {1, 5, good[2:], "reliable: rev 1"},
		"canary: splits a rev":        {1, 5, del(good, 2), "atomic: rev 3 set /w/a"},
		"canary: ends inside a rev":   {1, 2, good[:3], "atomic: the stream ends inside rev 3"},
		"canary: says it is over":     {1, 5, put(del(good, 2), 2, change(watched[2])), "atomic: rev 3 set /w/a \"3\" with more = false"},
		"canary: mark inside a rev":   {1, 5, swap(good, 3, 4), "bookmarked: mark 3, but"},
		"canary: twice":               {1, 5, put(good, 6, good[5]), "unique: rev 4"},
		"canary: twice, far apart":    {1, 5, put(good, 7, good[0]), "unique: rev 1"},
		"canary: out of order":        {1, 5, swap(good, 5, 6), "ordered: rev 4"},
		"canary: not asked for":       {1, 5, put(good, 2, change(watched[1])), "filtered: rev 2"},
		"canary: before the start":    {4, 5, good[3:], "filtered: rev 3"},
		"canary: after its mark":      {1, 5, put(del(good, 0), 1, good[0]), "bookmarked: rev 1 set /w/a \"1\" after mark 2"},
		"canary: mark goes back":      {1, 5, swap(good, 1, 4), "bookmarked: mark 2 after mark 3"},
		"canary: mark ahead":          {1, 5, put(good, 5, mark(5)), "bookmarked: mark 5, but rev 4"},
		"canary: not what was stored": {1, 5, put(del(good, 5), 5, change(changed)), "reliable: rev 4 set"},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, Watch(Stream{Glob: "/w/*", From: c.from, To: c.to, Items: c.items}, watched), c.want)
		})
	}
}

func TestSnapshotWatch(t *testing.T) {
	good := []Item{change(watched[2]), change(watched[3]), mark(3), change(watched[4]), change(watched[5])}
	for name, c := range map[string]struct {
		items []Item
		want  string
	}{
		"good":                           {good, ""},
		"canary: snapshot lacks a file":  {del(good, 1), "the snapshot lacks rev 3 set /w/b"},
		"canary: snapshot has an old":    {put(del(good, 0), 0, change(watched[0])), "the snapshot has rev 1"},
		"canary: snapshot file twice":    {put(good, 0, good[0]), "unique: rev 3"},
		"canary: snapshot of other path": {put(good, 0, change(watched[1])), "the snapshot has rev 2 set /x"},
		"canary: gap after the snapshot": {del(good, 3), "reliable: rev 4"},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, SnapshotWatch(Stream{Glob: "/w/*", To: 5, Items: c.items}, 3, watched), c.want)
		})
	}
}
