package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// step is a command line and what is wanted of it. Only what is given is
// looked at, but for the rule that a failure writes one line to stderr (two if
// it is about usage) and nothing to stdout.
type step struct {
	line   string
	stdin  string
	status int
	stdout string // a regular expression for all of it
	stderr string // the same
}

func (s step) check(t *testing.T, target string) {
	t.Helper()
	inv := doozerAt(target, s.stdin, words(t, s.line)...)
	out, errs := inv.stdout.String(), inv.stderr.String()
	if inv.status != s.status {
		t.Errorf("%s: status %d, want %d; stdout %.200q, stderr %q", s.line, inv.status, s.status, out, errs)
	}
	for text, want := range map[string]string{out: s.stdout, errs: s.stderr} {
		if want != "" && !regexp.MustCompile(`^(?s:`+want+`)$`).MatchString(text) {
			t.Errorf("%s: %.200q, want %s", s.line, text, want)
		}
	}
	lines := map[int]int{statusDone: 0, statusUsage: 2}
	if want, ok := lines[s.status]; s.stderr == "" && (ok && strings.Count(errs, "\n") != want || !ok && strings.Count(errs, "\n") != 1) {
		t.Errorf("%s: stderr %q", s.line, errs)
	}
	if s.status != statusDone && s.stdout == "" && out != "" {
		t.Errorf("%s: failed, with %.200q on stdout", s.line, out)
	}
}

