package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/ring"
)

const ringLong = `Ring shows and changes consistent hash rings: which of a set of nodes owns a key.
A ring is one file, /ring/NAME; its rev is the ring's epoch. Programs follow it
(package client/ring). Nodes are hashed by name: a new address moves no key.

Without NAME it lists the rings; without ACTION it shows one. The actions:

    new               make a ring without nodes: --algo, --parts, --points, --copies,
                      --spread zone
    add NODE ADDR     add a node; with --ref, ADDR is the path of a file that says
                      where it is. --weight, --zone. With --warm it is joining: the
                      owners before it stay as other owners until 'up'
    rm NODE           take a node out
    addr NODE ADDR    change where it is (--ref: the file that says so)
    weight NODE W     change its share: 0.001 to 1000, the usual weight is 1. With
                      --warm the slots of a ring of slots wait for 'take'
    drain NODE        let its keys go; it stays as their other owner until 'rm'
    up NODE           end joining, draining or being down
    down NODE         pass it over until 'up'; it keeps its place
    take NODE [SLOTS] slots: the data of SLOTS (0-40,77; all) has reached NODE
    balance           slots: even out, moving as few as can be
    who KEY...        who owns the keys
    plan ACTION ...   what one of the changes above would move; nothing is changed
    stats             how much each node owns; with --words FILE how the words in it
                      are shared out, by the ring and by three simpler ways
    show              the ring

Changes print the rev. They are made by compare-and-set: many may change a ring
at once. The algorithms, states and the file are explained in docs/ring.md.`

// ringFlags are the flags of ring; each action takes some of them.
type ringFlags struct {
	algo, spread          string
	parts, points, copies countFlag
	ref, warm             bool
	weight                weightFlag
	zone, words, message  string
	owners                countFlag
}

// ringAction is one word after the name.
type ringAction struct {
	name  string
	args  []string // as for args
	flags []string
	many  bool // the last argument may be repeated
	// edit is the change that the action is; nil for those that change nothing,
	// and for new.
	edit func(f *ringFlags, args []string) func(*ring.File) error
	run  func(c *command, ctx context.Context, r *ringCall) error
}

// ringCall is an action with its arguments.
type ringCall struct {
	name   string // of the ring
	action *ringAction
	args   []string
	flags  *ringFlags
}

func ringActions() []ringAction {
	edit := (*command).ringEdit
	return []ringAction{
		{name: "new", flags: []string{"algo", "parts", "points", "copies", "spread", "message"}, run: (*command).ringNew},
		{name: "add", args: []string{"NODE", "ADDR"}, flags: []string{"ref", "weight", "zone", "warm", "message"}, edit: ringAdd, run: edit},
		{name: "rm", args: []string{"NODE"}, flags: []string{"message"}, edit: ringNode((*ring.File).Remove), run: edit},
		{name: "addr", args: []string{"NODE", "ADDR"}, flags: []string{"ref", "message"}, edit: ringAddr, run: edit},
		{name: "weight", args: []string{"NODE", "W"}, flags: []string{"warm", "message"}, edit: ringWeight, run: edit},
		{name: "drain", args: []string{"NODE"}, flags: []string{"message"}, edit: ringNode((*ring.File).Drain), run: edit},
		{name: "up", args: []string{"NODE"}, flags: []string{"message"}, edit: ringNode((*ring.File).Up), run: edit},
		{name: "down", args: []string{"NODE"}, flags: []string{"message"}, edit: ringNode((*ring.File).Down), run: edit},
		{name: "take", args: []string{"NODE", "[SLOTS]"}, flags: []string{"message"}, edit: ringTake, run: edit},
		{name: "balance", flags: []string{"warm", "message"}, edit: ringBalance, run: edit},
		{name: "who", args: []string{"KEY"}, many: true, flags: []string{"owners"}, run: (*command).ringWho},
		{name: "plan", args: []string{"ACTION"}, many: true, flags: []string{"ref", "weight", "zone", "warm"}, run: (*command).ringPlan},
		{name: "stats", flags: []string{"words"}, run: (*command).ringStats},
		{name: "show", run: (*command).ringShow},
	}
}

func (c *command) addRing(root *cobra.Command) {
	var flags ringFlags
	cmd := c.add(root, verb{
		use:   "ring [NAME [ACTION [ARG]...]]",
		short: "Show and change consistent hash rings",
		long:  ringLong,
		examples: []string{
			"doozer ring cache new",
			"doozer ring cache add n1 10.0.0.1:11211",
			"doozer ring cache who user:42",
			"doozer ring cache plan add n5 10.0.0.5:11211",
			"doozer ring cache drain n2 -m 'disk is failing'",
			"doozer ring cache stats --words /usr/share/dict/words",
			"doozer ring -o json cache show | jq '.nodes[].addr'",
		},
		args: cobra.ArbitraryArgs,
		exit: `  0   done
  1   new: there is a ring of that name; else: others kept changing it
  2   any other error: no such node, a bad ring file, the outcome is unknown
  3   no such ring
  64  usage`,
		run: func(ctx context.Context, cmd *cobra.Command, args []string) error {
			return c.ring(ctx, cmd, args, &flags)
		},
	})
	flags.add(cmd)
	cmd.ValidArgsFunction = c.completeRing
}

