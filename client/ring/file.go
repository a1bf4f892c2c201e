package ring

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	// ErrBadFile: a ring file that cannot be used. The text says what is wrong
	// and where.
	ErrBadFile = errors.New("bad ring file")
	// ErrNoNode: the ring has no node of that name.
	ErrNoNode = errors.New("no such node in the ring")
	// ErrNodeExists: the ring has a node of that name.
	ErrNodeExists = errors.New("the ring has that node already")
	// ErrLastNode: without that node nobody would own the keys.
	ErrLastNode = errors.New("no other node is left to own its keys")

	errNumber = errors.New("not a number in range")
)

// Algo is how keys find their owners.
type Algo string

// The algorithms.
const (
	// HRW is weighted rendezvous hashing over partitions: the default. A change
	// of one node moves only keys from it or to it.
	HRW Algo = "hrw"
	// Slots is an explicit table, for nodes that keep state: shares are even to
	// within one slot, and each slot's owner is changed when its data has moved.
	Slots Algo = "slots"
	// MD5 is the classic ring of points, bit for bit.
	MD5 Algo = "md5"
)

// State is what a node is to its keys.
type State string

// The states. While a node is joining or draining, the keys that it gains or
// loses have two owners: see Ring.Both.
const (
	Up       State = "up"
	Joining  State = "joining"
	Draining State = "draining"
	// Down is passed over: its keys go to the next in their rankings, and come
	// back with Up. A node is put down by somebody, never because it is silent.
	Down State = "down"
)

// SpreadZone puts the copies of a key into different zones.
const SpreadZone = "zone"

// Spec is what a file says of one node.
type Spec struct {
	// Addr is where the node is, in whatever form the users of the ring agree
	// on. Ref, in its place, is the path of a file that says so. No key depends
	// on them.
	Addr, Ref string
	// Weight is the node's share compared with others; 0 means One.
	Weight Weight
	// Zone is what it shares the fate of: nodes without one are each a zone of
	// their own.
	Zone string
	// State is Up if it is empty.
	State State
}

// File is the membership of a ring. The zero value of a field means its default.
// It belongs to one goroutine.
type File struct {
	Algo Algo // HRW
	// Parts is into how many parts keys are divided; 0 for MD5.
	Parts int
	// Copies is how many owners of a key a table holds.
	Copies int
	// Spread is "" or SpreadZone.
	Spread string
	// Points is how many an MD5 node of weight One has on the ring; else 0.
	Points int
	Nodes  map[string]Spec
	// Slots has the owner of every slot, and Next who is to take it over, "" if
	// nobody is; Next may be nil. Both are nil but for Algo Slots.
	Slots, Next []string
}

// Clone is a copy that shares nothing with f.
func (f *File) Clone() *File {
	g := *f
	g.Nodes = maps.Clone(f.Nodes)
	g.Slots, g.Next = slices.Clone(f.Slots), slices.Clone(f.Next)
	return &g
}

// Check fills in the defaults, and returns ErrBadFile if f breaks a rule.
func (f *File) Check() error {
	f.fill()
	if err := f.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrBadFile, err)
	}
	return nil
}

func (f *File) fill() {
	if f.Algo == "" {
		f.Algo = HRW
	}
	if f.Copies == 0 {
		f.Copies = DefaultCopies
	}
	switch {
	case f.Algo == HRW && f.Parts == 0:
		f.Parts = DefaultParts
	case f.Algo == Slots && f.Parts == 0:
		f.Parts = DefaultSlots
	case f.Algo == MD5 && f.Points == 0:
		f.Points = DefaultPoints
	}
	if f.Algo == Slots && f.Slots == nil && f.Parts > 0 && f.Parts <= MaxSlots {
		f.Slots = make([]string, f.Parts)
	}
	if f.Nodes == nil {
		f.Nodes = make(map[string]Spec)
	}
	for name, s := range f.Nodes {
		s.Weight = s.Weight.value()
		if s.State == "" {
			s.State = Up
		}
		f.Nodes[name] = s
	}
}

