package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// versionJSON is the version of this binary and, with --server, of the nodes.
type versionJSON struct {
	Version string            `json:"version"`
	Commit  string            `json:"commit,omitempty"`
	Go      string            `json:"go"`
	OS      string            `json:"os"`
	Arch    string            `json:"arch"`
	Nodes   []nodeVersionJSON `json:"nodes,omitempty"`
}

type nodeVersionJSON struct {
	ID        uint64 `json:"id"`
	Name      string `json:"name"`
	Addr      string `json:"addr"`
	Reachable bool   `json:"reachable"`
	Version   string `json:"version"`
}

// Version needs no store unless it is told to ask; then nodes that do not answer are
// listed, as status lists them, and only that none could be asked is a failure.
func (c *command) addVersion(root *cobra.Command) {
	var server bool
	cmd := c.add(root, verb{
		use:   "version",
		short: "Print the version of doozer",
		long: `Version prints the version of this program; it needs no store. With --server it
asks the nodes for theirs too.`,
		examples: []string{
			"doozer version",
			"doozer version --server",
		},
		args: args(),
		exit: `  0   done
  2   with --server: no node answered
  64  usage`,
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			v := binaryVersion()
			if !server {
				return c.print(v.String(), v)
			}
			return c.serverVersions(ctx, v)
		},
	})
	cmd.Flags().BoolVar(&server, "server", false, "ask the nodes for their versions too")
}

// binaryVersion is what the Go toolchain wrote into the program.
func binaryVersion() versionJSON {
	v := versionJSON{Version: "unknown", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v
}

func (v versionJSON) String() string {
	s := fmt.Sprintf("doozer %s (%s %s/%s", v.Version, v.Go, v.OS, v.Arch)
	if v.Commit != "" {
		s += ", commit " + v.Commit
	}
	return s + ")"
}

func (c *command) serverVersions(ctx context.Context, v versionJSON) error {
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		nodes, err := db.Status(ctx)
		if err != nil {
			return err
		}
		for _, n := range newHealth(nodes).nodes {
			v.Nodes = append(v.Nodes, nodeVersionJSON{n.ID, n.Name, n.Addr, n.Reachable, n.Version})
		}
		if c.format == formatJSON {
			return printJSON(c.stdout, v)
		}
		fmt.Fprintln(c.stdout, v)
		t := newTable(c.stdout, false, column{}, column{right: true}, column{}, column{}, column{})
		for _, n := range v.Nodes {
			version := plain(n.Version)
			if !n.Reachable {
				version = "unreachable"
			}
			t.add("node", idText(n.ID), orDash(plain(n.Name)), n.Addr, orDash(version))
		}
		return t.flush()
	})
}
