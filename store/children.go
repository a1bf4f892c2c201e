package store

import (
	"slices"
	"sort"
)

// maxChunk is how many nodes a chunk of children holds. An insertion moves at
// most one chunk's worth of pointers, and one pointer for each chunk when a
// full one is split.
const maxChunk = 512

// children are the nodes of a directory's entries, past ones too, ordered by
// name. They are a list of sorted, non-empty chunks: a small directory is one
// short slice, and a large one costs little more than a pointer an entry.
type children struct {
	chunks [][]*node
	n      int // nodes in all chunks
}

func (c *children) empty() bool { return len(c.chunks) == 0 }

// cursor walks children in order. It is spoilt by a change.
type cursor struct {
	chunks [][]*node
	i      int // in chunks[0]
}

// next returns the next node, nil after the last.
func (c *cursor) next() *node {
	if len(c.chunks) == 0 {
		return nil
	}
	n := c.chunks[0][c.i]
	if c.i++; c.i == len(c.chunks[0]) {
		c.chunks, c.i = c.chunks[1:], 0
	}
	return n
}

// seek returns a cursor at the first node whose name is at least name.
func (c *children) seek(name string) cursor {
	k, i := c.search(name)
	if k == len(c.chunks) {
		return cursor{}
	}
	return cursor{chunks: c.chunks[k:], i: i}
}

// search returns the chunk and the place in it of the first node whose name is
// at least name; the chunk is len(c.chunks) if there is none.
func (c *children) search(name string) (chunk, i int) {
	chunk = sort.Search(len(c.chunks), func(k int) bool {
		last := c.chunks[k]
		return last[len(last)-1].name() >= name
	})
	if chunk < len(c.chunks) {
		nodes := c.chunks[chunk]
		i = sort.Search(len(nodes), func(i int) bool { return nodes[i].name() >= name })
	}
	return chunk, i
}

// insert adds n, whose name no other has.
func (c *children) insert(n *node, name string) {
	c.n++
	k, i := c.search(name)
	if k == len(c.chunks) {
		if k == 0 || len(c.chunks[k-1]) == maxChunk {
			c.chunks = append(c.chunks, []*node{n})
			return
		}
		k--
		i = len(c.chunks[k])
	}
	if len(c.chunks[k]) == maxChunk {
		half := c.chunks[k][maxChunk/2:]
		right := append(make([]*node, 0, maxChunk), half...)
		clear(half)
		c.chunks[k] = c.chunks[k][:maxChunk/2]
		c.chunks = slices.Insert(c.chunks, k+1, right)
		if i > maxChunk/2 {
			k, i = k+1, i-maxChunk/2
		}
	}
	c.chunks[k] = slices.Insert(c.chunks[k], i, n)
}

// remove removes n, which is there.
func (c *children) remove(n *node) {
	c.n--
	k, i := c.search(n.name())
	c.chunks[k] = slices.Delete(c.chunks[k], i, i+1)
	if len(c.chunks[k]) == 0 {
		c.chunks = slices.Delete(c.chunks, k, k+1)
		if len(c.chunks) == 0 {
			c.chunks = nil
		}
		return
	}
	if k > 0 && len(c.chunks[k-1])+len(c.chunks[k]) <= maxChunk/2 {
		c.chunks[k-1] = append(c.chunks[k-1], c.chunks[k]...)
		c.chunks = slices.Delete(c.chunks, k, k+1)
	}
}
