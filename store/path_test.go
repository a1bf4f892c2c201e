package store

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCheckPath(t *testing.T) {
	long := strings.Repeat("n", MaxName)
	good := []string{
		"/", "/a", "/a/b/c", "/.a", "/a.", "/...", "/..a/b", "/ ", "/a b", "/é/日本", "/-", "/~", "/a:b@c", "/\ufffd",
		"/" + long, "/" + long + "/" + long, "/" + strings.Repeat("é", 127),
		strings.Repeat("/a", MaxPath/2),
	}
	for _, path := range good {
		if err := CheckPath(path); err != nil {
			t.Errorf("%.40q: %v", path, err)
		}
	}
	bad := []string{
		"", "a", "a/b", "//", "/a/", "/a//b", "//a", "/.", "/..", "/a/.", "/a/../b", "/./a",
		"/a*", "/?", "/[", "/]", "/{", "/}", `/\`, "/a\x00", "/a\n", "/\x1f", "/\x7f", "/\u0085", "/\u009f",
		"/\xff", "/a\xc3", "/\xed\xa0\x80", "/\xc0\xaf",
		"/" + long + "n", "/a/" + long + "é", strings.Repeat("/a", MaxPath/2) + "b",
	}
	for _, path := range bad {
		if err := CheckPath(path); !errors.Is(err, ErrBadPath) {
			t.Errorf("%.40q: %v", path, err)
		}
	}
}

var namePattern = regexp.MustCompile(`^[^*?\[\]{}\\/]+$`)

// pathTwin says the same as CheckPath, one rule after the other.
func pathTwin(path string) bool {
	if path == "/" {
		return true
	}
	if !utf8.ValidString(path) || len(path) > MaxPath || !strings.HasPrefix(path, "/") ||
		strings.ContainsFunc(path, unicode.IsControl) {
		return false
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if !namePattern.MatchString(name) || len(name) > MaxName || name == "." || name == ".." {
			return false
		}
	}
	return true
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{"/", "/a/b", "/a//b", "/..", "/é*", "/\xff", "/a\n", strings.Repeat("/ab", 1400)} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		err := CheckPath(path)
		if (err == nil) != pathTwin(path) {
			t.Fatalf("%q: %v", path, err)
		}
		if err == nil && path != "/" && key(path) != parentKey(path)+path[strings.LastIndexByte(path, '/'):] {
			t.Fatalf("%q: parent %q", path, parentKey(path))
		}
	})
}

func TestIsCtl(t *testing.T) {
	for path, want := range map[string]bool{
		"/": false, "/ctl": true, "/ctl/a": true, "/ctl/node/1/name": true, "/ctla": false, "/ct": false, "/a/ctl": false,
	} {
		if isCtl(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
