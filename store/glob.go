package store

import (
	"strings"
	"unicode/utf8"
)

// Glob is a compiled pattern. It never changes; any number of goroutines may
// use it.
//
// In a pattern, ? stands for one character of a name, * for any run of
// characters within a name, ** for any run of characters, slashes too; a run
// may be empty. Everything else stands for itself.
type Glob struct {
	pattern string
	prefix  string // the pattern before its first wildcard
	shape   shape  // of the rest
	tail    *tail  // the rest, if shapeAny
}

// shape is what kind of pattern follows the literal prefix; most are of those
// that need no automaton.
type shape uint8

const (
	shapeNone shape = iota // nothing
	shapeName              // only *
	shapeDeep              // only **
	shapeAny
)

// CompileGlob returns the compiled pattern. A pattern that could match no path
// is refused with an *Error with Code BadGlob, and so is one over MaxGlob or
// MaxGlobTail.
func CompileGlob(pattern string) (*Glob, error) {
	if reason := globFault(pattern); reason != "" {
		return nil, &Error{Code: BadGlob, Path: pattern[:min(len(pattern), MaxGlob)], Msg: reason}
	}
	g := newGlob(pattern)
	if len(pattern)-len(g.prefix) > MaxGlobTail {
		return nil, &Error{Code: BadGlob, Path: pattern, Msg: "it is too long after its first wildcard"}
	}
	if g.shape == shapeAny {
		g.tail = newTail(pattern[len(g.prefix):])
	}
	return g, nil
}

// Below returns the glob of all files below the directory dir, whose path must be
// well formed and may be of any length.
func Below(dir string) *Glob { return newGlob(key(dir) + "/**") }

// newGlob returns the glob of a sound pattern, without its automaton.
func newGlob(pattern string) *Glob {
	i := strings.IndexAny(pattern, "?*")
	if i < 0 {
		return &Glob{pattern: pattern, prefix: pattern}
	}
	g := &Glob{pattern: pattern, prefix: pattern[:i], shape: shapeAny}
	if strings.Trim(pattern[i:], "*") == "" {
		g.shape = shapeDeep
		if len(pattern)-i == 1 {
			g.shape = shapeName
		}
	}
	return g
}

// globFault returns why no path could match pattern, "" if one could. A pattern
// of at most MaxPath bytes never asks for a longer path: each wildcard that has
// to stand for something can do with as many bytes as it has itself.
func globFault(pattern string) string {
	switch {
	case pattern == "/":
		return ""
	case pattern == "" || pattern[0] != '/':
		return "it does not start with a slash"
	case len(pattern) > MaxGlob:
		return "it is too long"
	}
	for seg := range strings.SplitSeq(pattern[1:], "/") {
		if fault := segmentFault(seg); fault != "" {
			return fault
		}
	}
	return ""
}

// segmentFault returns why nothing could match seg, a part of a pattern between
// slashes.
func segmentFault(seg string) string {
	for i := 0; i < len(seg); {
		if c := seg[i]; c == '*' || c == '?' {
			i++
			continue
		}
		n, fault := charFault(seg, i)
		if fault != "" {
			return fault
		}
		i += n
	}
	if !strings.ContainsAny(seg, "?*") {
		return nameFault(seg)
	}
	// ** can end a name and start another, so that only what is between two of
	// them has to fit in one name.
	for part := range strings.SplitSeq(seg, "**") {
		if len(part)-strings.Count(part, "*") > MaxName {
			return "it asks for a name that is too long"
		}
	}
	return ""
}

// String returns the pattern.
func (g *Glob) String() string { return g.pattern }

// Exact reports whether the pattern has no wildcard: it matches one path.
func (g *Glob) Exact() bool { return g.shape == shapeNone }

// Literal returns the longest path that has no wildcard and that everything the
// glob matches is, or lies below: the path itself if the glob is exact.
func (g *Glob) Literal() string {
	if g.shape == shapeNone {
		return g.pattern
	}
	if i := strings.LastIndexByte(g.prefix, '/'); i > 0 {
		return g.prefix[:i]
	}
	return "/"
}

// Match reports whether the glob matches path, which must be well formed. It
// takes a step for each byte of path and each 64 bytes of the pattern's tail,
// and allocates nothing.
func (g *Glob) Match(path string) bool {
	if g.shape == shapeNone {
		return path == g.pattern
	}
	if !strings.HasPrefix(path, g.prefix) {
		return false
	}
	matched, _ := g.run(path[len(g.prefix):])
	return matched
}

