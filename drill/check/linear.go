package check

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// file is the model's state of one path. A write of unknown outcome leaves a
// rev that nobody was told: then rev is unknownRev and above is the highest rev
// that is certainly lower.
type file struct {
	value string
	rev   int64 // 0: no file
	above int64
}

const unknownRev = -1

// floor is a rev that the next write's is certainly above.
func (f file) floor() int64 {
	if f.rev == unknownRev {
		return f.above
	}
	return f.rev
}

// Linearizable looks for one order of all reads and writes of each path that
// every caller's view fits. It gives up after limit and says so.
func Linearizable(ops []Op, limit time.Duration) error {
	var end time.Duration
	for _, o := range ops {
		end = max(end, o.Return)
	}
	byPath := map[string][]porcupine.Operation{}
	for _, o := range ops {
		if o.Outcome == Failed || (o.Kind == Read && o.Outcome != OK) {
			continue // it did nothing and told nothing
		}
		back := o.Return
		if o.Outcome == Unknown {
			back = end + 1 // it may happen at any time yet
		}
		byPath[o.Path] = append(byPath[o.Path], porcupine.Operation{
			ClientId: o.Client, Input: o, Output: o, Call: int64(o.Call), Return: int64(back),
		})
	}
	var p Problems
	m := model()
	deadline := time.Now().Add(limit)
	for path, history := range byPath {
		switch porcupine.CheckOperationsTimeout(m, history, max(time.Until(deadline), time.Millisecond)) {
		case porcupine.Illegal:
			p.addf("not linearizable: %s, %d operations\n%s", path, len(history), tail(history))
		case porcupine.Unknown:
			p.addf("undecided: %s, %d operations, after %v", path, len(history), limit)
		}
	}
	return p.err()
}

func model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{file{}} },
		Step: func(state, input, _ any) []any {
			var out []any
			for _, f := range step(state.(file), input.(Op)) {
				out = append(out, f)
			}
			return out
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
	}
	return m.ToModel()
}

// step returns the states that o, with the outcome it had, can leave behind;
// none when it could not have had that outcome in state f.
func step(f file, o Op) []file {
	done := file{value: o.Value, rev: o.Rev}
	switch {
	case o.Kind == Read && o.Rev == 0:
		if f.rev != 0 {
			return nil
		}
		return []file{f}
	case o.Kind == Read:
		if f.rev == 0 || f.value != o.Value || !f.is(o.Rev) {
			return nil
		}
		return []file{done}
	case o.Outcome == Unknown:
		blind := file{value: o.Value, rev: unknownRev, above: f.floor()}
		if o.Kind == CAS && !f.holds(o.If) {
			return []file{f}
		}
		return []file{f, blind}
	case o.Outcome == Mismatch:
		if o.Kind != CAS || !f.is(o.Rev) {
			return nil
		}
		f.rev, f.above = o.Rev, 0
		if f.holds(o.If) {
			return nil
		}
		return []file{f}
	case o.Rev <= f.floor():
		return nil
	case o.Kind == CAS && !f.holds(o.If):
		return nil
	}
	return []file{done}
}

// is tells whether the file's rev may be rev.
func (f file) is(rev int64) bool {
	return f.rev == rev || f.rev == unknownRev && rev > f.above
}

// holds tells whether "unchanged since rev" (0: missing) may hold.
func (f file) holds(rev int64) bool {
	switch {
	case rev == 0:
		return f.rev == 0
	case f.rev == unknownRev:
		return rev > f.above
	}
	return f.rev != 0 && f.rev <= rev
}

// tail shows the last operations of a history that has no order.
func tail(history []porcupine.Operation) string {
	const shown = 12
	s := ""
	for _, h := range history[max(0, len(history)-shown):] {
		s += fmt.Sprintf("  %v\n", h.Input)
	}
	return s
}
