package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
)

// A session as others see it, and its end.
func Example() {
	ctx := context.Background()
	st := fakestore.New() // client.Open in a program
	s, err := session.Open(ctx, st.Client(), session.TTL(15*time.Second), session.Who("billing"))
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := st.Client().Get(ctx, session.PathOf(s.ID()))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := session.ParseRecord(f.Value)
	fmt.Println(r.Who, r.TTL(), err)
	fmt.Println(s.Close())
	fmt.Println(session.AwaitDeath(ctx, st.Client(), s.ID()))
	// Output:
	// billing 15s <nil>
	// <nil>
	// <nil>
}
