package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/doozer-store/doozer/client"
)

// parseScript reads a transaction as lines:
//
//	# a comment; empty lines do not count either
//	if PATH missing
//	if PATH rev R
//	set PATH VALUE
//	set64 PATH BASE64
//	del PATH
//
// VALUE is the rest of the line after one space, byte for byte, without its
// newline. A path with a space in it is written in quotes, as a Go string.
// Conditions are checked in their order, before anything is done, wherever
// they stand.
func parseScript(script []byte) (client.Txn, error) {
	var t client.Txn
	n := 0
	for line := range bytes.Lines(script) {
		n++
		if err := scriptLine(&t, strings.TrimSuffix(string(line), "\n")); err != nil {
			return t, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return t, nil
}

// scriptLine adds what one line says to t.
func scriptLine(t *client.Txn, line string) error {
	word, rest, _ := strings.Cut(strings.TrimLeft(line, " \t"), " ")
	if word = strings.TrimSpace(word); word == "" || word[0] == '#' {
		return nil
	}
	switch word {
	case "if", "set", "set64", "del":
	default:
		return fmt.Errorf("%q is none of if, set, set64, del", word)
	}
	path, rest, more, err := scriptPath(rest)
	if err != nil {
		return err
	}
	switch word {
	case "if":
		cond, err := scriptCond(path, strings.Fields(rest))
		if err != nil {
			return err
		}
		t.If = append(t.If, cond)
	case "set":
		t.Do = append(t.Do, client.SetOp(path, []byte(rest)))
	case "set64":
		value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
		if err != nil {
			return fmt.Errorf("the value of %s is not base64: %w", path, err)
		}
		t.Do = append(t.Do, client.SetOp(path, value))
	case "del":
		if more && strings.TrimSpace(rest) != "" {
			return fmt.Errorf("del takes one path; a path with spaces is written in quotes")
		}
		t.Do = append(t.Do, client.DelOp(path))
	}
	return nil
}

// scriptPath takes the path, quoted or not, and the one space after it off the
// front of s. more tells whether there was such a space.
func scriptPath(s string) (path, rest string, more bool, err error) {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, `"`) {
		path, rest, more = strings.Cut(s, " ")
		if path = strings.TrimSpace(path); path == "" {
			return "", "", false, fmt.Errorf("a path is missing")
		}
		return path, rest, more, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", false, fmt.Errorf("the quoted path does not end")
	}
	if path, err = strconv.Unquote(quoted); err != nil {
		return "", "", false, fmt.Errorf("the quoted path %s: %w", quoted, err)
	}
	if path == "" {
		return "", "", false, fmt.Errorf("the quoted path is empty")
	}
	rest = s[len(quoted):]
	if rest == "" {
		return path, "", false, nil
	}
	if rest[0] != ' ' {
		return "", "", false, fmt.Errorf("a space is missing after the path %s", quoted)
	}
	return path, rest[1:], true, nil
}

// scriptCond is what stands after the path of an if.
func scriptCond(path string, words []string) (client.Cond, error) {
	if len(words) == 1 && words[0] == "missing" {
		return client.Missing(path), nil
	}
	if len(words) == 2 && words[0] == "rev" {
		var rev revFlag
		if err := rev.Set(words[1]); err != nil {
			return client.Cond{}, fmt.Errorf("if %s rev %s: %w", path, words[1], err)
		}
		return client.Unchanged(path, int64(rev)), nil
	}
	return client.Cond{}, fmt.Errorf("if takes a path and either missing or rev R; a path with spaces is written in quotes")
}
