package election_test

import (
	"context"
	"fmt"

	"github.com/doozer-store/doozer/client/election"
	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
)

// dial stands for client.Open(ctx, "doozer:?ca=10.0.0.1:8046&ca=10.0.0.2:8046").
func dial() session.Store { return fakestore.New().Client() }

// Leader election in 20 lines: of any number of programs that run this, one at a
// time works.
func Example() {
	ctx := context.Background()
	s, err := session.Open(ctx, dial())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	work := func(ctx context.Context, l *election.Leadership) error {
		_, err := l.Set(ctx, "/scheduler/next", []byte("job 1")) // refused if another leads
		fmt.Println("I lead:", err)
		return err // or work until ctx ends
	}
	fmt.Println(election.Run(ctx, s, "scheduler", "10.0.0.9:80", work))
	// Output:
	// I lead: <nil>
	// <nil>
}

// Where is the leader?
func ExampleObserve() {
	for l, err := range election.Observe(context.Background(), dial(), "scheduler") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q in term %d\n", l.Value, l.Term)
		break // or go on, for every change
	}
	// Output: "" in term 0
}
