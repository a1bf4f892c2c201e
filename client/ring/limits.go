package ring

import "time"

// What a ring may use, and what happens at the limit. All but the last group are
// part of the file's format: beyond them a file is ErrBadFile.
const (
	// MaxNodes bounds the time that a table takes to make.
	MaxNodes = 1024
	// MaxName, MaxValue and MaxZone are in bytes: of a node's name, of its addr
	// or ref, and of its zone.
	MaxName  = 128
	MaxValue = 1024
	MaxZone  = 128
	// MaxFile is the size of a file, the most that the store takes.
	MaxFile = 1 << 20
	// MaxParts is for hrw, MaxSlots for slots: a slots file names each slot.
	MaxParts = 1 << 17
	MaxSlots = 1 << 14
	// MaxCopies is how many owners of a key the table may hold.
	MaxCopies = 8
	// MaxPoints is what an md5 ring may have in all.
	MaxPoints = 1 << 18
	// MaxWeight is the largest weight; the smallest is 0.001.
	MaxWeight Weight = 1000 * One
	// MaxRefs is how many different files the nodes may refer to: a Live has a
	// watch on each.
	MaxRefs = 64
)

// Defaults of a File.
const (
	// DefaultParts keeps the shares of 100 nodes within a standard deviation of
	// 2.8 % of their mean (the expectation is sqrt(nodes/parts)), and the table at
	// 256 KiB.
	DefaultParts  = 1 << 17
	DefaultSlots  = 1 << 12
	DefaultPoints = 100
	DefaultCopies = 1
)

const (
	// editTries is how often Edit reads and writes again when others write in
	// between; after that it gives up with client.ErrRevMismatch.
	editTries = 16
	// maxSaved is what is read of a local copy: a ring, and a text for each ref.
	maxSaved = 4 << 20
	// maxRefText is what is taken from a file that a node refers to; a larger one
	// is as good as none.
	maxRefText = 16 << 10
	// defaultPatience is how long Open waits for the store before it starts with
	// the local copy.
	defaultPatience = time.Second
	// watchPause is the time until a watch that was refused is tried again.
	watchPause = time.Second
)
