package sim

import (
	"syscall"
	"time"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// disk is a machine's: the log's files and the last checkpoint. It outlives
// the node's processes.
type disk struct {
	n     *node
	fs    *faultfs.MemFS
	image *image // the durable checkpoint

	promised promises

	full       bool
	stallUntil int64
	stall      time.Duration // of one write, while it lasts
	// failSync, failWrite, failRead and failState count down to an operation
	// that fails; 0 for none.
	failSync, failWrite, failRead, failState int
	// cutAfter counts down to a power cut; -1 for none. bootCut is where it
	// begins to count when the next process starts; 0 for not at all.
	cutAfter, bootCut int
	afterCut          *faultfs.MemFS
	lies              int

	// cut: the power is gone, and afterCut is what is left. injected: this
	// process was given an error; read: when it read.
	cut, injected, read, syncFailed bool
}

func newDisk(n *node) *disk {
	return &disk{n: n, fs: faultfs.New(), image: firstImage(n.w.set.nodes), cutAfter: -1}
}

// fileSystem returns the files as a starting process sees them.
func (d *disk) fileSystem() wal.FS {
	d.cut, d.injected, d.read, d.syncFailed = false, false, false, false
	if d.bootCut > 0 {
		d.cutAfter, d.bootCut = d.bootCut-1, 0
	}
	d.fs.SetFault(d.fault)
	if d.n.w.cfg.Wrong.LyingDisk {
		return lyingFS{d.fs, d}
	}
	return d.fs
}

// fault decides about one operation on files.
func (d *disk) fault(op faultfs.Op) error {
	if d.cut {
		return faultfs.ErrPower
	}
	if d.cutAfter >= 0 && op.Kind.Changes() {
		if d.cutAfter--; d.cutAfter < 0 {
			return d.powerCut(op.Kind.String())
		}
	}
	switch op.Kind {
	case faultfs.OpAllocate, faultfs.OpCreate:
		if d.full {
			return d.inject(syscall.ENOSPC)
		}
	case faultfs.OpSync:
		if countDown(&d.failSync) {
			d.syncFailed = true
			return d.inject(syscall.EIO)
		}
	case faultfs.OpWrite:
		if countDown(&d.failWrite) {
			return d.inject(syscall.EIO)
		}
	case faultfs.OpRead:
		if countDown(&d.failRead) {
			d.read = true
			return d.inject(syscall.EIO)
		}
	}
	return nil
}

// powerCut ends the power in the middle of something.
func (d *disk) powerCut(at string) error {
	d.n.w.tracef("node %d loses power at %s", d.n.id, at)
	d.cut, d.injected = true, true
	d.afterCut = d.fs.CrashClone(d.n.w.rng)
	return faultfs.ErrPower
}

func countDown(n *int) bool {
	if *n == 0 {
		return false
	}
	*n--
	return *n == 0
}

func (d *disk) inject(err error) error {
	d.n.w.tracef("node %d: the disk says %v", d.n.id, err)
	d.injected = true
	return err
}

// excuses tells whether a process may end because of its disk.
func (d *disk) excuses() bool { return d.injected }

// failedRead tells whether it may panic: raft does when it can't read.
func (d *disk) failedRead() bool { return d.read || d.cut }

// down is called when the process has ended; with power what was not synced
// may be lost. After a failed sync it may be, even without: the kernel takes
// what it could not write for written.
func (d *disk) down(power bool) {
	switch {
	case d.cut:
		d.fs = d.afterCut
	case power, d.syncFailed && d.n.w.chance(0.3):
		d.fs = d.fs.CrashClone(d.n.w.rng)
	case d.syncFailed:
		d.fs.ForgetDirty()
	}
	if power && d.n.w.cfg.Wrong.LostCheckpoint {
		d.image = firstImage(d.n.w.set.nodes)
	}
	d.cut, d.afterCut, d.cutAfter = false, nil, -1
	d.failSync, d.failWrite, d.failRead, d.failState = 0, 0, 0, 0
}

// syncTime is how long the write that begins takes.
func (d *disk) syncTime() time.Duration {
	w := d.n.w
	t := w.between(d.n.w.set.syncTime/4, 2*d.n.w.set.syncTime)
	if w.now < d.stallUntil {
		t += w.between(d.stall/2, d.stall)
	}
	return t
}

// lyingFS is a file system whose files report syncs that did not happen.
type lyingFS struct {
	*faultfs.MemFS
	d *disk
}

// Create implements wal.FS.
func (l lyingFS) Create(name string) (wal.File, error) { return l.lying(l.MemFS.Create(name)) }

// Open implements wal.FS.
func (l lyingFS) Open(name string) (wal.File, error) { return l.lying(l.MemFS.Open(name)) }

func (l lyingFS) lying(f wal.File, err error) (wal.File, error) {
	if err != nil {
		return nil, err
	}
	return lyingFile{f, l.d}, nil
}

type lyingFile struct {
	wal.File
	d *disk
}

// Datasync lies every second time.
func (f lyingFile) Datasync() error {
	if f.d.lies++; f.d.lies%2 == 0 {
		return nil
	}
	return f.File.Datasync()
}
