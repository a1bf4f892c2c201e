package main

import (
	"context"

	"github.com/doozer-store/doozer/drill"
)

// drillEngine is package drill.
type drillEngine struct{}

func (drillEngine) List() []drill.Drill { return drill.Drills() }

func (drillEngine) Run(ctx context.Context, o drill.Options) (*drill.Report, error) {
	return drill.Conduct(ctx, o)
}
