package store

// This file has the reads of one path, which take the same time however large
// the tree is. Those of many are in scan.go. What they return is immutable.

// at returns the rev that a reader asked for, the present one for 0, or why the
// tree can't be read there.
func (s *Store) at(rev int64) (int64, *Error) {
	switch {
	case rev == 0:
		return s.rev, nil
	case rev < 0 || rev > s.rev:
		return 0, badRequest("a rev below 0, or one that is not reached yet")
	case rev < s.oldest:
		return 0, &Error{Code: TooLate, Rev: s.oldest}
	}
	return rev, nil
}

// noEnt returns the error for a path at which nothing was found.
func noEnt(path string) *Error {
	if err := checkPath(path); err != nil {
		return err
	}
	return &Error{Code: NoEnt, Path: path}
}

// Get returns the file at path as it was at rev; rev 0 is the latest. The error
// is BadPath, NoEnt, IsDir, TooLate, or BadRequest for a rev in the future.
func (s *Store) Get(path string, rev int64) (*Event, *Error) {
	rev, err := s.at(rev)
	if err != nil {
		return nil, err
	}
	n := s.lookup(path)
	if n == nil {
		return nil, noEnt(path)
	}
	if e := n.fileAt(rev); e != nil {
		return e, nil
	}
	if n.isDirAt(rev) {
		return nil, &Error{Code: IsDir, Path: path}
	}
	return nil, noEnt(path)
}

// Stat describes the file or directory at path as it was at rev; rev 0 is the
// latest. The errors are those of Get, without IsDir.
func (s *Store) Stat(path string, rev int64) (Info, *Error) {
	rev, err := s.at(rev)
	if err != nil {
		return Info{}, err
	}
	n := s.lookup(path)
	if n == nil {
		return Info{}, noEnt(path)
	}
	if e := n.fileAt(rev); e != nil {
		return fileInfo(e), nil
	}
	if n.isDirAt(rev) {
		return s.dirInfo(n, rev), nil
	}
	return Info{}, noEnt(path)
}

// dirInfo describes the directory at n as it was at rev.
func (s *Store) dirInfo(n *node, rev int64) Info {
	info := Info{Path: n.path(), IsDir: true}
	if n.parent == nil {
		info.Path = "/"
	}
	if rev == s.rev {
		info.Len, info.Hash = n.dir.entries, n.dir.hash
	} else {
		info.Len = n.dir.entriesAt(rev)
	}
	return info
}

// directory returns the node of the directory at path as it was at rev.
func (s *Store) directory(path string, rev int64) (*node, *Error) {
	n := s.lookup(path)
	switch {
	case n == nil:
		return nil, noEnt(path)
	case n.isDirAt(rev):
		return n, nil
	case n.fileAt(rev) != nil:
		return nil, &Error{Code: NotDir, Path: path}
	}
	return nil, noEnt(path)
}

// Holds returns nil if all conditions hold at the present rev, or the error of a
// write that has them.
func (s *Store) Holds(conds []Condition) *Error {
	for i := range conds {
		if err := s.holds(&conds[i]); err != nil {
			err.Index = i
			return err
		}
	}
	return nil
}
