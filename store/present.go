package store

// A directory remembers past entries for as long as the window does. Where files
// come and go all the time, as places in line do, there are many more of those
// than present ones, and each list would walk over all of them. So where most are
// past the present ones are kept apart as well, until most have been forgotten.

const (
	// minPast is how many past entries are walked over without regret.
	minPast = 64
	// mostPast is how many past ones there have to be for each present one.
	mostPast = 2
)

// entriesOf returns the children to walk in order to find what was at a rev: all
// of them, or the present ones where that is enough and they are kept.
func (d *directory) entriesOf(latest bool) *children {
	if latest && d.present != nil {
		return d.present
	}
	return &d.kids
}

// settle keeps the present ones right after child came (by > 0) or went.
func (d *directory) settle(child *node, by int64) {
	past := int64(d.kids.n) - d.entries
	switch {
	case d.present != nil && by > 0:
		d.present.insert(child, child.name())
	case d.present != nil:
		d.present.remove(child)
	case past > minPast && past > mostPast*d.entries:
		d.present = new(children)
		for cur := d.kids.seek(""); ; {
			n := cur.next()
			if n == nil {
				break
			}
			// Of child it is known; its newest version may still be in place.
			if n == child && by > 0 || n != child && (n.file() != nil || n.isDir()) {
				d.present.insert(n, n.name())
			}
		}
		return
	}
	d.relax()
}

// relax lets go of the present ones where few others are left.
func (d *directory) relax() {
	if past := int64(d.kids.n) - d.entries; past <= minPast/2 || past <= d.entries/mostPast {
		d.present = nil
	}
}
