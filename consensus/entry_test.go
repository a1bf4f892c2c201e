package consensus

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
)

// testGroup is a group as a test writes it.
type testGroup struct {
	origin, nonce uint64
	ids           []uint64
	commands      []string
}

func (g testGroup) append(dst []byte) []byte {
	var ps []*proposal
	for i, id := range g.ids {
		ps = append(ps, &proposal{id: id, data: []byte(g.commands[i])})
	}
	return appendGroup(dst, g.origin, g.nonce, ps)
}

func TestEntryRoundTrip(t *testing.T) {
	for name, groups := range map[string][]testGroup{
		"none":       nil,
		"one":        {{1, 2, []uint64{7}, []string{"seven"}}},
		"empty ones": {{1, 2, []uint64{1, 2, 3}, []string{"", "", ""}}},
		"extremes":   {{math.MaxUint64, math.MaxUint64, []uint64{0, math.MaxUint64}, []string{"a", string(make([]byte, 1000))}}},
		"many": {
			{1, 10, []uint64{1, 5, 9}, []string{"a", "b", "c"}},
			{2, 20, []uint64{4}, []string{"d"}},
			{1, 11, []uint64{2, 3}, []string{"e", ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r entryReader
			for range 2 { // the second time into used space
				data := appendEntryHeader(nil, -5)
				for _, g := range groups {
					data = g.append(data)
				}
				now, got, err := r.decode(data)
				if err != nil || now != -5 || len(got) != len(groups) {
					t.Fatalf("%d groups, time %d, %v", len(got), now, err)
				}
				for i, g := range groups {
					var commands []string
					for _, c := range got[i].commands {
						commands = append(commands, string(c))
					}
					if got[i].origin != g.origin || got[i].nonce != g.nonce || !slices.Equal(got[i].ids, g.ids) || !slices.Equal(commands, g.commands) {
						t.Errorf("group %d: %+v, want %+v", i, got[i], g)
					}
				}
			}
		})
	}
}

func TestEntryMalformed(t *testing.T) {
	good := testGroup{1, 2, []uint64{3, 4}, []string{"a", "bb"}}.append(appendEntryHeader(nil, 9))
	for i := range good {
		var r entryReader
		if i != entryHeaderSize {
			if _, _, err := r.decode(good[:i]); !errors.Is(err, errBadEntry) {
				t.Errorf("cut after %d bytes: %v", i, err)
			}
		}
	}
	header := appendEntryHeader(nil, 9)
	nonce := make([]byte, 8)
	overflow := bytes.Repeat([]byte{0xff}, 11)
	for name, data := range map[string][]byte{
		"another version": append([]byte{2}, good[1:]...),
		"no command":      slices.Concat(header, []byte{1}, nonce, []byte{0}),
		"origin overflow": slices.Concat(header, overflow, nonce, []byte{1, 1, 0}),
		"huge count":      slices.Concat(header, []byte{1}, nonce, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte{1, 0}),
		"huge command":    slices.Concat(header, []byte{1}, nonce, []byte{1, 1}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}),
		"number falls":    testGroup{1, 2, []uint64{4, 3}, []string{"", ""}}.append(header[:entryHeaderSize:entryHeaderSize]),
		"number twice":    testGroup{1, 2, []uint64{4, 4}, []string{"", ""}}.append(header[:entryHeaderSize:entryHeaderSize]),
	} {
		var r entryReader
		if _, _, err := r.decode(data); !errors.Is(err, errBadEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForwardedGroup: what a leader takes of a follower.
func TestForwardedGroup(t *testing.T) {
	group := testGroup{2, 9, []uint64{5, 6}, []string{"a", "b"}}.append(nil)
	for name, tc := range map[string]struct {
		data []byte
		good bool
	}{
		"good":            {append([]byte{4}, group...), true},
		"the first":       {append([]byte{0}, group...), true},
		"nothing":         {nil, false},
		"no group":        {[]byte{4}, false},
		"not after":       {append([]byte{5}, group...), false},
		"two groups":      {slices.Concat([]byte{4}, group, group), false},
		"another's group": {testGroup{3, 9, []uint64{5}, []string{"a"}}.append([]byte{4}), false},
		"number overflow": {append(bytes.Repeat([]byte{0xff}, 11), group...), false},
	} {
		var r entryReader
		before, got, err := r.forwarded(tc.data, 2)
		if tc.good != (err == nil) || tc.good && (!bytes.Equal(got, group) || before != uint64(tc.data[0])) || !tc.good && !errors.Is(err, errBadEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzEntry: what decodes encodes to something that decodes to the same.
func FuzzEntry(f *testing.F) {
	f.Add(appendEntryHeader(nil, 1))
	f.Add(testGroup{1, 2, []uint64{3, 4}, []string{"a", "bb"}}.append(appendEntryHeader(nil, 9)))
	two := testGroup{1, 2, []uint64{3}, []string{""}}.append(appendEntryHeader(nil, 9))
	f.Add(testGroup{2, 5, []uint64{1, 300}, []string{"xyz", ""}}.append(two))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, again entryReader
		now, groups, err := r.decode(data)
		_, _, _ = again.forwarded(data, 1)
		if err != nil {
			if !errors.Is(err, errBadEntry) {
				t.Fatal(err)
			}
			return
		}
		b := appendEntryHeader(nil, now)
		for _, g := range groups {
			if len(g.ids) == 0 || len(g.ids) != len(g.commands) || !slices.IsSorted(g.ids) {
				t.Fatalf("%+v", g)
			}
			var ps []*proposal
			for i, id := range g.ids {
				ps = append(ps, &proposal{id: id, data: g.commands[i]})
			}
			b = appendGroup(b, g.origin, g.nonce, ps)
		}
		now2, groups2, err := again.decode(b)
		if err != nil || now2 != now || len(groups2) != len(groups) {
			t.Fatalf("%v: %d groups of %d", err, len(groups2), len(groups))
		}
		for i, g := range groups {
			if g.origin != groups2[i].origin || g.nonce != groups2[i].nonce || !slices.Equal(g.ids, groups2[i].ids) || !slices.EqualFunc(g.commands, groups2[i].commands, bytes.Equal) {
				t.Fatalf("%+v became %+v", g, groups2[i])
			}
		}
	})
}
