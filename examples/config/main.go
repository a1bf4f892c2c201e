// Command config shows settings that follow the store: a program reads them as a
// plain struct, and has each change within milliseconds, without a restart.
//
//	doozer set /app/config '{"greeting":"hello","limit":10}'
//	config &
//	doozer set /app/config '{"greeting":"good evening","limit":20}'
//
// Settings that cannot be understood are told and not used. DOOZER_URI names the
// store.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"

	"github.com/doozer-store/doozer/client"
)

// path is where the settings are.
const path = "/app/config"

// Settings are what the program can be told.
type Settings struct {
	Greeting string `json:"greeting"`
	Limit    int    `json:"limit"`
}

// check is what has to be true of settings that are used.
func (s *Settings) check() error {
	if s.Limit < 1 {
		return fmt.Errorf("limit is %d, not at least 1", s.Limit)
	}
	return nil
}

// defaults are used until there is a file, and after it was deleted.
var defaults = Settings{Greeting: "hello", Limit: 1}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := client.Open(ctx, os.Getenv("DOOZER_URI"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "config:", err)
		os.Exit(1)
	}
	defer c.Close()

	// Any goroutine reads the settings with one atomic load.
	var settings atomic.Pointer[Settings]
	settings.Store(&defaults)
	err = follow(ctx, c, func(s *Settings, rev int64, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "config: rev %d is not used: %v\n", rev, err)
			return
		}
		settings.Store(s)
		fmt.Printf("rev %d: %+v\n", rev, *settings.Load())
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "config:", err)
		os.Exit(1)
	}
}

// follow calls use with the settings as they are and with every change of them,
// or with the reason why a change cannot be used. It goes on until ctx ends,
// whatever becomes of single nodes of the store.
func follow(ctx context.Context, c *client.Client, use func(s *Settings, rev int64, err error)) error {
	for ev, err := range c.Watch(ctx, path, client.Snapshot()) {
		if err != nil {
			return err
		}
		s := defaults
		if !ev.Del {
			dec := json.NewDecoder(bytes.NewReader(ev.Value))
			dec.DisallowUnknownFields()
			if err = dec.Decode(&s); err == nil {
				err = s.check()
			}
		}
		use(&s, ev.Rev, err)
	}
	return nil
}