// TestRealVerbs runs every verb, as text and as JSON, in all the ways it can
// end, and leaves none out.
func TestRealVerbs(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	const rev, revJSON = `\d+\n`, `\{"rev":\d+\}\n`
	watches := []step{ // which are ended when they have said that
		{line: "elect --observe y", stdout: `0\n`}, {line: "elect --observe y -o json", stdout: `\{"name":"y","term":0,.*\}\n`},
		{line: "watch /a --from 1", stdout: `/a \d+ set 1\nx\n/a \d+ set 1\ny\n/a \d+ del 0\n\n`},
		{line: "watch /a --from 1 -o json", stdout: `\{"path":"/a",.*"value":"x"\}\n\{"path":"/a",.*"value":"y"\}\n\{"path":"/a",.*\}\n`},
		{line: "watch /e --snapshot", stdout: `/e \d+ set 1\nz\n`},
		{line: "watch /e --snapshot -o json", stdout: `\{"path":"/e",.*"value":"z"\}\n`},
	}
	steps := []step{
		{line: "set /a x", stdout: rev}, {line: "set /a y -o json", stdout: revJSON},
		{line: "set /a x --if-missing", status: 1}, {line: "set /none x --if-rev 1", status: 1},
		{line: "set /a/b x", status: 2, stderr: `doozer: set /a/b: not a directory.*\n`},
		{line: "add /b x", stdout: rev}, {line: "add /c x -o json", stdout: revJSON}, {line: "add /b x", status: 1},
		{line: "touch /b", stdout: rev}, {line: "touch /b -o json", stdout: revJSON},
		{line: "get /a", stdout: "y"}, {line: "get /a -o json", stdout: `\{"path":"/a",.*"value":"y"\}\n`},
		{line: "get /none", status: 3}, {line: "get /", status: 2},
		{line: "stat /a", stdout: `path: +/a\nkind: +file\n.*`}, {line: "stat / -o json", stdout: `\{"path":"/","dir":true,.*"hash":"[0-9a-f]{16}"\}\n`},
		{line: "stat /none", status: 3},
		{line: "ls", stdout: "a\nb\nc\nctl/\n"}, {line: "ls -o json /", stdout: `(\{"path":.*\}\n){4}`}, {line: "ls /none", status: 3}, {line: "ls /a", status: 2},
		{line: "find /?", stdout: "/a\n/b\n/c\n"}, {line: "find -l /? -o json", stdout: `(\{"path":"/.","dir":false,"rev":\d+,"len":1,.*\}\n){3}`},
		{line: "find /none", stdout: ""},
		{line: "log /c", stdout: `\d+  \S+  127\.0\.0\.1:\d+  set  /c  1\n`}, {line: "log /c -o json", stdout: `\{"rev":.*"path":"/c","len":1,.*\}\n`},
		{line: "rev", stdout: rev}, {line: "rev -o json", stdout: revJSON},
		{line: "nop"}, {line: "nop -o json"},
		{line: "self", stdout: `node: +1\nname: +a\n.*`}, {line: "self -o json", stdout: `\{"node":1,"name":"a",.*\}\n`},
		{line: "txn", stdin: "if /a rev 1000\nset /d x\ndel /c\n", stdout: rev},
		{line: "txn --json -o json", stdin: `{"do":[{"del":"/d"}]}`, stdout: revJSON},
		{line: "txn", stdin: "if /a missing\nset /d x\n", status: 1}, {line: "txn", stdin: "del /d\n", status: 3}, {line: "txn", stdin: "x", status: 64},
		{line: "wait /a --from 1", stdout: `/a \d+ set 1\nx\n`}, {line: "wait /a --from 1 -o json", stdout: `\{"path":"/a",.*\}\n`},
		{line: "wait /none --timeout 100ms", status: 2},
		{line: "watch /a --from 1 --exec-stop -- false", status: 2},
		{line: "set /e z", stdout: rev}, {line: "del /b", stdout: rev}, {line: "del /a -o json", stdout: revJSON}, {line: "del /none", status: 3},
		{line: "status", stdout: `cluster [0-9a-f]{32}, epoch 1, 1 of 1 reachable, leader a \(1\)\n.*`}, {line: "status -o json", stdout: `\{"ok":true,.*\}\n`},
		{line: "version", stdout: "doozer .*"}, {line: "version --server -o json", stdout: `\{.*"nodes":\[\{"id":1,"name":"a",.*"reachable":true,.*\}\]\}\n`},
		{line: "lock x -- true", stdout: ""}, {line: "lock x -- cat", stdin: "y", stdout: "y"}, {line: "lock --keep k", stdout: rev},
		{line: "lock --keep j -o json", stdout: `\{"name":"j","token":\d+,"path":"/lock/j/e/.*"\}\n`},
		{line: "lock -w 0 k -- true", status: 75}, {line: "lock x", status: 64}, {line: "lock k --break 1", status: 3},
		{line: "locks", stdout: `LOCK .*\nj +held .*\nk +held .*\n`}, {line: "locks k -o json", stdout: `\{"lock":"k","mode":"mutex","limit":1,"state":"held",.*\}\n`},
		{line: "elect y --value v -- true"}, {line: "elect y", status: 64},
		{line: "run --list", stdout: ""}, {line: "run z -- true", status: 64}, {line: "run --recount -n 2 z", status: 3}, {line: "run -n 2 y -- true", status: 64},
		{line: "completion bash", stdout: ".*__complete.*"}, {line: "help get", stdout: "Get prints.*"},
		{line: "help -o json none", status: 64},
		{line: "ring r", status: 3}, {line: "ring r new", stdout: rev}, {line: "ring r add n1 x:1 -o json", stdout: revJSON}, {line: "ring r new", status: 1},
		{line: "ring r who key", stdout: "key  owner  n1  x:1\n"}, {line: "ring r -o json", stdout: `\{"name":"r","rev":\d+,"algo":"hrw",.*\}\n`},
	}
	used := map[string]bool{"firedrill": true, "redis": true} // they have servers of their own: TestRealFiredrill, test/failover
	for _, s := range steps {
		s.check(t, c.target())
		used[strings.Fields(s.line)[0]] = true
	}
	for _, s := range watches {
		w := startAt(t, c.target(), words(t, s.line)...)
		w.matches(t, s.stdout)
		w.end(t)
	}
	for _, cmd := range newCommand(nil, nil, nil, nil).root().Commands() {
		if !used[cmd.Name()] && !hidden(cmd) {
			t.Errorf("%s is not tried", cmd.Name())
		}
	}
}

func hidden(cmd *cobra.Command) bool { return cmd.Hidden || !cmd.IsAvailableCommand() }

// TestRealValues: every byte, no byte and a great many bytes come back as they
// went in, by argument, stdin, transaction and watch.
func TestRealValues(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	values := [][]byte{nil, every, bytes.Repeat(every, 4096), []byte("\n"), []byte("\r\n\x00"), []byte("\ufeff\u2028")}
	for i := range every {
		values = append(values, every[i:i+1])
	}
	for i, v := range values {
		path := fmt.Sprintf("/v/%d", i)
		step{line: "set " + path, stdin: string(v), stdout: `\d+\n`}.check(t, c.target())
		if inv := doozerAt(c.target(), "", "get", path); inv.status != 0 || !bytes.Equal(inv.stdout.Bytes(), v) {
			t.Fatalf("%s: status %d, %.100q came back as %.100q, stderr %q", path, inv.status, v, inv.stdout.Bytes(), &inv.stderr)
		}
		var j valueJSON
		inv := doozerAt(c.target(), "", "get", path, "-o", "json")
		if err := json.Unmarshal(inv.stdout.Bytes(), &j); err != nil || (j.Value == nil) == (j.Base64 == nil) {
			t.Fatalf("%s: %v, %.100q", path, err, &inv.stdout)
		}
	}
	// Over the node's limit: told, and nothing is changed.
	before := revOf(t, c)
	step{line: "set /big", stdin: strings.Repeat("x", 1<<20+1), status: 2, stderr: `doozer: set /big: too large: .*\n`}.check(t, c.target())
	step{line: "set /big", stdin: strings.Repeat("x", maxInput+1), status: 2, stderr: `doozer: set /big: .*8\.0 MiB.*\n`}.check(t, c.target())
	if after := revOf(t, c); after != before {
		t.Errorf("rev %d, was %d", after, before)
	}
	w := startAt(t, c.target(), "watch", "/v/1", "--snapshot")
	w.expect(t, fmt.Sprintf("/v/1 %d set 256\n%s\n", before-len(values)+2, every))
	w.end(t)
}

