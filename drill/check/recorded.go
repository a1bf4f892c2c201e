package check

import "slices"

// Recording is what one watch was given, from its beginning on, by one node or
// by several one after the other.
type Recording struct {
	Glob string
	// From is the rev asked for; 0: the present, or a snapshot first.
	From     int64
	Snapshot bool
	Items    []Item
	// TooLate is not 0 when the watch ended because changes were asked for that
	// had left the window, which began at TooLate.
	TooLate int64
}

// Recorded checks a recording against the ledger: every stretch of changes by
// the rules of Watch, every snapshot against the tree at its rev, and that a
// watch begins where it was asked to. history is how many revs the store keeps.
func Recorded(r Recording, l *Ledger, history int64) error {
	var p Problems
	log := l.Log()
	items := r.Items
	if len(items) == 0 {
		return nil
	}
	pos := items[0].Rev // every change up to here was asked to be left out, or given
	switch {
	case items[0].Kind != Mark:
		p.addf("bookmarked: the first thing given to a watch is no mark but %v", items[0])
		return p.err()
	case r.From != 0 && pos != r.From-1:
		p.addf("resumable: a watch from %d begins after %d", r.From, pos)
	}
	for len(items) > 0 {
		n := slices.IndexFunc(items, func(it Item) bool { return it.Kind != Change && it.Kind != Mark })
		if n < 0 {
			n = len(items)
		}
		if n > 0 {
			s := Stream{Glob: r.Glob, From: pos + 1, To: lastOf(items[:n]), Items: items[:n], Gone: l.gone}
			p = append(p, problems(Watch(s, log))...)
			pos = max(pos, s.To)
			items = items[n:]
			continue
		}
		var taken int
		var found Problems
		taken, pos, found = l.snapshot(r.Glob, items, pos)
		p = append(p, found...)
		items = items[taken:]
	}
	if r.TooLate != 0 && (pos >= r.TooLate || r.TooLate > l.lastOldest(history)) {
		p.addf("resumable: from %d was too late for a window that begins at %d, of %d revs in all", pos+1, r.TooLate, l.Rev())
	}
	return p.err()
}

// lastOf is the last rev that a stretch of changes vouches for.
func lastOf(items []Item) int64 {
	to := int64(0)
	for _, it := range items {
		to = max(to, it.Rev, it.Event.Rev)
	}
	return to
}

// snapshot checks the snapshot that items begin with, which may be void or cut
// off, and tells how many items it is and the rev that changes go on from.
func (l *Ledger) snapshot(glob string, items []Item, pos int64) (taken int, rev int64, p Problems) {
	var files []Event
	for i, it := range items {
		switch it.Kind {
		case Resync:
			files = nil
		case File:
			if n := len(files); n > 0 && files[n-1].Path >= it.Event.Path {
				p.addf("ordered: the snapshot has %v after %v", it.Event, files[n-1])
			}
			files = append(files, it.Event)
		case FilesEnd:
			if it.Rev < pos {
				p.addf("ordered: a snapshot of rev %d after rev %d", it.Rev, pos)
			}
			return i + 1, it.Rev, append(p, problems(l.SameFiles("the snapshot", glob, it.Rev, files))...)
		default:
			p.addf("atomic: a snapshot was interrupted by %v", it)
			return len(items), pos, p
		}
	}
	return len(items), pos, p
}

// Mirror checks a watch by what it amounts to: whoever keeps a copy of the files
// by its events has, at every mark, what the store had at that rev. It holds for
// a watch with a snapshot whatever resyncs there are in it.
func Mirror(r Recording, l *Ledger) error {
	var p Problems
	files := map[string]Event{}
	mark := int64(0)
	for _, it := range r.Items {
		switch {
		case it.Kind == Change && it.Event.Del:
			delete(files, it.Event.Path)
		case it.Kind == Change:
			files[it.Event.Path] = it.Event
		case it.Kind == Mark:
			if it.Rev < mark {
				p.addf("bookmarked: mark %d after mark %d", it.Rev, mark)
			}
			mark = it.Rev
			want := map[string]Event{}
			for _, e := range l.Files(r.Glob, it.Rev) {
				want[e.Path] = e
			}
			p = append(p, sameTree("resync: the copy at "+it.String(), l.stoodIn(files, want), want)...)
		}
	}
	return p.err()
}

func problems(err error) Problems {
	if err == nil {
		return nil
	}
	return err.(Problems)
}
