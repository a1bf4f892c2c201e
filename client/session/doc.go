// Package session tells other clients whether this one is alive, by one file.
//
// The server knows no sessions and no clocks. A session is a file,
// /session/<id>, that its owner rewrites every third of a TTL. Whoever waits for
// what the owner holds looks at the file; when it has not changed for longer
// than the TTL, by the looker's own clock and with the store answering all the
// while, the looker deletes it: compare-and-set, so that one wins, and a beat
// that comes in time wins over all. The deletion is the death of the session,
// for ever: ids are random and never used again.
//
//	s, err := session.Open(ctx, c, session.TTL(15*time.Second))
//	defer s.Close()
//	lk, err := lock.Acquire(ctx, s, "db/migrate")
//
// One session serves all locks of a program: a thousand clients at a TTL of 15 s
// cost the cluster 200 writes a second, whatever they hold.
//
// # The owner's side
//
// Session keeps one Life after another; a Life is one file. A span of a life
// is the time in which it is known that nobody may have deleted the file: until
// the TTL, less a margin, after the last acknowledged beat was sent, on a clock
// that goes on while the machine sleeps. At the end of a span everything that
// hangs on it is cancelled with the cause ErrLost. An outage of the store ends
// spans, for nobody can tell it from being cut off; it ends no lives.
//
// # The challenger's side
//
// AwaitDeath waits for the end of a session, and brings it about when it may.
// On the host of the owner it sees the end of the owner's processes at once, by
// boot id, pid namespace, pid and start time.
//
// # Trust
//
// That the owner stops before a challenger acts needs clocks that run at the
// same speed within a few percent, not clocks that agree; steps of the wall
// clock change nothing. A process that is paused, and then goes on before it
// looks at its context, is beyond any clock: what must never be done twice has
// to carry the token of the lock. docs/recipes.md has the argument.
//
// # Goroutines
//
// Each Session has three: one beats, one ends spans at their deadlines, one
// deletes what could not be deleted at once. Close ends them and waits.
// AwaitDeath runs on its caller's, with one beside it that waits for the
// owner's processes.
//
// # Limits
//
// limits.go has them, and how the parts of a TTL hang together.
package session
