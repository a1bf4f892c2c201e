package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/doozer-store/doozer/drill"
	"github.com/doozer-store/doozer/drill/report"
)

// firedrill runs the drills and tells what came of it. What can fail
// before the cluster is there fails before: that a report can't be written is
// found out before the drills, not after.
func (c *command) firedrill(ctx context.Context, flags *drillFlags) error {
	if c.timeout.given {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout.d)
		defer cancel()
	}
	places, err := c.drillPlaces(ctx, flags)
	if err != nil {
		return err
	}
	live := c.newLive(flags)
	rep, err := c.drills.Run(ctx, drill.Options{
		Binary: places.binary, Dir: places.scratch, Nodes: int(flags.nodes), Seed: uint64(flags.seed),
		For: time.Duration(flags.period), Drills: flags.names, Progress: live.progress, Finished: live.finished,
	})
	live.end()
	if rep == nil {
		rep = &drill.Report{}
	}
	if ctx.Err() != nil {
		// What ended it says more than what that broke.
		err, rep.Interrupted = ctx.Err(), true
	}
	return c.concludeDrills(rep, err, places, flags)
}

// concludeDrills writes the report, tells the verdict, and leaves no more behind
// than somebody needs. err is what ended the run.
func (c *command) concludeDrills(rep *drill.Report, err error, places *drillPlaces, flags *drillFlags) error {
	verdict := report.Judge(rep)
	kept := ""
	if flags.keep || verdict == report.Failed || err != nil && !rep.Interrupted {
		kept = places.scratch
	} else if removed := os.RemoveAll(places.scratch); removed != nil {
		fmt.Fprintf(c.stderr, "doozer: firedrill: logs and data are left: %v\n", removed)
	}
	out := ""
	if len(rep.Runs) == 0 {
		places.unmakeOut()
	} else {
		saved := report.Save(places.out, report.Page{
			Report: rep, Drills: c.drills.List(), Repeat: flags.repeat(rep), Machine: machine(), Kept: kept,
		})
		if saved == nil {
			out = places.out
		} else if err == nil {
			err = saved
		}
	}
	shown := c.showDrills(rep, out, kept)
	switch {
	case verdict == report.Failed && err != nil && !rep.Interrupted:
		return fmt.Errorf("%w, and then: %w", errDrillFailed, err)
	case verdict == report.Failed:
		return errDrillFailed
	case err != nil:
		return err
	case verdict != report.Passed:
		return errors.New("not all was checked")
	}
	return shown
}

// showDrills prints the report, and where the rest of it is.
func (c *command) showDrills(rep *drill.Report, out, kept string) error {
	var notes io.Writer = c.stdout
	var err error
	switch {
	case c.format == formatJSON:
		notes = c.stderr
		if len(rep.Runs) > 0 {
			err = report.JSON(c.stdout, rep)
		}
	case len(rep.Runs) > 0 || len(rep.Skipped) > 0:
		err = report.Text(c.stdout, rep)
		fmt.Fprintln(c.stdout)
	}
	if out != "" {
		fmt.Fprintf(notes, "report: %s, with %s and %s beside it\n", slash(out)+report.PageFile, report.TimelineFile, report.DataFile)
	}
	if kept != "" {
		fmt.Fprintf(notes, "logs and data are kept in %s\n", kept)
	}
	return err
}

func slash(dir string) string { return strings.TrimRight(dir, "/") + "/" }

// repeat is the command line that makes the same random choices again.
func (f *drillFlags) repeat(rep *drill.Report) string {
	parts := []string{"doozer", "firedrill", "--nodes", strconv.Itoa(int(f.nodes)), "--seed", strconv.FormatUint(rep.Seed, 10)}
	if f.period != 0 {
		parts = append(parts, "--for", f.period.String())
	}
	if f.binary != "" {
		parts = append(parts, "--binary", quoteArg(f.binary))
	}
	return strings.Join(append(parts, f.names...), " ")
}

// quoteArg is s as a shell takes it for one word.
func quoteArg(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:,@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
