package main

import (
	"context"
	"strconv"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
)

// runJSON is a slot, or a machine that stands by.
type runJSON struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	// Slot is 0 for who stands by.
	Slot int `json:"slot"`
	// State is starting, running, backoff (to start again) or free; of who has
	// none standby; dead: its session has ended, and nobody has taken its place
	// so far.
	State string `json:"state"`
	Host  string `json:"host,omitempty"`
	// Pid is the command's process, Supervisor the one of 'doozer run'.
	Pid        int    `json:"pid,omitempty"`
	Supervisor int    `json:"supervisor_pid,omitempty"`
	Who        string `json:"who,omitempty"`
	Why        string `json:"why,omitempty"`
	Token      int64  `json:"token,omitempty"`
	Session    string `json:"session,omitempty"`
	// Since is when it came to be in that state, by the store's clock.
	Since    string `json:"since,omitempty"`
	Restarts int    `json:"restarts"`
	// LastExit is the last exit status that is known.
	LastExit *int   `json:"last_exit,omitempty"`
	BeatMs   *int64 `json:"beat_age_ms,omitempty"`
}

// runList reads the lines, then the slots and the sessions: what it shows was not
// so at one moment, but each part was at some moment of the call.
func (c *command) runList(ctx context.Context, db *client.Client) error {
	lines, err := line.All(ctx, db, c.subject)
	if err != nil {
		return err
	}
	t := newTable(c.stdout, true, column{name: "NAME"}, column{name: "SLOT", right: true}, column{name: "STATE"}, column{name: "HOST"},
		column{name: "PID", right: true}, column{name: "SINCE"}, column{name: "RESTARTS", right: true}, column{name: "EXIT", right: true},
		column{name: "TOKEN", right: true}, column{name: "WHO"})
	for _, l := range lines {
		if l.Conf.Mode != runMode {
			continue
		}
		rows, err := c.runRows(ctx, db, l)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if c.format == formatJSON {
				err = printJSON(c.stdout, r)
			} else {
				err = t.add(r.cells()...)
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

// runRows are the slots of a line in order, and then who stands by, in order.
func (c *command) runRows(ctx context.Context, db session.Store, l line.State) (rows []runJSON, err error) {
	slots, err := readSlots(ctx, db, l.Name)
	if err != nil {
		return nil, err
	}
	sessions := map[string]*placeJSON{}
	holders, byPath := map[string]bool{}, map[string]line.Entry{}
	for _, e := range l.Entries {
		byPath[e.Path] = e
	}
	row := func(e line.Entry) (runJSON, error) {
		p, err := c.place(ctx, db, sessions, e)
		r := runJSON{
			Name: l.Name, Count: l.Conf.Limit, State: p.State, Host: p.Host, Supervisor: p.Pid, Who: p.Who, Why: p.Why,
			Token: p.Token, Session: p.Session, Since: p.Since,
		}
		if p.State == "" {
			r.BeatMs = &p.BeatMs
		}
		return r, err
	}
	for _, s := range allSlots(slots, l.Conf.Limit) {
		r := runJSON{Name: l.Name, Count: l.Conf.Limit}
		if e, held := byPath[s.Entry]; held {
			holders[e.Path] = true
			if r, err = row(e); err != nil {
				return nil, err
			}
			r.Pid = s.Pid
		} else if s.State = slotFree; s.number > l.Conf.Limit {
			continue // of a time with another --count
		}
		if r.State == "" {
			r.State = s.State
		}
		if r.Host == "" {
			r.Host = s.Host
		}
		r.Slot, r.Since, r.Restarts, r.LastExit = s.number, stampJSON(s.since), s.Restarts, s.Exit
		rows = append(rows, r)
	}
	for _, e := range l.Entries {
		if holders[e.Path] {
			continue
		}
		r, err := row(e)
		if err != nil {
			return nil, err
		}
		if r.State == "" {
			r.State = "standby"
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// allSlots are the slots from 1 to count, those without a file too, and others
// that have one.
func allSlots(slots []slotAt, count int) (all []slotAt) {
	next := 1
	for _, s := range slots {
		for ; next < s.number && next <= count; next++ {
			all = append(all, slotAt{number: next})
		}
		next = s.number + 1
		all = append(all, s)
	}
	for ; next <= count; next++ {
		all = append(all, slotAt{number: next})
	}
	return all
}

func (r *runJSON) cells() []string {
	slot, pid, since, exit, token := "-", "-", "-", "-", "-"
	if r.Slot > 0 {
		slot = strconv.Itoa(r.Slot)
	}
	if r.Pid > 0 {
		pid = strconv.Itoa(r.Pid)
	}
	if at, err := time.Parse(time.RFC3339Nano, r.Since); err == nil {
		since = stamp(at)
	}
	if r.LastExit != nil {
		exit = strconv.Itoa(*r.LastExit)
	}
	if r.Token > 0 {
		token = strconv.FormatInt(r.Token, 10)
	}
	return []string{
		plain(r.Name), slot, r.State, orDash(plain(r.Host)), pid, since, strconv.Itoa(r.Restarts), exit, token, orDash(plain(r.Who)),
	}
}
