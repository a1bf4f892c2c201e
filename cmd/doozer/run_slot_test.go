package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
	"github.com/doozer-store/doozer/client/session/sessiontest"
)

func TestRunBackoff(t *testing.T) {
	const s = time.Second
	b := backoff{first: s, limit: 6 * s}
	for i, tt := range []struct {
		ran    time.Duration
		random float64
		want   time.Duration
	}{
		{0, 0, s}, {0, 0, 2 * s}, {6 * s, 0, 4 * s}, {0, 0, 6 * s}, {0, 1, 3 * s}, {0, 0.5, 4500 * time.Millisecond},
		{6*s + 1, 0, s}, {0, 1, s}, {0, 0, 4 * s},
	} {
		if got := b.next(tt.ran, tt.random); got != tt.want {
			t.Errorf("%d: %v, want %v", i, got, tt.want)
		}
	}
}

func TestRunPickSlot(t *testing.T) {
	slots := func(entries string) (list []slotAt) { // as "1a 3b"
		for _, s := range strings.Fields(entries) {
			list = append(list, slotAt{number: int(s[0] - '0'), rev: 1, slotFile: slotFile{Entry: strings.Trim(s[1:], "-")}})
		}
		return list
	}
	tests := []struct {
		slots   string
		present string
		last    int
		want    int
		rev     int64
	}{
		{"", "", 0, 1, 0},
		{"", "", 3, 3, 0},
		{"1a 2b", "a b", 0, 3, 0},
		{"1a 2b", "b", 0, 1, 1},
		{"1a 2b", "a", 0, 2, 1},
		{"1a 2b", "a", 1, 2, 1},
		{"1a 2b", "", 2, 2, 1},
		{"2b", "b", 2, 1, 0},
		{"1- 2b", "b", 0, 1, 1},
	}
	for _, tt := range tests {
		present := map[string]bool{}
		for _, e := range strings.Fields(tt.present) {
			present[e] = true
		}
		got := pickSlot(slots(tt.slots), present, tt.last)
		if got.number != tt.want || got.rev != tt.rev {
			t.Errorf("%+v: slot %d, rev %d", tt, got.number, got.rev)
		}
	}
}

// runBubble has holders of a line of run, as many as are asked for, and who waits.
type runBubble struct {
	t  *testing.T
	st *fakestore.Store
}

// join opens a session on a client of its own.
func (b *runBubble) join() (*session.Session, *fakestore.Client) {
	b.t.Helper()
	p := sessiontest.Start(b.t, b.st, session.Who("me"))
	return p.Session, p.Client
}

func (b *runBubble) enter(s *session.Session, count int) *line.Place {
	b.t.Helper()
	p, err := line.Enter(b.t.Context(), s, line.Spec{Name: "web", Mode: runMode, Limit: count})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// Whoever holds gets a slot of its own, also when all ask at once and replies are
// lost; one that leaves leaves the slot to the next, and who comes back has its own
// again.
func TestRunClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &runBubble{t, fakestore.New()}
		const n = 5
		type taken struct {
			s *session.Session
			p *line.Place
			slotAt
		}
		got := make(chan taken, n)
		for i := range n {
			s, c := b.join()
			p := b.enter(s, n)
			faults := [][]fakestore.Fault{{}, {fakestore.LoseReply}, {fakestore.Late}, {fakestore.LoseRequest, fakestore.LoseReply}, {fakestore.Late, fakestore.Late}}[i]
			c.Fault(func(op, path string) fakestore.Fault {
				if op != "txn" || !strings.Contains(path, "/val/") || len(faults) == 0 {
					return fakestore.None
				}
				f := faults[0]
				faults = faults[1:]
				return f
			})
			go func() {
				slot, err := claim(t.Context(), c, "web", p, 0)
				if err != nil {
					t.Error(err)
				}
				got <- taken{s, p, slot}
			}()
		}
		have := map[int]taken{}
		for range n {
			h := <-got
			if _, twice := have[h.number]; twice || h.number > n {
				t.Errorf("slot %d is given twice, or too many", h.number)
			}
			have[h.number] = h
		}
		for number, h := range have {
			slots, err := readSlots(t.Context(), b.st.Client(), "web")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(fmt.Sprint(slots), h.p.Path()) {
				t.Errorf("slot %d does not name %s: %v", number, h.p.Path(), slots)
			}
		}
		for number, h := range have {
			if err := h.p.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			p := b.enter(h.s, n)
			if slot, err := claim(t.Context(), h.s.Store(), "web", p, number); err != nil || slot.number != number {
				t.Errorf("came back to slot %d, not %d: %v", slot.number, number, err)
			}
			if _, err := claim(t.Context(), h.s.Store(), "web", h.p, 0); !errors.Is(err, line.ErrReleased) {
				t.Errorf("without a place: %v", err)
			}
		}
	})
}

