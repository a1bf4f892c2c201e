package server

import "github.com/doozer-store/doozer/store"

// loading makes a store of records. Half of the work is to make events of them,
// half to put those into the tree: where there are many a goroutine does the
// second half beside the first. Its owner calls end in the end.
type loading struct {
	l     *store.Loader
	batch []*store.Event
	todo  chan []*store.Event // nil until there are many
	ended chan struct{}
	err   error // of the goroutine, once ended is closed
}

// loadBatch is how many events are handed over at once.
const loadBatch = 256

func newLoading() *loading { return &loading{l: store.NewLoader()} }

// add takes a record, as store.Loader.Add does; what is wrong with one may also
// be told later, or by finish.
func (p *loading) add(key, value []byte) error {
	e, err := p.l.Decode(key, value)
	if e == nil || err != nil {
		return err
	}
	if p.batch = append(p.batch, e); len(p.batch) < loadBatch {
		return nil
	}
	if p.todo == nil {
		p.todo, p.ended = make(chan []*store.Event, 4), make(chan struct{})
		go p.run(p.todo)
	}
	select {
	case p.todo <- p.batch:
	case <-p.ended:
		return p.err
	}
	p.batch = make([]*store.Event, 0, loadBatch)
	return nil
}

// run puts batches into the tree, up to the first that does not fit.
func (p *loading) run(todo chan []*store.Event) {
	defer close(p.ended)
	for batch := range todo {
		if p.err = p.link(batch); p.err != nil {
			return
		}
	}
}

func (p *loading) link(batch []*store.Event) error {
	for _, e := range batch {
		if err := p.l.Link(e); err != nil {
			return err
		}
	}
	return nil
}

// end waits until all that was handed over is in the tree, and returns what is
// wrong with it. It may be called again.
func (p *loading) end() error {
	if p.todo != nil {
		close(p.todo)
		<-p.ended
		p.todo = nil
	}
	return p.err
}

// finish returns the store, as store.Loader.Finish does.
func (p *loading) finish(index uint64) (*store.Store, error) {
	if err := p.end(); err != nil {
		return nil, err
	}
	if err := p.link(p.batch); err != nil {
		return nil, err
	}
	return p.l.Finish(index)
}
