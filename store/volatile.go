package store

import "strings"

// compileVolatile returns the globs of a Config.Volatile.
func compileVolatile(text string) ([]*Glob, *Error) {
	if text == "" {
		return nil, nil
	}
	lines := strings.Split(text, "\n")
	if len(lines) > maxVolatile || len(text) > maxVolatileText {
		return nil, badRequest("too many volatile globs")
	}
	globs := make([]*Glob, 0, len(lines))
	for _, line := range lines {
		g, err := CompileGlob(strings.Clone(line))
		if err != nil {
			return nil, badRequest("a volatile glob that is not well formed: " + err.Error())
		}
		globs = append(globs, g)
	}
	return globs, nil
}

// configure puts c, which is sound, in force.
func (s *Store) configure(c Config) {
	if c.Volatile != s.config.Volatile {
		s.volatile, _ = compileVolatile(c.Volatile)
	}
	s.config = c
}

// forget drops the version before the newest one of n, which has just been
// made, if n is volatile.
//
// The version must be a rewrite, of a file that was there before: so the version
// before it stands in for it when a past rev is read, and that the file was
// there, all counts of directories, and every creation and deletion stay exact.
// And it must be all that its rev did: a rev is in the window whole or not at
// all.
func (s *Store) forget(n *node) {
	old := n.old()
	k := len(old)
	if k < 2 || !s.isVolatile(n.head.Path()) {
		return
	}
	e := old[k-1]
	if e.Del() || old[k-2].Del() || e.Ordinal() > 0 || !e.Last() {
		return
	}
	old[k-1] = nil
	n.setOld(old[:k-1])
	s.window.forget(e)
	s.drop(e)
}

func (s *Store) isVolatile(path string) bool {
	for _, g := range s.volatile {
		if g.Match(path) {
			return true
		}
	}
	return false
}
