// Package lock has locks over a doozer store: a mutex, a read-write lock and a
// semaphore. Waiters are served in the order in which they came; a release wakes
// one of them.
//
//	err := lock.Do(ctx, s, "db/migrate", func(ctx context.Context, lk *lock.Lock) error {
//		_, err := lk.Set(ctx, "/db/version", []byte("7"))
//		return err
//	})
//
// # What holding means
//
// A lock is held through a session (package session): if the session's beats are
// not acknowledged in time, Context is cancelled, with a cause that Is
// session.ErrLost, before anybody else may take the lock. That is as good as
// clocks, and a program that looks at its context, can be.
//
// What must never be done by two goes by the token: Set and Txn ask the store
// itself whether the lock was given to others, and are refused if so, however
// late they come. What is not in the store has to compare tokens: they only
// rise, so it refuses a smaller one than it has seen.
//
// # Names
//
// A name is one or more parts with slashes between; its files are below
// /lock/<name>. All who use a name have to use it in the same way: as a mutex, a
// read-write lock, or a semaphore of the same size; else the error is ErrConf.
//
// Locks are not reentrant: who holds one and asks for it again waits for itself.
//
// # Errors
//
// Acquire returns the error of ctx when it ends before it is its turn, errors of
// the store, or ErrConf, ErrBadName, ErrBadLimit. Once in line it waits out a
// store that can't answer. Try returns ErrHeld.
package lock
