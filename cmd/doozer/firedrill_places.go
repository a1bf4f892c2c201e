package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// serverName is the program that drills are done to.
const serverName = "doozerd"

// drillPlaces are the program and the directories of a fire drill. Two at once,
// also in one second and one directory, have different ones.
type drillPlaces struct {
	binary  string
	out     string // for the report; it is there, and can be written
	made    bool   // out is this drill's own
	scratch string // for the nodes; empty
}

func (c *command) drillPlaces(ctx context.Context, flags *drillFlags) (*drillPlaces, error) {
	p := &drillPlaces{}
	var err error
	if p.binary, err = c.findServer(flags.binary); err != nil {
		return nil, err
	}
	if err = checkServer(ctx, p.binary); err != nil {
		return nil, err
	}
	if err = p.makeOut(flags.out, time.Now()); err != nil {
		return nil, fmt.Errorf("the report can't be written: %w; --out DIR names another place", err)
	}
	if p.scratch, err = os.MkdirTemp("", "doozer-firedrill-"); err != nil {
		p.unmakeOut()
		return nil, fmt.Errorf("%w; TMPDIR names another place", err)
	}
	return p, nil
}

// findServer is the doozerd to run: the given one, else that beside this
// program, else that in PATH.
func (c *command) findServer(given string) (string, error) {
	if given != "" {
		path, err := executable(given)
		if err != nil {
			return "", fmt.Errorf("--binary: %w", err)
		}
		return path, nil
	}
	var dirs []string
	if self, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(self))
		if real, err := filepath.EvalSymlinks(self); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, dir := range append(dirs, filepath.SplitList(c.getenv("PATH"))...) {
		if path, err := executable(filepath.Join(dir, serverName)); err == nil {
			return path, nil
		}
	}
	return "", errors.New(serverName + " is neither beside doozer nor in PATH: install it, or name it with --binary PATH")
}

// checkServer asks the program who it is: another one would only look like a
// doozerd that does not start.
func checkServer(ctx context.Context, path string) error {
	limited, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(limited, path, "version").Output()
	if ctx.Err() != nil {
		return ctx.Err() // which killed it
	}
	if err == nil && !strings.HasPrefix(string(out), serverName+" ") {
		err = fmt.Errorf("its version is %q", strings.TrimSpace(string(out[:min(len(out), 100)])))
	}
	if err != nil {
		return fmt.Errorf("%s is no %s: %w; --binary PATH names another one", path, serverName, err)
	}
	return nil
}

// executable is path made absolute, if it can be run.
func executable(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	// With a slash in it nothing is searched.
	if _, err := exec.LookPath(abs); err != nil {
		// What is around the cause names the path made absolute.
		var search *exec.Error
		if errors.As(err, &search) {
			err = search.Err
		}
		var stat *fs.PathError
		if errors.As(err, &stat) {
			err = stat.Err
		}
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return abs, nil
}

// makeOut makes the directory for the report and finds out whether it can be
// written. Without a name it makes one that was not there.
func (p *drillPlaces) makeOut(given string, now time.Time) error {
	p.out = given
	if given == "" {
		name := "firedrill-" + now.Format("20060102-150405")
		for i := 2; ; i++ {
			p.out = name
			err := os.Mkdir(p.out, 0o777)
			if err == nil {
				p.made = true
				return nil
			}
			if !errors.Is(err, fs.ErrExist) || i > maxDrillsASecond {
				return err
			}
			name = "firedrill-" + now.Format("20060102-150405") + "-" + strconv.Itoa(i)
		}
	}
	if _, err := os.Stat(given); errors.Is(err, fs.ErrNotExist) {
		p.made = true
	}
	if err := os.MkdirAll(given, 0o777); err != nil {
		return err
	}
	probe, err := os.CreateTemp(given, ".firedrill-")
	if err != nil {
		return err
	}
	probe.Close()
	return os.Remove(probe.Name())
}

// unmakeOut takes the directory away again, if it was made for nothing.
func (p *drillPlaces) unmakeOut() {
	if p.made {
		os.Remove(p.out)
	}
}
