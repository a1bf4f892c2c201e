package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const module = "github.com/doozer-store/doozer/"

// stores are the files that store things: log, checkpoint, snapshot, and what
// joins them.
var stores = []string{
	"consensus/wal/*.go", "consensus/checkpoint/*.go",
	"consensus/snapshot.go", "consensus/storage.go", "consensus/writer.go",
	"server/snapshot.go",
}

// tests are the packages whose tests are run.
var tests = []string{"./consensus", "./consensus/wal", "./consensus/checkpoint", "./server"}

func main() {
	profile := flag.String("profile", "", "judge this coverage profile instead of running the tests")
	verbose := flag.Bool("v", false, "list every branch")
	flag.Parse()
	if err := run(*profile, *verbose, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "errbranch:", err)
		os.Exit(1)
	}
}

// run judges the tree in the working directory.
func run(profile string, verbose bool, w io.Writer) error {
	profiles := []string{profile}
	if profile == "" {
		dir, err := os.MkdirTemp("", "errbranch")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := cover(dir, w); err != nil {
			return err
		}
		if profiles, err = filepath.Glob(filepath.Join(dir, "*")); err != nil {
			return err
		}
	}
	blocks := map[string][]span{}
	for _, name := range profiles {
		if err := addProfile(blocks, name); err != nil {
			return err
		}
	}
	branches, err := scanAll(".")
	if err != nil {
		return err
	}
	for i, b := range branches {
		branches[i].executed = executed(blocks[module+b.file], b.line, b.column)
	}
	return judge(branches, allowed, verbose, w)
}

// cover runs the tests; their profile, and those of processes they start, are
// left in dir.
func cover(dir string, w io.Writer) error {
	args := append([]string{"test", "-count=1", "-coverprofile=" + filepath.Join(dir, "profile"), "-coverpkg=" + strings.Join(tests, ",")}, tests...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "DOOZER_COVER_DIR="+dir)
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// scanAll finds the branches of all stores below root.
func scanAll(root string) (all []branch, err error) {
	for _, pattern := range stores {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("no file is %s", pattern)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") || strings.HasSuffix(f, "_other.go") {
				continue
			}
			name, err := filepath.Rel(root, f)
			if err != nil {
				return nil, err
			}
			found, err := scan(filepath.ToSlash(name), f, nil)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

// judge reports, and returns an error if a branch was not executed that should
// have been, or the list of exceptions has one too many.
func judge(branches []branch, allowed map[string]string, verbose bool, w io.Writer) error {
	type count struct{ done, all int }
	rooms := map[string]map[string]*count{}
	unused := maps.Clone(allowed)
	missing := 0
	for _, b := range branches {
		room := filepath.Dir(b.file)
		if room == "server" || room == "consensus" {
			room = b.file
		}
		if rooms[room] == nil {
			rooms[room] = map[string]*count{}
		}
		c := rooms[room][b.kind()]
		if c == nil {
			c = &count{}
			rooms[room][b.kind()] = c
		}
		c.all++
		mark := "ok"
		switch _, ok := allowed[b.name()]; {
		case b.executed:
			c.done++
		case ok:
			delete(unused, b.name())
			mark = "allowed: " + allowed[b.name()]
		default:
			missing++
			mark = "NOT EXECUTED"
		}
		if verbose || mark != "ok" {
			fmt.Fprintf(w, "%s:%d: %s: %s [%s] %s\n", b.file, b.line, b.fn, b.call, b.cond, mark)
		}
	}
	total := count{}
	for _, room := range slices.Sorted(maps.Keys(rooms)) {
		line := room + ":"
		for _, k := range order {
			if c := rooms[room][k]; c != nil {
				line += fmt.Sprintf(" %s %d/%d", k, c.done, c.all)
				total.done += c.done
				total.all += c.all
			}
		}
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "error branches executed: %d of %d, %d allowed not to be\n", total.done, total.all, len(allowed)-len(unused))
	switch {
	case missing > 0:
		return fmt.Errorf("%d error branches were never executed", missing)
	case len(unused) > 0:
		return fmt.Errorf("allow.go lists what needs no leave: %q", slices.Sorted(maps.Keys(unused)))
	}
	return nil
}
