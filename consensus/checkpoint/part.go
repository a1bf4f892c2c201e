package checkpoint

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	// oneOps and partBytes bound what a commit puts into one transaction alone.
	oneOps = 1 << 12
	// partOps, partBytes and partNodes bound what a transaction of a large
	// commit holds in memory: records, and the pages of bbolt that they touch.
	partOps   = 1 << 14
	partBytes = 4 << 20
	partNodes = 1 << 11
	// densePuts is how many records must go to a page on average for pages to be
	// filled up: those that come are mostly neighbours.
	densePuts = 4
)

// op puts a record, or deletes one.
type op struct {
	key, value []byte
	del        bool
}

// fault returns what bbolt would refuse o for, so that nothing is begun which
// can't be ended.
func (o op) fault() error {
	switch {
	case o.del:
		return nil
	case len(o.key) == 0:
		return berrors.ErrKeyRequired
	case len(o.key) > bbolt.MaxKeySize:
		return o.named(berrors.ErrKeyTooLarge)
	case len(o.value) > maxValue:
		return o.named(berrors.ErrValueTooLarge)
	}
	return nil
}

func (o op) named(err error) error {
	return fmt.Errorf("key %q: %w", o.key[:min(len(o.key), 64)], err)
}

// part is a transaction in the making.
type part struct {
	tx         *bbolt.Tx
	b          *bbolt.Bucket
	ops, bytes int
	puts       int64
}

func newPart(b *bbolt.DB) (*part, error) {
	tx, err := b.Begin(true)
	if err != nil {
		return nil, err
	}
	return &part{tx: tx, b: tx.Bucket([]byte(recordsBucket))}, nil
}

// do does o, whose value must stay as it is until the commit.
func (p *part) do(o op) error {
	p.ops++
	p.bytes += len(o.key) + len(o.value)
	if o.del {
		if err := p.b.Delete(o.key); err != nil {
			return o.named(err)
		}
		return nil
	}
	p.puts++
	if err := p.b.Put(o.key, o.value); err != nil {
		return o.named(err)
	}
	return nil
}

func (p *part) putMeta(enc []byte) error {
	return p.tx.Bucket([]byte(metaBucket)).Put([]byte(metaKey), enc)
}

// nodes is how many pages of bbolt the part has taken apart.
func (p *part) nodes() int64 {
	s := p.tx.Stats()
	return s.GetNodeCount()
}

// full reports whether a part of so many operations at most should be committed
// before it takes more.
func (p *part) full(ops int) bool {
	return p.ops >= ops || p.bytes >= partBytes || p.ops%64 == 0 && p.nodes() >= partNodes
}

// commit ends the part, and chooses how full pages become that are split: where
// many records come together few others will.
func (p *part) commit() error {
	p.b.FillPercent = fillRandom
	if p.puts >= densePuts*p.nodes() {
		p.b.FillPercent = fillAppend
	}
	return p.tx.Commit()
}

func (p *part) rollback() error { return p.tx.Rollback() }

const arenaBlock = 256 << 10

// arena copies values into few large blocks, which it uses again.
type arena struct {
	blocks [][]byte
	used   int // of blocks; the last of these has room
}

func (a *arena) copy(v []byte) []byte {
	if len(v) > arenaBlock/4 {
		return bytes.Clone(v)
	}
	if a.used == 0 || len(a.blocks[a.used-1])+len(v) > arenaBlock {
		if a.used == len(a.blocks) {
			a.blocks = append(a.blocks, make([]byte, 0, arenaBlock))
		}
		a.used++
	}
	block := &a.blocks[a.used-1]
	n := len(*block)
	*block = append(*block, v...)
	return (*block)[n:len(*block):len(*block)]
}

// reset makes room; what was copied is no longer in use.
func (a *arena) reset() {
	for i := range a.blocks[:a.used] {
		a.blocks[i] = a.blocks[i][:0]
	}
	a.used = 0
}
