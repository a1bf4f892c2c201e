package ring

import (
	"cmp"
	"slices"
)

// balance gives every node of a ring of slots as many as its weight asks for, to
// within one, and moves no slot that could stay. It starts from where the slots
// will be when what is under way is done. Staged, slots that have an owner are
// moved by a Take later; else at once.
//
// It is a function of the file alone, so that plan shows what add does.
func (f *File) balance(staged bool) error {
	if f.Algo != Slots {
		return nil
	}
	want := f.quotas()
	have := make(map[string]int)
	after := f.after()
	for _, owner := range after {
		have[owner]++
	}
	// Who has too much gives from the end, so that ranges stay long.
	var free []int
	for i := len(after) - 1; i >= 0; i-- {
		if owner := after[i]; have[owner] > want[owner] {
			have[owner]--
			free = append(free, i)
		}
	}
	slices.Reverse(free)
	for _, name := range f.names() {
		for ; have[name] < want[name]; have[name]++ {
			f.assign(free[0], name, staged)
			free = free[1:]
		}
	}
	if len(f.Nodes) == 0 {
		for i := range f.Slots {
			f.setOwner(i, "")
		}
	}
	return nil
}

// assign moves a slot, or has it moved.
func (f *File) assign(slot int, name string, staged bool) {
	owner := f.Slots[slot]
	_, exists := f.Nodes[owner]
	if !staged || !exists || owner == name {
		f.setOwner(slot, name)
		return
	}
	if f.Next == nil {
		f.Next = make([]string, f.Parts)
	}
	f.Next[slot] = name
}

// quotas is how many slots each node is to have. What does not divide evenly goes
// to those who have more than their even part already, then to the largest
// remainders, then by name. Draining nodes get none; a node that is down keeps
// its part.
func (f *File) quotas() map[string]int {
	type quota struct {
		name   string
		n      int
		rest   uint64
		before int
	}
	have := make(map[string]int)
	for _, owner := range f.after() {
		have[owner]++
	}
	var list []quota
	var total uint64
	for _, name := range f.names() {
		if s := f.Nodes[name]; s.State != Draining {
			total += uint64(s.Weight)
			list = append(list, quota{name: name, before: have[name]})
		}
	}
	left := f.Parts
	for i := range list {
		q := &list[i]
		share := uint64(f.Parts) * uint64(f.Nodes[q.name].Weight)
		q.n, q.rest = int(share/total), share%total
		left -= q.n
	}
	// more is 1 for who has more than the even part; an even part that is whole is
	// all that a node gets.
	more := func(q quota) int {
		if q.rest > 0 && q.before > q.n {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b quota) int {
		return cmp.Or(cmp.Compare(more(b), more(a)), cmp.Compare(b.rest, a.rest))
	})
	want := make(map[string]int)
	for i, q := range list {
		want[q.name] = q.n
		if i < left {
			want[q.name]++
		}
	}
	return want
}
