package store

import "strings"

// Result is what a command came to. It depends on the log alone.
type Result struct {
	// Rev is the rev of a write's change, or for a command that made none the
	// present rev; 0 if Err is set.
	Rev    int64
	Client uint64 // the new client id, of Register only
	Err    *Error // why the command was refused; nil if it was not
}

// Apply does one command and returns what came of it, with the events of a
// change in their order. index is that of the log entry, and does not fall:
// commands of one entry have the same. now is when the leader proposed it,
// nanoseconds since 1970; log time is the highest so far.
//
// The list of events is the store's own until the next Apply; the events stay as
// they are.
//
// Apply never panics. A command that does not decode, has no sound form or a
// lower index than the one before is refused and, but for log time and index,
// changes nothing. Apply copies what it keeps, once: neither the store, nor the
// result, nor the events alias cmd.
func (s *Store) Apply(index uint64, now int64, cmd []byte) (Result, []*Event) {
	if index < s.index {
		return refused(badRequest("a log index below the one before"))
	}
	s.index = index
	s.time = max(s.time, now)
	s.expireClients()
	c := &s.scratch
	defer c.release()
	if err := c.decode(cmd); err != nil {
		return refused(err)
	}
	if err := c.check(); err != nil {
		return refused(err)
	}
	switch c.Kind {
	case Write, System:
		if c.Client != 0 {
			return s.writeOnce(c)
		}
		return s.write(c)
	case Register:
		return Result{Rev: s.rev, Client: s.register()}, nil
	case Configure:
		epoch := s.config.Epoch
		s.configure(s.config.merge(c.Config))
		if s.config.Epoch > epoch {
			s.beginEpoch(epoch)
		}
		s.expireClients()
		s.limitClients()
		s.slide()
	}
	return Result{Rev: s.rev}, nil
}

// release lets go of the bytes that c was decoded from.
func (c *Command) release() {
	clear(c.Conds)
	clear(c.Ops)
	*c = Command{Conds: c.Conds[:0], Ops: c.Ops[:0]}
}

func refused(err *Error) (Result, []*Event) { return Result{Err: err}, nil }

// write does a sound write: conditions first, then all operations or none. An
// operation sees those before it: a file may make way for a directory of its
// name, and the other way round, in one write.
//
// The commit point is the new rev. Until then nothing but the tree knows of the
// events, and undo leaves it as it was, down to its nodes.
func (s *Store) write(c *Command) (Result, []*Event) {
	if err := s.Holds(c.Conds); err != nil {
		return refused(err)
	}
	if len(c.Ops) == 0 {
		return Result{Rev: s.rev}, nil
	}
	events, nodes := s.events[:0], s.nodesOf[:0]
	who := s.origins.share(c.Author, c.Message)
	for i := range c.Ops {
		op := &c.Ops[i]
		n, err := s.target(s.lookup(op.Path), op)
		if err != nil {
			s.undo(nodes, events)
			err.Index, err.Op = i, true
			return refused(err)
		}
		v := Version{Path: op.Path, Rev: s.rev + 1, Time: s.time, Ordinal: i, Del: op.Del, Last: i == len(c.Ops)-1, Value: op.Value}
		e := v.event(who)
		s.link(n, e)
		events = append(events, e)
		nodes = append(nodes, n)
	}
	s.rev++
	for i, e := range events {
		s.add(nodes[i], e)
		s.forget(nodes[i])
	}
	clear(nodes)
	s.events = events
	s.slide()
	s.compact()
	return Result{Rev: s.rev}, events
}

// add counts e, which is in the tree for good, among the versions.
func (s *Store) add(n *node, e *Event) {
	s.versions++
	s.sum += e.hash
	s.window.push(n, e)
	s.unsaved.puts = append(s.unsaved.puts, e)
}

// drop counts e, which is no longer in the tree, out of the versions.
func (s *Store) drop(e *Event) {
	s.versions--
	s.sum -= e.hash
	s.unsaved.drop(e)
}

// undo takes the events of a write that failed out of the tree again, the
// newest first, so that each meets the tree that it left.
func (s *Store) undo(nodes []*node, events []*Event) {
	for i := len(events) - 1; i >= 0; i-- {
		s.unlink(nodes[i], events[i])
	}
	clear(nodes)
	clear(events)
}

// holds returns nil if c holds, or the error of a write whose condition it is.
// The error names the present file, which is what the writer needs in order to
// try again.
func (s *Store) holds(c *Condition) *Error {
	if c.Kind == Any {
		return nil
	}
	var file *Event
	n := s.lookup(c.Path)
	if n != nil {
		file = n.file()
	}
	code := RevMismatch
	switch {
	case c.Kind == Unchanged && file != nil && file.Rev <= c.Rev:
		return nil
	case c.Kind == Missing && file == nil:
		if n == nil || !n.isDir() {
			return nil
		}
		code = IsDir
	}
	err := &Error{Code: code, Path: strings.Clone(c.Path), Present: file}
	if file != nil {
		err.Rev = file.Rev
	}
	return err
}

// target returns the node that op is about to change, or why op can't be done.
// n is what there is at op.Path; if it is nil a node is made, which is to get its first version before anything else happens.
func (s *Store) target(n *node, op *Op) (*node, *Error) {
	switch {
	case n != nil && n.isDir():
		return nil, &Error{Code: IsDir, Path: strings.Clone(op.Path)}
	case n != nil && n.file() != nil:
		return n, nil
	case op.Del:
		return nil, &Error{Code: NoEnt, Path: strings.Clone(op.Path)}
	case s.belowFile(op.Path):
		return nil, &Error{Code: NotDir, Path: strings.Clone(op.Path)}
	case n != nil:
		return n, nil
	}
	return s.makeNode(op.Path), nil
}

// belowFile reports whether path, which is neither a file nor a directory, lies
// below a file. What holds an existing directory is a directory, so the search
// ends there.
func (s *Store) belowFile(path string) bool {
	for path != "" {
		path = parentKey(path)
		if n := s.nodes.get(path); n != nil {
			if n.file() != nil {
				return true
			}
			if n.isDir() {
				return false
			}
		}
	}
	return false
}