// TestRunRows: what --list shows of holders, of those who stand by, of the dead.
func TestRunRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &runBubble{t, fakestore.New()}
		first, c := b.join()
		p := b.enter(first, 2)
		slot, err := claim(t.Context(), c, "web", p, 2)
		if err != nil {
			t.Fatal(err)
		}
		status := 3
		slot.State, slot.Pid, slot.Host, slot.Restarts, slot.Exit = slotRunning, 77, "alpha", 5, &status
		b.st.Set(slotPath("web", 2), string(slot.encode()))
		second, _ := b.join()
		b.enter(second, 2)
		b.st.Set("/lock/web/e/gone-1", `{"v":1}`)
		third, _ := b.join()
		life, err := third.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.st.Set("/lock/web/e/"+life.ID()+"-1", `{"v":1,"why":"tests"}`)
		lines, err := line.All(t.Context(), c, "web")
		if err != nil || len(lines) != 1 {
			t.Fatal(lines, err)
		}
		rows, err := newCommand(nil, nil, io.Discard, io.Discard).runRows(t.Context(), c, lines[0])
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, r := range rows {
			cells := r.cells()
			fmt.Fprintln(&text, append(cells[:5:5], cells[6], cells[7], cells[9]))
		}
		want := "[web 1 free - - 0 - -]\n[web 2 running alpha 77 5 3 me]\n[web - standby - - 0 - me]\n[web - dead - - 0 - -]\n[web - standby - - 0 - me]\n"
		if text.String() != want {
			t.Errorf("got\n%swant\n%s", &text, want)
		}
	})
}

// Another count is for those who line up from then on.
func TestRunRecount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &runBubble{t, fakestore.New()}
		if err := line.SetLimit(t.Context(), b.st.Client(), "web", runMode, 3); !errors.Is(err, client.ErrNotExist) {
			t.Error(err)
		}
		s, c := b.join()
		b.enter(s, 1)
		if err := line.SetLimit(t.Context(), c, "web", "mutex", 3); !errors.Is(err, line.ErrConf) {
			t.Error(err)
		}
		if err := line.SetLimit(t.Context(), c, "web", runMode, 3); err != nil {
			t.Fatal(err)
		}
		if conf, err := line.ReadConf(t.Context(), c, "web"); err != nil || conf.Limit != 3 || conf.Mode != runMode {
			t.Error(conf, err)
		}
		if _, err := line.Enter(t.Context(), s, line.Spec{Name: "web", Mode: runMode, Limit: 1}); !errors.Is(err, line.ErrConf) {
			t.Error(err)
		}
		b.enter(s, 3)
		b.enter(s, 3)
		for _, limit := range []int{0, line.MaxLimit + 1} {
			if err := line.SetLimit(t.Context(), c, "web", runMode, limit); !errors.Is(err, line.ErrBadLimit) {
				t.Error(limit, err)
			}
		}
	})
}
