// Package web is a node's listener for people, probes and Prometheus. It is
// plain HTTP, knows nothing of files, and asks the node through the functions
// of its Config.
//
// Server serves:
//
//	/              a page that lists the others
//	/metrics       measurements
//	/livez         200 while the process can take its own locks, else 503
//	/readyz        200 when a read that needs a majority succeeds, else 503
//	/debug/pprof/  profiles
//
// # Goroutines
//
// net/http's, and one for each probe that runs, which Close waits for.
//
// # Limits
//
// They are constants in web.go; a probe too many is answered 503.
package web
