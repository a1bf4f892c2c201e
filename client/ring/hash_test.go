package ring

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// The vectors of docs/ring.md.
func TestHashVectors(t *testing.T) {
	tests := []struct {
		name      string
		got, want uint64
	}{
		{`XXH64("")`, nodeHash(""), 0xef46db3751d8e999},
		{`XXH64("a")`, nodeHash("a"), 0xd24ec4f1a98c6e5b},
		{`XXH64("node1")`, nodeHash("node1"), 0xf3d8cf0db4d21fd9},
		{"partHash(0)", partHash(0), 0xe220a8397b1dcdaf},
		{"partHash(1)", partHash(1), 0x6e789e6aa1b965f4},
		{"partHash(2)", partHash(2), 0x06c45d188009454f},
		{"draw(node1, 0)", draw(nodeHash("node1"), partHash(0)), 0xbd65a5cb060488f4},
		{"draw(node2, 0)", draw(nodeHash("node2"), partHash(0)), 0x71498e6e641baf20},
		{"T[0]", logTable()[0], 0},
		{"T[1]", logTable()[1], 387081527},
		{"T[512]", logTable()[512], 160793267838},
		{"T[1023]", logTable()[1023], 274684224403},
		{"T[1024]", logTable()[1024], 1 << 38},
		{"cost(0)", cost(0, logTable()), 1 << 44},
		{"cost(1)", cost(1, logTable()), 1 << 44},
		{"cost(2^63)", cost(1<<63, logTable()), 1 << 38},
		{"cost(2^64-1)", cost(math.MaxUint64, logTable()), 1},
		{"cost(0xc000000000000000)", cost(0xc<<60, logTable()), 114084639106},
		{`part("hello", 131072)`, uint64(Part("hello", 131072)), 19855},
		{`part("user:42", 131072)`, uint64(Part("user:42", 131072)), 112703},
		{`part("user:42", 4096)`, uint64(Part("user:42", 4096)), 3521},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s = %#x (%d), want %#x", tt.name, tt.got, tt.got, tt.want)
		}
	}
}

// The table is what the definition says, computed with numbers of any size, and
// next to what the machine's logarithm says.
func TestLogTable(t *testing.T) {
	for i, got := range logTable() {
		if f := math.Log2(1+float64(i)/1024) * (1 << logBits); math.Abs(f-float64(got)) > 1 {
			t.Errorf("T[%d] = %d, the logarithm is %f", i, got, f)
		}
		if i == 1024 {
			continue
		}
		var want uint64
		x, two := big.NewInt(int64(1024+i)), new(big.Int).Lsh(big.NewInt(1), 64)
		x.Lsh(x, 53)
		for range logBits {
			x.Mul(x, x).Rsh(x, 63)
			want <<= 1
			if x.Cmp(two) >= 0 {
				want++
				x.Rsh(x, 1)
			}
		}
		if got != want {
			t.Errorf("T[%d] = %d, the definition says %d", i, got, want)
		}
	}
}

// The cost never rises with the draw, stays in its range, and is the logarithm to
// within 2*10^-7.
func TestCost(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	table := logTable()
	for range 200_000 {
		u := rnd.Uint64() >> rnd.IntN(64)
		a, b := cost(u, table), cost(u+1, table)
		if u != math.MaxUint64 && b > a {
			t.Fatalf("cost(%d) = %d, cost of one more is %d", u, a, b)
		}
		if a < 1 || a > 1<<44 {
			t.Fatalf("cost(%d) = %d", u, a)
		}
		if hi, _ := bits.Mul64(a, uint64(MaxWeight)); hi != 0 {
			t.Fatalf("cost(%d) times the largest weight has over 64 bits", u)
		}
		exact := (64 - math.Log2(float64(max(u, 1)))) * (1 << logBits)
		if math.Abs(float64(a)-exact) > 2e-7*(1<<logBits) {
			t.Fatalf("cost(%d) = %d, the logarithm is %f", u, a, exact)
		}
	}
}

func TestPart(t *testing.T) {
	for _, n := range []int{1, 2, 3, 1000, MaxParts} {
		for i := range 1000 {
			if p := Part(fmt.Sprint(i), n); p < 0 || p >= n {
				t.Fatalf("Part(%d, %d) = %d", i, n, p)
			}
		}
	}
}
