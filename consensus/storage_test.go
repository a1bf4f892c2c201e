package consensus

import (
	"errors"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// TestNewStorage: which logs belong to which states.
func TestNewStorage(t *testing.T) {
	entries := func(first uint64, terms ...uint64) (es []*raftpb.Entry) {
		for i, term := range terms {
			es = append(es, &raftpb.Entry{Index: new(first + uint64(i)), Term: new(term)})
		}
		return es
	}
	hard := func(term, vote, commit uint64) *raftpb.HardState {
		return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
	}
	state := func(index, term uint64) Meta {
		return Meta{Index: index, Term: term, ConfState: &raftpb.ConfState{Voters: []uint64{1}}}
	}
	broken := errors.New("broken")
	for _, tc := range []struct {
		name    string
		log     *memLog
		state   Meta
		refused string
		reset   bool
		term    uint64 // of the hard state afterwards
		vote    uint64
		commit  uint64
	}{
		{name: "new", log: &memLog{}, state: state(1, 1), reset: true, term: 1, commit: 1},
		{name: "fits", log: &memLog{now: logState{1, 1, entries(2, 1, 2, 2), hard(3, 2, 3)}}, state: state(3, 2), term: 3, vote: 2, commit: 3},
		{name: "checkpoint at the log's beginning", log: &memLog{now: logState{3, 2, entries(4, 2), hard(2, 1, 3)}}, state: state(3, 2), term: 2, vote: 1, commit: 3},
		{name: "commit index behind the checkpoint", log: &memLog{now: logState{1, 1, entries(2, 1, 2, 2), hard(3, 2, 1)}}, state: state(4, 2), term: 3, vote: 2, commit: 4},
		{name: "snapshot installed, log ends before", log: &memLog{now: logState{1, 1, entries(2, 1), hard(5, 2, 2)}}, state: state(9, 4), reset: true, term: 5, vote: 2, commit: 9},
		{name: "snapshot installed of a higher term", log: &memLog{now: logState{1, 1, entries(2, 1), hard(3, 2, 2)}}, state: state(9, 4), reset: true, term: 4, commit: 9},
		{name: "snapshot installed, log disagrees", log: &memLog{now: logState{1, 1, entries(2, 1, 1, 1), hard(5, 2, 2)}}, state: state(3, 2), reset: true, term: 5, vote: 2, commit: 3},
		{name: "gap", log: &memLog{now: logState{5, 2, entries(6, 2), hard(2, 1, 5)}}, state: state(4, 2), refused: "missing"},
		{name: "lost end", log: &memLog{now: logState{1, 1, entries(2, 1), hard(2, 1, 3)}}, state: state(2, 1), refused: "missing"},
		{name: "another's checkpoint", log: &memLog{now: logState{1, 1, entries(2, 1, 1, 1), hard(5, 2, 3)}}, state: state(3, 2), refused: "do not belong together"},
		{name: "unreadable", log: &memLog{onTerm: broken, now: logState{1, 1, entries(2, 1, 1), hard(5, 2, 3)}}, state: state(3, 1), refused: "broken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := newStorage(tc.log, tc.state)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Fatalf("error %v, want one about %q", err, tc.refused)
				}
				if tc.log.resets != 0 {
					t.Error("and the log was reset")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tc.reset != (tc.log.resets == 1) {
				t.Errorf("%d resets", tc.log.resets)
			}
			hs, cs, _ := s.InitialState()
			if hs.GetTerm() != tc.term || hs.GetVote() != tc.vote || hs.GetCommit() != tc.commit || len(cs.GetVoters()) != 1 {
				t.Errorf("%v %v, want term %d vote %d commit %d", hs, cs, tc.term, tc.vote, tc.commit)
			}
		})
	}
}

// blindLog does not know where it begins, or where it ends.
type blindLog struct {
	memLog
	firstErr, lastErr error
}

func (l *blindLog) FirstIndex() (uint64, error) { return 2, l.firstErr }
func (l *blindLog) LastIndex() (uint64, error)  { return 1, l.lastErr }

func TestNewStorageOnABlindLog(t *testing.T) {
	broken := errors.New("broken")
	for _, log := range []*blindLog{{firstErr: broken}, {lastErr: broken}} {
		if _, err := newStorage(log, Bootstrap([]uint64{1})); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}

// TestConfig: what Open refuses.
func TestConfig(t *testing.T) {
	good := func() Config {
		return Config{ID: 1, State: Bootstrap([]uint64{1}), Log: &memLog{}, Machine: newMachine(Meta{}), Transport: wire{}, Wall: func() int64 { return 0 }}
	}
	for name, spoil := range map[string]func(*Config){
		"no id":           func(c *Config) { c.ID = 0 },
		"no log":          func(c *Config) { c.Log = nil },
		"no machine":      func(c *Config) { c.Machine = nil },
		"no transport":    func(c *Config) { c.Transport = nil },
		"no clock":        func(c *Config) { c.Wall = nil },
		"no voters":       func(c *Config) { c.State.ConfState = nil },
		"no index":        func(c *Config) { c.State.Index = 0 },
		"a voter twice":   func(c *Config) { c.State = Bootstrap([]uint64{1, 1}) },
		"a voter of id 0": func(c *Config) { c.State = Bootstrap([]uint64{1, 0}) },
		"a log that is not its own": func(c *Config) {
			c.Log = &memLog{now: logState{base: 7, baseTerm: 1}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			spoil(&cfg)
			if n, err := Open(cfg); err == nil {
				_ = n.Stop()
				t.Error("it was accepted")
			}
		})
	}
}
