package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/drill"
)

// errDrillFailed: a check of a fire drill did not hold.
var errDrillFailed = errors.New("a check failed")

// drills is the engine of fire drills, as the verb needs it: package drill, or
// in tests one that makes its report up.
type drills interface {
	// List is what there is, in the order in which it is run.
	List() []drill.Drill
	// Run does what drill.Options says. A report that comes with an error is of
	// what was done until then.
	Run(ctx context.Context, o drill.Options) (*drill.Report, error)
}

// drillFlags are the flags of firedrill.
type drillFlags struct {
	binary string
	nodes  nodesFlag
	period periodFlag
	seed   seedFlag
	list   bool
	out    string
	keep   bool
	names  []string // the arguments; none: all that can be run
}

// Firedrill needs no store: it makes one, and harms nothing else. It is bounded by
// --timeout only when that is given. Its result is the report, in a directory of
// its own; what it prints is a summary, and stdout may go away in the middle
// without an end to the drills. Its status is the verdict.
func (c *command) addFiredrill(root *cobra.Command) {
	flags := drillFlags{nodes: 3}
	var cmd *cobra.Command
	cmd = c.add(root, verb{
		use:   "firedrill [DRILL]...",
		short: "Harm a cluster of its own, and check that nothing was lost",
		long: `Firedrill starts a cluster of doozerd processes on loopback, in a directory of
its own, lets clients write, read and watch as fast as they can, and harms it
meanwhile: nodes are killed and paused, links cut, disks slowed and filled. Then
all that the clients saw is checked against what doozer promises. It touches no
other cluster.

Without DRILL it runs all that this machine can; --list shows them. A page with
the verdict and timelines, a picture and the data are written to --out.`,
		examples: []string{
			"doozer firedrill",
			"doozer firedrill --list",
			"doozer firedrill kill-leader pause --nodes 5",
			"doozer firedrill --for 1h --out /tmp/drill",
			"doozer firedrill --seed 42 partition     # the same random choices again",
			"doozer firedrill -o json | jq '.runs[] | {drill, outage_ms}'",
		},
		args: cobra.ArbitraryArgs,
		exit: `  0   every check passed
  1   a check failed: logs and data are kept
  2   any other error, or interrupted before the end
  64  usage`,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			if cmd.Flags().Changed("uri") {
				return usagef("a fire drill harms only a cluster of its own: -a is not for it")
			}
			if flags.list {
				return c.listDrills(args)
			}
			if err := c.checkDrills(args); err != nil {
				return err
			}
			flags.names = args
			return c.firedrill(ctx, &flags)
		},
	})
	cmd.Flags().StringVar(&flags.binary, "binary", "", "`path` of the doozerd to run (default: beside doozer, then in PATH)")
	cmd.Flags().Var(&flags.nodes, "nodes", "how many nodes the cluster has")
	cmd.Flags().Var(&flags.period, "for", "go on for that long, from the first drill again after the last (default: each once)")
	cmd.Flags().Var(&flags.seed, "seed", "decides every random choice (default: another one each time)")
	cmd.Flags().BoolVar(&flags.list, "list", false, "show the drills, and run none")
	cmd.Flags().StringVar(&flags.out, "out", "", "`directory` for the report (default: firedrill-TIME)")
	cmd.Flags().BoolVar(&flags.keep, "keep", false, "keep the nodes' logs and data though all went well")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, d := range c.drills.List() {
			names = append(names, d.Name+"\t"+d.Summary)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// checkDrills refuses names that there are not, and drills that are asked for
// by name where they can't be run.
func (c *command) checkDrills(args []string) error {
	all := c.drills.List()
	for _, name := range args {
		i := slices.IndexFunc(all, func(d drill.Drill) bool { return d.Name == name })
		if i < 0 {
			return usagef("there is no drill %q; there are %s", name, drillNames(all))
		}
		if why := all[i].Missing; why != "" {
			return fmt.Errorf("%s can't be run here: %s", name, why)
		}
	}
	return nil
}

func drillNames(all []drill.Drill) string {
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
}

// drillJSON is a drill of --list.
type drillJSON struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Missing string `json:"missing,omitempty"`
}

// listDrills shows what there is, and for what this machine lacks something.
func (c *command) listDrills(args []string) error {
	if len(args) > 0 {
		return usagef("--list shows all drills, and takes no names")
	}
	t := newTable(c.stdout, false, column{}, column{})
	for _, d := range c.drills.List() {
		if c.format == formatJSON {
			if err := printJSON(c.stdout, drillJSON{d.Name, d.Summary, d.Missing}); err != nil {
				return err
			}
			continue
		}
		t.add(d.Name, d.Summary)
		if d.Missing != "" {
			t.add("", "not on this machine: "+d.Missing)
		}
	}
	return t.flush()
}
