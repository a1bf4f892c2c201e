package checkpoint

import "errors"

// gathered is what a Commit is given: kept in memory as long as one small
// transaction can take it, and from there on written to a redo file.
type gathered struct {
	db   *DB
	h    *handle
	meta Meta

	ops   []op
	bytes int
	arena arena
	redo  *redoWriter // nil: all is in ops
	err   error       // the first failure, also if the caller ignores it
}

func (g *gathered) put(k, v []byte) error { return g.add(op{key: k, value: v}) }

func (g *gathered) del(k []byte) error { return g.add(op{key: k, del: true}) }

func (g *gathered) add(o op) error {
	if err := o.fault(); err != nil {
		if g.err == nil {
			g.err = err
		}
		return err
	}
	if g.err != nil {
		return g.err
	}
	if g.redo == nil && (len(g.ops) >= g.db.o.inOne || g.bytes >= partBytes) {
		g.err = g.spill()
	}
	switch {
	case g.err != nil:
	case g.redo != nil:
		g.err = g.redo.add(o)
	default:
		g.bytes += len(o.key) + len(o.value)
		o.key = g.arena.copy(o.key)
		if !o.del {
			o.value = g.arena.copy(o.value)
		}
		g.ops = append(g.ops, o)
	}
	return g.err
}

// spill begins a redo file with what there is.
func (g *gathered) spill() (err error) {
	if g.redo, err = g.db.newRedo(g.h.b, g.meta); err != nil {
		return err
	}
	for _, o := range g.ops {
		if err := g.redo.add(o); err != nil {
			return err
		}
	}
	g.ops, g.arena = nil, arena{}
	return nil
}

// discard leaves nothing behind.
func (g *gathered) discard() {
	if g.redo != nil {
		g.err = errors.Join(g.err, g.redo.abandon())
	}
}
