package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// span is a block of a coverage profile.
type span struct {
	from, to [2]int // line and column
	count    int
}

// addProfile adds the blocks of the profile at path.
func addProfile(out map[string][]span, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return readProfile(out, f)
}

// readProfile adds the blocks of a profile by file, as the profile names it.
// Blocks that come several times, from several test binaries, are all kept.
func readProfile(out map[string][]span, r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "mode:") {
			continue
		}
		file, rest, ok := strings.Cut(line, ".go:")
		var s span
		var statements int
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &s.from[0], &s.from[1], &s.to[0], &s.to[1], &statements, &s.count); !ok || err != nil {
			return fmt.Errorf("not a line of a coverage profile: %q", line)
		}
		out[file+".go"] = append(out[file+".go"], s)
	}
	return lines.Err()
}

// executed tells whether the statement at a place was.
func executed(blocks []span, line, column int) bool {
	at := [2]int{line, column}
	for _, s := range blocks {
		if s.count > 0 && !before(at, s.from) && before(at, s.to) {
			return true
		}
	}
	return false
}

func before(a, b [2]int) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }
