package main

import (
	"io"
	"os"
	"sync"
)

// stream is one of the program's own streams where that is no file. A process
// that is given such a one has a goroutine of package exec between, which writes
// what it reads from a pipe for as long as the process lives: beside what the
// program itself says. It has no method but Write: io.Copy would hand the pipe to
// a ReadFrom, which writes when it likes.
type stream struct {
	mu *sync.Mutex // of both streams: they may be one writer; guards w
	w  io.Writer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// streams makes stdout and stderr safe for use by many goroutines. Files are,
// and stay what they are: processes get their descriptors.
func streams(stdout, stderr io.Writer) (io.Writer, io.Writer) {
	mu := &sync.Mutex{}
	guarded := func(w io.Writer) io.Writer {
		if _, ok := w.(*os.File); ok || w == nil {
			return w
		}
		return &stream{mu, w}
	}
	return guarded(stdout), guarded(stderr)
}
