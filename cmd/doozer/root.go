package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const rootLong = `doozer reads, writes and watches the files of a doozer store: a small, consistent,
highly available tree for the data you cannot afford to lose.

Every file has a rev, the number of the change that made it. A write that is
given a rev (--if-rev) is done only if the file has not changed since.

The nodes are those of -a or DOOZER_URI; any of them will do, the others are
found. To try it, run 'doozerd demo' in another shell. What is under /ctl is
doozer's own: its nodes and settings, to be read and watched like all else.`

const rootExit = `  0   done
  1   a condition failed: the file is not at the rev it should be
  2   any other error
  3   no such file
  64  usage`

// helpTemplate and usageTemplate are cobra's, made shorter and with the exit
// statuses at the end.
const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

const usageTemplate = `Usage:
  {{if .HasParent}}{{.UseLine}}{{else}}doozer VERB [ARG]... [flags]{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Verbs:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{with .Annotations.exit}}

Exit status:
{{.}}{{end}}{{if .HasAvailableSubCommands}}

'doozer VERB --help' explains a verb.{{end}}
`

// root is the program with all its verbs.
func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "doozer",
		Short:         "The client of a doozer store",
		Long:          rootLong,
		Annotations:   map[string]string{"exit": rootExit},
		Version:       binaryVersion().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(c.stderr)
			if err := cmd.Help(); err != nil {
				return err
			}
			return errNoVerb
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(flagError)

	flags := root.PersistentFlags()
	flags.StringVarP(&c.uri, "uri", "a", c.uri,
		"`nodes`: host:port,... or doozer:?ca=host:port&ca=...; also DOOZER_URI")
	flags.VarP(&c.format, "output", "o", "how results are printed")
	flags.Var(&c.timeout, "timeout", "how long all of it may take; wait, watch: for ever unless given")
	root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))

	c.addGet(root)
	c.addSet(root)
	c.addAdd(root)
	c.addDel(root)
	c.addTouch(root)
	c.addStat(root)
	c.addLs(root)
	c.addFind(root)
	c.addWait(root)
	c.addWatch(root)
	c.addTxn(root)
	c.addRev(root)
	c.addSelf(root)
	c.addNop(root)
	c.addLog(root)
	c.addRing(root)
	c.addStatus(root)
	c.addLock(root)
	c.addLocks(root)
	c.addElect(root)
	c.addRun(root)
	c.addRedis(root)
	c.addFiredrill(root)
	c.addVersion(root)
	c.addCompletion(root)
	c.addHelp(root)
	return root
}

// unknownVerb refuses what is left when no verb was found.
func unknownVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if like := root.SuggestionsFor(args[0]); len(like) > 0 {
		return usagef("unknown verb %q; did you mean %s?", args[0], strings.Join(like, " or "))
	}
	return usagef("unknown verb %q", args[0])
}

// flagError adds to what the flag parser says what is meant by it.
func flagError(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); !cmd.HasParent() && len(args) > 0 {
		return unknownVerb(cmd, args)
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "" {
		return usagef("%w (a value that begins with '-' goes after '--')", err)
	}
	return asUsage(err)
}

// args wants the named arguments, those in brackets not necessarily, and no
// others. Unlike cobra's own checks it says which one is missing.
func args(names ...string) cobra.PositionalArgs {
	need := 0
	for _, name := range names {
		if !strings.HasPrefix(name, "[") {
			need++
		}
	}
	return func(_ *cobra.Command, given []string) error {
		if len(given) < need {
			return usagef("%s is missing", names[len(given)])
		}
		if len(given) > len(names) {
			return usagef("one argument too many: %q%s", given[len(names)], quoteHint(names))
		}
		return nil
	}
}

// quoteHint reminds of the shell where a glob or a value was likely split.
func quoteHint(names []string) string {
	if len(names) == 0 {
		return ""
	}
	switch last := strings.Trim(names[len(names)-1], "[]"); last {
	case "GLOB", "VALUE":
		return fmt.Sprintf(" (quote %s, or the shell takes it apart)", last)
	}
	return ""
}
