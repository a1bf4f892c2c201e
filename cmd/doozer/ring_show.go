package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/ring"
)

// What ring prints without changing anything.

// ringJSON is a ring as show prints it.
type ringJSON struct {
	Name      string         `json:"name"`
	Rev       int64          `json:"rev"`
	Algo      string         `json:"algo"`
	Parts     int            `json:"parts,omitempty"`
	Points    int            `json:"points,omitempty"`
	Copies    int            `json:"copies"`
	Spread    string         `json:"spread,omitempty"`
	Migrating bool           `json:"migrating"`
	Nodes     []ringNodeJSON `json:"nodes"`
}

type ringNodeJSON struct {
	Name   string  `json:"name"`
	Addr   string  `json:"addr"`
	Ref    string  `json:"ref,omitempty"`
	State  string  `json:"state"`
	Weight float64 `json:"weight"`
	Zone   string  `json:"zone,omitempty"`
	Share  float64 `json:"share"`
	Ideal  float64 `json:"ideal"`
	Parts  int     `json:"parts"`
	// Next is how many slots are on their way to it.
	Next int `json:"next,omitempty"`
}

// readRing reads the ring's file, and makes the ring with the addresses that are in
// other files.
func readRing(ctx context.Context, db *client.Client, name string) (stored *ring.File, r *ring.Ring, err error) {
	stored, rev, err := ring.Read(ctx, db, name)
	if err != nil {
		return nil, nil, err
	}
	f := stored.Clone()
	for node, s := range f.Nodes {
		if s.Ref == "" {
			continue
		}
		at, err := db.Get(ctx, s.Ref)
		if err != nil && !errors.Is(err, client.ErrNotExist) && !errors.Is(err, client.ErrIsDir) {
			return nil, nil, err
		}
		s.Ref = ""
		// A file that tells no address is as good as none.
		if s.Addr, err = ring.Address(at.Value); err != nil || len(s.Addr) > ring.MaxValue {
			s.Addr = ""
		}
		f.Nodes[node] = s
	}
	r, err = ring.New(f, rev)
	return stored, r, err
}

// ringList prints the rings there are.
func (c *command) ringList(ctx context.Context, db *client.Client) error {
	entries, err := db.List(ctx, ring.Dir)
	if err != nil && !errors.Is(err, client.ErrNotExist) {
		return err
	}
	t := newTable(c.stdout, false, column{}, column{right: true}, column{}, column{})
	for _, e := range entries {
		if e.IsDir {
			continue
		}
		name := nameOf(e)
		if c.format == formatJSON {
			err = printJSON(c.stdout, struct {
				Name string `json:"name"`
				Rev  int64  `json:"rev"`
			}{name, e.Rev})
		} else {
			err = t.add(plain(name), "rev "+strconv.FormatInt(e.Rev, 10), stamp(e.Time), plain(e.Author))
		}
		if err != nil {
			return err
		}
	}
	return t.flush()
}

// ringShow prints the ring.
func (c *command) ringShow(ctx context.Context, call *ringCall) error {
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		stored, r, err := readRing(ctx, db, call.name)
		if err != nil {
			return err
		}
		j := newRingJSON(call.name, stored, r)
		if c.format == formatJSON {
			return printJSON(c.stdout, j)
		}
		return c.printRing(j)
	})
}

func newRingJSON(name string, f *ring.File, r *ring.Ring) ringJSON {
	j := ringJSON{
		Name: name, Rev: r.Epoch(), Algo: string(f.Algo), Parts: f.Parts, Points: f.Points, Copies: f.Copies, Spread: f.Spread,
		Migrating: r.Migrating(), Nodes: []ringNodeJSON{},
	}
	coming := map[string]int{}
	for _, next := range f.Next {
		coming[next]++
	}
	for _, s := range r.Shares() {
		n := s.Node
		j.Nodes = append(j.Nodes, ringNodeJSON{
			Name: n.Name, Addr: n.Addr, Ref: f.Nodes[n.Name].Ref, State: string(n.State), Weight: float64(n.Weight) / float64(ring.One),
			Zone: n.Zone, Share: sixth(s.Share), Ideal: sixth(s.Ideal), Parts: s.Parts, Next: coming[n.Name],
		})
	}
	return j
}

