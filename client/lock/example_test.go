package lock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/lock"
	"github.com/doozer-store/doozer/client/session"
)

// dial stands for client.Open(ctx, "doozer:?ca=10.0.0.1:8046&ca=10.0.0.2:8046").
func dial() session.Store { return fakestore.New().Client() }

// One at a time migrates; what it writes carries the lock's token, so that a
// migration that was paused and overtaken can't write any more.
func Example() {
	ctx := context.Background()
	s, err := session.Open(ctx, dial())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	err = lock.Do(ctx, s, "db/migrate", func(ctx context.Context, lk *lock.Lock) error {
		_, err := lk.Set(ctx, "/db/version", []byte("7"))
		return err
	})
	fmt.Println(err)
	// Output: <nil>
}

// A file on a disk that several machines share is protected by comparing tokens:
// whoever writes it leaves the token in it, and refuses to follow a higher one.
// Reading, comparing and renaming is not one step: on a file server that has
// locks of its own, do it under one. The token then makes those safe that the
// server's locks are not: across a pause of the writer.
func ExampleLock_Token() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state")

	errStale := errors.New("somebody with a higher token has written")
	write := func(token int64, text string) error {
		var seen int64
		if old, err := os.ReadFile(path); err == nil {
			fmt.Sscan(string(old), &seen)
		}
		if token < seen {
			return errStale
		}
		next := path + ".new"
		if err := os.WriteFile(next, fmt.Appendf(nil, "%d %s\n", token, text), 0o644); err != nil {
			return err
		}
		return os.Rename(next, path)
	}

	ctx := context.Background()
	s, err := session.Open(ctx, dial())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	first, err := lock.Acquire(ctx, s, "state")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("first:", write(first.Token(), "from the first"))
	first.Release(ctx) // or it was paused, and lost it
	second, err := lock.Acquire(ctx, s, "state")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("second:", write(second.Token(), "from the second"))
	fmt.Println("first, late:", write(first.Token(), "from the first"))
	// Output:
	// first: <nil>
	// second: <nil>
	// first, late: somebody with a higher token has written
}
