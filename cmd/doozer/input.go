package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// readAll reads r to its end, at most maxInput bytes of it.
func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading the input: %w", err)
	}
	if len(b) > maxInput {
		return nil, errors.New("the input is over " + size(maxInput) + ", more than a file may hold")
	}
	return b, nil
}

// isTerminal tells whether r is a terminal: a character device that is not the
// null device.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}