func (c *command) printRing(j ringJSON) error {
	fmt.Fprintf(c.stdout, "name:       %s\nrev:        %d\nalgo:       %s\n", plain(j.Name), j.Rev, j.Algo)
	if j.Parts > 0 {
		fmt.Fprintf(c.stdout, "parts:      %d\n", j.Parts)
	}
	if j.Points > 0 {
		fmt.Fprintf(c.stdout, "points:     %d\n", j.Points)
	}
	fmt.Fprintf(c.stdout, "copies:     %d\n", j.Copies)
	if j.Spread != "" {
		fmt.Fprintf(c.stdout, "spread:     %s\n", j.Spread)
	}
	fmt.Fprintf(c.stdout, "migrating:  %v\n", j.Migrating)
	if len(j.Nodes) == 0 {
		return nil
	}
	fmt.Fprintln(c.stdout)
	t := newTable(c.stdout, true, column{name: "node"}, column{name: "state"}, column{name: "weight", right: true}, column{name: "zone"},
		column{name: "owns", right: true}, column{name: "addr"})
	for _, n := range j.Nodes {
		addr := plain(orDash(n.Addr))
		if n.Ref != "" {
			addr += " (" + plain(n.Ref) + ")"
		}
		weight := strconv.FormatFloat(n.Weight, 'f', -1, 64)
		owns := percent(n.Share)
		if n.Next > 0 {
			owns += fmt.Sprintf(" +%d slots", n.Next)
		}
		if err := t.add(plain(n.Name), n.State, weight, plain(orDash(n.Zone)), owns, addr); err != nil {
			return err
		}
	}
	return t.flush()
}

// sixth rounds what programs read to six decimals: beyond them machines may differ.
func sixth(x float64) float64 { return math.Round(x*1e6) / 1e6 }

// percent is a share as people read it.
func percent(share float64) string { return fmt.Sprintf("%.2f %%", share*100) }

// ownerJSON is one owner of a key.
type ownerJSON struct {
	Node string `json:"node"`
	Addr string `json:"addr"`
}

// whoJSON is who owns a key.
type whoJSON struct {
	Key string `json:"key"`
	Rev int64  `json:"rev"`
	// Part is absent for md5.
	Part   *int        `json:"part,omitempty"`
	Owners []ownerJSON `json:"owners"`
	Other  *ownerJSON  `json:"other,omitempty"`
}

// ringWho prints the owners of keys, and the other owner of one that is moving.
func (c *command) ringWho(ctx context.Context, call *ringCall) error {
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		f, r, err := readRing(ctx, db, call.name)
		if err != nil {
			return err
		}
		n := f.Copies
		if call.flags.owners > 0 {
			n = int(min(call.flags.owners, ring.MaxNodes))
		}
		t := newTable(c.stdout, false, column{}, column{}, column{}, column{})
		for _, key := range call.args {
			j := whoJSON{Key: key, Rev: r.Epoch(), Owners: []ownerJSON{}}
			for _, n := range r.Owners(nil, key, n) {
				j.Owners = append(j.Owners, ownerJSON{n.Name, n.Addr})
			}
			if _, other := r.Both(key); other != nil {
				j.Other = &ownerJSON{other.Name, other.Addr}
			}
			if f.Parts > 0 {
				part := ring.Part(key, f.Parts)
				j.Part = &part
			}
			if c.format == formatJSON {
				err = printJSON(c.stdout, j)
			} else {
				err = j.print(t)
			}
			if err != nil {
				return err
			}
		}
		return t.flush()
	})
}

func (j whoJSON) print(t *table) error {
	row := func(role string, o ownerJSON) error {
		return t.add(plain(j.Key), role, plain(o.Node), plain(orDash(o.Addr)))
	}
	if len(j.Owners) == 0 {
		return row("owner", ownerJSON{"-", ""})
	}
	role := "owner"
	for _, o := range j.Owners {
		if err := row(role, o); err != nil {
			return err
		}
		role = "copy"
	}
	if j.Other != nil {
		return row("other", *j.Other)
	}
	return nil
}
