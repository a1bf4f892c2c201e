package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// Who says something while the output of a process is copied loses nothing of
// either, also where stdout and stderr are one. The race detector looks on.
func TestStreams(t *testing.T) {
	var b bytes.Buffer
	out, errs := streams(&b, &b)
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(out, r) })
	wg.Go(func() {
		for range 100 {
			io.WriteString(w, "x")
		}
		w.Close()
	})
	for range 100 {
		io.WriteString(errs, "y")
	}
	wg.Wait()
	if text := b.String(); strings.Count(text, "x") != 100 || strings.Count(text, "y") != 100 {
		t.Errorf("got %q", text)
	}
	out, errs = streams(os.Stdout, nil)
	if out != os.Stdout || errs != nil {
		t.Errorf("a file became %T, nothing %T", out, errs)
	}
}
