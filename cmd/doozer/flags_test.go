package main

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// A flag takes what it should, refuses the rest, and shows what it took as it
// is written.
func TestFlags(t *testing.T) {
	tests := []struct {
		name string
		flag func() pflag.Value
		good map[string]string
		bad  []string
	}{
		{
			"rev", func() pflag.Value { return new(revFlag) },
			map[string]string{"1": "1", "007": "7", "9223372036854775807": "9223372036854775807"},
			[]string{"", "0", "-1", "x", "1.5", "9223372036854775808"},
		},
		{
			"format", func() pflag.Value { return new(formatFlag) },
			map[string]string{"text": "text", "json": "json"},
			[]string{"", "JSON", "yaml"},
		},
		{
			"timeout", func() pflag.Value { return new(timeoutFlag) },
			map[string]string{"1s": "1s", "1500ms": "1.5s"},
			[]string{"", "0", "0s", "-1s", "10", "soon"},
		},
		{
			"count", func() pflag.Value { return new(countFlag) },
			map[string]string{"1": "1", "4294967295": "4294967295"},
			[]string{"", "0", "-1", "x", "4294967296"},
		},
	}
	for _, tt := range tests {
		for in, want := range tt.good {
			f := tt.flag()
			if err := f.Set(in); err != nil || f.String() != want {
				t.Errorf("%s: Set(%q): %v, then %q, want %q", tt.name, in, err, f.String(), want)
			}
		}
		for _, in := range tt.bad {
			f := tt.flag()
			before := f.String()
			if err := f.Set(in); err == nil || f.String() != before {
				t.Errorf("%s: Set(%q): %v, then %q", tt.name, in, err, f.String())
			}
		}
	}
}

// Only a --timeout that was given bounds a watch, also when it is the default.
func TestTimeoutGiven(t *testing.T) {
	f := timeoutFlag{d: defaultTimeout}
	if f.given {
		t.Error("the default counts as given")
	}
	if err := f.Set(defaultTimeout.String()); err != nil || !f.given || f.d != 10*time.Second {
		t.Errorf("%v, %v", f, err)
	}
}
