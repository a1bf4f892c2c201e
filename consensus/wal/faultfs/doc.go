// Package faultfs is a file system in memory that can fail and lose power: the
// disk that tests and simulations put under consensus/wal.
//
// MemFS keeps what programs see apart from what the disk has. Sync and SyncDir
// move one to the other; CrashClone is the disk after a power cut: for each
// 512-byte sector written since the last sync, and each directory operation,
// the new state or the old one, as the random source says. That is harsher than
// a journalling file system, which keeps directory operations in order.
//
// TornClone is harsher still and tears sectors, which disks are assumed not to
// do. ReadTrace, Replay and Restore put the system calls of a real process, as
// strace saw them, in the place of a simulated one, and the files that a power
// cut leaves back into a directory.
//
// SetFault sees every operation before it happens and may fail it. After a
// failed sync the sectors it should have stored stay unsynced.
//
// MemFS is safe for concurrent use and starts no goroutine. Directories always
// exist; only files are modelled. Memory is used for sectors that were written.
package faultfs
