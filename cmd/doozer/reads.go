package main

import (
	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Exit statuses of verbs that only read.
const (
	exitRead = `  0   done
  2   any other error
  3   no such file
  64  usage`
	exitPlain = `  0   done
  2   any error
  64  usage`
)

// readFlags are the flags that all reads have.
type readFlags struct {
	rev   revFlag
	local bool
}

func (f *readFlags) add(cmd *cobra.Command) {
	cmd.Flags().Var(&f.rev, "rev", "read at this rev; one that does not exist yet is waited for")
	f.addLocal(cmd)
}

func (f *readFlags) addLocal(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.local, "local", false,
		"take one node's own state without asking a majority: it may be old")
}

// options translates the flags for the client; from is told who answers a local
// read.
func (f *readFlags) options(from *answered) (opts []client.ReadOption) {
	if f.rev != 0 {
		opts = append(opts, client.AtRev(int64(f.rev)))
	}
	if f.local {
		opts = append(opts, client.Local(), client.Served(from.note))
	}
	return opts
}