// reaches reports whether a path that starts with prefix could match.
func (g *Glob) reaches(prefix string) bool {
	if len(prefix) <= len(g.prefix) {
		return strings.HasPrefix(g.prefix, prefix)
	}
	if g.shape == shapeNone || !strings.HasPrefix(prefix, g.prefix) {
		return false
	}
	_, alive := g.run(prefix[len(g.prefix):])
	return alive
}

// run reports whether what follows the literal prefix matches s, and whether it
// could match something that starts with s.
func (g *Glob) run(s string) (matched, alive bool) {
	switch g.shape {
	case shapeDeep:
		return true, true
	case shapeName:
		ok := strings.IndexByte(s, '/') < 0
		return ok, ok
	}
	if g.tail.words == 1 {
		return g.tail.run(s)
	}
	return g.tail.runWide(s)
}

// tail matches what follows a pattern's literal prefix: a nondeterministic
// automaton run as bits, as in Baeza-Yates and Gonnet, "A New Approach to Text
// Searching", 1992. There is no backtracking, so that no pattern is slow. Its automaton has a
// state for each token read, a token being a literal byte or a ?. A state's
// loops are the bytes that leave it as it is: those a star in its place may
// stand for and, behind a ?, the rest of the character. The states that are
// alive are bits, advanced all at once for each byte of the path.
type tail struct {
	words int // of a set of states
	last  int // the state that accepts

	any   []uint64 // tokens that are ?
	rest  []uint64 // states behind a ?
	star  []uint64 // states with *
	deep  []uint64 // states with **
	lits  []uint64 // sets of tokens, one for each class of bytes
	class [256]uint8
}

// maxTailWords is how many words a set of states may need.
const maxTailWords = MaxGlobTail/64 + 1

func newTail(pattern string) *tail {
	t := &tail{last: len(pattern) - strings.Count(pattern, "*")}
	t.words = t.last/64 + 1
	sets := make([]uint64, 4*t.words)
	cut := func() []uint64 {
		s := sets[:t.words:t.words]
		sets = sets[t.words:]
		return s
	}
	t.any, t.rest, t.star, t.deep = cut(), cut(), cut(), cut()
	t.lits = make([]uint64, t.words) // class 0: bytes that are no token
	state := 0
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			if i+1 < len(pattern) && pattern[i+1] == '*' {
				setBit(t.deep, state)
				for i+1 < len(pattern) && pattern[i+1] == '*' {
					i++
				}
			} else {
				setBit(t.star, state)
			}
		case '?':
			setBit(t.any, state)
			state++
			setBit(t.rest, state)
		default:
			if t.class[c] == 0 {
				t.class[c] = uint8(len(t.lits) / t.words)
				t.lits = append(t.lits, make([]uint64, t.words)...)
			}
			setBit(t.lits[int(t.class[c])*t.words:], state)
			state++
		}
	}
	return t
}

func setBit(set []uint64, i int) { set[i/64] |= 1 << (i % 64) }

// run is Glob.run for tails whose states fit in a word.
func (t *tail) run(s string) (matched, alive bool) {
	states := uint64(1)
	for i := 0; i < len(s); i++ {
		c := s[i]
		step, loop := t.lits[t.class[c]], t.deep[0]
		switch {
		case c == '/':
		case utf8.RuneStart(c):
			step |= t.any[0]
			loop |= t.star[0]
		default:
			loop |= t.star[0] | t.rest[0]
		}
		states = (states&step)<<1 | states&loop
		if states == 0 {
			return false, false
		}
	}
	return states>>t.last&1 != 0, true
}

// runWide is run for tails of more states than a word has bits.
func (t *tail) runWide(s string) (matched, alive bool) {
	var buf [maxTailWords]uint64
	states := buf[:t.words]
	states[0] = 1
	for i := 0; i < len(s); i++ {
		c := s[i]
		lits := t.lits[int(t.class[c])*t.words:]
		var carry, some uint64
		for w, now := range states {
			step, loop := lits[w], t.deep[w]
			switch {
			case c == '/':
			case utf8.RuneStart(c):
				step |= t.any[w]
				loop |= t.star[w]
			default:
				loop |= t.star[w] | t.rest[w]
			}
			moved := now & step
			states[w] = moved<<1 | carry | now&loop
			carry = moved >> 63
			some |= states[w]
		}
		if some == 0 {
			return false, false
		}
	}
	return states[t.last/64]>>(t.last%64)&1 != 0, true
}