func (f *ringFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.algo, "algo", "hrw", "new: hrw, slots or md5")
	flags.Var(&f.parts, "parts", "new: into how many parts keys are divided")
	flags.Var(&f.points, "points", "new, md5: points of a node of weight 1")
	flags.Var(&f.copies, "copies", "new: how many owners of a key programs ask for")
	flags.StringVar(&f.spread, "spread", "", "new: 'zone' puts the copies of a key into different zones")
	flags.BoolVar(&f.ref, "ref", false, "add, addr: ADDR is the path of a file")
	flags.Var(&f.weight, "weight", "add: its share, compared with the others'")
	flags.StringVar(&f.zone, "zone", "", "add: what it shares the fate of")
	flags.BoolVar(&f.warm, "warm", false, "add, weight, balance: keep the owners before as other owners")
	flags.Var(&f.owners, "owners", "who: how many; as many as the ring has copies")
	flags.StringVar(&f.words, "words", "", "stats: a `file` of words, one a line; - is stdin")
	addMessage(cmd, &f.message)
}

// ring does what the words after the verb say. All of them are looked at before
// any node is asked.
func (c *command) ring(ctx context.Context, cmd *cobra.Command, args []string, flags *ringFlags) error {
	if len(args) == 0 {
		return c.withClient(ctx, c.ringList)
	}
	path, err := ring.Path(args[0])
	if err != nil {
		return asUsage(err)
	}
	c.subject = path
	words := args[1:]
	if len(words) == 0 {
		words = []string{"show"}
	}
	call := ringCall{name: args[0], args: words[1:], flags: flags}
	if call.action, err = findAction(words); err != nil {
		return err
	}
	var wrong error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(call.action.flags, f.Name) && cmd.InheritedFlags().Lookup(f.Name) == nil {
			wrong = usagef("--%s is not for %s", f.Name, call.action.name)
		}
	})
	if wrong != nil {
		return wrong
	}
	err = call.action.run(c, ctx, &call)
	var op *client.OpError
	if errors.Is(err, client.ErrNotExist) && errors.As(err, &op) && op.Path == path {
		return fmt.Errorf("%w; doozer ring %s new makes the ring", client.ErrNotExist, call.name)
	}
	return err
}

// findAction finds the action that words begin with, and checks its arguments.
func findAction(words []string) (*ringAction, error) {
	for _, a := range ringActions() {
		if a.name != words[0] {
			continue
		}
		if a.many && len(words) > 2 {
			return &a, nil
		}
		return &a, args(a.args...)(nil, words[1:])
	}
	var names []string
	for _, a := range ringActions() {
		names = append(names, a.name)
	}
	return nil, usagef("no action %q; there are %s", words[0], strings.Join(names, ", "))
}

// completeRing offers rings, then actions.
func (c *command) completeRing(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	var found []string
	switch len(args) {
	case 0:
		paths, directive := c.completePath(cmd, nil, ring.Dir+"/"+typed)
		for _, path := range paths {
			found = append(found, strings.TrimPrefix(path, ring.Dir+"/"))
		}
		return found, directive
	case 1:
		for _, a := range ringActions() {
			if strings.HasPrefix(a.name, typed) {
				found = append(found, a.name)
			}
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// ringNew makes a ring.
func (c *command) ringNew(ctx context.Context, r *ringCall) error {
	f := &ring.File{
		Algo: ring.Algo(r.flags.algo), Parts: int(r.flags.parts), Points: int(r.flags.points),
		Copies: int(r.flags.copies), Spread: r.flags.spread,
	}
	if err := f.Check(); err != nil {
		return usagef("%s", strings.TrimPrefix(err.Error(), ring.ErrBadFile.Error()+": "))
	}
	c.writes = true
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		rev, err := ring.Create(ctx, db, r.name, f, r.flags.options()...)
		if err != nil {
			return err
		}
		return c.printRev(rev)
	})
}

// ringEdit makes a change.
func (c *command) ringEdit(ctx context.Context, r *ringCall) error {
	if err := r.check(); err != nil {
		return err
	}
	c.writes = true
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		rev, err := ring.Edit(ctx, db, r.name, r.action.edit(r.flags, r.args), r.flags.options()...)
		if err != nil {
			return err
		}
		return c.printRev(rev)
	})
}

func (f *ringFlags) options() []client.WriteOption {
	if f.message == "" {
		return nil
	}
	return []client.WriteOption{client.Message(f.message)}
}
