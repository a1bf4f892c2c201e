package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

var update = flag.Bool("update", false, "write what the commands print into testdata/*.txt")

// TestVerbs runs the transcripts in testdata against a store that is empty at
// the start of each. A transcript is made of commands and what they do:
//
//	# a comment
//	$ COMMAND LINE         words as in a shell, without variables
//	< a line of stdin      any number of them
//	<< "stdin\x00"         or all of stdin as a Go string
//	what is expected on stdout; \c at the end: no newline there
//	! what is expected on stderr
//	[64]                   the exit status, unless it is 0
//
// with an empty line between. ADDR stands for the address of the node.
func TestVerbs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				n := startNode(t)
				got := play(t, n.addr, string(want))
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
						t.Fatal(err)
					}
				} else if got != string(want) {
					t.Errorf("%s differs at %s", file, firstDifference(got, string(want)))
				}
			})
		})
	}
}

// play runs the commands of a transcript and returns it with what they did.
func play(t *testing.T, addr, transcript string) string {
	var out, head, stdin strings.Builder
	line := ""
	finish := func() {
		if line != "" {
			out.WriteString(head.String() + strings.ReplaceAll(outcome(t, addr, line, stdin.String()), addr, "ADDR") + "\n")
			head.Reset()
			stdin.Reset()
			line = ""
		}
	}
	for l := range strings.Lines(transcript) {
		switch {
		case strings.HasPrefix(l, "# "):
			finish()
		case strings.HasPrefix(l, "$ "):
			finish()
			line = strings.TrimSpace(l[2:])
		case strings.HasPrefix(l, "<< "):
			s, err := strconv.Unquote(strings.TrimSpace(l[3:]))
			if err != nil {
				t.Fatalf("%s: %v", l, err)
			}
			stdin.WriteString(s)
		case strings.HasPrefix(l, "< "):
			stdin.WriteString(l[2:])
		default:
			continue
		}
		head.WriteString(l)
	}
	finish()
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// outcome runs one command line and renders what it did.
func outcome(t *testing.T, addr, line, stdin string) string {
	args := words(t, strings.ReplaceAll(line, "ADDR", addr))
	if args[0] != "doozer" {
		t.Fatalf("%q is not doozer", args[0])
	}
	var stdout, stderr bytes.Buffer
	env := []string{"DOOZER_URI=" + addr, "PATH=" + os.Getenv("PATH")}
	status := runOn(context.Background(), args[1:], env, strings.NewReader(stdin), &stdout, &stderr)
	text := stdout.String()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\\c\n"
	}
	for l := range strings.Lines(stderr.String()) {
		text += "! " + l
	}
	if status != 0 {
		text += fmt.Sprintf("[%d]\n", status)
	}
	return text
}

// words splits a line as a shell does: blanks separate, single and double
// quotes keep together.
func words(t *testing.T, line string) (words []string) {
	var word strings.Builder
	var quote rune
	in := false
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r != ' ':
			word.WriteRune(r)
			in = true
		case in:
			words = append(words, word.String())
			word.Reset()
			in = false
		}
	}
	if quote != 0 {
		t.Fatalf("%s: a quote does not end", line)
	}
	return words
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		gl, wl := "(end)", "(end)"
		if i < len(g) {
			gl = g[i]
		}
		if i < len(w) {
			wl = w[i]
		}
		if gl != wl {
			return fmt.Sprintf("line %d:\n got %q\nwant %q", i+1, gl, wl)
		}
	}
	return "nowhere"
}
