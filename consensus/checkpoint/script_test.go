package checkpoint

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// scriptEnv, set, makes the test binary a process that runs the script on the
// database it names.
const scriptEnv = "CHECKPOINT_TEST_SCRIPT"

// largeEnv, set, makes every commit of such a process, and of TestKill's, a large
// one: with a redo file and several transactions.
const largeEnv = "CHECKPOINT_TEST_LARGE"

func childOptions() Options {
	if os.Getenv(largeEnv) == "" {
		return Options{}
	}
	return Options{inOne: 10, inPart: 10}
}

// snapshotIndex is what the script installs after its sixth commit.
const snapshotIndex = 20

// stateOf is the state at an index: every commit replaces all of it.
func stateOf(index uint64) records {
	r := records{}
	for i := range 40 {
		r[fmt.Sprintf("k%03d", i)] = fmt.Sprintf("%d %s", index, strings.Repeat("v", 300))
	}
	return r
}

// script commits, stages, installs and commits, and says what is done. After an
// error it tries one more commit, which says whether the error was final.
// Everything is done by one thread: strace counts calls by thread.
func script(path string) (status int) {
	runtime.LockOSThread()
	db, err := Open(path, childOptions())
	if err != nil {
		fmt.Println("error", err)
		return 3
	}
	commit := func(index uint64) error {
		err := db.Commit(Meta{Index: index, Term: 1}, stateOf(index).all)
		if err == nil {
			fmt.Println("committed", index)
		}
		return err
	}
	err = func() error {
		for i := range uint64(6) {
			if err := commit(i + 1); err != nil {
				return err
			}
		}
		stream, err := os.Open(path + ".stream")
		if err != nil {
			return err
		}
		defer stream.Close()
		s, err := db.ImportFrom(stream)
		if err != nil {
			return err
		}
		if err := db.Install(s); err != nil {
			return err
		}
		fmt.Println("committed", snapshotIndex)
		for i := range uint64(4) {
			if err := commit(snapshotIndex + 1 + i); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		fmt.Println("error", err)
		if again := commit(90); again != nil {
			fmt.Println("refused", again)
		}
		status = 3
	}
	if err := db.Close(); err != nil {
		fmt.Println("close", err)
	}
	return status
}
