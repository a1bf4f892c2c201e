package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func mustGlob(t testing.TB, pattern string) *Glob {
	t.Helper()
	g, err := CompileGlob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGlobMatch(t *testing.T) {
	for _, row := range []struct{ pattern, yes, no string }{
		{"/", "/", "/a"},
		{"/a", "/a", "/ /b /a/b /aa"},
		{"/a*", "/a /ab /a.b", "/a/b /b /ab/c"},
		{"/*", "/a /é", "/a/b"},
		{"/?", "/a /é /日", "/ab /a/b /éa"},
		{"/a?c", "/abc /aéc", "/ac /a/c /abbc"},
		{"/??", "/ab /éé", "/é /abc /a"},
		{"/a**", "/a /ab /a/b /ab/c/d", "/b /b/a"},
		{"/**", "/a /a/b/c /", ""},
		{"/**/a", "/x/a /x/y/a /a/a", "/a /x/ab /x/a/b"},
		{"/a/**/b", "/a/x/b /a/x/y/b", "/a/b /a/xb"},
		{"/a**b", "/ab /axb /a/x/b /a/b", "/a /abc"},
		{"/**a**", "/a /xay /x/a/y", "/b /x/y"},
		{"/***", "/a /a/b", ""},
		{"/*/b", "/a/b", "/b /a/c/b /a/b/c"},
		{"/*-*/x", "/a-b/x /-/x", "/ab/x /a-b/y"},
		{"/a*b*c", "/abc /axbxc /abbcc", "/acb /ab/c"},
		{"/?*", "/a /ab", "/ /a/b"},
		{"/日*語", "/日語 /日本語", "/日本"},
	} {
		g := mustGlob(t, row.pattern)
		for _, path := range strings.Fields(row.yes) {
			if !g.Match(path) {
				t.Errorf("%s does not match %s", row.pattern, path)
			}
		}
		for _, path := range strings.Fields(row.no) {
			if g.Match(path) {
				t.Errorf("%s matches %s", row.pattern, path)
			}
		}
	}
}

func TestCompileGlob(t *testing.T) {
	long := strings.Repeat("n", MaxName)
	for _, pattern := range []string{
		"/", "/a", "/.*", "/..*", "/*.", "/?.", "/**.", "/.**", "/**..", "/" + long + "*", "/" + long + "**" + long,
		"/**" + long + "**" + long + "/?", strings.Repeat("/a", MaxPath/2), strings.Repeat("/a", 1500) + "/*",
	} {
		if _, err := CompileGlob(pattern); err != nil {
			t.Errorf("%.40q: %v", pattern, err)
		}
	}
	for _, pattern := range []string{
		"", "a", "*", "**", "/a//b", "/a/", "/*/", "/**/", "//*", "/.", "/./x", "/*/..", "/../*", "/a[", "/]", "/{a}", `/a\*`,
		"/a\n*", "/\x7f*", "/\u0085*", "/\xff*", "/" + long + "n", "/" + long + "?", "/" + long + "*n", "/**" + long + "*n**",
		strings.Repeat("/a", MaxPath/2) + "*", "/*" + strings.Repeat("/a", MaxGlobTail/2),
	} {
		if _, err := CompileGlob(pattern); !errors.Is(err, ErrBadGlob) {
			t.Errorf("%.40q: %v", pattern, err)
		}
	}
}

func TestGlobLiteral(t *testing.T) {
	for pattern, want := range map[string]string{
		"/": "/", "/a/b": "/a/b", "/*": "/", "/a*": "/", "/a/*": "/a", "/a/b*": "/a", "/a/b/**": "/a/b", "/**": "/", "/a/?/c": "/a",
	} {
		g := mustGlob(t, pattern)
		if g.Literal() != want || g.Exact() != !strings.ContainsAny(pattern, "?*") || g.String() != pattern {
			t.Errorf("%s: literal %s, exact %v", pattern, g.Literal(), g.Exact())
		}
	}
}

// globTwin returns the regular expression that says the same as pattern.
func globTwin(pattern string) *regexp.Regexp {
	re := regexp.QuoteMeta(pattern)
	re = strings.ReplaceAll(re, `\*\*`, "\x00")
	re = strings.ReplaceAll(re, `\*`, "[^/]*")
	re = strings.ReplaceAll(re, "\x00", ".*")
	re = strings.ReplaceAll(re, `\?`, "[^/]")
	return regexp.MustCompile("^(?s:" + re + ")$")
}

// randomString returns up to n tokens of alphabet.
func randomString(r *rand.Rand, alphabet []string, n int) string {
	var b strings.Builder
	for range r.IntN(n + 1) {
		b.WriteString(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

func TestGlobTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sizes := []int{3, 8, 30, 150}
	matched := 0
	for range 3000 {
		pattern := "/" + randomString(r, []string{"a", "b", "é", "/", "/", "?", "*", "*", "**"}, sizes[r.IntN(4)])
		g, err := CompileGlob(pattern)
		if err != nil {
			continue
		}
		twin := globTwin(pattern)
		for range 30 {
			path := "/" + randomString(r, []string{"a", "a", "b", "é", "/"}, sizes[r.IntN(4)])
			if r.IntN(2) == 0 {
				path = instance(r, pattern)
			}
			compareGlob(t, g, twin, path)
			if g.Match(path) {
				matched++
			}
		}
	}
	if matched < 1000 {
		t.Fatalf("only %d matches: the test tries too little", matched)
	}
}

// instance returns a string that pattern should match, or nearly so.
func instance(r *rand.Rand, pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*' && i+1 < len(pattern) && pattern[i+1] == '*':
			i++
			b.WriteString(randomString(r, []string{"a", "b", "é", "/a"}, 4))
		case c == '*':
			b.WriteString(randomString(r, []string{"a", "b", "é"}, 3))
		case c == '?':
			b.WriteString([]string{"a", "b", "é"}[r.IntN(3)])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func compareGlob(t *testing.T, g *Glob, twin *regexp.Regexp, path string) {
	t.Helper()
	if CheckPath(path) != nil {
		return
	}
	want := twin.MatchString(path)
	if got := g.Match(path); got != want {
		t.Fatalf("%q on %q: %v", g, path, got)
	}
	if !want {
		return
	}
	if lit := g.Literal(); lit != "/" && path != lit && !strings.HasPrefix(path, lit+"/") {
		t.Fatalf("%q matches %q, not below %q", g, path, lit)
	}
	for i := range path {
		if !g.reaches(path[:i]) {
			t.Fatalf("%q matches %q, does not reach %q", g, path, path[:i])
		}
	}
}

func FuzzGlob(f *testing.F) {
	for _, row := range [][2]string{
		{"/a**", "/a/b"}, {"/**/a", "/x/a"}, {"/a//b", "/a"}, {"/?é*", "/éé"}, {"/*a*b*c**d", "/abcabcd/d"},
		{"/" + strings.Repeat("?", 100) + "*", "/" + strings.Repeat("é", 101)},
		{"/**" + strings.Repeat("a*", 60), "/" + strings.Repeat("a", 90)},
	} {
		f.Add(row[0], row[1])
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		g, err := CompileGlob(pattern)
		if err != nil {
			if CheckPath(pattern) == nil {
				t.Fatalf("a path, but %v", err)
			}
			return
		}
		if len(pattern) > 500 || len(path) > 2000 {
			return // the twin is slow
		}
		compareGlob(t, g, globTwin(pattern), path)
	})
}

// TestGlobHostile matches patterns that make others backtrack.
func TestGlobHostile(t *testing.T) {
	path := strings.Repeat("/"+strings.Repeat("a", 250), 16)
	for _, pattern := range []string{
		"/" + strings.Repeat("*a", 250) + "b",
		"/**" + strings.Repeat("a**", 300) + "b",
		"/" + strings.Repeat("**?", 300) + "b",
	} {
		g := mustGlob(t, pattern)
		if steps := testing.AllocsPerRun(1, func() {
			if g.Match(path) {
				t.Errorf("%.20q matches", pattern)
			}
		}); steps != 0 {
			t.Errorf("%.20q: %v allocations", pattern, steps)
		}
	}
}

func TestIndexTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var x Index[int]
	type pair struct {
		pattern string
		v       int
	}
	pairs := map[pair]*Glob{}
	for range 20000 {
		pattern := "/" + randomString(r, []string{"a", "b", "a/", "b/", "/", "?", "*", "**", "/*/", "/**/"}, 5)
		g, err := CompileGlob(pattern)
		if err != nil {
			continue
		}
		p := pair{pattern, r.IntN(3)}
		if r.IntN(3) == 0 {
			x.Remove(g, p.v)
			delete(pairs, p)
		} else {
			x.Add(g, p.v)
			pairs[p] = g
		}
		if x.Len() != len(pairs) {
			t.Fatalf("%d pairs, want %d", x.Len(), len(pairs))
		}
		if r.IntN(40) == 0 {
			compareIndex(t, &x, pairs, "/"+strings.Trim(randomString(r, []string{"a", "b", "/a", "/b"}, 6), "/"),
				func(p pair) int { return p.v })
		}
	}
	for p, g := range pairs {
		x.Remove(g, p.v)
	}
	if x.Len() != 0 || !x.root.empty() {
		t.Fatalf("not empty after all was removed: %+v", x)
	}
}

func compareIndex[P comparable](t *testing.T, x *Index[int], pairs map[P]*Glob, path string, value func(P) int) {
	t.Helper()
	var got, want []int
	x.Match(path, func(v int) { got = append(got, v) })
	for p, g := range pairs {
		if g.Match(path) {
			want = append(want, value(p))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: %v, want %v", path, got, want)
	}
}

// TestIndexOrder holds Match to an order that depends on Add and Remove alone.
func TestIndexOrder(t *testing.T) {
	order := func() string {
		var x Index[string]
		for i := range 50 {
			x.Add(mustGlob(t, "/a/**"), fmt.Sprint("deep", i))
			x.Add(mustGlob(t, "/a/*"), fmt.Sprint("wild", i))
			x.Add(mustGlob(t, "/a/b"), fmt.Sprint("lit", i))
		}
		x.Remove(mustGlob(t, "/a/*"), "wild7")
		var b strings.Builder
		x.Match("/a/b", func(v string) { b.WriteString(v) })
		return b.String()
	}
	first := order()
	for range 5 {
		if again := order(); again != first {
			t.Fatalf("%s, then %s", first, again)
		}
	}
}
