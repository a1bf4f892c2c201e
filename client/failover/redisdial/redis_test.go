package redisdial

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redistest"
	"github.com/doozer-store/doozer/client/failover/viewtest"
)

// A real client over real servers: it goes on after each change, without an error
// that the caller sees, also in a call that waits for an answer and for a
// subscriber.
func TestClientGoesOn(t *testing.T) {
	a, b := redistest.Start(t), redistest.Start(t)
	b.Follow(a)
	src := viewtest.New(a.Addr, b.Addr)
	rdb := redis.NewClient(Options(src, &redis.Options{DialTimeout: patience, ReadTimeout: patience, PoolTimeout: patience}))
	defer rdb.Close()
	ctx := within(t)
	if err := rdb.Set(ctx, "k", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	messages := rdb.Subscribe(ctx, "news")
	defer messages.Close()
	if _, err := messages.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	news := messages.Channel()
	// A hundred callers, more than the pool has places.
	var stop atomic.Bool
	var callers sync.WaitGroup
	done := make([]atomic.Int64, 100)
	for i := range done {
		callers.Go(func() {
			for !stop.Load() {
				if err := rdb.Set(ctx, fmt.Sprint("k", i), "x", 0).Err(); err != nil {
					t.Errorf("caller %d: %v", i, err)
					return
				}
				done[i].Add(1)
			}
		})
	}
	blocked := make(chan error, 1)
	go func() {
		for {
			_, err := rdb.BLPop(ctx, 0, "queue").Result()
			// A master that is turned may say so before its connection is dropped.
			if err == nil || !strings.HasPrefix(err.Error(), "UNBLOCKED") {
				blocked <- err
				return
			}
		}
	}()
	defer callers.Wait()
	defer stop.Store(true)
	masters := []*redistest.Server{a, b}
	for round := range 3 {
		from, to := masters[round%2], masters[(round+1)%2]
		src.Elect()
		to.Master()
		from.Follow(to)
		src.Run(fmt.Sprint("n", (round+1)%2+1))
		seen := make([]int64, len(done))
		for i := range done {
			seen[i] = done[i].Load()
		}
		for i := range done {
			for done[i].Load() < seen[i]+2 {
				if ctx.Err() != nil || t.Failed() {
					t.Fatalf("round %d: caller %d does not go on", round, i)
				}
				rdb.Ping(ctx)
			}
		}
	}
	// The subscriber and the blocked one have come over.
	master := masters[1]
	for heard := false; !heard; {
		master.Do("PUBLISH", "news", "hello")
		select {
		case msg := <-news:
			heard = msg.Payload == "hello"
		case <-ctx.Done():
			t.Fatal("the subscriber does not come over")
		case <-time.After(10 * time.Millisecond):
		}
	}
	master.Do("LPUSH", "queue", "x")
	if err := <-blocked; err != nil {
		t.Errorf("the blocked call: %v", err)
	}
}

// A call that waits for a master that hangs ends when the register moves.
func TestHungMaster(t *testing.T) {
	a, b := redistest.Start(t), redistest.Start(t)
	src := viewtest.New(a.Addr, b.Addr)
	rdb := redis.NewClient(Options(src, &redis.Options{DialTimeout: patience, ReadTimeout: -1, WriteTimeout: -1, MaxRetries: 1}))
	defer rdb.Close()
	ctx := within(t)
	if err := rdb.Set(ctx, "k", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	a.Signal(syscall.SIGSTOP)
	got := make(chan error, 1)
	go func() { got <- rdb.Set(ctx, "k", "2", 0).Err() }()
	src.Run("n2")
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if n := b.Do("EXISTS", "k"); n != "1" {
		t.Errorf("EXISTS on the new master: %s", n)
	}
}

// With MaxRetries -1 the caller is told of a call that was cut off.
func TestNoRepeat(t *testing.T) {
	a, b := redistest.Start(t), redistest.Start(t)
	src := viewtest.New(a.Addr, b.Addr)
	rdb := redis.NewClient(Options(src, &redis.Options{DialTimeout: patience, MaxRetries: -1}))
	defer rdb.Close()
	ctx := within(t)
	got := make(chan error, 1)
	go func() {
		_, err := rdb.BLPop(ctx, 0, "queue").Result()
		got <- err
	}()
	for a.Info("blocked_clients") != "1" {
		if ctx.Err() != nil {
			t.Fatal("the call does not block")
		}
	}
	src.Run("n2")
	if err := <-got; !errors.Is(err, errDropped) {
		t.Errorf("the call that was cut off: %v", err)
	}
	if err := rdb.Ping(ctx).Err(); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// An outage of a group is an error when the time is over, and over when there is a
// master.
func TestOutage(t *testing.T) {
	a := redistest.Start(t)
	src := viewtest.New(a.Addr)
	src.Elect()
	rdb := redis.NewClient(Options(src, nil))
	defer rdb.Close()
	short, cancel := context.WithCancel(within(t))
	cancel()
	if err := rdb.Ping(short).Err(); err == nil {
		t.Error("a ping without a master")
	}
	got := make(chan error, 1)
	go func() { got <- rdb.Ping(within(t)).Err() }()
	src.Change(func(*failover.View) {})
	src.Run("n1")
	if err := <-got; err != nil {
		t.Error(err)
	}
}
