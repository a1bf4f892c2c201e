package wal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestOSFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	var files FS = osFS{}
	for range 2 {
		if err := files.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "x")
	f, err := files.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, writeErr := f.WriteAt([]byte("data"), 100)
	size, sizeErr := f.Size()
	if err := errors.Join(writeErr, sizeErr, f.Datasync(), f.Sync(), f.Close()); err != nil || size != 104 {
		t.Fatalf("size %d, %v", size, err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	moved := filepath.Join(dir, "y")
	if err := errors.Join(files.Rename(name, moved), files.SyncDir(dir)); err != nil {
		t.Fatal(err)
	}
	if names, err := files.ReadDir(dir); err != nil || !slices.Equal(names, []string{"y"}) {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := files.Open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of the old name: %v", err)
	}
	if info, err := os.Stat(moved); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := errors.Join(files.Remove(moved), files.Remove(moved)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
	if err := files.MkdirAll(filepath.Join("/dev/null", "x")); err == nil {
		t.Error("made a directory in a device")
	}
}

// What the operating system refuses is returned as it is.
func TestOSErrors(t *testing.T) {
	dir := t.TempDir()
	var files FS = osFS{}
	none := filepath.Join(dir, "none")
	_, createErr := files.Create(filepath.Join(none, "x"))
	_, listErr := files.ReadDir(none)
	for what, err := range map[string]error{"create": createErr, "list": listErr, "sync": files.SyncDir(none)} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A name that is there and leads nowhere is in the way of a directory.
	link := filepath.Join(dir, "link")
	if err := os.Symlink(none, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(link, "x"), filepath.Join(link, "x", "y")} {
		if err := files.MkdirAll(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	f, err := files.Create(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	closed := f.Close()
	if _, err := f.Size(); closed != nil || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("size of a closed file: %v", err)
	}
	if err := f.(osFile).writeZeros(10); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write to a closed file: %v", err)
	}
}

// Both ways to reserve space give a file of zeros of the exact size.
func TestAllocate(t *testing.T) {
	for what, reserve := range map[string]func(f osFile, size int64) error{
		"allocate": osFile.Allocate, "zeros": osFile.writeZeros,
	} {
		for _, size := range []int64{512, readSpan, readSpan*2 + 512} {
			name := filepath.Join(t.TempDir(), "x")
			f, err := osFS{}.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(reserve(f.(osFile), size), f.Close())
			b, readErr := os.ReadFile(name)
			if err != nil || readErr != nil || !bytes.Equal(b, make([]byte, size)) {
				t.Errorf("%s %d: %d bytes, %v, %v", what, size, len(b), err, readErr)
			}
		}
	}
}
