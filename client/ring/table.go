package ring

import "slices"

// base is the table of an older ring, from which that of a ring with almost the
// same nodes is made faster: where the nodes of a row are still there, only those
// and the ones that are new can be in the new row. (Not so where copies are
// spread over zones, or have owners by the file.)
type base struct {
	rows   []uint16
	copies int
	// index is, by the old index of a node, its new one, or none if it is gone or
	// weighs something else.
	index []int
	// fresh are the members that the old table does not know as they are.
	fresh []int
}

// baseOf is what old is to a pool of r; nil if it is of no use.
func (r *Ring) baseOf(old *Ring, p *pool) *base {
	if old == nil || old.first == nil || p.zones != nil || p.owners != nil || old.own.zones != nil || old.own.owners != nil ||
		old.file.Parts != r.file.Parts {
		return nil
	}
	b := &base{rows: old.rows, copies: old.file.Copies, index: make([]int, len(old.nodes))}
	kept := make(map[string]Weight)
	for _, i := range old.own.members {
		kept[old.nodes[i].Name] = old.nodes[i].Weight
	}
	index := make(map[string]int)
	for _, i := range p.members {
		n := r.nodes[i]
		if kept[n.Name] == n.Weight {
			index[n.Name] = i
		} else {
			b.fresh = append(b.fresh, i)
		}
	}
	for k := range old.nodes {
		i, ok := index[old.nodes[k].Name]
		if !ok {
			i = none
		}
		b.index[k] = i
	}
	if changes := len(b.fresh) + len(kept) - len(index); changes > len(p.members)/2 {
		return nil
	}
	return b
}

// candidates appends the nodes that a row can have: none of them if all members
// have to be looked at.
func (b *base) candidates(dst []int, part, copies int) []int {
	if b == nil || copies > b.copies {
		return dst
	}
	for _, k := range b.rows[part*b.copies : (part+1)*b.copies] {
		if k == noNode {
			break // all there were are in the row
		}
		i := b.index[k]
		if i == none {
			return dst[:0]
		}
		dst = append(dst, i)
	}
	return append(dst, b.fresh...)
}

// flatten is the ranking of a pool as a table: the owner of each part, and rows of
// copies owners a part, noNode where there are none left. With one copy both are
// the same.
func flatten(p *pool, parts, copies int, b *base) (first, rows []uint16) {
	rows = make([]uint16, parts*copies)
	if copies == 1 && p.even && p.owners == nil {
		p.argmax(rows, b)
		return rows, rows
	}
	w := &walk{p: p, r: new(ranks)}
	buf := make([]int, 0, MaxCopies+MaxNodes)
	for part := range parts {
		w.place, w.ranked, w.taken, w.without = part, false, nodeSet{}, nodeSet{}
		w.members = b.candidates(buf, part, copies)
		if len(w.members) == 0 {
			w.members = p.members
		}
		row := rows[part*copies : (part+1)*copies]
		for k := range row {
			row[k] = noNode
			if i := w.next(); i != none {
				row[k] = uint16(i)
			}
		}
	}
	if copies == 1 {
		return rows, rows
	}
	first = make([]uint16, parts)
	for part := range first {
		first[part] = rows[part*copies]
	}
	return first, rows
}

// argmax is the commonest table in the shortest way: one owner, nodes of one
// weight.
func (p *pool) argmax(rows []uint16, b *base) {
	hashes, fresh := p.hashesOf(p.members), []uint64(nil)
	if b != nil {
		fresh = p.hashesOf(b.fresh)
	}
	for part := range rows {
		if i := b.first(part); i != none {
			if len(fresh) > 0 {
				h := partHash(part)
				most := draw(p.hashes[i], h)
				for k, node := range fresh {
					if u := draw(node, h); u > most || u == most && b.fresh[k] < i {
						most, i = u, b.fresh[k]
					}
				}
			}
			rows[part] = uint16(i)
			continue
		}
		rows[part] = noNode
		if len(hashes) == 0 {
			continue
		}
		h := partHash(part)
		best, most := 0, draw(hashes[0], h)
		for k, node := range hashes {
			if u := draw(node, h); u > most {
				most, best = u, k
			}
		}
		rows[part] = uint16(p.members[best])
	}
}

// hashesOf are the hashes of some nodes, one after the other in memory.
func (p *pool) hashesOf(nodes []int) []uint64 {
	hashes := make([]uint64, len(nodes))
	for k, i := range nodes {
		hashes[k] = p.hashes[i]
	}
	return hashes
}

// first is the owner of a part in an older table, none if it is not a member.
func (b *base) first(part int) int {
	if b == nil {
		return none
	}
	if k := b.rows[part*b.copies]; k != noNode {
		return b.index[k]
	}
	return none
}

// sameShape tells whether two files give the same tables: they differ in
// addresses at most.
func sameShape(a, b *File) bool {
	if a.Algo != b.Algo || a.Parts != b.Parts || a.Copies != b.Copies || a.Spread != b.Spread || a.Points != b.Points ||
		len(a.Nodes) != len(b.Nodes) {
		return false
	}
	for name, s := range a.Nodes {
		t, ok := b.Nodes[name]
		if !ok || s.Weight != t.Weight || s.Zone != t.Zone || s.State != t.State {
			return false
		}
	}
	return slices.Equal(a.Slots, b.Slots) && slices.Equal(a.after(), b.after())
}
