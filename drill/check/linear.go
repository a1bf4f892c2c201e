package check

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// file is the model's state of one path. A write of unknown outcome leaves a
// rev that nobody was told: then rev is unknownRev and above is the highest rev
// that is certainly lower.
type file struct {
	value string
	rev   int64 // 0: no file
	above int64 // of no file: the rev that deleted it is not below that
}

const unknownRev = -1

// floor is a rev that the next write's is certainly above.
func (f file) floor() int64 {
	return max(f.rev, f.above)
}

// touch is what one operation did to, or saw of, one path. A history of
// operations on many paths at once has an order only if those of each path have
// one; Serial checks them together.
type touch struct {
	op   Op
	read bool // the file was read: Value at Rev
	part Part // else
	// failed: the condition of part did not hold, the file was at op.Rev.
	failed bool
}

// touches is what o did to each path; all are the paths of the history.
func touches(o Op, all []string) map[string]touch {
	out := map[string]touch{}
	switch {
	case o.Outcome == Failed || o.Outcome == TooLate || o.Kind == Local || o.Kind == List && o.At != 0:
		// it did nothing, or told nothing about the present
	case o.Kind == Read && o.Outcome == OK:
		out[o.Path] = touch{op: o, read: true}
	case o.Kind == List && o.Outcome == OK:
		for _, path := range all {
			if Match(o.Path, path) {
				out[path] = touch{op: Op{Client: o.Client, Kind: Read, Path: path, Call: o.Call, Return: o.Return}, read: true}
			}
		}
		for _, f := range o.Files {
			t := out[f.Path]
			t.op.Path, t.op.Value, t.op.Rev, t.read = f.Path, f.Value, f.Rev, true
			out[f.Path] = t
		}
	case o.Writes():
		for i, part := range parts(o) {
			if t := (touch{op: o, part: part, failed: o.Outcome == Mismatch && i == o.Index}); o.Outcome != Mismatch || i <= o.Index {
				out[part.Path] = t
			}
		}
	}
	return out
}

// Linearizable looks for one order of all operations on each path that every
// caller's view fits. It gives up after limit and says so.
func Linearizable(ops []Op, limit time.Duration) error {
	var end time.Duration
	paths := map[string]bool{}
	for _, o := range ops {
		end = max(end, o.Return)
		if o.Kind != List && o.Kind != Txn {
			paths[o.Path] = true
		}
		for _, part := range o.Parts {
			paths[part.Path] = true
		}
	}
	byPath := map[string][]porcupine.Operation{}
	all := slices.Collect(maps.Keys(paths))
	for _, o := range ops {
		back := o.Return
		if o.Outcome == Unknown {
			back = end + 1 // it may happen at any time yet
		}
		for path, t := range touches(o, all) {
			byPath[path] = append(byPath[path], porcupine.Operation{
				ClientId: o.Client, Input: t, Output: t, Call: int64(o.Call), Return: int64(back),
			})
		}
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
			for _, f := range step(state.(file), input.(touch)) {
				out = append(out, f)
			}
			return out
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprint(input.(touch).op) },
	}
	return m.ToModel()
}

// step returns the states that t, with the outcome it had, can leave behind;
// none when it could not have had that outcome in state f.
func step(f file, t touch) []file {
	o, part := t.op, t.part
	switch {
	case t.read && o.Rev == 0:
		if f.rev != 0 {
			return nil
		}
		return []file{f}
	case t.read:
		if f.rev == 0 || f.value != o.Value || !f.is(o.Rev) {
			return nil
		}
		return []file{{value: o.Value, rev: o.Rev}}
	case o.Outcome == Unknown:
		if !f.holds(part) {
			return []file{f}
		}
		return []file{f, f.after(part, unknownRev)}
	case t.failed:
		if !f.is(o.Rev) || holds(part, o.Rev) || !part.asks() {
			return nil
		}
		if f.rev != o.Rev {
			f.rev, f.above = o.Rev, 0
		}
		return []file{f}
	case !f.holds(part):
		return nil
	case o.Outcome == Mismatch:
		return []file{f} // another condition of the transaction failed
	case o.Rev <= f.floor():
		return nil
	}
	return []file{f.after(part, o.Rev)}
}

// after is the file once a part was done at rev.
func (f file) after(p Part, rev int64) file {
	known := max(rev, f.floor())
	switch {
	case p.Del:
		return file{above: known}
	case !p.Set:
		return f
	case rev == unknownRev:
		return file{value: p.Value, rev: rev, above: known}
	}
	return file{value: p.Value, rev: rev}
}

// is tells whether the file's rev may be rev.
func (f file) is(rev int64) bool {
	return f.rev == rev || f.rev == unknownRev && rev > f.above
}

// holds tells whether the condition of a part may hold.
func (f file) holds(p Part) bool {
	if f.rev == unknownRev {
		return !p.Missing && (p.If == 0 || p.If > f.above)
	}
	return holds(p, f.rev)
}

// tail shows the last operations of a history that has no order.
func tail(history []porcupine.Operation) string {
	const shown = 12
	s := ""
	for _, h := range history[max(0, len(history)-shown):] {
		s += fmt.Sprintf("  %v\n", h.Input.(touch).op)
	}
	return s
}
