package consensus

import (
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// takes gives a leader a forwarded group and returns the numbers it took.
func (h *handCore) takes(from, term, nonce, before uint64, ids ...uint64) []uint64 {
	h.t.Helper()
	h.c.foreign, h.c.foreignBytes = nil, 0
	h.c.forwarded(h.now, from, term, forwardOf(from, nonce, before, ids...))
	if len(h.c.foreign) == 0 {
		return nil
	}
	var r entryReader
	if rest, err := r.group(h.c.foreign[0]); err != nil || len(rest) != 0 || r.groups[0].nonce != nonce {
		h.t.Fatalf("%v, %d bytes follow", err, len(rest))
	}
	for i, id := range r.ids {
		if string(r.commands[i]) != string(rune('a'+id)) {
			h.t.Errorf("number %d is command %q", id, r.commands[i])
		}
	}
	return r.ids
}

func forwardOf(from, nonce, before uint64, ids ...uint64) []byte {
	g := testGroup{origin: from, nonce: nonce, ids: ids}
	for _, id := range ids {
		g.commands = append(g.commands, string(rune('a'+id)))
	}
	return g.append([]byte{byte(before)})
}

// TestLeaderTakes: each command once, and none before those it follows.
func TestLeaderTakes(t *testing.T) {
	h := newHandCore(t).become("leader")
	term := h.c.term
	type nums = []uint64
	for _, step := range []struct {
		name          string
		from, term    uint64
		nonce, before uint64
		ids, want     nums
	}{
		{"the first", 2, term, 1, 0, nums{3, 4}, nums{3, 4}},
		{"again", 2, term, 1, 0, nums{3, 4}, nil},
		{"partly again", 2, term, 1, 0, nums{4, 5, 6}, nums{5, 6}},
		{"after one that was lost", 2, term, 1, 9, nums{10}, nil},
		{"the lost one", 2, term, 1, 6, nums{8, 9}, nums{8, 9}},
		{"and what follows it", 2, term, 1, 9, nums{10}, nums{10}},
		{"all of it", 2, term, 1, 0, nums{3, 4, 8, 9, 10}, nil},
		{"another process", 2, term, 2, 0, nums{1}, nums{1}},
		{"another node", 3, term, 1, 0, nums{1}, nums{1}},
		{"an old term", 2, term - 1, 1, 10, nums{11}, nil},
		{"a later term", 2, term + 1, 1, 10, nums{11}, nil},
		{"of this term", 2, term, 1, 10, nums{11}, nums{11}},
	} {
		if got := h.takes(step.from, step.term, step.nonce, step.before, step.ids...); !slices.Equal(got, step.want) {
			t.Errorf("%s: it took %v, want %v", step.name, got, step.want)
		}
	}
	// It takes nothing that is too much, or another's; in the next term it
	// knows no numbers.
	h.c.foreign = nil
	h.c.limits.PendingBytes = 30
	h.c.forwarded(h.now, 2, term, forwardOf(2, 1, 11, 12))
	h.c.forwarded(h.now, 2, term, forwardOf(2, 1, 12, 13, 14, 15, 16, 17, 18))
	if len(h.c.foreign) != 1 || h.c.taken[sender{2, 1}] != 12 {
		t.Errorf("over its limit it took %d groups, up to %d", len(h.c.foreign), h.c.taken[sender{2, 1}])
	}
	h.c.forwarded(h.now, 3, term, forwardOf(2, 1, 0, 30))
	if len(h.c.foreign) > 1 {
		t.Error("it took another node's commands")
	}
	h.receive(peerMessage(raftpb.MsgHeartbeat, term+1, nil))
	if len(h.c.foreign) != 0 || h.c.foreignBytes != 0 || len(h.c.taken) != 0 {
		t.Errorf("in the next term it holds %d groups, knows %d processes", len(h.c.foreign), len(h.c.taken))
	}
}

// TestNextEntry: how a leader shares an entry between its own commands and
// what is forwarded.
func TestNextEntry(t *testing.T) {
	command := func(size int) *proposal { return &proposal{data: make([]byte, size)} }
	many := func(n, size int) (ps []*proposal) {
		for range n {
			ps = append(ps, command(size))
		}
		return ps
	}
	groups := func(n, size int) (out [][]byte) {
		for range n {
			out = append(out, make([]byte, size))
		}
		return out
	}
	for name, tc := range map[string]struct {
		queue     []*proposal
		foreign   [][]byte
		n, groups int
	}{
		"own alone":          {many(100, 84), nil, 10, 0},
		"forwarded alone":    {nil, groups(100, 100), 0, 10},
		"both":               {many(100, 84), groups(100, 100), 5, 5},
		"few of both":        {many(2, 84), groups(3, 100), 2, 3},
		"a large one":        {many(3, 5000), nil, 1, 0},
		"a large group":      {nil, groups(3, 5000), 0, 1},
		"a large one first":  {append(many(1, 5000), many(5, 1)...), groups(2, 10), 1, 0},
		"large ones of both": {many(2, 5000), groups(2, 5000), 1, 0},
	} {
		c := &core{limits: Limits{EntryBytes: 1000}, queue: tc.queue, foreign: tc.foreign}
		if n, g, size := c.nextEntry(); n != tc.n || g != tc.groups || size < 1 {
			t.Errorf("%s: %d commands and %d groups, want %d and %d", name, n, g, tc.n, tc.groups)
		}
	}
}

// TestRefusedProposal: while raft takes nothing, a batch is not encoded for
// every event.
func TestRefusedProposal(t *testing.T) {
	h := newHandCore(t).become("leader")
	clock := 0
	h.c.cfg.Wall = func() int64 { clock++; return 0 }
	h.c.raw.TransferLeader(2) // proposals are refused meanwhile
	h.c.propose(h.now, []*proposal{{data: []byte("x"), deadline: h.now.Add(time.Hour)}})
	for range 10 {
		h.run()
	}
	if clock != 1 || len(h.c.queue) != 1 {
		t.Errorf("%d batches were made, %d proposals wait", clock, len(h.c.queue))
	}
	h.tick(1)
	if clock != 2 {
		t.Errorf("after a tick: %d", clock)
	}
}
