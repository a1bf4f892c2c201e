// Command bench does the same work on doozer, etcd and ZooKeeper, side by side
// in one run, and says how they compare.
//
//	make bench-quick                                the main figures, in minutes
//	make bench                                      all, in hours
//	cd test/bench && go run . -work set,get -callers 64:16 -systems doozer,etcd
//	go run . -work open-set -rates 1000,5000        at a fixed rate
//	go run . -work lock,handoff -waiters 1,10,100 -systems doozer,etcd
//	go run . -work growth -quick -systems doozer    how cost grows
//	go run . -list
//
// Every system runs three server processes on loopback with its data on the
// same disk and with its defaults; settings are printed. Works are in groups:
// for each, every system is started afresh, one after another; all groups make a
// round; rounds repeat. So the systems alternate (A B C, A B C, ...) every few
// minutes, and a machine that gets slower does so for all. Printed are medians
// over the rounds, with the least and the greatest, and the ratio of the first
// system's median to each other's. results.json has every round, results.md
// tables and plots; -docs writes those of docs/benchmark.md and docs/cost.md anew.
//
// The load is part of what is measured, because it shares the machine with the
// servers. caller says what it does for a call, -profile how much that is.
//
// The parts:
//
//   - system is a store under test, conn one connection to it: doozer (through
//     its client, or, as doozer-unary, through plain gRPC calls), etcd, ZooKeeper,
//     and echo, the same RPC layer with nothing behind it: the floor.
//   - caller, callers: who calls. throughput.go has those who wait for an answer
//     before they ask again, openloop.go those who call at a fixed rate.
//   - work is a piece of work; work.go names all, growth.go those that show how
//     cost grows; locks.go has free locks and hand-offs, recipes.go what
//     doozer's own recipes promise, the others a file each.
//   - results gathers figures by work, system and round; table.go, page.go,
//     plots.go and chart.go show them. progress says how far a run is.
//
// Goroutines: a measurement starts its callers, its watchdog and its watches and
// waits for all of them before it returns; progress has one until it is closed.
//
// etcd is built from its Go module (cmd/etcd), ZooKeeper is Debian's package
// zookeeper, left out with a line that says so where it is not installed. This
// is a module of its own so that its dependencies are not doozer's.
package main
