package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRealTranscripts plays the transcripts of TestVerbs to doozerd: what the
// fake says there is what the store says. Not status.txt: it is a fake's
// figures throughout; TestRealStatus looks at the real ones. Nor redis.txt: it
// plays the agents of a group, whose epochs and ages are written into it; real
// ones are in test/failover and client/failover/agent.
func TestRealTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 4 {
		t.Fatalf("transcripts: %v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if name == "status" || name == "redis" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := startReal(t, 1)
			m := masker{base: revOf(t, c)}
			want := m.shift(string(text))
			got := m.mask(play(t, c.target(), want))
			if want := m.mask(want); got != want {
				t.Errorf("%s differs at %s", file, firstDifference(got, want))
			}
		})
	}
}

// revOf is the rev of a store.
func revOf(t *testing.T, c *realCluster) int {
	t.Helper()
	inv := doozerAt(c.target(), "", "rev")
	rev, err := strconv.Atoi(strings.TrimSpace(inv.stdout.String()))
	if err != nil {
		t.Fatalf("rev: %v, stderr %q", err, &inv.stderr)
	}
	return rev
}

// masker makes two transcripts comparable that differ in what two stores must
// differ in: time, author, hash, names, and a start at another rev.
type masker struct{ base int }

// revs are the places of a rev in command lines, stdin and output, with the rev
// as the second group.
var revs = regexp.MustCompile(`(?m)(--(?:if-rev|rev|from|to) |^(?:! .*)?at rev |^! .* at rev |^< if \S+ rev |"rev":|"rev": |^rev: +|rev |^|^ +|^/\S+ )(\d+)(,| |$|\}| set| del)`)

// shift adds base to every rev of a transcript.
func (m masker) shift(text string) string {
	return revs.ReplaceAllStringFunc(text, func(found string) string {
		part := revs.FindStringSubmatch(found)
		rev, err := strconv.Atoi(part[2])
		if err != nil || rev == 0 {
			return found
		}
		return part[1] + strconv.Itoa(rev+m.base) + part[3]
	})
}

var masks = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`127\.\d+\.\d+\.\d+:\d+|ADDR|tester`), "WHO"},
	{regexp.MustCompile(`"[0-9a-f]{16}"|hash: .*`), "HASH"},
	{regexp.MustCompile(`(?m)^(name|version|identity|cluster|age): .*`), "$1"},
	{regexp.MustCompile(`"age_ms":\d+|, age [0-9.]+s`), "AGE"},
	{regexp.MustCompile(`"(name|version|identity|cluster)":"[^"]*"`), `"$1":""`},
	{regexp.MustCompile(`(?m)^(.*( |":"))?/ctl/.*\n`), ""},
	{regexp.MustCompile(`(?m)^(.* )?ctl/\n`), ""},
	{regexp.MustCompile(`(?m)^ +`), ""},
	{regexp.MustCompile(`  +`), "  "},
}

func (m masker) mask(text string) string {
	// What a verb was asked is kept; only what a store holds of its own goes.
	text = strings.ReplaceAll(text, "set /ctl/", "set /CTL/")
	for _, k := range masks {
		text = k.find.ReplaceAllString(text, k.with)
	}
	return text
}
