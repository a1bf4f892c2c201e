package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/doozer-store/doozer/client"
)

// Open a client, write a file and read it back.
func Example() {
	ctx := context.Background()
	c, err := client.Open(ctx, "doozer:?ca=127.0.0.1:8046&ca=127.0.0.1:8047")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Set(ctx, "/app/greeting", []byte("hello"), client.Message("first words")); err != nil {
		log.Fatal(err)
	}
	f, err := c.Get(ctx, "/app/greeting")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s at rev %d\n", f.Value, f.Rev)
}

// Compare and set: read, change, write if nobody else did; else again.
func ExampleClient_Set() {
	increment := func(ctx context.Context, c *client.Client, path string) error {
		for {
			f, err := c.Get(ctx, path)
			cond := client.IfRev(f.Rev)
			if errors.Is(err, client.ErrNotExist) {
				cond = client.IfMissing()
			} else if err != nil {
				return err
			}
			n, _ := strconv.Atoi(string(f.Value))
			_, err = c.Set(ctx, path, []byte(strconv.Itoa(n+1)), cond)
			if !errors.Is(err, client.ErrRevMismatch) {
				return err
			}
		}
	}
	_ = increment
}

// A write that is refused by the store unless the lock's file is unchanged
// since this client took it.
func ExampleClient_Txn() {
	write := func(ctx context.Context, c *client.Client, token int64) error {
		_, err := c.Txn(ctx, client.Txn{
			If: []client.Cond{client.Unchanged("/lock/printer", token)},
			Do: []client.Op{client.SetOp("/printer/job", []byte("42")), client.DelOp("/printer/idle")},
		})
		var lost *client.RevMismatchError
		if errors.As(err, &lost) {
			return fmt.Errorf("the lock was taken over at rev %d", lost.Rev)
		}
		return err
	}
	_ = write
}

// A deadline, and what is known when it has passed.
func ExampleClient_Del() {
	remove := func(c *client.Client) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		switch _, err := c.Del(ctx, "/app/old"); {
		case err == nil:
			fmt.Println("deleted")
		case errors.Is(err, client.ErrUnknownOutcome):
			fmt.Println("perhaps deleted: look before you do it again")
		case errors.Is(err, client.ErrNotExist):
			fmt.Println("there was none")
		default:
			fmt.Println("not deleted:", err)
		}
	}
	_ = remove
}

// Keep a copy of a part of the tree up to date.
func ExampleClient_Watch() {
	mirror := func(ctx context.Context, c *client.Client) error {
		files := make(map[string][]byte)
		for ev, err := range c.Watch(ctx, "/app/**", client.Snapshot()) {
			if err != nil {
				return err
			}
			if ev.Del {
				delete(files, ev.Path)
			} else {
				files[ev.Path] = ev.Value
			}
			if !ev.More {
				fmt.Println(len(files), "files")
			}
		}
		return nil
	}
	_ = mirror
}

// All files under a directory, as they were at one rev.
func ExampleClient_Walk() {
	show := func(ctx context.Context, c *client.Client) error {
		for f, err := range c.Walk(ctx, "/app/**") {
			if err != nil {
				return err
			}
			fmt.Println(f.Path, len(f.Value))
		}
		return nil
	}
	_ = show
}
