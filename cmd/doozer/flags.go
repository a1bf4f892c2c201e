package main

import (
	"errors"
	"strconv"
	"time"
)

// The types of flags: each refuses a bad value while the command line is
// parsed, so that it is a usage error before any server is asked.

// revFlag is a rev given on the command line; 0 means not given.
type revFlag int64

func (r *revFlag) String() string {
	if *r == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*r), 10)
}

func (r *revFlag) Type() string { return "rev" }

func (r *revFlag) Set(s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return errors.New("a rev is a number")
	case n < 1:
		return errors.New("revs start at 1")
	}
	*r = revFlag(n)
	return nil
}

// formatFlag is -o.
type formatFlag string

const (
	formatText formatFlag = "text"
	formatJSON formatFlag = "json"
)

func (f *formatFlag) String() string { return string(*f) }
func (f *formatFlag) Type() string   { return "text|json" }

func (f *formatFlag) Set(s string) error {
	switch formatFlag(s) {
	case formatText, formatJSON:
		*f = formatFlag(s)
		return nil
	}
	return errors.New("it is text or json")
}

// timeoutFlag is --timeout. given tells the default from the same value said
// aloud: wait and watch are bounded only by the latter.
type timeoutFlag struct {
	d     time.Duration
	given bool
}

func (t *timeoutFlag) String() string { return t.d.String() }
func (t *timeoutFlag) Type() string   { return "duration" }

func (t *timeoutFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return errors.New("a duration is like 500ms, 5s or 2m")
	case d <= 0:
		return errors.New("it has to be more than 0")
	}
	*t = timeoutFlag{d: d, given: true}
	return nil
}

// countFlag is a limit; 0 means not given.
type countFlag uint32

func (c *countFlag) String() string {
	if *c == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*c), 10)
}

func (c *countFlag) Type() string { return "n" }

func (c *countFlag) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return errors.New("it is a number from 1")
	}
	*c = countFlag(n)
	return nil
}
