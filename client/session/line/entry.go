package line

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

// Root holds the lines: /lock/<name>.
const Root = "/lock"

// entryVersion is the format of entries and configurations.
const entryVersion = 1

// Entry is a place in a line. What decides about turns is in the name of its
// file, so that nobody has to read a thousand files to know that it is his turn:
// <session>-<n>, and -r behind that for shared ones.
type Entry struct {
	// Session owns the place; empty if the name tells none: then only people
	// can end it.
	Session string
	// Shared places do not wait for each other.
	Shared bool
	// Path and Rev are the file's: Rev is the place in line, and the token.
	Path string
	Rev  int64
	body
	// Since is when the place was taken, by the leader's clock.
	Since time.Time
}

// body is what the file of an entry says.
type body struct {
	V     int    `json:"v"`
	Nonce string `json:"nonce"`
	// Why is for people.
	Why string `json:"why,omitempty"`
}

// Conf is what all who use a line agree on: the first writes it.
type Conf struct {
	V     int    `json:"v"`
	Mode  string `json:"mode"`
	Limit int    `json:"limit"`
}

// String is for people.
func (c Conf) String() string {
	if c.Limit == 1 {
		return c.Mode
	}
	return fmt.Sprintf("%s of %d", c.Mode, c.Limit)
}

const sharedSuffix = "-r"

// newEntry is a place that is not yet taken.
func newEntry(sp *Spec, id string) Entry {
	e := Entry{Session: id, Shared: sp.Shared, body: body{V: entryVersion, Nonce: nonce(), Why: sp.Why}}
	e.Path = sp.root() + "/e/" + id + "-" + e.Nonce[:8]
	if e.Shared {
		e.Path += sharedSuffix
	}
	return e
}

// parseEntry reads the name of an entry, and its value if there is one.
func parseEntry(f client.File) Entry {
	e := Entry{Path: f.Path, Rev: f.Rev, Since: f.Time}
	_, name := split(f.Path)
	name, e.Shared = strings.CutSuffix(name, sharedSuffix)
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		e.Session = name[:i]
	}
	if len(f.Value) > 0 && json.Unmarshal(f.Value, &e.body) != nil {
		e.Why = "unreadable"
	}
	return e
}

// encode is a value that cannot fail to encode.
func encode(v any) []byte {
	value, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("line: encode %+v: %v", v, err))
	}
	return value
}

// checkName refuses names that no path can have, and those with a part that is
// a line's own: /lock/a/e is of the line a.
func checkName(name string) error {
	for i, part := range strings.Split(name, "/") {
		switch {
		case part == "", part == ".", part == "..":
			return fmt.Errorf("%w: %q has an empty part, or one of dots", ErrBadName, name)
		case i > 0 && (part == "e" || part == "conf" || part == "val"):
			return fmt.Errorf("%w: %q has a part %q, which is a lock's own", ErrBadName, name, part)
		}
	}
	if strings.ContainsAny(name, `*?[]{}\`) {
		return fmt.Errorf("%w: %q has a character of globs", ErrBadName, name)
	}
	return nil
}

// ValidName tells whether a line can have the name.
func ValidName(name string) bool { return checkName(name) == nil }

// entries reads the places of a line, in order, without what they say.
func entries(ctx context.Context, st session.Store, name string, opts ...client.ReadOption) ([]Entry, error) {
	var list []Entry
	for f, err := range st.Walk(ctx, Root+"/"+name+"/e/*", append(opts, client.NoValues())...) {
		if err != nil {
			return nil, err
		}
		list = append(list, parseEntry(f))
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Rev, b.Rev) })
	return list, nil
}

// State is a line as a whole.
type State struct {
	Name string
	Conf Conf
	// Entries in order; the first Holders of them hold.
	Entries []Entry
	Holders int
}

// All reads the lines below a prefix of names, "" for all: in order of their
// names, at one rev.
func All(ctx context.Context, st session.Store, prefix string) ([]State, error) {
	glob := Root + "/**"
	if prefix != "" {
		glob = Root + "/" + prefix + "/**"
	}
	byName := make(map[string]*State)
	of := func(name string) *State {
		if byName[name] == nil {
			byName[name] = &State{Name: name}
		}
		return byName[name]
	}
	for f, err := range st.Walk(ctx, glob) {
		if err != nil {
			return nil, err
		}
		path := strings.TrimPrefix(f.Path, Root+"/")
		dir, base := split(path)
		if name, parent := split(dir); parent == "e" {
			s := of(name)
			s.Entries = append(s.Entries, parseEntry(f))
		} else if base == "conf" {
			var conf Conf
			if json.Unmarshal(f.Value, &conf) == nil {
				of(dir).Conf = conf
			}
		}
	}
	var all []State
	for _, s := range byName {
		slices.SortFunc(s.Entries, func(a, b Entry) int { return cmp.Compare(a.Rev, b.Rev) })
		s.Holders = holders(s.Entries, max(s.Conf.Limit, 1))
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b State) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func split(path string) (dir, base string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// holders counts the entries that hold: they stand before all others.
func holders(list []Entry, limit int) int {
	for i, e := range list {
		if len(ahead(list[:i], e.Shared)) >= limit {
			return i
		}
	}
	return len(list)
}

// ahead are the places among those before one that it has to wait for.
func ahead(before []Entry, shared bool) []Entry {
	if !shared {
		return before
	}
	var list []Entry
	for _, e := range before {
		if !e.Shared {
			list = append(list, e)
		}
	}
	return list
}
