package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/ring"
)

// planJSON is what a change would move.
type planJSON struct {
	Rev   int64      `json:"rev"`
	Moves []moveJSON `json:"moves"`
	// Total is the share of all keys that move, Ideal what would move if every node
	// owned exactly what its weight asks for.
	Total float64 `json:"total"`
	Ideal float64 `json:"ideal"`
}

type moveJSON struct {
	From  string  `json:"from"`
	To    string  `json:"to"`
	Share float64 `json:"share"`
	Parts int     `json:"parts,omitempty"`
}

// ringPlan compares the ring with what it will be when a change is done.
func (c *command) ringPlan(ctx context.Context, call *ringCall) error {
	action, err := findAction(call.args)
	if err != nil {
		return err
	}
	if action.edit == nil {
		return usagef("%s is not a change that can be planned", action.name)
	}
	planned := &ringCall{name: call.name, action: action, args: call.args[1:], flags: call.flags}
	if err := planned.check(); err != nil {
		return err
	}
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		f, rev, err := ring.Read(ctx, db, call.name)
		if err != nil {
			return err
		}
		before, err := ring.New(f.Clone(), rev)
		if err != nil {
			return err
		}
		if err := action.edit(call.flags, planned.args)(f); err != nil {
			return err
		}
		after, err := ring.New(f.Settled(), 0)
		if err != nil {
			return err
		}
		return c.printPlan(before, after)
	})
}

func (c *command) printPlan(before, after *ring.Ring) error {
	moves, total, err := ring.Moves(before, after)
	if err != nil {
		return err
	}
	j := planJSON{Rev: before.Epoch(), Moves: []moveJSON{}, Total: sixth(total), Ideal: sixth(idealMoves(before, after))}
	t := newTable(c.stdout, true, column{name: "from"}, column{name: "to"}, column{name: "keys", right: true}, column{name: "parts", right: true})
	for _, m := range moves {
		j.Moves = append(j.Moves, moveJSON{m.From, m.To, sixth(m.Share), m.Parts})
		parts := "-"
		if m.Parts > 0 {
			parts = strconv.Itoa(m.Parts)
		}
		if err := t.add(plain(orDash(m.From)), plain(orDash(m.To)), percent(m.Share), parts); err != nil {
			return err
		}
	}
	if c.format == formatJSON {
		return printJSON(c.stdout, j)
	}
	if len(moves) > 0 {
		if err := t.flush(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(c.stdout, "in all %s of the keys move; by the weights alone it would be %s\n", percent(j.Total), percent(j.Ideal))
	return err
}

// idealMoves is what the nodes gain that are to own more, by their weights.
func idealMoves(before, after *ring.Ring) float64 {
	had := map[string]float64{}
	sum := 0.0
	for _, s := range before.Shares() {
		had[s.Node.Name] = s.Ideal
	}
	for _, s := range after.Shares() {
		sum += max(0, s.Ideal-had[s.Node.Name])
	}
	return sum
}

// ringStats prints how the keys are shared out.
func (c *command) ringStats(ctx context.Context, call *ringCall) error {
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		f, rev, err := ring.Read(ctx, db, call.name)
		if err != nil {
			return err
		}
		r, err := ring.New(f, rev)
		if err != nil {
			return err
		}
		if call.flags.words != "" {
			return c.ringWords(r, call.flags.words)
		}
		return c.printShares(r)
	})
}

// sharesJSON is what stats prints.
type sharesJSON struct {
	Rev       int64       `json:"rev"`
	Nodes     []shareJSON `json:"nodes"`
	Deviation float64     `json:"deviation"`
}

type shareJSON struct {
	Name  string  `json:"name"`
	State string  `json:"state"`
	Share float64 `json:"share"`
	Ideal float64 `json:"ideal"`
	Parts int     `json:"parts"`
}

func (c *command) printShares(r *ring.Ring) error {
	j := sharesJSON{Rev: r.Epoch(), Nodes: []shareJSON{}}
	t := newTable(c.stdout, true, column{name: "node"}, column{name: "state"}, column{name: "owns", right: true}, column{name: "ideal", right: true},
		column{name: "off by", right: true}, column{name: "parts", right: true})
	var ratios []float64
	for _, s := range r.Shares() {
		j.Nodes = append(j.Nodes, shareJSON{s.Node.Name, string(s.Node.State), sixth(s.Share), sixth(s.Ideal), s.Parts})
		off := "-"
		if s.Ideal > 0 {
			ratios = append(ratios, s.Share/s.Ideal)
			off = fmt.Sprintf("%+.2f %%", math.Round((s.Share/s.Ideal-1)*10000)/100+0)
		}
		if err := t.add(plain(s.Node.Name), string(s.Node.State), percent(s.Share), percent(s.Ideal), off, strconv.Itoa(s.Parts)); err != nil {
			return err
		}
	}
	j.Deviation = sixth(ring.Deviation(ratios))
	if c.format == formatJSON {
		return printJSON(c.stdout, j)
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "standard deviation %s of what the weights ask for\n", percent(j.Deviation))
	return err
}

// wordsJSON is what stats --words prints.
type wordsJSON struct {
	Words   int          `json:"words"`
	Servers []string     `json:"servers"`
	Methods []methodJSON `json:"methods"`
}

// methodJSON is how one way shares the words out; the arrays have a place for each
// server.
type methodJSON struct {
	Name      string    `json:"name"`
	Counts    []int     `json:"counts"`
	Shares    []float64 `json:"shares"`
	Deviation float64   `json:"deviation"`
	// Moves is the share of words that change their server when one more server
	// is added.
	Moves float64 `json:"moves"`
}

// ringWords is the textbook's table: a list of words over the ring's nodes, by
// first letters, by hashes modulo their number, and by the ring.
func (c *command) ringWords(r *ring.Ring, file string) error {
	in := c.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	servers, methods, err := methodsOf(r)
	if err != nil {
		return err
	}
	j := wordsJSON{Servers: servers}
	for _, m := range methods {
		j.Methods = append(j.Methods, methodJSON{Name: m.Name, Counts: make([]int, len(servers)), Shares: make([]float64, len(servers))})
	}
	if j.Words, err = tally(in, j.Methods, methods, len(servers)); err != nil {
		return err
	}
	for i := range j.Methods {
		m := &j.Methods[i]
		for s, n := range m.Counts {
			m.Shares[s] = sixth(float64(n) / math.Max(float64(j.Words), 1))
		}
		m.Deviation = sixth(ring.Deviation(m.Shares))
		m.Moves = sixth(m.Moves / math.Max(float64(j.Words), 1))
	}
	if c.format == formatJSON {
		return printJSON(c.stdout, j)
	}
	return c.printWords(j)
}

// methodsOf are the nodes that own keys, and the ways to compare: the last one is
// the ring, whose pick with one more server is the ring with one more node.
func methodsOf(r *ring.Ring) (servers []string, methods []ring.Method, err error) {
	index := map[string]int{}
	for _, s := range r.Shares() {
		if s.Share > 0 {
			index[s.Node.Name] = len(servers)
			servers = append(servers, s.Node.Name)
		}
	}
	if len(servers) == 0 {
		return nil, nil, fmt.Errorf("no node of the ring owns anything")
	}
	larger := r.File()
	extra := "one more"
	for larger.Nodes[extra] != (ring.Spec{}) {
		extra += "!"
	}
	if err := larger.Add(extra, ring.Spec{}); err != nil {
		return nil, nil, err
	}
	more, err := ring.New(larger, 0)
	if err != nil {
		return nil, nil, err
	}
	index[extra] = len(servers)
	pick := func(key string, n int) int {
		if n > len(servers) {
			return index[more.Owner(key).Name]
		}
		return index[r.Owner(key).Name]
	}
	return servers, append(ring.Methods(), ring.Method{Name: "ring", Pick: pick}), nil
}

// tally counts the words of in, one a line, in rows.
func tally(in io.Reader, rows []methodJSON, methods []ring.Method, n int) (words int, err error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		word := lines.Text()
		if word == "" {
			continue
		}
		words++
		for i, m := range methods {
			at := m.Pick(word, n)
			rows[i].Counts[at]++
			if m.Pick(word, n+1) != at {
				rows[i].Moves++
			}
		}
	}
	if err := lines.Err(); err != nil {
		return words, fmt.Errorf("reading the words: %w", err)
	}
	return words, nil
}

func (c *command) printWords(j wordsJSON) error {
	cols := []column{{name: "server"}}
	for _, m := range j.Methods {
		cols = append(cols, column{name: m.Name, right: true}, column{right: true})
	}
	t := newTable(c.stdout, true, cols...)
	row := func(name string, cells func(m *methodJSON) (string, string)) error {
		line := []string{name}
		for i := range j.Methods {
			a, b := cells(&j.Methods[i])
			line = append(line, a, b)
		}
		return t.add(line...)
	}
	for s, name := range j.Servers {
		err := row(plain(name), func(m *methodJSON) (string, string) { return strconv.Itoa(m.Counts[s]), percent(m.Shares[s]) })
		if err != nil {
			return err
		}
	}
	if err := row("deviation", func(m *methodJSON) (string, string) { return "", percent(m.Deviation) }); err != nil {
		return err
	}
	if err := row("one more moves", func(m *methodJSON) (string, string) { return "", percent(m.Moves) }); err != nil {
		return err
	}
	return t.flush()
}
