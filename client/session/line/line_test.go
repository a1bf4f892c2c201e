package line

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/fakestore"
)

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "a/b", "e", "val/x", "conf", "Ä ö", strings.Repeat("x", 200)} {
		if !ValidName(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", "/", "/a", "a/", "a//b", ".", "a/..", "a/e", "a/e/b", "a/conf", "a/val/b", "a*", "a?", "{a}", `a\b`} {
		if err := checkName(name); !errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// An entry's name tells its session and its kind, whatever is in the file.
func TestEntryNames(t *testing.T) {
	for _, shared := range []bool{false, true} {
		e := newEntry(&Spec{Name: "a", Shared: shared, Why: "because"}, "0123abcd")
		got := parseEntry(client.File{Path: e.Path, Rev: 7, Value: encode(e.body)})
		if got.Session != "0123abcd" || got.Shared != shared || got.Rev != 7 || got.Nonce != e.Nonce || got.Why != "because" {
			t.Errorf("%+v", got)
		}
	}
	for path, session := range map[string]string{"/lock/a/e/x": "", "/lock/a/e/-x": "", "/lock/a/e/x-y": "x", "/lock/a/e/a-b-c": "a-b"} {
		if e := parseEntry(client.File{Path: path, Value: []byte("?")}); e.Session != session || e.Why != "unreadable" {
			t.Errorf("%s: %+v", path, e)
		}
	}
}

// holders are those of whom fewer than the limit are ahead that they conflict
// with.
func TestHolders(t *testing.T) {
	tests := []struct {
		line  string // r and w
		limit int
		want  int
	}{
		{"", 1, 0}, {"w", 1, 1}, {"ww", 1, 1}, {"www", 2, 2}, {"www", 5, 3},
		{"rr", 1, 2}, {"rrw", 1, 2}, {"rwr", 1, 1}, {"wrr", 1, 1},
	}
	for _, tt := range tests {
		var list []Entry
		for i, kind := range tt.line {
			list = append(list, Entry{Rev: int64(i + 1), Shared: kind == 'r'})
		}
		if got := holders(list, tt.limit); got != tt.want {
			t.Errorf("%s, limit %d: %d hold, want %d", tt.line, tt.limit, got, tt.want)
		}
	}
}

func TestAll(t *testing.T) {
	st := fakestore.New()
	st.Set("/lock/b/e/s2-1", `{"v":1,"nonce":"n","why":"y"}`)
	st.Set("/lock/b/conf", `{"v":1,"mode":"semaphore","limit":2}`)
	st.Set("/lock/a/x/e/s1-1-r", `{"v":1}`)
	st.Set("/lock/b/e/s1-1", `{"v":1}`)
	st.Set("/lock/b/e/s0-1", `{"v":1}`)
	st.Set("/lock/b/val", `{"v":1}`)
	all, err := All(t.Context(), st.Client(), "")
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, l := range all {
		text += fmt.Sprintf("%s %s %d %d:", l.Name, l.Conf.Mode, l.Conf.Limit, l.Holders)
		for _, e := range l.Entries {
			text += fmt.Sprintf(" %s@%d", e.Session, e.Rev)
		}
		text += "\n"
	}
	if want := "a/x  0 1: s1@3\nb semaphore 2 2: s2@1 s1@4 s0@5\n"; text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	if some, err := All(t.Context(), st.Client(), "a"); err != nil || len(some) != 1 || some[0].Name != "a/x" {
		t.Error(some, err)
	}
}
