package replica

import (
	"errors"
	"testing"
)

func TestParse(t *testing.T) {
	const set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n"
	const ping, sel = "*1\r\n$4\r\nPING\r\n", "*2\r\n$6\r\nSELECT\r\n$2\r\n11\r\n"
	for _, c := range []struct {
		in, raw string
		count   int64
		selects bool
		rest    int
		bad     bool
	}{
		{"", "", 0, false, 0, false},
		{set, set, 1, false, 0, false},
		{ping + set + ping, set, 1, false, 0, false},
		{sel + set, sel + set, 1, true, 0, false},
		{set + sel, set + sel, 1, false, 0, false},
		{set + set[:10], set, 1, false, 10, false},
		{set + "*", set, 1, false, 1, false},
		{set + "*3\r\n$3\r\nSET\r\n$", set, 1, false, 14, false},
		{"PING\r\n", "", 0, false, 0, true},
		{"*x\r\n", "", 0, false, 0, true},
		{"*1\r\n*4\r\n", "", 0, false, 0, true},
		{"*00000000000000000000000000000000000001\r\n", "", 0, false, 0, true},
	} {
		got, err := Parse([]byte(c.in))
		if (err != nil) != c.bad || err != nil && !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %v", c.in, err)
		}
		if err == nil && (string(got.Raw) != c.raw || got.Count != c.count || got.Selects != c.selects || got.Rest != c.rest) {
			t.Errorf("%q: %+v", c.in, got)
		}
	}
	if db, ok := LastSelect([]byte("rest\r\n" + sel + set)); !ok || db != 11 {
		t.Error(db, ok)
	}
	if db, ok := LastSelect([]byte(set)); ok {
		t.Error(db)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"))
	f.Add([]byte("*1\r\n$4\r\nPING\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := Parse(in)
		if err == nil && (len(c.Raw)+c.Rest > len(in) || c.Count < 0) {
			t.Errorf("%+v of %q", c, in)
		}
		LastSelect(in)
	})
}
