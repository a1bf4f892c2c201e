// Package ring is consistent hashing whose membership is one file of the store:
// which of a set of nodes owns a key, the same answer everywhere, changed by one
// compare-and-set.
//
//	live, err := ring.Open(ctx, c, "cache", ring.Config{Snapshot: "/var/cache/app/cache.ring"})
//	addr := live.Ring().Get("user:42")
//
// The file of ring NAME is /ring/NAME; docs/ring.md has its format, the exact
// hash functions and test vectors. Its rev is the ring's epoch. Names are hashed,
// addresses never: a node that moves to another host moves no key.
//
// # The parts
//
// Pure, without I/O, clock or goroutines (TestPure holds it so):
//
//   - File (file.go, decode.go, encode.go, weight.go, ranges.go): the membership
//     as data, and its format. edit.go and assign.go change it: Add, Remove,
//     SetValue, SetWeight, Drain, Up, Down, Take, Balance.
//   - Ring (ring.go): one epoch, made by New, never changed after. pool.go ranks
//     nodes for a key, table.go flattens the ranking, classic.go is the md5 ring,
//     hash.go has the hash functions. Moves (moves.go) compares two rings, Load
//     (load.go) keeps any node from being asked too much, tally.go draws keys up
//     by several methods for comparison.
//
// Live, with I/O:
//
//   - Live (live.go, refs.go): the present Ring behind an atomic pointer, kept up
//     to date by a watch; saved.go keeps a copy on the local disk.
//   - Create, Read, Edit (change.go): reading the file and changing it by
//     compare-and-set.
//
// # Goroutines
//
// A Ring has none and may be used by any number. A Live has one, run, which owns
// its state and swaps the ring, and one for each file that its nodes refer to;
// Close ends them and waits.
//
// # Limits
//
// limits.go has them all. A file beyond them is ErrBadFile, like any file that
// cannot be understood: the last good ring stays in use, and Status tells.
//
// # Errors
//
// ErrBadFile, ErrNoNode, ErrNodeExists and ErrLastNode are of this package; what
// the store refuses is an error of package client.
package ring
