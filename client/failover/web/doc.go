// Package web is what an agent tells load balancers and Prometheus about its
// Redis, from a failover.ViewSource.
//
//	srv := web.NewServer(web.Config{Source: agent, Self: "n1"})
//	go srv.Serve(lis)
//
//	/primary            200: this Redis is the master, and takes writes
//	/replica            200: it is a replica whose link to its master is up
//	/replica?lag=LIMIT  200: and is no further behind: bytes (1000, 10kB, 5MB,
//	                    1GB) or a time (500ms, 2s)
//	/read?lag=LIMIT     200: either of them
//	/health             200: it runs, and its agent hears the store
//	/metrics            for Prometheus
//
// Every other answer of the first four is 503; 400 is for a LIMIT that is none.
// GET, HEAD and OPTIONS are answered alike, for HAProxy's httpchk asks OPTIONS.
// The body is JSON: Answer, with the reason in words. Nothing is cached.
//
// A view that is stale is 503 everywhere: for all that is known another Redis may
// be the master by now, and a replica may follow nobody.
//
// # Lag
//
// What a replica lacks is known in bytes by its offset and the master's, and in
// time by how long ago it heard of its master: in whole seconds, and of a master
// without writes only every repl-ping-replica-period, ten seconds unless
// redis.conf says otherwise. Ask for less only where that is 1. Config.Lag is what the agent finds
// when it is asked; without it the files stat/N are used, which are written when they
// mean something: they are for people, not for balancing.
//
// # Limits
//
// limits.go has them; the server ends connections that are slow or idle.
package web
