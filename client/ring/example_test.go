package ring_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/ring"
)

// A program that follows a ring, and starts even while the store is down.
func Example() {
	lookUp := func(ctx context.Context) error {
		c, err := client.Open(ctx, "10.0.0.1:8046,10.0.0.2:8046", client.WithoutWait())
		if err != nil {
			return err
		}
		defer c.Close()
		live, err := ring.Open(ctx, c, "cache", ring.Config{Snapshot: "/var/cache/app/cache.ring"})
		if err != nil {
			return err
		}
		defer live.Close()
		r := live.Ring() // one epoch: take it once for each decision
		fmt.Println(r.Get("user:42"), "at epoch", r.Epoch())
		if st := live.Status(); !st.Saved.IsZero() {
			fmt.Println("the store is down; the ring is of", st.Saved.Format(time.Kitchen))
		}
		return nil
	}
	_ = lookUp
}

// The classic ring as a dictionary: keys find names, names stand for any value, and
// a name that moves to another host moves no key.
func ExampleRing_Get() {
	f := &ring.File{Algo: ring.MD5}
	for i := range 10 {
		name := fmt.Sprint("node", i+1)
		if err := f.Add(name, ring.Spec{Addr: name + ".example.org"}); err != nil {
			log.Fatal(err)
		}
	}
	r, err := ring.New(f.Clone(), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Get("hello"), r.Get("5000"))
	if err := f.SetValue("node3", "new.example.org", ""); err != nil {
		log.Fatal(err)
	}
	if r, err = ring.New(f, 0); err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Get("hello"), r.Get("5000"))
	// Output:
	// node3.example.org node7.example.org
	// new.example.org node7.example.org
}

// While a node joins, the keys that it gains have two owners.
func ExampleRing_Both() {
	f := &ring.File{}
	for _, name := range []string{"n1", "n2", "n3"} {
		if err := f.Add(name, ring.Spec{}); err != nil {
			log.Fatal(err)
		}
	}
	if err := f.Add("n4", ring.Spec{State: ring.Joining}); err != nil {
		log.Fatal(err)
	}
	r, err := ring.New(f, 0)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"user:1", "user:2", "user:3", "user:4"} {
		owner, other := r.Both(key)
		if other != nil {
			fmt.Printf("%s: write to %s and %s, read from %[2]s and, if it has nothing, from %[3]s\n", key, owner.Name, other.Name)
		} else {
			fmt.Printf("%s: %s\n", key, owner.Name)
		}
	}
	// Output:
	// user:1: n1
	// user:2: write to n4 and n2, read from n4 and, if it has nothing, from n2
	// user:3: n3
	// user:4: n2
}

// A change of the ring: read, change, write if nobody else did, else again.
func ExampleEdit() {
	drain := func(ctx context.Context, c *client.Client, node string) (epoch int64, err error) {
		return ring.Edit(ctx, c, "cache", func(f *ring.File) error { return f.Drain(node) }, client.Message("its disk is failing"))
	}
	_ = drain
}

// Three owners in different zones.
func ExampleRing_Owners() {
	f := &ring.File{Copies: 3, Spread: ring.SpreadZone}
	for i := range 9 {
		if err := f.Add(fmt.Sprint("n", i+1), ring.Spec{Zone: string(rune('a' + i/3))}); err != nil {
			log.Fatal(err)
		}
	}
	r, err := ring.New(f, 0)
	if err != nil {
		log.Fatal(err)
	}
	var room [3]*ring.Node // so that nothing is allocated
	for _, n := range r.Owners(room[:0], "user:42", 3) {
		fmt.Println(n.Name, "in zone", n.Zone)
	}
	// Output:
	// n3 in zone a
	// n9 in zone c
	// n5 in zone b
}

// A hot key goes to its owner until that has its part, then to the next.
func ExampleLoad() {
	f := &ring.File{}
	for _, name := range []string{"n1", "n2", "n3"} {
		if err := f.Add(name, ring.Spec{}); err != nil {
			log.Fatal(err)
		}
	}
	r, err := ring.New(f, 0)
	if err != nil {
		log.Fatal(err)
	}
	load := ring.NewLoad(1.25)
	for range 6 {
		n := load.Pick(r, "hot")
		fmt.Print(n.Name, " ")
		// ... ask n, then load.Done(n)
	}
	// Output: n3 n1 n3 n1 n3 n1
}
