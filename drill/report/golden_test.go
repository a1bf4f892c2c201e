package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/doozer-store/doozer/drill"
)

var update = flag.Bool("update", false, "write testdata anew: look at it in a browser, light and dark")

// The forms of the made report are those in testdata, which are there to be
// looked at.
func TestGolden(t *testing.T) {
	r := made()
	page := Page{
		Report: r, Repeat: "doozer firedrill --nodes 3 --seed 42 kill-leader pause partition",
		Drills:  []drill.Drill{{Name: "pause", Summary: "stop the leader for longer than an election timeout; writes go on under another"}},
		Machine: "linux/amd64, 2 CPUs", Kept: "/tmp/doozer-firedrill-1",
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"report.html":  func(b *bytes.Buffer) error { return HTML(b, page) },
		"timeline.svg": func(b *bytes.Buffer) error { return SVG(b, r) },
		"report.txt":   func(b *bytes.Buffer) error { return Text(b, r) },
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(name, err)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is not as before: go test ./drill/report -update, and look at it", file)
		}
	}
}
