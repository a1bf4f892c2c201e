package main

import (
	"fmt"

	"github.com/doozer-store/doozer/client"
)

// localJSON tells how old what a --local read returned may be.
type localJSON struct {
	Node  uint64 `json:"node"`
	Rev   int64  `json:"rev"`
	AgeMS int64  `json:"age_ms"`
}

// answered is which node answered a --local read, and how current its state
// was; header is nil for every other read. Of a read of several messages the
// first one counts: the rest is as old.
type answered struct{ header *client.Header }

// note is what client.Served calls.
func (a *answered) note(h client.Header) {
	if a.header == nil {
		a.header = &h
	}
}

// reportAge tells, once a local read succeeded, how old it may be: on stderr,
// beside whatever goes to stdout.
func (c *command) reportAge(a *answered) *localJSON {
	h := a.header
	if h == nil {
		return nil
	}
	fmt.Fprintf(c.stderr, "local read: node %d, rev %d, age %s\n", h.Node, h.Rev, span(h.Age))
	return &localJSON{Node: h.Node, Rev: h.Rev, AgeMS: h.Age.Milliseconds()}
}
