package canary

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMutationsFit: every mutation finds its lines and its tests, whether it is
// run or not, and docs/testing.md tells of it.
func TestMutationsFit(t *testing.T) {
	top, err := root()
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile(filepath.Join(top, "docs", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range all() {
		if seen[m.name] {
			t.Errorf("%s: twice", m.name)
		}
		seen[m.name] = true
		if _, err := flags(top, t.TempDir(), m.edits); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		have := testsOf(t, filepath.Join(top, m.pkg))
		for name := range strings.SplitSeq(m.run, "|") {
			if !slices.Contains(have, name) {
				t.Errorf("%s: there is no %s in %s", m.name, name, m.pkg)
			}
		}
		if !strings.Contains(string(docs), "`"+strings.TrimSuffix(m.name, inSim)+"`") {
			t.Errorf("%s: docs/testing.md does not tell of it", m.name)
		}
	}
}

// TestTableOfBugs: the tests that docs/testing.md names exist, in the package
// it says, and so do the mutations. A row of the table has cells: the bug, where
// it was seen, "`package` Test..., Test..." and the mutations.
func TestTableOfBugs(t *testing.T) {
	top, err := root()
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile(filepath.Join(top, "docs", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(docs), "\n## Bugs this stack has had before\n")
	if !ok {
		t.Fatal("docs/testing.md has no table of bugs")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	var known []string
	for _, m := range all() {
		known = append(known, m.name)
	}
	words := regexp.MustCompile("`([^`]+)`|\\b((?:Test|Fuzz)[A-Z]\\w*)")
	rows := 0
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 4 || cells[0] == "bug" {
			continue
		}
		rows++
		pkg, tests := "", 0
		for _, w := range words.FindAllStringSubmatch(cells[2], -1) {
			if w[2] == "" {
				pkg = w[1]
				continue
			}
			tests++
			if !slices.Contains(testsOf(t, filepath.Join(top, filepath.FromSlash(pkg))), w[2]) {
				t.Errorf("%s: there is no %s in %s", cells[0], w[2], pkg)
			}
		}
		if tests == 0 {
			t.Errorf("%s: no test is named", cells[0])
		}
		for _, w := range words.FindAllStringSubmatch(cells[3], -1) {
			if w[1] != "" && !slices.Contains(known, w[1]) {
				t.Errorf("%s: there is no mutation %s", cells[0], w[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("only %d rows were found", rows)
	}
}

// testsOf lists the tests and fuzz targets of a directory.
func testsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}
