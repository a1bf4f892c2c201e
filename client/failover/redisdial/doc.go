// Package redisdial makes a go-redis client follow the master of a group: every
// new connection goes to the Redis that the register names, and when it names
// another one the connections to the old one are dropped at once.
//
//	group, err := failover.Follow(ctx, store, "orders")
//	rdb := redis.NewClient(redisdial.Options(group, &redis.Options{Password: secret}))
//
// A program goes on after each failover without doing anything about it. It
// needs neither Sentinel nor a proxy: the dialer waits for the next master, while
// there is none, and go-redis repeats the command on the new connection.
//
// # What go-redis does, and what is done here
//
// go-redis takes a connection from its pool, looks whether its socket has ended,
// and dials if so. Its own client of Sentinels closes pooled connections whose
// remote address is not the master's when +switch-master arrives, asks the
// Sentinels at each dial, and fails when none knows a master; after as many
// failures as the pool has places it fails without dialing, and tries once a
// second. Here the connections are closed in their sockets, so that those in use
// end too: a call that waits for a master that hangs is over when the register
// moves, not at its timeout. And a dial waits until there is a master, as long as
// DialTimeout allows, so that a failover causes no failures that count.
//
// # Repeated commands
//
// A command whose connection is dropped before the answer may have been done or
// not. go-redis repeats it as it does for every connection that ends (MaxRetries,
// 3 times): INCR may count twice. Set MaxRetries to -1 to be told instead, with
// an error that Is io.EOF.
//
// # A stale view
//
// While the store cannot be heard nobody knows whether there is another master.
// Connections stay, for the gate of the old master refuses its writes in time,
// but no new one is made until the view is fresh.
//
// # Goroutines
//
// A Dialer has one as long as it has connections; closing the redis.Client ends
// both.
//
// # Errors
//
// ErrNoMaster when there is none until the time is over, with the reason.
package redisdial
