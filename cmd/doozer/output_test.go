package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/doozer-store/doozer/client"
)

// written is what fn writes.
func written(t *testing.T, fn func(*bufio.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	out := bufio.NewWriter(&b)
	if err := fn(out); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	got := written(t, func(out *bufio.Writer) error {
		tab := newTable(out, true, column{"ID", true}, column{"NAME", false}, column{"WHY", false})
		tab.add("1", "é", "")
		tab.add("100", "long name", "x")
		return tab.flush()
	})
	want := " ID  NAME       WHY\n  1  é\n100  long name  x\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A table that is longer than what it may hold is written block by block, and
// no row is lost.
func TestTableBlocks(t *testing.T) {
	rows := 2*tableRows + 1
	got := written(t, func(out *bufio.Writer) error {
		tab := newTable(out, false, column{right: true}, column{})
		for i := range rows {
			if err := tab.add(strings.Repeat("x", i%7), "y"); err != nil {
				return err
			}
			if len(tab.rows) >= tableRows {
				t.Fatalf("%d rows are held", len(tab.rows))
			}
		}
		return tab.flush()
	})
	if n := strings.Count(got, "y\n"); n != rows {
		t.Errorf("%d rows of %d", n, rows)
	}
}

func TestPlain(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"it's \"fine\" \\ é 日本", "it's \"fine\" \\ é 日本"},
		{"two\nlines", `two\nlines`},
		{"\x1b[31mred \"x\"", `\x1b[31mred "x"`},
		{"bad \xff", `bad \xff`},
		{"right\u202eleft", `right\u202eleft`},
	}
	for _, tt := range tests {
		if got := plain(tt.in); got != tt.want {
			t.Errorf("plain(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		n    int64
		want string
	}{
		{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {64 << 20, "64.0 MiB"},
		{1<<20 - 1, "1.0 MiB"}, {1<<30 - 1, "1.0 GiB"}, {5 << 40, "5.0 TiB"},
	}
	for _, tt := range tests {
		if got := size(tt.n); got != tt.want {
			t.Errorf("size(%d) = %q, want %q", tt.n, got, tt.want)
		}
	}
}

func TestSpan(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{0, "0.0s"}, {5200 * time.Millisecond, "5.2s"}, {time.Minute, "1m0s"}, {3*time.Hour + 400*time.Millisecond, "3h0m0s"},
	}
	for _, tt := range tests {
		if got := span(tt.d); got != tt.want {
			t.Errorf("span(%v) = %q, want %q", tt.d, got, tt.want)
		}
	}
}

func TestPrintEvent(t *testing.T) {
	at := time.Date(2026, 1, 2, 4, 4, 5, 600, time.FixedZone("", 3600))
	file := client.File{Path: "/a b", Value: []byte("x\ny"), Rev: 7, Time: at, Author: "me", Message: "<why>"}
	tests := []struct {
		name, text, json string
		ev               client.Event
	}{
		{"set", "/a b 7 set 3\nx\ny\n",
			`{"path":"/a b","rev":7,"kind":"set","time":"2026-01-02T03:04:05.0000006Z","author":"me","message":"<why>","value":"x\ny"}` + "\n",
			client.Event{File: file}},
		{"empty", "/a 1 set 0\n\n",
			`{"path":"/a","rev":1,"kind":"set","time":"","author":"","message":"","value":""}` + "\n",
			client.Event{File: client.File{Path: "/a", Rev: 1}}},
		{"binary", "/a 1 set 2\n\xff\x00\n",
			`{"path":"/a","rev":1,"kind":"set","time":"","author":"","message":"","value_base64":"/wA="}` + "\n",
			client.Event{File: client.File{Path: "/a", Rev: 1, Value: []byte("\xff\x00")}}},
		{"del", "/a 2 del 0\n\n",
			`{"path":"/a","rev":2,"kind":"del","time":"","author":"","message":""}` + "\n",
			client.Event{File: client.File{Path: "/a", Rev: 2}, Del: true}},
	}
	for _, tt := range tests {
		for format, want := range map[formatFlag]string{formatText: tt.text, formatJSON: tt.json} {
			got := written(t, func(out *bufio.Writer) error { return printEvent(out, format, tt.ev) })
			if got != want {
				t.Errorf("%s as %s: got %q, want %q", tt.name, format, got, want)
			}
		}
	}
}

// FuzzValueJSON: any value comes back from its JSON byte for byte.
func FuzzValueJSON(f *testing.F) {
	for _, seed := range []string{"", "x", "\xff", "\u2028<&>", "\x00", "\ufffd"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		line, err := json.Marshal(newValueJSON(value))
		if err != nil {
			t.Fatal(err)
		}
		var back valueJSON
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatal(err)
		}
		var got []byte
		if back.Value != nil {
			got = []byte(*back.Value)
		} else if got, err = base64.StdEncoding.DecodeString(*back.Base64); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, value) || (back.Value != nil) != utf8.Valid(value) {
			t.Fatalf("%q came back as %q from %s", value, got, line)
		}
	})
}
