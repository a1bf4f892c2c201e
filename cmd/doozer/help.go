package main

import (
	"github.com/spf13/cobra"
)

func (c *command) addHelp(root *cobra.Command) {
	help := &cobra.Command{
		Use:         "help [VERB]",
		Short:       "Explain a verb",
		Long:        "Help explains a verb, as VERB --help does.",
		Example:     "  doozer help watch",
		Annotations: map[string]string{"exit": "  0   done\n  64  no such verb"},
		RunE: func(_ *cobra.Command, args []string) error {
			return c.help(root, args)
		},
	}
	root.SetHelpCommand(help)
}

func (c *command) help(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd == root && len(rest) > 0 {
		return unknownVerb(root, rest)
	}
	cmd.InitDefaultHelpFlag()
	return cmd.Help()
}
