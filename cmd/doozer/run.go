package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
)

// runFlags are the flags of run.
type runFlags struct {
	count               countFlag
	list, recount       bool
	ttl, grace          time.Duration
	backoff, maxBackoff time.Duration
	why                 string
}

const runExit = `  0   it was asked to stop, and the command has ended
  2   any other error
  64  usage; or others run NAME with another --count
  126, 127  the command can't be run, is not found
A store that is out of reach does not end it, nor does the command's own end.`

const runHelp = `Run keeps exactly N instances of a command running over all the machines on which
this same line runs; the others stand by. An instance that ends, whatever its
status, is started again in its place: after --backoff, then twice that, and so
on up to --max-backoff, less up to a half at random; who ran for longer than
--max-backoff begins anew. When a machine dies or is cut off, the instance is
ended there first, with SIGTERM 5 s and SIGKILL 1 s before a deadline (with a TTL
of 15 s), and then one that stands by, the longest first, takes its slot.

Instances are numbered: each has one of the slots 1 to N alone. The command runs
without a shell, its stdin empty, with DOOZER_RUN_SLOT and DOOZER_RUN_COUNT in its
environment, and as under 'doozer lock' DOOZER_LOCK_NAME (NAME), DOOZER_LOCK_TOKEN
(it rises with every holder) and DOOZER_LOCK_PATH: what it writes under
'if PATH rev TOKEN' (doozer txn) is refused by the store when its place was given
to another. What it leaves behind when it ends is killed.

What happens is told on stderr, with -o json as one object a line.
SIGTERM or Ctrl-C stops the command, with SIGKILL after --grace, and frees the slot
at once. SIGHUP, SIGUSR1 and SIGUSR2 are passed on. --timeout bounds each request to
the store, nothing else.

All have to say the same --count. For another one run it once with --recount, on
any machine, and then restart each 'doozer run NAME' with the new --count, one
after the other: meanwhile never more than the larger of both run. Until all
are restarted, one that dies may not be replaced.

--list shows the slots of NAME and below, or of all: who has each, since when,
how often its command was started again, its last exit status; and who stands by.`

// Run is lock that does not end: a place in a line of which --count hold, for
// each of which the command is run again and again. What makes a place a
// numbered slot is in run_slot.go, what happens while one is held in run_keep.go.
func (c *command) addRun(root *cobra.Command) {
	var flags runFlags
	cmd := c.add(root, verb{
		use:   "run --count N NAME -- COMMAND [ARG]...",
		short: "Keep N instances of a command running, over any number of machines",
		long:  runHelp,
		examples: []string{
			"doozer run --count 2 web -- ./server --port 8080",
			"doozer run -n 4 shards -- sh -c 'exec ./worker --shard \"$DOOZER_RUN_SLOT/$DOOZER_RUN_COUNT\"'",
			"doozer run --list web",
			"doozer run --list -o json | jq -r 'select(.state==\"running\") | .host'",
			"doozer run --recount --count 3 web",
		},
		args: runArgs(&flags),
		exit: runExit,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			if len(args) > 0 {
				c.subject = args[0]
			}
			switch {
			case flags.list:
				return c.withClient(ctx, c.runList)
			case flags.recount:
				return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
					return lockError(recount(ctx, db, args[0], int(flags.count)))
				})
			}
			return c.supervise(ctx, &flags, args[1:])
		},
	})
	cmd.Flags().VarP(&flags.count, "count", "n", "how many instances run, in all; all have to say the same")
	cmd.Flags().BoolVar(&flags.list, "list", false, "show who runs what, and who stands by")
	cmd.Flags().BoolVar(&flags.recount, "recount", false, "make another --count the one that all have to say")
	cmd.Flags().DurationVar(&flags.ttl, "ttl", session.DefaultTTL, "how long others wait when nothing is heard of a machine")
	cmd.Flags().DurationVar(&flags.grace, "grace", 10*time.Second, "between SIGTERM and SIGKILL when it is asked to stop")
	cmd.Flags().DurationVar(&flags.backoff, "backoff", 500*time.Millisecond, "how long to wait before the first new start")
	cmd.Flags().DurationVar(&flags.maxBackoff, "max-backoff", 30*time.Second, "the longest wait before a new start")
	cmd.Flags().StringVar(&flags.why, "why", "", "what for, to be shown to people")
}

// runArgs wants a name and a command, or what --list and --recount take.
func runArgs(flags *runFlags) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if flags.list {
			if err := args("[NAME]")(cmd, given); err != nil {
				return err
			}
		} else if err := nameAndCommand(cmd, given, flags.recount); err != nil {
			return err
		}
		switch {
		case len(given) > 0 && !line.ValidName(given[0]):
			return usagef("it can't have the name %q", given[0])
		case flags.list && (flags.recount || flags.count > 0):
			return usagef("--list takes neither --count nor --recount")
		case flags.recount && len(given) > 1:
			return usagef("--recount takes no command")
		case !flags.list && flags.count == 0:
			return usagef("--count is missing")
		case flags.count > line.MaxLimit:
			return usagef("--count is at most %d", line.MaxLimit)
		case flags.grace <= 0:
			return usagef("--grace has to be more than 0")
		case flags.backoff < minBackoff || flags.maxBackoff < flags.backoff:
			return usagef("--backoff has to be %v or more, and --max-backoff no less than --backoff", minBackoff)
		}
		return checkTTL(flags.ttl)
	}
}

// runMode tells the lines of run from locks and elections.
const runMode = "run"

// recount makes count the one that all have to say.
func recount(ctx context.Context, db *client.Client, name string, count int) error {
	err := line.SetLimit(ctx, db, name, runMode, count)
	switch {
	case errors.Is(err, client.ErrNotExist):
		return fmt.Errorf("%w: nobody has run it so far", client.ErrNotExist)
	case errors.Is(err, line.ErrConf):
		return asUsage(fmt.Errorf("it is the name of something else: %w", unnamed(err)))
	}
	return err
}

// disagrees makes line.ErrConf an error that says what to do.
func disagrees(ctx context.Context, db *client.Client, name string, err error) error {
	if !errors.Is(err, line.ErrConf) {
		return err
	}
	conf, readErr := line.ReadConf(ctx, db, name)
	if readErr != nil || conf.Mode != runMode {
		return asUsage(fmt.Errorf("it is the name of something else: %w", unnamed(err)))
	}
	return usagef("others run it with --count %d; for another count see --recount", conf.Limit)
}
