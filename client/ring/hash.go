package ring

import (
	"math/bits"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// The hash functions of hrw and slots; docs/ring.md has test vectors. They are
// integer arithmetic only, so that every machine and language agrees to the bit.

// Part is the part that key falls into, of n.
func Part(key string, n int) int {
	part, _ := bits.Mul64(xxhash.Sum64String(key), uint64(n))
	return int(part)
}

// nodeHash stands for a node in its ranks.
func nodeHash(name string) uint64 { return xxhash.Sum64String(name) }

// partHash stands for a part in the ranks of all nodes: the outputs of splitmix64
// from seed 0.
func partHash(part int) uint64 { return mix(uint64(part+1) * 0x9e3779b97f4a7c15) }

// mix is the finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable
// pseudorandom number generators, 2014): a bijection in which every bit of x
// bears on every bit of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw is the number that a node draws for a part. Of nodes of one weight the
// one with the largest draw owns the part.
func draw(node, part uint64) uint64 { return mix(node ^ part) }

// logBits is the precision of cost, in bits behind the binary point.
const logBits = 38

// cost is 64 - log2(u), in units of 2^-38: the logarithm that weighted rendezvous
// hashing asks for (Schindelhauer, Schomaker: Weighted distributed hash tables,
// 2005), as an exact function of integers. It does not rise with u, is at least 1
// and at most 2^44, so that times any weight it fits 64 bits. Of nodes of
// different weights the one with the smallest cost/weight owns the part.
//
// Between the 1025 points of the table it is a straight line: shares are off by
// less than a part in ten thousand of themselves.
func cost(u uint64, table *[1025]uint64) uint64 {
	if u == 0 {
		u = 1
	}
	zeros := bits.LeadingZeros64(u)
	fraction := u << zeros << 1 // of the mantissa, behind its leading 1
	i, rest := fraction>>54, fraction>>22&(1<<32-1)
	log := uint64(63-zeros)<<logBits + table[i] + (table[i+1]-table[i])*rest>>32
	return 64<<logBits - log
}

// logTable has log2(1+i/1024), in units of 2^-38, rounded down.
var logTable = sync.OnceValue(func() *[1025]uint64 {
	var t [1025]uint64
	for i := range 1024 {
		// x is a number from 1 to 2 in units of 2^-63. Squaring it doubles its
		// logarithm, whose next bit is whether it has come to 2.
		x := uint64(1024+i) << 53
		for range logBits {
			t[i] <<= 1
			hi, lo := bits.Mul64(x, x)
			if hi>>63 == 1 {
				t[i]++
				x = hi
			} else {
				x = hi<<1 | lo>>63
			}
		}
	}
	t[1024] = 1 << logBits
	return &t
})
