package wal

// Every bound of the package, and what happens when it is reached.
const (
	// sectorSize is the unit the disk writes whole. Batches start on a
	// sector boundary, so no write touches a sector that holds synced data.
	sectorSize = 512

	// DefaultSegmentSize is the preallocated size of a segment. Rotation
	// follows when a batch does not fit into what is left.
	DefaultSegmentSize = 64 << 20

	// minSegmentSize and maxSegmentSize bound Options.SegmentSize. Offsets
	// inside a segment are kept as 32 bits.
	minSegmentSize = 4 << 10
	maxSegmentSize = 1 << 30

	// MaxBatch bounds the payload of one Append. A larger one is refused with
	// ErrTooLarge before anything is written. A batch that is larger than
	// SegmentSize gets a segment of its own size.
	MaxBatch = 256 << 20

	// maxIndexValue bounds the indexes a base or reset record may hold, so that
	// arithmetic on what a disk returns cannot wrap around.
	maxIndexValue = 1 << 62

	// DefaultCacheBytes bounds the newest entries kept decoded in memory;
	// older ones are read from disk.
	DefaultCacheBytes = 16 << 20

	// cacheOverhead is what an entry in the cache is charged beyond its data.
	cacheOverhead = 128

	// readSpan bounds one read from a segment, unless a single record is larger.
	readSpan = 1 << 20

	// keepBuffer is the largest encoding buffer kept between two batches.
	keepBuffer = 4 << 20
)