func (f *File) check() error {
	switch {
	case f.Algo != HRW && f.Algo != Slots && f.Algo != MD5:
		return fmt.Errorf("algo %.32q is not hrw, slots or md5", f.Algo)
	case f.Algo == HRW && (f.Parts < 1 || f.Parts > MaxParts):
		return fmt.Errorf("parts is %d, not 1 to %d", f.Parts, MaxParts)
	case f.Algo == Slots && (f.Parts < 1 || f.Parts > MaxSlots):
		return fmt.Errorf("parts is %d, not 1 to %d", f.Parts, MaxSlots)
	case f.Algo == MD5 && f.Parts != 0:
		return errors.New("parts are not for md5")
	case f.Algo == MD5 && (f.Points < 1 || f.Points > MaxPoints):
		return fmt.Errorf("points is %d, not 1 to %d", f.Points, MaxPoints)
	case f.Algo != MD5 && f.Points != 0:
		return errors.New("points are for md5 only")
	case f.Copies < 1 || f.Copies > MaxCopies:
		return fmt.Errorf("copies is %d, not 1 to %d", f.Copies, MaxCopies)
	case f.Spread != "" && f.Spread != SpreadZone:
		return fmt.Errorf("spread %.32q is not zone", f.Spread)
	case len(f.Nodes) > MaxNodes:
		return fmt.Errorf("there are %d nodes, more than %d", len(f.Nodes), MaxNodes)
	}
	refs := make(map[string]bool)
	points := 0
	for _, name := range f.names() {
		s := f.Nodes[name]
		if err := checkSpec(name, s); err != nil {
			return fmt.Errorf("node %.140q: %w", name, err)
		}
		if s.Ref != "" {
			refs[s.Ref] = true
		}
		points += pointsOf(f.Points, s.Weight)
	}
	if len(refs) > MaxRefs {
		return fmt.Errorf("the nodes refer to %d files, more than %d", len(refs), MaxRefs)
	}
	if f.Algo == MD5 && points > MaxPoints {
		return fmt.Errorf("the weights ask for %d points in all, more than %d", points, MaxPoints)
	}
	return f.checkSlots()
}

func checkSpec(name string, s Spec) error {
	if err := CheckName(name); err != nil {
		return err
	}
	switch {
	case s.Weight < 1 || s.Weight > MaxWeight:
		return errWeight
	case s.Addr != "" && s.Ref != "":
		return errors.New("it has both addr and ref")
	case len(s.Addr) > MaxValue || !utf8.ValidString(s.Addr):
		return fmt.Errorf("its addr is over %d bytes, or not UTF-8", MaxValue)
	case len(s.Ref) > MaxValue || s.Ref != "" && !isPath(s.Ref):
		return fmt.Errorf("its ref %.64q is not the path of a file", s.Ref)
	case len(s.Zone) > MaxZone || !printable(s.Zone):
		return fmt.Errorf("its zone is over %d bytes, or has control characters", MaxZone)
	}
	switch s.State {
	case Up, Joining, Draining, Down:
		return nil
	}
	return fmt.Errorf("its state %.32q is not up, joining, draining or down", s.State)
}

// checkSlots holds that every slot has one owner if there is any node, that
// owners and successors exist, and that nobody succeeds himself.
func (f *File) checkSlots() error {
	if f.Algo != Slots {
		if f.Slots != nil || f.Next != nil {
			return errors.New("slots and next are for algo slots only")
		}
		return nil
	}
	if len(f.Slots) != f.Parts || f.Next != nil && len(f.Next) != f.Parts {
		return fmt.Errorf("there are %d slots, not %d", len(f.Slots), f.Parts)
	}
	for i, owner := range f.Slots {
		_, known := f.Nodes[owner]
		if !known && (owner != "" || len(f.Nodes) > 0) {
			return fmt.Errorf("slot %d belongs to %.140q, which is no node", i, owner)
		}
		next := f.next(i)
		if _, known := f.Nodes[next]; next != "" && (!known || next == owner) {
			return fmt.Errorf("slot %d cannot go from %.140q to %.140q", i, owner, next)
		}
	}
	return nil
}

// next is who is to take over slot i, "" if nobody is.
func (f *File) next(i int) string {
	if f.Next == nil {
		return ""
	}
	return f.Next[i]
}

// names are those of the nodes, in byte order: the order that ties go by.
func (f *File) names() []string { return slices.Sorted(maps.Keys(f.Nodes)) }

// CheckName tells whether name can be that of a node or of a ring: 1 to MaxName
// bytes that could be a name in a path.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName || name == "." || name == ".." || !printable(name) || strings.ContainsAny(name, `/*?[]{}\`) {
		return fmt.Errorf("a name is 1 to %d bytes of UTF-8 without / * ? [ ] { } \\ and control characters", MaxName)
	}
	return nil
}

// isPath tells whether s could be the path of a file; the store has the last
// word.
func isPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.HasSuffix(s, "/") && printable(s) && !strings.ContainsAny(s, `*?[]{}\`) &&
		!strings.Contains(s, "//")
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// pointsOf is how many points a node has on an md5 ring; at least one.
func pointsOf(points int, w Weight) int {
	return max(1, int(uint64(points)*uint64(w.value())/uint64(One)))
}