// TestRealHistory: what was can be read at its rev, until it is too late.
func TestRealHistory(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1, "--history", "20")
	base := revOf(t, c)
	never := startAt(t, c.target(), "get", "/h/0", "--rev", fmt.Sprint(base+100), "--timeout", "30s") // looked at in the end
	for i := range 5 {
		step{line: fmt.Sprintf("set /h/%d v%d", i%2, i)}.check(t, c.target())
	}
	for _, s := range []step{
		{line: fmt.Sprintf("get /h/0 --rev %d", base+1), stdout: "v0"}, {line: fmt.Sprintf("get /h/0 --rev %d", base+4), stdout: "v2"},
		{line: fmt.Sprintf("get /h/0 --rev %d", base), status: 3}, {line: fmt.Sprintf("ls /h --rev %d", base+1), stdout: "0\n"},
		{line: fmt.Sprintf("find /h/* --values --rev %d", base+2), stdout: fmt.Sprintf("/h/0 %d set 2\nv0\n/h/1 %d set 2\nv1\n", base+1, base+2)},
		{line: fmt.Sprintf("stat /h/1 --rev %d -o json", base+2), stdout: fmt.Sprintf(`.*"rev":%d,.*`, base+2)},
		{line: fmt.Sprintf("log /h/0 --from %d --to %d", base+2, base+3), stdout: fmt.Sprintf(`%d .*/h/0  2\n`, base+3)},
		{line: "log /h/* -n 1", stdout: fmt.Sprintf(`%d .*/h/0  2\n`, base+5)},
	} {
		s.check(t, c.target())
	}
	// A rev in the future is waited for.
	later := startAt(t, c.target(), "get", "/h/f", "--rev", fmt.Sprint(base+6))
	step{line: "set /h/f there"}.check(t, c.target())
	later.expect(t, "there")
	for range 30 {
		step{line: "touch /h/x"}.check(t, c.target())
	}
	for _, s := range []step{
		{line: fmt.Sprintf("get /h/0 --rev %d", base+1), status: 2, stderr: `doozer: get /h/0: rev is below the window: the oldest is \d+; doozer log shows what is kept\n`},
		{line: "wait /h/0 --from 1", status: 2, stderr: `doozer: wait /h/0: rev is below the window.*\n`},
		{line: "log /h/0 --from 1", status: 2, stderr: `doozer: log /h/0: rev is below the window.*\n`},
	} {
		s.check(t, c.target())
	}
	w := startAt(t, c.target(), "watch", "/h/0", "--from", "1")
	w.expect(t, fmt.Sprintf("/h/0 %d set 2\nv4\n", base+5))
	w.end(t)
	if status := <-never.status; status != statusError || !strings.HasSuffix(never.errs.String(), "; --timeout is 30s\n") {
		t.Errorf("a rev that never comes: status %d, %s", status, never.errs)
	}
}

// TestRealWatch: changes arrive as they are made, whoever makes them.
func TestRealWatch(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	base := revOf(t, c)
	step{line: "set /w/a old"}.check(t, c.target())
	snapshot := startAt(t, c.target(), "watch", "/w/*", "--snapshot")
	snapshot.expect(t, fmt.Sprintf("/w/a %d set 3\nold\n", base+1))
	next := startAt(t, c.target(), "wait", "/w/b", "--from", fmt.Sprint(base+2))
	child := startAt(t, c.target(), "watch", "/w/*", "--from", fmt.Sprint(base+2), "--exec", "--", "sh", "-c",
		`echo "$DOOZER_PATH $DOOZER_REV $DOOZER_KIND $(cat)"`)
	step{line: "txn", stdin: "set /w/b x\ndel /w/a\nset /other x\n"}.check(t, c.target())
	changes := fmt.Sprintf("/w/b %d set 1\nx\n/w/a %d del 0\n\n", base+2, base+2)
	snapshot.expect(t, changes)
	snapshot.end(t)
	next.expect(t, fmt.Sprintf("/w/b %d set 1\nx\n", base+2))
	child.expect(t, fmt.Sprintf("/w/b %d set x\n/w/a %d del \n", base+2, base+2))
	child.end(t)
}

