package canary

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// mutation is one bug, made on purpose, and the proof that it is noticed.
type mutation struct {
	name string // unique; docs/testing.md has it
	// bug is what the lines below make of the program.
	bug   string
	edits []edit
	// pkg and run are the package and the test, or tests separated by |, that
	// must fail; caught is what one of them must say, a regular expression.
	pkg, run, caught string
	// short: plain go test runs it too.
	short bool
	// tries is how often the test may be run until it notices, where the bug
	// needs luck to show; 0 means once.
	tries int
	// drill, in place of pkg and run, is the drill that must notice: caught is
	// then a check of its that fails.
	drill string
	// needs names a drill whose needs of the machine the test shares.
	needs string
	// program is what the test runs that a machine may lack.
	program string
	// simulated is what consensus/sim says of the same bug, a regular
	// expression; "": it is not asked.
	simulated string
	args      []string // of the test
}

// edit replaces from, which must be there exactly once, by to.
type edit struct{ file, from, to string }

// testTimeout is how long one run of a test may take: only a hang takes
// longer, and no mutation is proved by a hang. It is more than any test waits
// for what must come (patience, in the packages).
const testTimeout = 10 * time.Minute

// root is the tree's top, where go test runs this package two levels below it.
func root() (string, error) { return filepath.Abs(filepath.Join("..", "..")) }

// all are the mutations, by what they break.
func all() []mutation {
	ms := slices.Concat(consensusMutations(), peerMutations(), clockMutations(), logMutations(), stateMutations(), storeMutations(),
		watchMutations(), serverMutations(), lockMutations(), failoverMutations(), drills(processMutations()))
	return append(ms, simulations(ms)...)
}

// simSeeds is how many seeds have to show a bug, of 20 simulated seconds each:
// the first that does ends the run.
const simSeeds = "100"

// simulations are the proofs by simulation of those mutations that have one.
func simulations(ms []mutation) (sims []mutation) {
	for _, m := range ms {
		if m.simulated == "" {
			continue
		}
		sims = append(sims, mutation{
			name: m.name + inSim, bug: m.bug, edits: m.edits, short: m.name == simInShort,
			pkg: "./consensus/sim", run: "TestSeeds", caught: `(?m)seed \d+: .*(` + m.simulated + `)`,
			args: []string{"-seeds", simSeeds, "-seed", "1", "-for", "20s", "-first"},
		})
	}
	return sims
}

const (
	// inSim ends the name of a proof by simulation.
	inSim = "-simulated"
	// simInShort is the one that plain go test runs too.
	simInShort = "ack-before-fsync"
)

// drillTries: harm comes at random, and may once leave a bug in peace.
const drillTries = 3

// drills makes the mutations that a drill is to notice run it.
func drills(ms []mutation) []mutation {
	for i := range ms {
		ms[i].pkg, ms[i].run, ms[i].tries = "./test/canary", "TestDrill", max(ms[i].tries, drillTries)
	}
	return ms
}

// raft is the module in which files may be replaced too: raft/file.go. Go takes
// no overlay for a module it has downloaded, so it is copied.
const raft = "go.etcd.io/raft/v3"

// flags makes the broken tree for the edits, in dir, and returns the flags of
// go that build it.
func flags(top, dir string, edits []edit) (string, error) {
	if !strings.HasPrefix(edits[0].file, raft+"/") {
		return overlay(top, dir, edits)
	}
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", raft)
	cmd.Dir = top
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", raft, err)
	}
	fork := filepath.Join(dir, "raft")
	if err := os.CopyFS(fork, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		return "", err
	}
	own := slices.Clone(edits)
	for i := range own {
		own[i].file = strings.TrimPrefix(own[i].file, raft+"/")
	}
	files, err := apply(fork, own)
	if err != nil {
		return "", err
	}
	for name, text := range files {
		if err := errors.Join(os.Remove(name), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			return "", err
		}
		if name == "go.mod" {
			b = fmt.Appendf(b, "\nreplace %s => %s\n", raft, fork)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return "", err
		}
	}
	return "-modfile=" + filepath.Join(dir, "go.mod"), nil
}

// apply returns the broken files by their names.
func apply(top string, edits []edit) (map[string]string, error) {
	broken := map[string]string{}
	for _, e := range edits {
		name := filepath.Join(top, filepath.FromSlash(e.file))
		text, ok := broken[name]
		if !ok {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("the mutation has rotted: %w", err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.from); n != 1 {
			return nil, fmt.Errorf("the mutation has rotted: %s has %d times, and should have once:\n%s", e.file, n, e.from)
		}
		broken[name] = strings.Replace(text, e.from, e.to, 1)
	}
	return broken, nil
}

// overlay makes the broken tree by -overlay.
func overlay(top, dir string, edits []edit) (string, error) {
	broken, err := apply(top, edits)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range broken {
		file := filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(name)))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[name] = file
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return "-overlay=" + file, os.WriteFile(file, b, 0o644)
}

// goTest runs m's tests in a process of its own, on the tree that the flags
// make, and returns what it printed.
func goTest(top, flags string, m mutation) (output string, err error) {
	args := []string{"test", "-vet=off", "-timeout", testTimeout.String(), "-run", "^(" + m.run + ")$"}
	if flags != "" || m.drill != "" {
		args = append(args, "-count=1")
	}
	args = append(args, m.pkg)
	if len(m.args) > 0 {
		args = append(append(args, "-args"), m.args...)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = top
	// The long form of this package is more mutations, not longer tests.
	cmd.Env = append(os.Environ(), drillEnv+"="+m.drill, "DOOZER_TEST_LONG=")
	if flags != "" {
		// Not arguments: what the test itself builds is to be broken too.
		cmd.Env = append(cmd.Env, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" "+flags), "DOOZER_TEST_BIN=")
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// broken are signs that a test did not fail but could not be run.
var broken = regexp.MustCompile(`(?m)\[(build|setup) failed\]|no tests to run|panic: test timed out`)

// judge tells whether output is that of tests that noticed m: nil if so.
func (m *mutation) judge(output string, err error) error {
	switch {
	case broken.MatchString(output):
		return fmt.Errorf("the test could not be run to its end: %v", err)
	case err == nil:
		return fmt.Errorf("%s passes: it does not notice", m.run)
	case !regexp.MustCompile(m.caught).MatchString(output):
		return fmt.Errorf("%s fails for another reason than %q", m.run, m.caught)
	}
	return nil
}

// words are the line in which a test told that it noticed m.
func (m *mutation) words(output string) string {
	const most = 300
	at := regexp.MustCompile(m.caught).FindStringIndex(output)
	from := strings.LastIndexByte(output[:at[0]], '\n') + 1
	line, _, _ := strings.Cut(output[from:], "\n")
	return strings.TrimSpace(line[:min(len(line), most)])
}
