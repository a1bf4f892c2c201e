package checkpoint

import (
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// letGo unmaps the pages of the file that were looked at: they stay in the
// kernel's cache, but a large file that was read once is no longer counted as
// this process's memory.
func letGo(b *bbolt.DB) {
	// As long as a transaction is open the map stays where it is.
	_ = b.View(func(tx *bbolt.Tx) error {
		letGoOf(tx)
		return nil
	})
}

// letGoOf does what letGo does, with the transaction at hand. What it has
// returned stays valid.
func letGoOf(tx *bbolt.Tx) {
	// It is advice: a kernel that refuses it changes nothing.
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, tx.DB().Info().Data, uintptr(tx.Size()), unix.MADV_DONTNEED)
}
