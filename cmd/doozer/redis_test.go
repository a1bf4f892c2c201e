package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
)

const redisRunning = `{"state":"running","node":"a","addr":"10.0.0.1:6379","session":"1.a"}`

// startGroup makes a group of a and b, where a is the master.
func startGroup(t *testing.T, n *fakeNode) {
	t.Helper()
	for _, line := range [][]string{
		{"redis", "init", "--group", "g", "--nodes", "2"},
		{"set", "/session/1.a", "{}"}, {"set", "/session/1.b", "{}"},
		{"set", "/redis/g/node/a", `{"addr":"10.0.0.1:6379","session":"1.a"}`},
		{"set", "/redis/g/node/b", `{"addr":"10.0.0.2:6379","session":"1.b"}`},
		{"set", "/redis/g/master", redisRunning},
	} {
		if inv := doozer(t, n, "", line...); inv.status != 0 {
			t.Fatalf("%q: %s", line, &inv.stderr)
		}
	}
}

// actAs waits for a command of an operator and does fn as an agent would.
func actAs(t *testing.T, n *fakeNode, fn func(ctx context.Context, db *client.Client, cmd failover.Cmd, rev int64) error) (done func()) {
	t.Helper()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- func() error {
			db, err := client.Open(ctx, n.addr, onNetwork()...)
			if err != nil {
				return err
			}
			defer db.Close()
			for ev, err := range db.Watch(ctx, "/redis/g/cmd", client.Snapshot()) {
				if err != nil {
					return err
				}
				var cmd failover.Cmd
				if err := json.Unmarshal(ev.Value, &cmd); err != nil || ev.Del {
					return err
				}
				return fn(ctx, db, cmd, ev.Rev)
			}
			return errors.New("the watch ended")
		}()
	}()
	return func() {
		t.Helper()
		defer cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// handOver is a switch to b: two steps of the register, and the history.
func handOver(ctx context.Context, db *client.Client, cmd failover.Cmd, rev int64) error {
	switching := failover.Register{State: failover.Switching, Node: "a", Addr: "10.0.0.1:6379", Session: "1.a", To: "b"}
	epoch, err := db.Txn(ctx, client.Txn{
		If: []client.Cond{client.Unchanged("/redis/g/cmd", rev), client.Unchanged("/redis/g/master", cmd.Epoch)},
		Do: []client.Op{client.SetOp("/redis/g/master", switching.Encode())},
	})
	if err != nil {
		return err
	}
	running := failover.Register{State: failover.Running, Node: "b", Addr: "10.0.0.2:6379", Session: "1.b", Prev: "a", Election: epoch}
	hist := failover.Hist{Epoch: epoch, From: "a", To: "b", Why: "asked for", Began: 1000, Ended: 1012}
	_, err = db.Txn(ctx, client.Txn{Do: []client.Op{
		client.SetOp("/redis/g/master", running.Encode()), client.SetOp(failover.Paths("g").Hist(epoch), hist.Encode()), client.DelOp("/redis/g/cmd"),
	}})
	return err
}

// switch and promote wait for the outcome and report it.
func TestRedisSwitch(t *testing.T) {
	for _, tt := range []struct {
		line string
		want failover.Cmd
		out  string
	}{
		{"redis switch", failover.Cmd{Verb: "switch"}, "b is the master, at 10.0.0.2:6379, epoch 9. It took 12 ms.\n"},
		{"redis switch --to b", failover.Cmd{Verb: "switch", To: "b"}, "b is the master, at 10.0.0.2:6379, epoch 9. It took 12 ms.\n"},
		{"redis promote --accept-loss b -g g", failover.Cmd{Verb: "promote", To: "b", AcceptLoss: true}, "b is the master, at 10.0.0.2:6379, epoch 9. It took 12 ms.\n"},
		{"redis promote b --accept-loss -o json", failover.Cmd{Verb: "promote", To: "b", AcceptLoss: true}, `{"group":"g","node":"b","addr":"10.0.0.2:6379","epoch":9,"prev":"a","took_ms":12,"asked_ms":0}` + "\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := startNode(t)
			startGroup(t, n)
			done := actAs(t, n, func(ctx context.Context, db *client.Client, cmd failover.Cmd, rev int64) error {
				if cmd.Verb != tt.want.Verb || cmd.To != tt.want.To || cmd.AcceptLoss != tt.want.AcceptLoss || cmd.Epoch != 6 || cmd.ID == "" {
					t.Errorf("%s writes %+v", tt.line, cmd)
				}
				return handOver(ctx, db, cmd, rev)
			})
			inv := doozer(t, n, "", strings.Fields(tt.line)...)
			done()
			if inv.status != statusDone || inv.stdout.String() != tt.out {
				t.Errorf("%s: status %d, stdout %q, stderr %q", tt.line, inv.status, &inv.stdout, &inv.stderr)
			}
		})
	}
}

