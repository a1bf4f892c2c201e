package wal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the file system can't reserve space zeros are written, and an
// interrupted call is made again; any other error is returned.
func TestReserve(t *testing.T) {
	for _, c := range []struct {
		errs []error
		want error
		size int
	}{
		{[]error{unix.EOPNOTSUPP}, nil, 1000},
		{[]error{unix.ENOSYS}, nil, 1000},
		{[]error{unix.EINTR, unix.EINTR, nil}, nil, 0},
		{[]error{unix.EINTR, unix.ENOSPC}, unix.ENOSPC, 0},
		{[]error{unix.EIO}, unix.EIO, 0},
	} {
		name := filepath.Join(t.TempDir(), "x")
		f, err := osFS{}.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		err = f.(osFile).reserve(1000, func() error { calls++; return c.errs[calls-1] })
		b, readErr := os.ReadFile(name)
		if !errors.Is(err, c.want) || calls != len(c.errs) || !bytes.Equal(b, make([]byte, c.size)) {
			t.Errorf("%v: %v after %d calls, %d bytes", c.errs, err, calls, len(b))
		}
		if err := errors.Join(readErr, f.Close()); err != nil {
			t.Error(err)
		}
	}
}
