package server

import (
	"strings"

	"github.com/doozer-store/doozer/store"
)

// TreeEntry is a file, or a directory with all below it, as replicas compare
// them.
type TreeEntry struct {
	Name  string
	IsDir bool
	Rev   int64  // of a file's last change
	Hash  uint64 // of a directory, the sum of the hashes of the files below
}

// Tree returns the entries of the directory dir as they were at rev, or at the
// present rev where that is lower, in no order: none if it is no directory. Two
// replicas that differ find where by going down where hashes do. It looks at
// every file below dir, in holds of the lock that are as short as other reads'.
// Its errors are the store's: BadPath, and TooLate also when rev leaves the
// window meanwhile.
func (m *Machine) Tree(dir string, rev int64) ([]TreeEntry, error) {
	if err := store.CheckPath(dir); err != nil {
		return nil, err
	}
	glob, prefix := store.Below(dir), strings.TrimSuffix(dir, "/")+"/"
	scan := store.Scan{Rev: min(rev, m.Rev()), Visits: m.limits.Visits}
	var entries []TreeEntry
	at := map[string]int{} // of directories: what is below x is not in one piece, x-y comes between
	add := func(e *store.Event) bool {
		name, _, below := strings.Cut(e.Path()[len(prefix):], "/")
		if !below {
			entries = append(entries, TreeEntry{Name: name, Rev: e.Rev, Hash: e.Hash()})
			return true
		}
		i, ok := at[name]
		if !ok {
			i = len(entries)
			at[name] = i
			entries = append(entries, TreeEntry{Name: name, IsDir: true})
		}
		entries[i].Hash += e.Hash()
		return true
	}
	for more := true; more; {
		var err *store.Error
		m.View(func(st *store.Store) { more, err = st.Find(glob, &scan, add) })
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}
