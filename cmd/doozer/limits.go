package main

import "time"

// What one invocation may use, and what happens at the limit.
const (
	// defaultTimeout bounds a call when --timeout is not given; wait and watch
	// are not bounded then.
	defaultTimeout = 10 * time.Second

	// maxInput is the most that is read from stdin or a script file: what one
	// command of the store may hold. More is refused before anything is sent.
	maxInput = 8 << 20

	// askedTimeout is how long redis switch and promote look what became of a
	// command after --timeout.
	askedTimeout = 2 * time.Second

	// redisTick is how often redis status --watch paints the ages again when
	// nothing else changes.
	redisTick = time.Second

	// tableRows is how many rows of a table are held to find the widths of its
	// columns. A longer table is aligned block by block.
	tableRows = 1000

	// touchTries is how often touch reads and writes again when others write
	// the same file in between. After that it gives up as a failed condition.
	touchTries = 16

	// completionTimeout bounds what the shell waits for the names of files;
	// without an answer it completes nothing.
	completionTimeout = time.Second

	// maxCompletions is how many names are offered to the shell.
	maxCompletions = 200

	// versionTimeout is how long a program may take to tell that it is doozerd;
	// then it counts as another one.
	versionTimeout = 30 * time.Second

	// maxDrillsASecond is how many reports of firedrill may be begun in one
	// second and one directory; the next one is refused.
	maxDrillsASecond = 100

	// childGrace is how long a command of watch --exec has between SIGTERM and
	// SIGKILL when watch is told to end.
	childGrace = 5 * time.Second

	// termBefore and killBefore are how long before the deadline of a lock its
	// command gets SIGTERM and SIGKILL, with a TTL that allows for that: they
	// are at most a third and a fifteenth of it.
	termBefore = 5 * time.Second
	killBefore = time.Second

	// minLockTTL is the shortest TTL of lock, elect and run; a shorter one is
	// refused: a beat that is a little late would end the command.
	minLockTTL = 3 * time.Second

	// minBackoff is the shortest --backoff of run: a command that fails at once
	// costs two writes each time.
	minBackoff = 10 * time.Millisecond

	// retrySlot and maxRetrySlot are the first and the longest time before run
	// asks a store again that can't answer.
	retrySlot    = 250 * time.Millisecond
	maxRetrySlot = 5 * time.Second

	// orderLimit is how long an attempt to give the guard of a command an order
	// waits for the pipe, orderTries how often that is tried; a guard that does
	// not read for so long gets no more orders.
	orderLimit = 100 * time.Millisecond
	orderTries = 10
)
