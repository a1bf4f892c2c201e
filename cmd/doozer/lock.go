package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/lock"
	"github.com/doozer-store/doozer/client/session"
)

// lockFlags are the flags of lock.
type lockFlags struct {
	turnFlags
	limit       countFlag
	read, write bool
	keep        bool
	breakIt     revFlag
}

// turnFlags are those that lock and elect share.
type turnFlags struct {
	wait time.Duration
	ttl  time.Duration
	why  string
}

const exitTurn = `  0   the command's own status, whatever it is, or:
  2   any other error
  64  usage
  69  the store can't be reached
  75  not acquired within --wait
  76  lost while the command ran; the command was ended
  126, 127  the command can't be run, is not found`

const turnHelp = `The command runs without a shell, in a process group of its own, with the streams
of doozer; signals are passed on. In its environment are DOOZER_LOCK_NAME,
DOOZER_LOCK_TOKEN, a number that rises with every holder, and DOOZER_LOCK_PATH:
what it writes under 'if PATH rev TOKEN' (doozer txn) is refused by the store
when another holds the lock.

If the store is not heard from in time the command is ended before anybody else
may hold the lock: SIGTERM 5 s before the deadline, SIGKILL 1 s before, with a TTL
of 15 s. That is done by a second process, also when this one is stopped or
killed. --timeout bounds what is asked of the store, not the command. With -o json
two objects on stderr, one a line, tell that it was acquired and that it ended.`

// Lock's command is never alive when another may hold the lock: the guard
// (lock_guard.go) sees to that. The lock is released when the command has ended,
// not before.
func (c *command) addLock(root *cobra.Command) {
	var flags lockFlags
	cmd := c.add(root, verb{
		use:   "lock NAME -- COMMAND [ARG]...",
		short: "Run a command while holding a lock",
		long: `Lock waits until it holds the lock NAME, runs the command, and releases the lock
when the command has ended. Who waits longest is next.

` + turnHelp + `

With --keep the lock is held for ever, also when the command has ended and over
reboots, until 'doozer lock --break TOKEN NAME'; the command may be left out, and
the token is printed then.`,
		examples: []string{
			"doozer lock db/migrate -- ./migrate --to 7",
			"doozer lock -w 0 nightly -- backup.sh || test $? = 75",
			"doozer lock -n 3 rolling-restart -- service app restart",
			"doozer lock --keep reboot/rack7 && reboot",
		},
		args: lockArgs(&flags),
		exit: exitTurn,
		run: func(ctx context.Context, cmd *cobra.Command, args []string) error {
			c.subject = args[0]
			if flags.breakIt != 0 {
				return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
					return lockError(lock.Break(ctx, db, args[0], int64(flags.breakIt)))
				})
			}
			flags.waitGiven(cmd)
			return lockError(c.lock(ctx, &flags, args[1:]))
		},
	})
	flags.add(cmd)
	cmd.Flags().VarP(&flags.limit, "limit", "n", "how many may hold it at once; all have to say the same")
	cmd.Flags().BoolVar(&flags.read, "read", false, "hold it together with other readers")
	cmd.Flags().BoolVar(&flags.write, "write", false, "hold it alone, where others read")
	cmd.Flags().BoolVar(&flags.keep, "keep", false, "hold it for ever")
	cmd.Flags().Var(&flags.breakIt, "break", "end a lock that was kept, by its `token`")
}

// add declares the flags.
func (f *turnFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVarP(&f.wait, "wait", "w", -1, "how long to wait for it; for ever unless given; 0: not at all")
	cmd.Flags().DurationVar(&f.ttl, "ttl", session.DefaultTTL, "how long others wait when nothing is heard of the holder")
	cmd.Flags().StringVar(&f.why, "why", "", "what for, to be shown to people")
	cmd.Flags().Lookup("wait").DefValue = "for ever"
}

// waitGiven tells "for ever" from a wait that was given: below 0 is for ever.
func (f *turnFlags) waitGiven(cmd *cobra.Command) {
	if !cmd.Flags().Changed("wait") {
		f.wait = -1
	}
}

// check refuses values that no session can have.
func (f *turnFlags) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("wait") && f.wait < 0 {
		return usagef("--wait has to be 0 or more")
	}
	return checkTTL(f.ttl)
}

func checkTTL(ttl time.Duration) error {
	if ttl < minLockTTL || ttl > session.MaxTTL {
		return usagef("--ttl has to be from %v to %v", minLockTTL, session.MaxTTL)
	}
	return nil
}

// lockArgs wants a name and, after "--", a command.
func lockArgs(flags *lockFlags) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		optional := flags.keep || flags.breakIt != 0
		if err := nameAndCommand(cmd, given, optional); err != nil {
			return err
		}
		switch {
		case flags.breakIt != 0 && len(given) > 1:
			return usagef("--break takes no command")
		case flags.breakIt != 0 && flags.keep:
			return usagef("--break and --keep contradict each other")
		case flags.read && flags.write:
			return usagef("--read and --write contradict each other")
		case flags.limit > 0 && (flags.read || flags.write):
			return usagef("--limit is for locks without --read and --write")
		}
		return flags.check(cmd)
	}
}

// nameAndCommand wants NAME -- COMMAND [ARG]...
func nameAndCommand(cmd *cobra.Command, given []string, optional bool) error {
	before, after := given, []string(nil)
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		before, after = given[:dash], given[dash:]
	}
	if len(before) > 1 && len(after) == 0 {
		return usagef("the command goes after '--'")
	}
	if err := args("NAME")(cmd, before); err != nil {
		return err
	}
	if len(after) == 0 && !optional {
		return usagef("a command is missing after '--'")
	}
	return nil
}

// lock runs the command under the lock.
func (c *command) lock(ctx context.Context, flags *lockFlags, argv []string) error {
	opts := []lock.Option{lock.Why(flags.why)}
	if flags.limit > 0 {
		opts = append(opts, lock.Limit(int(flags.limit)))
	}
	if flags.read {
		opts = append(opts, lock.Read())
	}
	if flags.write {
		opts = append(opts, lock.Write())
	}
	r := &runner{c: c, argv: argv, ttl: flags.ttl, wait: flags.wait, who: whoOf(argv), keep: flags.keep}
	r.acquire = func(ctx context.Context, s *session.Session) (turn, error) {
		get := lock.Acquire
		if flags.wait == 0 {
			get = lock.Try
		}
		lk, err := get(ctx, s, c.subject, opts...)
		if errors.Is(err, lock.ErrHeld) {
			return nil, &exitError{statusNotAcquired, errors.New("another holds it")}
		}
		if err != nil {
			return nil, err
		}
		return lk, nil
	}
	return r.run(ctx)
}

// whoOf describes a session by the command it is for.
func whoOf(argv []string) string {
	if len(argv) == 0 {
		return "doozer lock"
	}
	return argv[0]
}

// lockError makes errors that the command line caused usage errors.
func lockError(err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	err = unnamed(err)
	for _, e := range [...]error{lock.ErrBadName, lock.ErrBadLimit} {
		if errors.Is(err, e) {
			return usagef("%w", err)
		}
	}
	if errors.Is(err, lock.ErrNotKept) {
		return fmt.Errorf("%w; one whose holder has died ends by itself", err)
	}
	return err
}
