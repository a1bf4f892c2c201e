package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"
)

func export(t testing.TB, db *DB) []byte {
	t.Helper()
	e, err := db.Export()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	b, err := io.ReadAll(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExportImport(t *testing.T) {
	want := some(3000, "value")
	want["big"] = strings.Repeat("x", 3<<20)
	want["empty"] = ""
	from := open(t, tempPath(t))
	m := Meta{Index: 9, Term: 2, ConfState: voters(1, 2)}
	if err := from.Commit(m, want.all); err != nil {
		t.Fatal(err)
	}
	stream := export(t, from)
	if e, err := from.Export(); err != nil {
		t.Fatal(err)
	} else {
		var b bytes.Buffer
		if n, err := e.WriteTo(&b); err != nil || n != int64(len(stream)) || !bytes.Equal(b.Bytes(), stream) {
			t.Fatalf("WriteTo wrote %d bytes, %v; Read gave %d", n, err, len(stream))
		}
		if err := errors.Join(e.Close(), e.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
			t.Fatalf("read after close: %v", err)
		}
	}

	path := tempPath(t)
	to := open(t, path)
	commit(t, to, 4, some(10, "old"))
	s, err := to.ImportFrom(iotest.OneByteReader(bytes.NewReader(stream)))
	if err != nil {
		t.Fatal(err)
	}
	check(t, to, 4, some(10, "old"))
	if got := load1(t, s); !maps.Equal(got, want) {
		t.Fatal("the stage differs")
	}
	if err := to.Install(s); err != nil {
		t.Fatal(err)
	}
	check(t, to, 9, want)
	if !proto.Equal(to.Meta().ConfState, m.ConfState) {
		t.Fatalf("members %v", to.Meta().ConfState)
	}
	if !bytes.Equal(export(t, to), stream) {
		t.Fatal("the export of the import differs")
	}
	commit(t, to, 10, records{"after": "install"})
	want["after"] = "install"
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, open(t, path), 10, want)
}

// An export sees the state of its beginning, whatever is committed or
// installed meanwhile, and stops neither.
func TestExportIsConsistent(t *testing.T) {
	db := open(t, tempPath(t))
	commit(t, db, 1, some(20000, "one"))
	want := export(t, db)
	e, err := db.Export()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1000)
	if _, err := io.ReadFull(e, got); err != nil {
		t.Fatal(err)
	}
	before := db.Size()
	for i := range uint64(20) {
		commit(t, db, 2+i, some(20000, fmt.Sprint(i)))
	}
	t.Logf("20 commits of everything during an export: the file grew from %d to %d bytes", before, db.Size())
	transfer(t, db)
	commit(t, db, 30, some(20000, "thirty"))
	rest, err := io.ReadAll(e)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, rest...), want) {
		t.Fatal("the export changed under way")
	}
	check(t, db, 30, some(20000, "thirty"))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every flipped byte and every cut of a stream is noticed, and leaves nothing
// behind.
func TestImportRefusesDamage(t *testing.T) {
	from := open(t, tempPath(t))
	if err := from.Commit(Meta{Index: 9, Term: 2, ConfState: voters(1)}, some(3, "value").all); err != nil {
		t.Fatal(err)
	}
	stream := export(t, from)
	to := open(t, tempPath(t))
	commit(t, to, 4, some(10, "old"))
	for i := range stream {
		flipped := bytes.Clone(stream)
		flipped[i] ^= 0x40
		for name, b := range map[string][]byte{"flipped": flipped, "cut": stream[:i]} {
			_, err := to.ImportFrom(bytes.NewReader(b))
			if !errors.Is(err, ErrBadStream) && !errors.Is(err, ErrNewerFormat) {
				t.Fatalf("%s at %d: %v", name, i, err)
			}
		}
	}
	if _, err := to.ImportFrom(bytes.NewReader(append(stream, 0))); !errors.Is(err, ErrBadStream) {
		t.Fatalf("trailing byte: %v", err)
	}
	broken := errors.New("broken pipe")
	_, err := to.ImportFrom(io.MultiReader(bytes.NewReader(stream[:50]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(to.staged()); err == nil {
		t.Fatal("a staged file is left")
	}
	check(t, to, 4, some(10, "old"))
}

func FuzzReader(f *testing.F) {
	db, err := Open(f.TempDir()+"/db", Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	f.Add(export(f, db))
	if err := db.Commit(Meta{Index: 9, ConfState: voters(1)}, some(3, "v").all); err != nil {
		f.Fatal(err)
	}
	stream := export(f, db)
	f.Add(stream)
	f.Add(stream[:len(stream)/2])
	f.Add(slices.Concat(stream[:len(stream)-30], stream))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := NewReader(bytes.NewReader(b))
		last := ""
		for err == nil {
			var k []byte
			if k, _, err = d.Next(); err == nil {
				if string(k) <= last {
					t.Fatalf("%q after %q", k, last)
				}
				last = string(k)
			}
		}
		if err != io.EOF && !errors.Is(err, ErrBadStream) && !errors.Is(err, ErrNewerFormat) {
			t.Fatalf("an error of no known kind: %v", err)
		}
	})
}
