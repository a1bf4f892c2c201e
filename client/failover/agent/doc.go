// Package agent is what runs beside each Redis of a group: it registers its Redis,
// keeps the gate of the master open while it may, finds out when a master is
// lost, and does its part of the failover.
//
//	a, err := agent.Open(ctx, agent.Config{Store: c, Group: "g", Name: "n1", Redis: "127.0.0.1:6379"})
//	err = a.Run(ctx)
//
// What to do is decided by failover.Decide; this package does it.
//
// # The parts
//
//   - Agent: the loop: look, decide, do.
//   - server: commands to a Redis, through go-redis.
//   - probe: one connection on which the end of the Redis process is heard at
//     once, and on which pings find one that hangs.
//   - exec.go, handover.go, save.go: the actions.
//   - boot.go: what is asked of a Redis before it may take part.
//   - stats, hook: what is told to others.
//
// # Goroutines
//
// The loop runs on Run's caller and owns all state without a mutex. Beside it are
// the probe (two), one that follows the session, one that writes stats, one that
// runs hooks, one that watches a gate, and short ones that clean up. Run waits for
// all.
//
// # Redis is asked for, and set
//
// Every start of Redis has to be as a replica of nowhere ('replicaof 127.0.0.1 0'
// in its configuration); what the agent changes at run time it never writes to
// that file.
package agent
