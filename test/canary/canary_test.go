package canary

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/test/need"
)

// chosen are the mutations to run.
func chosen(t *testing.T) []mutation {
	t.Helper()
	long, only := os.Getenv("DOOZER_TEST_LONG") == "1", os.Getenv("DOOZER_TEST_CANARY")
	names, err := regexp.Compile(only)
	if err != nil {
		t.Fatalf("DOOZER_TEST_CANARY: %v", err)
	}
	var out []mutation
	for _, m := range all() {
		if only != "" && names.MatchString(m.name) || only == "" && (m.short || long) {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no mutation has a name like %q", only)
	}
	return out
}

// TestMutations breaks the tree in one way after another. They run one at a
// time: what the tests wait for has its deadlines.
func TestMutations(t *testing.T) {
	top, err := root()
	if err != nil {
		t.Fatal(err)
	}
	mutations, caught := chosen(t), 0
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			if why := missing(t, m); why != "" {
				need.Skip(t, why)
			}
			broken, err := flags(top, t.TempDir(), m.edits)
			if err != nil {
				t.Fatal(err)
			}
			for try := 1; ; try++ {
				out, err := goTest(top, broken, m)
				err = m.judge(out, err)
				if err == nil {
					t.Log(m.words(out))
					caught++
					return
				}
				if try >= m.tries {
					t.Fatalf("%s\nin %s: %v\n%s", m.bug, m.pkg, err, tail(out))
				}
			}
		})
	}
	t.Logf("%d of %d mutations caught", caught, len(mutations))
}

// TestControls runs the same tests and drills on the tree as it is: there they
// pass.
func TestControls(t *testing.T) {
	top, err := root()
	if err != nil {
		t.Fatal(err)
	}
	controls := map[string]mutation{} // by package or drill
	for _, m := range chosen(t) {
		name := strings.TrimPrefix(m.pkg, "./")
		if missing(t, m) != "" {
			continue // TestMutations tells
		}
		if m.drill != "" {
			name = m.drill
		}
		if c, ok := controls[name]; ok && m.drill == "" {
			m.run += "|" + c.run
		}
		controls[name] = m
	}
	for _, name := range slices.Sorted(maps.Keys(controls)) {
		t.Run(name, func(t *testing.T) {
			out, err := goTest(top, "", controls[name])
			if err != nil || broken.MatchString(out) {
				t.Errorf("%s fails without a mutation: %v\n%s", controls[name].run, err, tail(out))
			}
		})
	}
}

// tail is the end of a test's output, as much as tells why.
func tail(out string) string {
	const most = 4000
	if len(out) > most {
		return "..." + out[len(out)-most:]
	}
	return out
}
