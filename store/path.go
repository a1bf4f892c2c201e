package store

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ctl is the directory that only System commands may write.
const ctl = "/ctl"

// notInNames are the characters, beside "/" and control characters, that no
// name may hold: those with a meaning in globs, here or in other programs.
const notInNames = `*?[]{}\`

// CheckPath returns nil if path is well formed: "/", or names that each follow
// a slash. A name is 1 to MaxName bytes of valid UTF-8 without control
// characters and without any of * ? [ ] { } \, and is neither "." nor "..".
// A path is at most MaxPath bytes. The error is an *Error with Code BadPath.
func CheckPath(path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	return nil
}

func checkPath(path string) *Error {
	if reason := pathFault(path); reason != "" {
		// The path may alias a log entry, or be of any size.
		return &Error{Code: BadPath, Path: strings.Clone(path[:min(len(path), MaxPath)]), Msg: reason}
	}
	return nil
}

// pathFault returns what is wrong with path, "" if nothing is.
func pathFault(path string) string {
	switch {
	case path == "/":
		return ""
	case path == "" || path[0] != '/':
		return "it does not start with a slash"
	case len(path) > MaxPath:
		return "it is too long"
	}
	start := 1 // of the name that i is in
	for i := 1; i < len(path); {
		c := path[i]
		if c == '/' {
			if fault := nameFault(path[start:i]); fault != "" {
				return fault
			}
			i++
			start = i
			continue
		}
		n, fault := charFault(path, i)
		if fault != "" {
			return fault
		}
		i += n
	}
	return nameFault(path[start:])
}

// charFault returns the length of the character at s[i], and what is wrong
// with it as a part of a name.
func charFault(s string, i int) (int, string) {
	c := s[i]
	if c < utf8.RuneSelf {
		if c < 0x20 || c == 0x7f {
			return 1, "it has a control character"
		}
		if c <= '}' && c >= '*' && strings.IndexByte(notInNames, c) >= 0 {
			return 1, "it has one of " + notInNames
		}
		return 1, ""
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	switch {
	case r == utf8.RuneError && n == 1:
		return 1, "it is not valid UTF-8"
	case unicode.IsControl(r):
		return n, "it has a control character"
	}
	return n, ""
}

// nameFault returns what is wrong with a name whose characters are all right.
func nameFault(name string) string {
	switch {
	case name == "":
		return "it has an empty name"
	case name == "." || name == "..":
		return `it has a name "." or ".."`
	case len(name) > MaxName:
		return "it has a name that is too long"
	}
	return ""
}

// isCtl reports whether path is /ctl or lies below it.
func isCtl(path string) bool {
	return strings.HasPrefix(path, ctl) && (len(path) == len(ctl) || path[len(ctl)] == '/')
}

// key returns the path under which the tree knows path: the root's is empty,
// so that a directory's key and a slash are the prefix of all that is under it.
func key(path string) string {
	if path == "/" {
		return ""
	}
	return path
}

// parentKey returns the key of the directory that holds the entry at key k,
// which is not the root's.
func parentKey(k string) string { return k[:strings.LastIndexByte(k, '/')] }
