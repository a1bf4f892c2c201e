package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
)

// placeJSON is one place in the line of a lock.
type placeJSON struct {
	Lock  string `json:"lock"`
	Mode  string `json:"mode"`
	Limit int    `json:"limit"`
	// State is held, waiting, or dead: the session has ended, and nobody has
	// removed the place so far.
	State   string `json:"state"`
	Token   int64  `json:"token"`
	Path    string `json:"path"`
	Session string `json:"session"`
	Shared  bool   `json:"shared,omitempty"`
	Kept    bool   `json:"kept,omitempty"`
	Who     string `json:"who,omitempty"`
	Host    string `json:"host,omitempty"`
	Pid     int    `json:"pid,omitempty"`
	Why     string `json:"why,omitempty"`
	Since   string `json:"since"`
	BeatMs  int64  `json:"beat_age_ms"`
}

// Locks reads the line and then the sessions: what it shows was not so at one
// moment, but each part was at some moment of the call.
func (c *command) addLocks(root *cobra.Command) {
	c.add(root, verb{
		use:   "locks [NAME]",
		short: "Show who holds locks, who leads, and who waits",
		long: `Locks shows the places in the lines of all locks and elections, or of those at
and below NAME: the holders first, then who waits, in order. TOKEN is what the
store goes by, BEAT the time since the session's last sign of life as the clock
of this machine has it, '-' for one that is kept.`,
		examples: []string{"doozer locks", "doozer locks db", "doozer locks -o json | jq 'select(.state==\"held\")'"},
		args:     args("[NAME]"),
		exit:     "  0   done, also if there are none\n  2   any error\n  64  usage",
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			if len(args) > 0 {
				c.subject = args[0]
				if !line.ValidName(args[0]) {
					return usagef("no lock can have that name")
				}
			}
			return c.withClient(ctx, c.locks)
		},
	})
}

func (c *command) locks(ctx context.Context, db *client.Client) error {
	lines, err := line.All(ctx, db, c.subject)
	if err != nil {
		return err
	}
	sessions := map[string]*placeJSON{}
	t := newTable(c.stdout, true, column{name: "LOCK"}, column{name: "STATE"}, column{name: "TOKEN", right: true},
		column{name: "HOST"}, column{name: "PID", right: true}, column{name: "WHO"}, column{name: "SINCE"}, column{name: "BEAT", right: true}, column{name: "WHY"})
	for _, l := range lines {
		for i, e := range l.Entries {
			p, err := c.place(ctx, db, sessions, e)
			if err != nil {
				return err
			}
			p.Lock, p.Mode, p.Limit = l.Name, l.Conf.Mode, l.Conf.Limit
			if p.State == "" {
				p.State = "waiting"
				if i < l.Holders {
					p.State = "held"
				}
			}
			if c.format == formatJSON {
				err = printJSON(c.stdout, p)
			} else {
				err = t.add(p.cells()...)
			}
			if err != nil {
				return err
			}
		}
	}
	if c.format == formatJSON || len(t.rows) < 2 {
		return nil
	}
	return t.flush()
}

// place describes one entry with what its session says; sessions has those that
// were read.
func (c *command) place(ctx context.Context, db session.Store, sessions map[string]*placeJSON, e line.Entry) (placeJSON, error) {
	s := sessions[e.Session]
	if s == nil {
		s = &placeJSON{}
		if err := s.read(ctx, db, e.Session); err != nil {
			return placeJSON{}, err
		}
		sessions[e.Session] = s
	}
	p := *s
	p.Token, p.Path, p.Session, p.Shared, p.Why, p.Since = e.Rev, e.Path, e.Session, e.Shared, e.Why, stampJSON(e.Since)
	return p, nil
}

// read fills in what the file of a session says.
func (p *placeJSON) read(ctx context.Context, db session.Store, id string) error {
	if id == "" {
		return nil
	}
	f, err := db.Get(ctx, session.PathOf(id))
	switch {
	case errors.Is(err, client.ErrNotExist), errors.Is(err, client.ErrBadPath):
		p.State = "dead"
		return nil
	case err != nil:
		return err
	}
	p.BeatMs = max(time.Since(f.Time), 0).Milliseconds()
	r, err := session.ParseRecord(f.Value)
	if err != nil {
		return nil // its place is shown all the same
	}
	p.Who, p.Host, p.Kept = r.Who, r.Host, r.Kept()
	if len(r.Procs) > 0 {
		p.Pid = r.Procs[0].Pid
	}
	return nil
}

func (p *placeJSON) cells() []string {
	beat, pid := span(time.Duration(p.BeatMs)*time.Millisecond), "-"
	if p.Kept || p.State == "dead" {
		beat = "-"
	}
	if p.Pid > 0 {
		pid = strconv.Itoa(p.Pid)
	}
	since := "-"
	if t, err := time.Parse(time.RFC3339Nano, p.Since); err == nil {
		since = stamp(t)
	}
	return []string{plain(p.Lock), p.State, strconv.FormatInt(p.Token, 10), orDash(plain(p.Host)), pid, orDash(plain(p.Who)), since, beat, orDash(plain(p.Why))}
}
