package drill

import (
	"fmt"
	"strings"
	"time"

	"github.com/doozer-store/doozer/drill/check"
)

// evidence is all that is known of a run when it is over.
type evidence struct {
	ops       []check.Op
	stretches []check.Stretch
	watched   []recording
	rev       int64 // that the nodes agreed on in the end
	history   int64 // revs that they keep
	// trees are the files of each node at its end, windows its history from
	// oldest on.
	trees   map[string][]check.Event
	windows map[string][]check.Event
}

// porcupineLimit is how long the search for an order may take.
const porcupineLimit = 60 * time.Second

// verdict judges a run. holes are revs that nobody recorded: then there is
// nothing to judge by, and the run proves nothing.
func (e *evidence) verdict() (checks []Check, holes []int64) {
	add := func(name string, err error, format string, args ...any) {
		c := Check{Name: name, OK: err == nil, Detail: fmt.Sprintf(format, args...)}
		if err != nil {
			c.Detail = err.Error()
		}
		checks = append(checks, c)
	}
	beats, unsure := e.beats()
	l, holes, err := check.Merge(e.stretches, sessionGlob, beats, unsure)
	if err == nil && len(holes) > 0 {
		return nil, holes
	}
	if err == nil && l.Rev() < e.rev {
		err = fmt.Errorf("the nodes say they are at rev %d, the last change that was watched is rev %d", e.rev, l.Rev())
	}
	add("one history", err, "%d changes up to rev %d, watched at %d nodes", len(l.Log()), e.rev, len(e.trees))
	merged := err == nil
	start := time.Now()
	err = check.Linearizable(e.ops, porcupineLimit)
	add("linearizable", err, "%d operations on %d paths, decided in %v", len(e.ops), hotPaths+beaters, time.Since(start).Round(time.Millisecond))
	if !merged {
		return checks, nil
	}
	add("serializable", check.Serial(e.ops, l), "%d operations on all paths together, in the order of the log", len(e.ops))
	writes, lost := 0, 0
	for _, o := range e.ops {
		if o.Writes() {
			writes++
			if o.Outcome == check.Unknown {
				lost++
			}
		}
	}
	add("exactly once", check.Applied(e.ops, l, hotDir, sessionDir), "%d writes, %d of unknown outcome: each applied as a whole, once or not at all", writes, lost)
	add("answers", check.Answers(e.ops, l, e.history), "local reads, past revs and refusals agree with the log")
	add("watches", e.watches(l), "%d watches", len(e.watched))
	add("equal nodes", e.equal(l), "%d nodes have the same files and the same history", len(e.trees))
	return checks, nil
}

// beats are the sessions that were written for sure, and how many others may
// have been.
func (e *evidence) beats() (written []check.Event, unsure int) {
	for _, o := range e.ops {
		switch {
		case o.Kind != check.Write || !strings.HasPrefix(o.Path, sessionDir+"/"):
		case o.Outcome == check.OK:
			written = append(written, check.Event{Path: o.Path, Value: o.Value, Rev: o.Rev, ID: o.ID})
		case o.Outcome == check.Unknown:
			unsure++
		}
	}
	return written, unsure
}

// watches checks every recording.
func (e *evidence) watches(l *check.Ledger) error {
	var p check.Problems
	for _, w := range e.watched {
		err := w.err
		switch {
		case err != nil:
		case w.mirror:
			err = check.Mirror(w.Recording, l)
		default:
			err = check.Recorded(w.Recording, l, e.history)
		}
		if err != nil {
			p = append(p, fmt.Sprintf("%s of %s from %d (snapshot %v): %v", w.who, w.Glob, w.From, w.Snapshot, err))
		}
	}
	if len(p) > 0 {
		return p
	}
	return nil
}

// equal compares what each node has with the ledger.
func (e *evidence) equal(l *check.Ledger) error {
	var p check.Problems
	for name, files := range e.trees {
		if err := l.SameFiles("node "+name, everything, e.rev, files); err != nil {
			p = append(p, err.Error())
		}
	}
	for name, window := range e.windows {
		if err := l.SameWindow("node "+name, window, e.rev); err != nil {
			p = append(p, err.Error())
		}
	}
	if len(p) > 0 {
		return p
	}
	return nil
}
