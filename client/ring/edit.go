package ring

import (
	"errors"
	"fmt"
)

// Changes of a File. Each either succeeds, or returns an error and leaves f as it
// was in all that counts; Edit makes one of them a change of the ring.

var (
	errNotSlots  = errors.New("only a ring of slots can do that")
	errNothing   = errors.New("no slot is on its way to it")
	errNoMembers = errors.New("the ring has no other node yet")
)

// Add makes name a node. A node that joins has other owners beside it until Up;
// without a state it is up at once, and in a ring of slots gets its share at
// once.
func (f *File) Add(name string, s Spec) error {
	f.fill()
	if _, ok := f.Nodes[name]; ok {
		return fmt.Errorf("%w: %s", ErrNodeExists, name)
	}
	if s.State == "" {
		s.State = Up
	}
	s.Weight = s.Weight.value()
	if err := checkSpec(name, s); err != nil {
		return fmt.Errorf("node %.140q: %w", name, err)
	}
	if s.State != Up && s.State != Joining {
		return fmt.Errorf("a node is added as up or joining, not as %s", s.State)
	}
	if s.State == Joining && f.count(is) == 0 {
		return fmt.Errorf("%s cannot join: %w", name, errNoMembers)
	}
	f.Nodes[name] = s
	return f.balance(s.State == Joining)
}

// Remove takes a node out of the ring, the very last one too. Its slots go to who
// was to take them over, or are shared out.
func (f *File) Remove(name string) error {
	s, err := f.node(name)
	if err != nil {
		return err
	}
	if s.State == Up && f.count(up) == 1 && len(f.Nodes) > 1 {
		return fmt.Errorf("%w: %s", ErrLastNode, name)
	}
	delete(f.Nodes, name)
	for i, owner := range f.Slots {
		switch next := f.next(i); {
		case next == name:
			f.Next[i] = ""
		case owner == name:
			f.setOwner(i, next)
		}
	}
	return f.balance(false)
}

// SetValue changes where a node is: an address, or the path of a file that says
// so; one of them is "". It moves no key.
func (f *File) SetValue(name, addr, ref string) error {
	s, err := f.node(name)
	if err != nil {
		return err
	}
	s.Addr, s.Ref = addr, ref
	return f.put(name, s)
}

// SetWeight changes how much a node is to own. Staged, a ring of slots moves
// nothing by itself: Take does. Other rings cannot do that.
func (f *File) SetWeight(name string, w Weight, staged bool) error {
	s, err := f.node(name)
	if err != nil {
		return err
	}
	if staged && f.Algo != Slots {
		return errNotSlots
	}
	s.Weight = w.value()
	if err := f.put(name, s); err != nil {
		return err
	}
	return f.balance(staged)
}

// Drain lets the keys of a node go: see Ring.Both. The node stays in the ring
// until Remove or Down.
func (f *File) Drain(name string) error {
	s, err := f.node(name)
	if err != nil || s.State == Draining {
		return err
	}
	if s.State != Up {
		return fmt.Errorf("%s is %s: only a node that is up can drain", name, s.State)
	}
	if f.count(up) == 1 {
		return fmt.Errorf("%w: %s", ErrLastNode, name)
	}
	s.State = Draining
	f.Nodes[name] = s
	return f.balance(true)
}

// Up ends what was under way with a node: what it was to take over is its own,
// what it was to give away it keeps. A node that was down comes back to its keys.
func (f *File) Up(name string) error {
	s, err := f.node(name)
	if err != nil {
		return err
	}
	for i := range f.Next {
		switch {
		case f.Next[i] == name:
			f.setOwner(i, name)
		case f.Slots[i] == name:
			f.Next[i] = ""
		}
	}
	s.State = Up
	f.Nodes[name] = s
	return nil
}

// Down passes a node over until it is up again. It keeps its slots.
func (f *File) Down(name string) error {
	s, err := f.node(name)
	if err != nil || s.State == Down {
		return err
	}
	if s.State == Up && f.count(up) == 1 {
		return fmt.Errorf("%w: %s", ErrLastNode, name)
	}
	s.State = Down
	f.Nodes[name] = s
	return nil
}

// Take makes a node the owner of slots that were on their way to it, because
// their data has arrived; ranges "" means all of them. A joining node that has
// got its last slot is up.
func (f *File) Take(name, ranges string) error {
	s, err := f.node(name)
	if err != nil {
		return err
	}
	if f.Algo != Slots {
		return errNotSlots
	}
	if ranges == "" {
		ranges = fmt.Sprintf("0-%d", f.Parts-1)
	}
	taken := false
	err = ParseRanges(ranges, f.Parts, func(i int) error {
		if f.next(i) == name {
			f.setOwner(i, name)
			taken = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !taken {
		return fmt.Errorf("%s: %w", name, errNothing)
	}
	if s.State == Joining && formatRanges(f.Next)[name] == "" {
		s.State = Up
		f.Nodes[name] = s
	}
	return nil
}

// Balance shares the slots out as the weights ask for, moving as few as can be.
// Only a ring of slots can be out of balance.
func (f *File) Balance(staged bool) error {
	f.fill()
	if f.Algo != Slots {
		return errNotSlots
	}
	return f.balance(staged)
}

func (f *File) node(name string) (Spec, error) {
	f.fill()
	s, ok := f.Nodes[name]
	if !ok {
		return s, fmt.Errorf("%w: %.140s", ErrNoNode, name)
	}
	return s, nil
}

func (f *File) put(name string, s Spec) error {
	if err := checkSpec(name, s); err != nil {
		return fmt.Errorf("node %.140q: %w", name, err)
	}
	f.Nodes[name] = s
	return nil
}

func up(s State) bool { return s == Up }

// count is the number of nodes in such a state.
func (f *File) count(in func(State) bool) (n int) {
	for _, s := range f.Nodes {
		if in(s.State) {
			n++
		}
	}
	return n
}

// setOwner gives a slot away; nobody is to take it over then.
func (f *File) setOwner(slot int, name string) {
	f.Slots[slot] = name
	if f.Next != nil {
		f.Next[slot] = ""
	}
}

// Settled is f as it will be when what is under way is done: joining nodes are up,
// slots have moved, and draining nodes that own nothing any more are gone.
func (f *File) Settled() *File {
	g := f.Clone()
	g.fill()
	if g.Algo == Slots {
		g.Slots, g.Next = g.after(), nil
	}
	owns := formatRanges(g.Slots)
	for name, s := range g.Nodes {
		switch {
		case s.State == Joining:
			s.State = Up
			g.Nodes[name] = s
		case s.State == Draining && owns[name] == "":
			delete(g.Nodes, name)
		}
	}
	return g
}
