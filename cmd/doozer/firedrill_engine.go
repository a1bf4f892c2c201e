package main

import (
	"context"
	"errors"

	"github.com/doozer-store/doozer/drill"
)

// drillEngine is package drill.
type drillEngine struct{}

func (drillEngine) List() []drill.Drill { return nil }

func (drillEngine) Run(ctx context.Context, o drill.Options) (*drill.Report, error) {
	return nil, errors.New("no drills")
}
