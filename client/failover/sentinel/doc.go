// Package sentinel makes clients of Redis Sentinel find the master of a group
// without a change to them: a TCP server that speaks what they ask of a
// Sentinel, and answers from a failover.ViewSource. Every agent serves one, and
// a client is given the addresses of all of them, as it would be given those of
// its Sentinels; the group's name is the master's.
//
//	srv, err := sentinel.New(sentinel.Config{Source: agent, Self: "n1"})
//	go srv.Serve(lis)
//
// # What is answered
//
// commands.go has the commands of a connection, query.go those of SENTINEL,
// fields.go what they tell of an instance, pubsub.go the events: +switch-master,
// +odown and -odown, +sdown and -sdown, +slave. It speaks RESP2, and RESP3 after
// HELLO 3 (resp.go).
//
// While there is no master because one is being elected, a question for it waits
// until there is one, Config.Hold at most: the client whose connection broke
// asks during an election, and would come back only after a pause of its own.
//
// # A stale view
//
// A view is stale when the store has not answered for the TTL of a session: then
// there may be another master by now. So nothing that could lead a client to a
// Redis is answered, in the form that makes clients ask the next Sentinel:
//
//   - SENTINEL get-master-addr-by-name: null, as for a name that is not known.
//     go-redis, ioredis, Jedis and redis-py ask the next one; an error would end
//     the search of some.
//   - SENTINEL masters: no masters, which is what redis-py goes by.
//   - SENTINEL master, replicas, slaves, ckquorum: an error. node-redis takes it
//     for a Sentinel that is out of order; lists of replicas are skipped by all.
//   - SENTINEL sentinels: as ever, for it leads to where a better answer is.
//
// While a master is being elected and Hold is over it is null too, and master
// and masters have the flags s_down, o_down and failover_in_progress.
//
// # Clients that were tried
//
// go-redis 9.23, redis-cli 7.0, ioredis 5.9 and node-redis 5.9, over real servers
// (clients_test.go). Of ioredis leave failoverDetector off, as it is by default: a
// +switch-master in the midst of its search for the master ends the client for
// good, with Sentinel too; reconnectOnError with READONLY does what it is for.
//
// # Goroutines
//
// Serve runs on the caller's. Each connection has one that reads, executes and
// answers, and a second one from its first subscription on, which waits for
// changes and pushes them. Both end with the connection; Close ends all and
// waits.
//
// # Limits
//
// limits.go has them all. There are no queues: what a subscriber is told is the
// difference between the view it was told of last and the present one, when it
// can take it. One that takes nothing for writeLimit is disconnected.
//
// # Errors
//
// What a client does wrong is answered to it, and ends its connection where
// that is no longer understood. New and Serve return errors of the
// configuration and of the listener.
package sentinel
