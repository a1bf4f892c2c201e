package ring

import (
	"errors"
	"strconv"
	"strings"
)

// Weight is how much of the keys a node is to own, compared with the others, in
// thousandths. 0 stands for One.
type Weight uint32

// One is the usual weight.
const One Weight = 1000

var errWeight = errors.New("a weight is a number from 0.001 to 1000 with at most three decimals")

// ParseWeight reads a weight as people and files write it: digits, and a point
// with one to three digits if need be.
func ParseWeight(s string) (Weight, error) {
	whole, decimals, point := strings.Cut(s, ".")
	if point && (decimals == "" || len(decimals) > 3) || len(whole) > 4 || !digits(whole) || !digits(decimals) {
		return 0, errWeight
	}
	n, err := strconv.ParseUint(whole+decimals+"000"[len(decimals):], 10, 32)
	if err != nil || whole == "" || n == 0 || Weight(n) > MaxWeight {
		return 0, errWeight
	}
	return Weight(n), nil
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// String is the shortest text that ParseWeight reads as w.
func (w Weight) String() string {
	s := strconv.FormatUint(uint64(w.value()/1000), 10)
	if rest := w.value() % 1000; rest != 0 {
		s += "." + strings.TrimRight(strconv.FormatUint(uint64(rest+1000), 10)[1:], "0")
	}
	return s
}

// value is w with its default.
func (w Weight) value() Weight {
	if w == 0 {
		return One
	}
	return w
}
