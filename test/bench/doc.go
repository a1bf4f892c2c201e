// Command bench does the same work on doozer, etcd and ZooKeeper, side by side
// in one run, and says how they compare.
//
//	cd test/bench && go run . -systems doozer,etcd,zookeeper -rounds 5
//	go run . -work set,get -callers 64 -systems doozer,etcd
//	go run . -work lock,handoff -waiters 1,10,100 -systems doozer,etcd
//	go run . -work holders,takeover,hostloss,elect,ring -systems doozer -rounds 1
//	go run . -list
//
// Every system runs three server processes on loopback with its data on the
// same disk and with its defaults; settings are printed. A round starts each
// system afresh, one after another, and does every piece of work on it; rounds
// alternate (A B C, A B C, ...), so that a machine that gets slower does so for
// all. Printed are medians over the rounds, with the least and the greatest,
// and the ratio of doozer's median to each other's.
//
// The parts:
//
//   - system is a store under test, conn one connection to it: doozer (through
//     its client, or, as doozer-unary, through plain gRPC calls), etcd, ZooKeeper,
//     and echo, the same RPC layer with nothing behind it: the floor.
//   - work is a piece of work; throughput.go has those of many callers, locks.go
//     free locks and hand-offs, recipes.go what doozer's own recipes promise,
//     the others a file each.
//   - results gathers figures by work, system and round; table.go and plot.go
//     show them.
//
// etcd is built from its Go module (cmd/etcd), ZooKeeper is Debian's package
// zookeeper, left out with a line that says so where it is not installed. This
// is a module of its own so that its dependencies are not doozer's.
package main
