package main

import (
	"context"
	"encoding/hex"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// selfJSON is the node that answers.
type selfJSON struct {
	Node     uint64 `json:"node"`
	Name     string `json:"name"`
	Version  string `json:"version"`
	Identity string `json:"identity"`
	Cluster  string `json:"cluster"`
	Epoch    uint64 `json:"epoch"`
	Rev      int64  `json:"rev"`
	Leader   uint64 `json:"leader"`
	AgeMS    int64  `json:"age_ms"`
}

// Self asks a node of the target, not the leader that writes go to: with one
// address it is about the node that has it. It asks as a local read does.
func (c *command) addSelf(root *cobra.Command) {
	c.add(root, verb{
		use:   "self",
		short: "Tell which node answers, and who it takes you for",
		long: `Self asks one node who it is, how current its state is, and as whom it knows the
caller: that is what the history will name as the author of your writes. Of the
nodes that -a names one that can be reached answers. It needs no majority.`,
		examples: []string{
			"doozer self",
			"doozer -a 10.0.0.3:8046 self",
		},
		args: args(),
		exit: exitPlain,
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				self, err := db.Self(ctx, client.Local())
				if err != nil {
					return err
				}
				return c.printSelf(self)
			})
		},
	})
}

// printSelf prints what the node says of itself as it says it: of an unknown
// leader or a missing name a dash.
func (c *command) printSelf(self client.Self) error {
	if c.format == formatJSON {
		return printJSON(c.stdout, selfJSON{
			Node: self.Node, Name: self.Name, Version: self.Version, Identity: self.Identity,
			Cluster: hex.EncodeToString(self.ClusterID), Epoch: self.Epoch, Rev: self.Rev,
			Leader: self.Leader, AgeMS: self.Age.Milliseconds(),
		})
	}
	t := newTable(c.stdout, false, column{}, column{})
	t.add("node:", strconv.FormatUint(self.Node, 10))
	t.add("name:", orDash(plain(self.Name)))
	t.add("version:", orDash(plain(self.Version)))
	t.add("identity:", orDash(plain(self.Identity)))
	t.add("cluster:", orDash(hex.EncodeToString(self.ClusterID)))
	t.add("epoch:", strconv.FormatUint(self.Epoch, 10))
	t.add("rev:", strconv.FormatInt(self.Rev, 10))
	t.add("leader:", idText(self.Leader))
	t.add("age:", span(self.Age))
	return t.flush()
}

// idText is a node's id; none is a dash.
func idText(id uint64) string {
	if id == 0 {
		return "-"
	}
	return strconv.FormatUint(id, 10)
}
