package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

const sample = `package p

func (d *DB) save(x int) error {
	if err := d.file.Sync(); err != nil {
		return err
	}
	_, err := d.file.WriteAt(nil, 0)
	log("a call whose error nobody asks for")
	if err == nil {
		done()
	} else {
		failed()
	}
	switch err := os.Rename("a", "b"); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	case err == nil && x > 0:
		return nil
	}
	go func() {
		if err := read(); err != io.EOF {
			panic(err)
		}
	}()
	if x != 3 || d.failed != nil {
		return d.failed
	}
	if !(err == nil) {
	}
	return nil
}
`

func TestScan(t *testing.T) {
	found, err := scan("p/p.go", "p.go", sample)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range found {
		got = append(got, fmt.Sprintf("%d %s %s [%s] %s", b.line, b.fn, b.call, b.cond, b.kind()))
	}
	want := []string{
		"5 DB.save d.file.Sync [err != nil] sync",
		"12 DB.save d.file.WriteAt [!(err == nil)] write",
		"16 DB.save os.Rename [errors.Is(err, fs.ErrExist)] rename",
		"18 DB.save os.Rename [err != nil] rename",
		"24 DB.save read [err != io.EOF] other",
		"28 DB.save os.Rename [x != 3 || d.failed != nil] rename",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A branch that was not executed fails, unless it is allowed; one that is
// allowed and needs no leave fails too.
func TestJudge(t *testing.T) {
	profile := "mode: set\n" + module + "p/p.go:4.42,6.3 1 1\n" + module + "p/p.go:11.9,13.3 1 0\n"
	blocks := map[string][]span{}
	if err := readProfile(blocks, strings.NewReader(profile)); err != nil {
		t.Fatal(err)
	}
	found, err := scan("p/p.go", "p.go", sample)
	if err != nil {
		t.Fatal(err)
	}
	found = found[:2]
	for i, b := range found {
		found[i].executed = executed(blocks[module+b.file], b.line, b.column)
	}
	for _, c := range []struct {
		allowed map[string]string
		want    string
	}{
		{nil, "1 error branches were never executed"},
		{map[string]string{found[1].name(): "because"}, ""},
		{map[string]string{found[1].name(): "because", found[0].name(): "because"}, "needs no leave"},
	} {
		var out bytes.Buffer
		err := judge(found, c.allowed, false, &out)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.allowed, err, c.want)
		}
		if !strings.Contains(out.String(), "p: sync 1/1 write 0/1\n") {
			t.Errorf("it reports %s", out.String())
		}
	}
	if err := readProfile(blocks, strings.NewReader("no profile")); err == nil {
		t.Error("anything is a profile")
	}
}

// The list of exceptions names branches that exist.
func TestAllowed(t *testing.T) {
	all, err := scanAll("../..")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, b := range all {
		names[b.name()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if !names[name] {
			t.Errorf("allow.go names %q, which is not there", name)
		}
		if allowed[name] == "" {
			t.Errorf("allow.go gives no reason for %q", name)
		}
	}
	if len(all) < 150 {
		t.Errorf("only %d error branches were found: the tool does not see", len(all))
	}
}