// TestRealCompletion: the shell is offered what is there.
func TestRealCompletion(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	step{line: "set /app/config x"}.check(t, c.target())
	step{line: "set /app/core/x x"}.check(t, c.target())
	for typed, want := range map[string]string{
		"/": "/app/\n/ctl/\n:4\n", "/a": "/app/\n:6\n", "/app/co": "/app/config\n/app/core/\n:4\n", "/none/": ":4\n",
	} {
		if inv := doozerAt(c.target(), "", "__complete", "get", typed); inv.stdout.String() != want {
			t.Errorf("%q completes to %q, want %q", typed, &inv.stdout, want)
		}
	}
}

// TestRealWrongInput: whatever a person or a script gets wrong is one line that
// says what, and changes nothing.
func TestRealWrongInput(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	step{line: "set /d/f x"}.check(t, c.target())
	before := revOf(t, c)
	for _, path := range []string{"", "a", "/a/", "//", "/a//b", "/.", "/a/..", "/a*", "/a?b", "/a[b]", "/a{b}", `/a\b`,
		"/a\x00b", "/a\nb", "/\x7f", "/\xff", "/" + strings.Repeat("x", 256), strings.Repeat("/x", 2049)} {
		for _, args := range [][]string{{"get", path}, {"set", path, "x"}, {"del", path}, {"stat", path}} {
			inv := doozerAt(c.target(), "", args...)
			if inv.status != statusError || inv.stdout.Len() > 0 || strings.Count(inv.stderr.String(), "\n") != 1 ||
				!strings.Contains(inv.stderr.String(), "bad path") && !(path == "/a/" || path == "//") {
				t.Errorf("%.50q: status %d, stderr %.300q", args, inv.status, &inv.stderr)
			}
		}
	}
	for _, glob := range []string{"", "a", "/a[b]", "/a//b", "/a\x00", "/\xff", "/" + strings.Repeat("x", 256)} {
		for _, args := range [][]string{{"find", glob}, {"watch", glob}, {"wait", glob}, {"log", glob}} {
			inv := doozerAt(c.target(), "", args...)
			if inv.status != statusError || inv.stdout.Len() > 0 || strings.Count(inv.stderr.String(), "\n") != 1 ||
				!strings.Contains(inv.stderr.String(), "bad glob") && !strings.Contains(inv.stderr.String(), "bad path") {
				t.Errorf("%.50q: status %d, stderr %.300q", args, inv.status, &inv.stderr)
			}
		}
	}
	for _, s := range []step{
		{line: "set /d x", status: 2}, {line: "set /d/f/g x", status: 2}, {line: "del /d", status: 2}, {line: "del /ctl/cluster/id", status: 2},
		{line: "txn", stdin: strings.Repeat("set /t x\n", 2), status: 2},
		{line: "txn", stdin: "set /t/1 x\nset /t x\n", status: 2},
		{line: "txn", stdin: manySets(129), status: 2}, {line: "txn --json", stdin: "{", status: 64}, {line: "txn", stdin: "set64 /t =\n", status: 64},
		{line: "txn /no/such/file", status: 2}, {line: "set /a x y", status: 64}, {line: "get", status: 64}, {line: "get /a --rev -1", status: 64},
		{line: "get /a -o xml", status: 64}, {line: "set /a x --if-rev 1 --if-missing", status: 64}, {line: "nop x", status: 64},
		{line: "get /a --timeout 1", status: 64}, {line: "-a :1 get /a", status: 64}, {line: "-a host get /a", status: 64}, {line: "-a doozer: get /a", status: 64},
		{line: "-a 127.0.0.1:99999 get /a", status: 64}, {line: "-a 127.0.0.1:1 get /a", status: 2}, {line: "-a no.such.host.invalid:1 get /a --timeout 2s", status: 2},
	} {
		s.check(t, c.target())
	}
	if after := revOf(t, c); after != before {
		t.Errorf("rev %d, was %d", after, before)
	}
	file := t.TempDir() + "/txn"
	if err := os.WriteFile(file, []byte(manySets(128)), 0o666); err != nil {
		t.Fatal(err)
	}
	step{line: "txn " + file, stdout: fmt.Sprintln(before + 1)}.check(t, c.target())
}

// manySets is a transaction of n sets.
func manySets(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "set /many/%d x\n", i)
	}
	return b.String()
}
