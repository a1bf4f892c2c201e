package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Completion prints what cobra generates; the paths come from completePath, which
// the script asks for through the hidden verb __complete.
func (c *command) addCompletion(root *cobra.Command) {
	cmd := c.add(root, verb{
		use:   "completion bash|zsh|fish|powershell",
		short: "Print a completion script for a shell",
		long: `Completion prints a script that teaches a shell to complete verbs, flags and,
asking the store of DOOZER_URI, paths.`,
		examples: []string{
			"source <(doozer completion bash)",
			"doozer completion zsh >\"${fpath[1]}/_doozer\"",
			"doozer completion fish | source",
		},
		args: args("SHELL"),
		exit: exitPlain,
		run: func(_ context.Context, _ *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(c.stdout, true)
			case "zsh":
				return root.GenZshCompletion(c.stdout)
			case "fish":
				return root.GenFishCompletion(c.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(c.stdout)
			}
			return usagef("the shell is bash, zsh, fish or powershell, not %q", args[0])
		},
	})
	cmd.ValidArgsFunction = nil
	cmd.ValidArgs = []string{"bash", "zsh", "fish", "powershell"}
}

// completePath offers the shell the entries of the directory whose path is
// being typed, as the answering node knows them; none when it does not answer
// within completionTimeout.
func (c *command) completePath(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dir := typed[:strings.LastIndexByte(typed, '/')+1]
	if dir == "" {
		return []string{"/"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	c.timeout = timeoutFlag{d: completionTimeout}
	var found []string
	err := c.withClient(cmd.Context(), func(ctx context.Context, db *client.Client) error {
		entries, err := db.List(ctx, listed(dir), client.Local())
		for _, e := range entries {
			path := dir + nameOf(e)
			if strings.HasPrefix(path, typed) && len(found) < maxCompletions {
				found = append(found, path)
			}
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	if len(found) == 1 && strings.HasSuffix(found[0], "/") {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return found, directive
}
