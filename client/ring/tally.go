package ring

import (
	"crypto/md5"
	"hash/crc32"
	"math"
	"math/big"
	"unicode/utf8"
)

// Method is a way to share keys out, for a comparison.
type Method struct {
	Name string
	// Pick is the index of a key's server, of n.
	Pick func(key string, n int) int
}

// Methods are the ways of the textbooks, each worse than a ring in its own way:
// first letters are uneven, hashes modulo n move nearly all keys when n changes.
func Methods() []Method {
	return []Method{{"first letter", firstLetter}, {"crc32", byCRC}, {"md5", byMD5}}
}

// firstLetter divides the alphabet into n ranges: server s has the letters from
// 26*s/n on, rounded down. What sorts before the letters is the first server's,
// what sorts after them the last one's.
func firstLetter(key string, n int) int {
	r, size := utf8.DecodeRuneInString(key)
	if size == 0 {
		return 0
	}
	if r >= 'A' && r <= 'Z' {
		r += 'a' - 'A'
	}
	letter := int(min(max(r, 'a'), 'z') - 'a')
	for s := n - 1; s > 0; s-- {
		if letter >= 26*s/n {
			return s
		}
	}
	return 0
}

func byCRC(key string, n int) int {
	return int(crc32.ChecksumIEEE([]byte(key)) % uint32(n))
}

// byMD5 is the whole number of 128 bits modulo n, as in the languages that have
// such numbers.
func byMD5(key string, n int) int {
	sum := md5.Sum([]byte(key))
	return int(new(big.Int).Mod(new(big.Int).SetBytes(sum[:]), big.NewInt(int64(n))).Int64())
}

// Deviation is the standard deviation of numbers, as a share of their mean; 0 for
// none.
func Deviation(list []float64) float64 {
	var sum, squares float64
	for _, x := range list {
		sum += x
	}
	mean := sum / float64(len(list))
	for _, x := range list {
		squares += (x - mean) * (x - mean)
	}
	if mean == 0 || len(list) == 0 {
		return 0
	}
	return math.Sqrt(squares/float64(len(list))) / mean
}
