package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// Open opens the log in o.Dir, or makes an empty one. It replays every segment,
// clears the torn tail an interrupted write left, and returns *CorruptError for
// any other damage, ErrForeign or ErrNewerFormat for a log it must not touch.
func Open(o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{o: o, index: index{lo: 1}, cache: cache{limit: o.CacheBytes}}
	if err := l.open(); err != nil {
		return nil, errors.Join(err, l.closeFiles())
	}
	return l, nil
}

// open runs before the Log is shared, so it takes no lock but where what it
// calls does.
func (l *Log) open() error {
	if err := l.o.FS.MkdirAll(l.o.Dir); err != nil {
		return fmt.Errorf("wal: make directory: %w", err)
	}
	names, err := l.list()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return l.rotate(1, 0)
	}
	r := replay{l: l}
	for i, name := range names {
		if err := r.segment(name, i == len(names)-1); err != nil {
			return err
		}
		l.size.Add(l.active.end)
	}
	if first := l.segments[0]; first.seq > 1 && first.end == sectorSize {
		return &CorruptError{names[0], sectorSize, "it holds no batch, but older segments were removed, which follows a synced batch that says so"}
	}
	if err := l.index.check(); err != nil {
		return &CorruptError{names[0], 0, err.Error()}
	}
	if err := r.settle(); err != nil {
		return err
	}
	if l.active.end > sectorSize {
		if err := l.removeOldest(l.deadSegments()); err != nil {
			return err
		}
	}
	l.prepareNext()
	return nil
}

// list returns the segments' names in order, and removes what an interrupted
// preparation left.
func (l *Log) list() ([]string, error) {
	all, err := l.o.FS.ReadDir(l.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("wal: list: %w", err)
	}
	var names []string
	for _, name := range all {
		switch {
		case name == nextName, name == bigName:
			if err := l.o.FS.Remove(filepath.Join(l.o.Dir, name)); err != nil {
				return nil, fmt.Errorf("wal: remove %s: %w", name, err)
			}
		case isSegment(name):
			if _, _, ok := parseSegmentName(name); !ok {
				return nil, &CorruptError{name, 0, "not the name of a segment"}
			}
			names = append(names, name)
		}
	}
	slices.Sort(names) // fixed width: by sequence number
	return names, nil
}
