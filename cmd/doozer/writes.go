package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Exit statuses of verbs that write.
const exitWrite = `  0   done
  1   the condition failed, nothing was changed
  2   any other error; it says so when the outcome is unknown
  64  usage`

const exitDel = `  0   done
  1   the condition failed, nothing was changed
  2   any other error; it says so when the outcome is unknown
  3   no such file
  64  usage`

// writeFlags are the flags of set, add and del.
type writeFlags struct {
	rev     revFlag
	missing bool
	message string
}

// addRev, addMissing and addMessage give a verb those flags that make sense for
// it: add has its condition already, and what is deleted cannot be missing.
func (f *writeFlags) addRev(cmd *cobra.Command) {
	cmd.Flags().Var(&f.rev, "if-rev", "only if the file exists and has not changed since this rev")
}

func (f *writeFlags) addMissing(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.missing, "if-missing", false, "only if there is no such file")
}

func (f *writeFlags) addMessage(cmd *cobra.Command) {
	addMessage(cmd, &f.message)
}

func addMessage(cmd *cobra.Command, message *string) {
	cmd.Flags().StringVarP(message, "message", "m", "", "why, for the history")
}

// options translates the flags for the client.
func (f *writeFlags) options() (opts []client.WriteOption, err error) {
	if f.rev != 0 && f.missing {
		return nil, usagef("--if-rev and --if-missing contradict each other")
	}
	if f.rev != 0 {
		opts = append(opts, client.IfRev(int64(f.rev)))
	}
	if f.missing {
		opts = append(opts, client.IfMissing())
	}
	if f.message != "" {
		opts = append(opts, client.Message(f.message))
	}
	return opts, nil
}

// revJSON is the outcome of a write, and of rev.
type revJSON struct {
	Rev   int64      `json:"rev"`
	Local *localJSON `json:"local,omitempty"` // of rev --local
}

func (c *command) printRev(rev int64) error {
	return c.print(strconv.FormatInt(rev, 10), revJSON{Rev: rev})
}
