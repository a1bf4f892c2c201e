package checkpoint

import (
	"testing"

	"go.etcd.io/bbolt"
)

// TestOneTransaction: records and their index become durable together, which
// only one transaction of bbolt can do. A kill between two would have to hit a
// moment of microseconds.
func TestOneTransaction(t *testing.T) {
	db := open(t, tempPath(t))
	last := func() (id int) {
		h, err := db.acquire()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.release(h) }()
		if err := h.b.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
			t.Fatal(err)
		}
		return id
	}
	for i := range uint64(5) {
		before := last()
		commit(t, db, i+1, some(int(i)*300, "x"))
		if n := last() - before; n != 1 {
			t.Fatalf("a commit takes %d transactions", n)
		}
	}
}
