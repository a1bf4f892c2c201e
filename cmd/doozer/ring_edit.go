package main

import (
	"github.com/doozer-store/doozer/client/ring"
)

// The changes of ring, made from arguments and flags.

// weightFlag is a weight; 0 means not given.
type weightFlag ring.Weight

func (w *weightFlag) String() string {
	if *w == 0 {
		return ""
	}
	return ring.Weight(*w).String()
}

func (w *weightFlag) Type() string { return "n" }

func (w *weightFlag) Set(s string) error {
	n, err := ring.ParseWeight(s)
	*w = weightFlag(n)
	return err
}

// check finds what is wrong with the arguments before any node is asked.
func (r *ringCall) check() error {
	if len(r.args) > 0 {
		if err := ring.CheckName(r.args[0]); err != nil {
			return usagef("node %q: %w", r.args[0], err)
		}
	}
	if r.action.name == "weight" {
		if _, err := ring.ParseWeight(r.args[1]); err != nil {
			return usagef("%s: %w", r.args[1], err)
		}
	}
	if r.action.name == "take" && len(r.args) > 1 {
		err := ring.ParseRanges(r.args[1], ring.MaxSlots, func(int) error { return nil })
		if err != nil {
			return asUsage(err)
		}
	}
	return nil
}

func ringAdd(f *ringFlags, args []string) func(*ring.File) error {
	s := ring.Spec{Weight: ring.Weight(f.weight), Zone: f.zone}
	s.Addr, s.Ref = f.value(args[1])
	if f.warm {
		s.State = ring.Joining
	}
	return func(r *ring.File) error { return r.Add(args[0], s) }
}

// value is what ADDR stands for.
func (f *ringFlags) value(arg string) (addr, ref string) {
	if f.ref {
		return "", arg
	}
	return arg, ""
}

func ringAddr(f *ringFlags, args []string) func(*ring.File) error {
	addr, ref := f.value(args[1])
	return func(r *ring.File) error { return r.SetValue(args[0], addr, ref) }
}

func ringWeight(f *ringFlags, args []string) func(*ring.File) error {
	return func(r *ring.File) error {
		w, err := ring.ParseWeight(args[1])
		if err != nil {
			return err
		}
		return r.SetWeight(args[0], w, f.warm)
	}
}

// ringNode is for changes that need nothing but the node.
func ringNode(change func(*ring.File, string) error) func(*ringFlags, []string) func(*ring.File) error {
	return func(_ *ringFlags, args []string) func(*ring.File) error {
		return func(r *ring.File) error { return change(r, args[0]) }
	}
}

func ringTake(_ *ringFlags, args []string) func(*ring.File) error {
	ranges := ""
	if len(args) > 1 {
		ranges = args[1]
	}
	return func(r *ring.File) error { return r.Take(args[0], ranges) }
}

func ringBalance(f *ringFlags, _ []string) func(*ring.File) error {
	return func(r *ring.File) error { return r.Balance(f.warm) }
}
