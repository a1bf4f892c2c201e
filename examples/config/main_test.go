package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/server/boot"
)

// Every change of the settings arrives, in order; bad ones are told.
func TestFollow(t *testing.T) {
	n, err := boot.Start(boot.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", PeerListen: "127.0.0.1:0", Web: "false"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := client.Open(ctx, n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	write := func(value string) {
		t.Helper()
		var err error
		if value == "" {
			_, err = c.Del(ctx, path)
		} else {
			_, err = c.Set(ctx, path, []byte(value))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		value string // "" deletes
		want  Settings
		bad   bool
	}{
		{value: `{"greeting":"good morning","limit":10}`, want: Settings{"good morning", 10}},
		{value: `{"limit":0}`, bad: true},
		{value: `{"lmit":5}`, bad: true},
		{value: `good evening`, bad: true},
		{value: `{"limit":20}`, want: Settings{"hello", 20}},
		{want: defaults},
		{value: `{"greeting":"again"}`, want: Settings{"again", 1}},
	}
	write(steps[0].value)
	following, stop := context.WithCancel(ctx)
	i := 0
	err = follow(following, c, func(s *Settings, rev int64, err error) {
		if step := steps[i]; (err != nil) != step.bad || err == nil && *s != step.want {
			t.Errorf("step %d, rev %d: %+v, %v", i, rev, s, err)
		}
		if i++; i == len(steps) {
			stop()
			return
		}
		write(steps[i].value)
	})
	if i < len(steps) || !errors.Is(err, context.Canceled) {
		t.Errorf("%d steps, %v", i, err)
	}
}
