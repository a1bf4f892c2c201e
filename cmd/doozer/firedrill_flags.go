package main

import (
	"errors"
	"strconv"
	"time"
)

// nodesFlag is the size of a cluster that survives the loss of a node.
type nodesFlag int

func (n *nodesFlag) String() string { return strconv.Itoa(int(*n)) }
func (n *nodesFlag) Type() string   { return "3|5" }

func (n *nodesFlag) Set(s string) error {
	switch s {
	case "3", "5":
		*n = nodesFlag(s[0] - '0')
		return nil
	}
	return errors.New("it is 3 or 5")
}

// periodFlag is a length of time; 0 means not given.
type periodFlag time.Duration

func (p *periodFlag) String() string {
	if *p == 0 {
		return ""
	}
	return time.Duration(*p).String()
}

func (p *periodFlag) Type() string { return "duration" }

func (p *periodFlag) Set(s string) error {
	var t timeoutFlag
	if err := t.Set(s); err != nil {
		return err
	}
	*p = periodFlag(t.d)
	return nil
}

// seedFlag is a seed of random choices; 0 means not given.
type seedFlag uint64

func (f *seedFlag) String() string {
	if *f == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*f), 10)
}

func (f *seedFlag) Type() string { return "n" }

func (f *seedFlag) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return errors.New("a seed is a number from 1")
	}
	*f = seedFlag(n)
	return nil
}