// A command that an agent refuses, that waits, and that was begun when the time is
// over.
func TestRedisSwitchFails(t *testing.T) {
	refuse := func(ctx context.Context, db *client.Client, cmd failover.Cmd, rev int64) error {
		cmd.Done, cmd.Error = true, "b lacks 5 bytes"
		_, err := db.Set(ctx, "/redis/g/cmd", cmd.Encode(), client.IfRev(rev))
		return err
	}
	begin := func(ctx context.Context, db *client.Client, _ failover.Cmd, _ int64) error {
		_, err := db.Set(ctx, "/redis/g/master", []byte(`{"state":"electing","prev":"a"}`))
		return err
	}
	for _, tt := range []struct {
		name   string
		agent  func(ctx context.Context, db *client.Client, cmd failover.Cmd, rev int64) error
		status int
		want   string
	}{
		{"refused", refuse, statusCondition, "doozer: switch g: refused: b lacks 5 bytes\n"},
		{"begun", begin, statusError, "doozer: switch g: outcome unknown: switch was not done within --timeout, and it was begun, at epoch 8; see 'doozer redis status'; read before you write again\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := startNode(t)
			startGroup(t, n)
			done := actAs(t, n, tt.agent)
			inv := doozer(t, n, "", "redis", "switch", "--to", "b", "--timeout", "3s")
			done()
			if inv.status != tt.status || inv.stderr.String() != tt.want {
				t.Errorf("%s: status %d, stderr %q", tt.name, inv.status, &inv.stderr)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		startGroup(t, n)
		doozer(t, n, "", "set", "/redis/g/cmd", `{"verb":"switch","id":"x","epoch":6}`)
		inv := doozer(t, n, "", "redis", "switch")
		if want := "doozer: switch g: another command is waiting: switch, of epoch 6\n"; inv.status != statusCondition || inv.stderr.String() != want {
			t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
		}
	})
}

// status --watch prints the group, and again whenever it changes, until it is
// interrupted.
func TestRedisWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		startGroup(t, n)
		w := start(t, n, "redis", "status", "--watch", "-o", "json")
		expect := func(state, master string, epoch int64) {
			t.Helper()
			for {
				var g groupJSON
				line, err := w.out.ReadString('\n')
				if err != nil || json.Unmarshal([]byte(line), &g) != nil {
					t.Fatalf("%q: %v", line, err)
				}
				if g.Epoch == epoch {
					if g.State != state || g.Master != master || len(g.Nodes) != 2 {
						t.Errorf("got %s", line)
					}
					return
				}
			}
		}
		expect("running", "a", 6)
		doozer(t, n, "", "set", "/redis/g/master", `{"state":"electing","prev":"a"}`)
		expect("electing", "", 7)
		doozer(t, n, "", "set", "/redis/g/master", redisRunning)
		expect("running", "a", 8)
		w.stop()
		go w.out.WriteTo(io.Discard)
		if status := <-w.status; status != statusDone {
			t.Errorf("status %d, %s", status, w.errs)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		w := start(t, n, "redis", "status", "--watch", "--group", "g")
		if status := <-w.status; status != statusNoFile {
			t.Errorf("no group: status %d, %s", status, w.errs)
		}
	})
}
