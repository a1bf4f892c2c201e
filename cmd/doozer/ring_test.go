package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The shell is offered rings, then actions.
func TestCompleteRing(t *testing.T) {
	n := startNode(t)
	for _, name := range []string{"cache", "classic", "shards"} {
		if inv := doozer(t, n, "", "ring", name, "new"); inv.status != 0 {
			t.Fatal(inv.stderr.String())
		}
	}
	tests := []struct {
		words []string
		want  string
	}{
		{[]string{""}, "cache\nclassic\nshards\n:4\n"},
		{[]string{"c"}, "cache\nclassic\n:4\n"},
		{[]string{"cache", "a"}, "add\naddr\n:4\n"},
		{[]string{"cache", "rm", ""}, ":4\n"},
	}
	for _, tt := range tests {
		got := doozer(t, n, "", append([]string{"__complete", "ring"}, tt.words...)...)
		if got.stdout.String() != tt.want {
			t.Errorf("%v completes to %q, want %q", tt.words, got.stdout.String(), tt.want)
		}
	}
}

// The table of the textbooks, over words made up with the usual uneven first
// letters: by letters shares are uneven, by hashes and by the ring even; one more
// server moves most words by the hashes, its own share by the ring.
func TestRingWords(t *testing.T) {
	n := startNode(t)
	for _, line := range []string{"new", "add s1 a", "add s2 b", "add s3 c", "add s4 d"} {
		if inv := doozer(t, n, "", append([]string{"ring", "words"}, strings.Fields(line)...)...); inv.status != 0 {
			t.Fatal(inv.stderr.String())
		}
	}
	// How many words of a hundred begin with each letter, about as in English.
	frequency := map[string]int{"a": 6, "b": 6, "c": 9, "d": 6, "e": 4, "f": 5, "g": 4, "h": 4, "i": 4, "j": 1, "k": 1, "l": 4, "m": 5,
		"n": 2, "o": 3, "p": 8, "r": 5, "s": 11, "t": 5, "u": 2, "v": 2, "w": 3}
	var words strings.Builder
	for letter, share := range frequency {
		for i := range share * 50 {
			fmt.Fprintf(&words, "%sword%d\n", letter, i)
		}
	}
	file := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(file, []byte(words.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	inv := doozer(t, n, "", "ring", "words", "stats", "--words", file, "-o", "json")
	var j wordsJSON
	if err := json.Unmarshal(inv.stdout.Bytes(), &j); err != nil || j.Words != 5000 || len(j.Servers) != 4 || len(j.Methods) != 4 {
		t.Fatalf("%v: status %d, stdout %s, stderr %s", err, inv.status, &inv.stdout, &inv.stderr)
	}
	for i, m := range j.Methods {
		for s, share := range m.Shares {
			if i > 0 && (share < 0.23 || share > 0.27) {
				t.Errorf("%s gives %s %.3f", m.Name, j.Servers[s], share)
			}
		}
		switch m.Name {
		case "first letter":
			if got := fmt.Sprintf("%.2f", m.Shares); got != "[0.36 0.23 0.29 0.12]" {
				t.Errorf("first letters give %s", got)
			}
		case "ring":
			if m.Moves < 0.17 || m.Moves > 0.23 {
				t.Errorf("one more server moves %.3f by the ring", m.Moves)
			}
		default:
			if m.Moves < 0.75 {
				t.Errorf("one more server moves %.3f by %s", m.Moves, m.Name)
			}
		}
	}
	inv = doozer(t, n, strings.Repeat("x", 1<<17), "ring", "words", "stats", "--words", "-")
	if inv.status != statusError || !strings.Contains(inv.stderr.String(), "reading the words") {
		t.Errorf("a line without end: status %d, stderr %q", inv.status, &inv.stderr)
	}
}
