package store

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// sampleCommands has every kind and every part of a command.
func sampleCommands() []Command {
	return []Command{
		{Kind: Nop},
		{Kind: Register},
		{Kind: Check, Author: "node 1"},
		{Kind: Write, Ops: []Op{{Path: "/a", Value: []byte{}}}},
		{Kind: Write, Client: 7, Seq: 300, Ack: 299, Author: "me", Message: "why", Ops: []Op{{Path: "/a/b", Value: []byte("v")}, {Path: "/c", Del: true}},
			Conds: []Condition{{Path: "/d", Kind: Missing}, {Path: "/e", Kind: Unchanged, Rev: 1 << 40}, {Path: "/f", Kind: Any}}},
		{Kind: System, Ops: []Op{{Path: "/ctl/node/1/name", Value: []byte("n")}}},
		{Kind: Configure, Config: &Config{ClusterID: [16]byte{1, 15: 2}, Epoch: 3, History: 4, HistoryBytes: 5, ClientTTL: 6, MaxClients: 7, ClientWindow: 8}},
		{Kind: Configure, Config: &Config{History: 4, Volatile: "/s/*\n/t/**"}},
	}
}

func TestCommandRoundTrip(t *testing.T) {
	for _, c := range sampleCommands() {
		b := c.Append([]byte("before"))
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatal("Append does not append")
		}
		b = b[len("before"):]
		got, err := DecodeCommand(b)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if again := got.Append(nil); !bytes.Equal(again, b) || !reflect.DeepEqual(normal(got), normal(c)) {
			t.Errorf("%+v came back as %+v", c, got)
		}
		if len(b) > c.size() {
			t.Errorf("%+v: size %d, length %d", c, c.size(), len(b))
		}
		for i := range b {
			if _, err := DecodeCommand(b[:i]); !errors.Is(err, ErrBadRequest) {
				t.Errorf("%+v cut at %d: %v", c, i, err)
			}
		}
		if _, err := DecodeCommand(append(b, 0)); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%+v and a byte more: %v", c, err)
		}
	}
}

// normal makes empty slices nil.
func normal(c Command) Command {
	if len(c.Conds) == 0 {
		c.Conds = nil
	}
	if len(c.Ops) == 0 {
		c.Ops = nil
	}
	return c
}

// TestCommandFormat pins the encoding: logs hold it.
func TestCommandFormat(t *testing.T) {
	c := sampleCommands()[4]
	want := "\x01\x01\x07\xac\x02\xab\x02\x02me\x03why" +
		"\x03\x01\x02/d\x00\x02\x02/e\x80\x80\x80\x80\x80\x20\x00\x02/f\x00" +
		"\x02\x00\x04/a/b\x01v\x01\x02/c"
	if got := string(c.Append(nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c = sampleCommands()[6]
	want = "\x01\x05\x00\x00\x00\x00\x00" + string(c.Config.ClusterID[:]) + "\x03\x04\x05\x06\x07\x08"
	if got := string(c.Append(nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c = Command{Kind: Configure, Config: &Config{ClusterID: c.Config.ClusterID, History: 4, Volatile: "/s/*"}}
	want = "\x02\x05\x00\x00\x00\x00\x00" + string(c.Config.ClusterID[:]) + "\x00\x04\x00\x00\x00\x00\x04/s/*"
	if got := string(c.Append(nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":                "",
		"another version":        "\x03\x02\x00\x00\x00\x00\x00",
		"volatile in a nop":      "\x02\x02\x00\x00\x00\x00\x00\x01/",
		"no volatile globs":      "\x02\x05\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 23),
		"a long varint":          "\x01\x02\x80\x00\x00\x00\x00\x00",
		"an overflowing varint":  "\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00",
		"a string past the end":  "\x01\x01\x00\x7fab",
		"too many conditions":    "\x01\x01\x00\x00\x00\x81\x01",
		"an unknown flag":        "\x01\x01\x00\x00\x00\x00\x01\x02\x02/a\x00",
		"settings of no command": "\x01\x02\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 22),
	} {
		if _, err := DecodeCommand([]byte(b)); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	op := func(path string) []Op { return []Op{{Path: path}} }
	many := func(n int) (ops []Op) {
		for i := range n {
			ops = append(ops, Op{Path: "/" + strings.Repeat("x", i+1)})
		}
		return ops
	}
	for name, row := range map[string]struct {
		c    Command
		want error
	}{
		"a set":                      {Command{Kind: Write, Ops: op("/a")}, nil},
		"only a condition":           {Command{Kind: Write, Conds: []Condition{{Path: "/a"}}}, nil},
		"a condition on /ctl":        {Command{Kind: Write, Conds: []Condition{{Path: "/ctl/a", Kind: Missing}}, Ops: op("/a")}, nil},
		"a system write":             {Command{Kind: System, Ops: op("/ctl/a")}, nil},
		"128 operations":             {Command{Kind: Write, Ops: many(128)}, nil},
		"nothing to do":              {Command{Kind: Write}, ErrBadRequest},
		"no kind":                    {Command{}, ErrBadRequest},
		"an unknown kind":            {Command{Kind: numKinds}, ErrBadRequest},
		"129 operations":             {Command{Kind: Write, Ops: many(129)}, ErrBadRequest},
		"129 conditions":             {Command{Kind: Write, Ops: op("/a"), Conds: make([]Condition, 129)}, ErrBadRequest},
		"a bad path":                 {Command{Kind: Write, Ops: op("a")}, ErrBadPath},
		"a bad path in a condition":  {Command{Kind: Write, Conds: []Condition{{Path: "/a/"}}, Ops: op("/a")}, ErrBadPath},
		"an unknown condition":       {Command{Kind: Write, Conds: []Condition{{Path: "/a", Kind: 3}}}, ErrBadRequest},
		"a negative rev":             {Command{Kind: Write, Conds: []Condition{{Path: "/a", Kind: Unchanged, Rev: -1}}}, ErrBadRequest},
		"two operations on a path":   {Command{Kind: Write, Ops: append(op("/a"), op("/a")...)}, ErrBadRequest},
		"two of many on a path":      {Command{Kind: Write, Ops: append(many(20), op("/xxx")...)}, ErrBadRequest},
		"a write to /ctl":            {Command{Kind: Write, Ops: op("/ctl/a")}, ErrReadOnly},
		"a write of /ctl":            {Command{Kind: Write, Ops: op("/ctl")}, ErrReadOnly},
		"a system write elsewhere":   {Command{Kind: System, Ops: op("/ctla")}, ErrBadRequest},
		"no seq":                     {Command{Kind: Write, Ops: op("/a"), Client: 1}, ErrBadRequest},
		"an ack above the seq":       {Command{Kind: Write, Ops: op("/a"), Client: 1, Seq: 2, Ack: 3}, ErrBadRequest},
		"an author of no text":       {Command{Kind: Write, Ops: op("/a"), Author: "\xff"}, ErrBadRequest},
		"a message of no text":       {Command{Kind: Write, Ops: op("/a"), Message: "\xff"}, ErrBadRequest},
		"a long author":              {Command{Kind: Write, Ops: op("/a"), Author: strings.Repeat("a", MaxAuthor+1)}, ErrTooLarge},
		"a long message":             {Command{Kind: Write, Ops: op("/a"), Message: strings.Repeat("a", MaxMessage+1)}, ErrTooLarge},
		"a large value":              {Command{Kind: Write, Ops: []Op{{Path: "/a", Value: make([]byte, 101)}}}, ErrTooLarge},
		"many values":                {Command{Kind: Write, Ops: []Op{{Path: "/a", Value: make([]byte, 99)}, {Path: "/b", Value: make([]byte, 99)}}, Message: strings.Repeat("m", 4000)}, ErrTooLarge},
		"a nop with an operation":    {Command{Kind: Nop, Ops: op("/a")}, ErrBadRequest},
		"a register with a client":   {Command{Kind: Register, Client: 1, Seq: 1}, ErrBadRequest},
		"a configure without config": {Command{Kind: Configure}, ErrBadRequest},
		"a configure":                {Command{Kind: Configure, Config: &Config{History: 1}}, nil},
		"a configure out of range":   {Command{Kind: Configure, Config: &Config{History: -1}}, ErrBadRequest},
		"too large a client window":  {Command{Kind: Configure, Config: &Config{ClientWindow: maxClientWindow + 1}}, ErrBadRequest},
	} {
		err := row.c.Validate(Options{MaxValue: 100, MaxCommand: 4200})
		if name == "128 operations" {
			err = row.c.Validate(Options{})
		}
		if !errors.Is(err, row.want) || row.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, c := range sampleCommands() {
		f.Add(c.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommand(b)
		if err != nil {
			return
		}
		if again := c.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%q came back as %q", b, again)
		}
		if c.Validate(Options{}) == nil && c.check() != nil {
			t.Fatalf("%+v: valid, but refused", c)
		}
	})
}

func TestErrors(t *testing.T) {
	for code := RevMismatch; code < numCodes; code++ {
		err := error(&Error{Code: code, Path: "/a", Rev: 7, Msg: "because"})
		if !errors.Is(err, sentinel(code)) || errors.Is(err, sentinel(code+1)) {
			t.Errorf("%v: errors.Is", code)
		}
		if s := err.Error(); !strings.HasPrefix(s, `"/a": `) || !strings.Contains(s, "because") || strings.Contains(s, code.String()) {
			t.Errorf("%v: %s", code, s)
		}
	}
	if Code(99).String() != "CODE_99" || TooLate.String() != "TOO_LATE" || ErrNoEnt.Error() != "no such file or directory" {
		t.Error("names of codes")
	}
}
