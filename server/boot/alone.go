package boot

import (
	"context"
	"time"
)

// aloneFor is how long a node that stops waits for peers that it has lost.
const aloneFor = 500 * time.Millisecond

// whileInMajority returns a context that ends with ctx, and when this node has
// reached no majority of the voters, itself counted, for aloneFor: nobody takes
// its leadership then, and what is in flight gets no answer. All nodes that are
// told to stop at once would otherwise wait for each other. end waits for the
// goroutine that looks.
func (n *Node) whileInMajority(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		look := time.NewTicker(aloneFor / 10)
		defer look.Stop()
		for last := time.Now(); time.Since(last) < aloneFor; {
			select {
			case <-look.C:
			case <-ctx.Done():
				return
			}
			if n.inMajority() {
				last = time.Now()
			}
		}
		n.cfg.Logger.Info("no majority is reached: what is in flight is left without an answer")
		cancel()
	}()
	return ctx, func() { cancel(); <-done }
}

// inMajority tells whether this node reaches a majority of the voters.
func (n *Node) inMajority() bool {
	voters, reached := 0, 0
	for _, m := range n.consensus.Status().Members {
		if m.Voter {
			voters++
		}
		if m.Voter && m.Connected {
			reached++
		}
	}
	return 2*reached > voters
}
