// Package drill does harm to real clusters under load, and judges whether they
// kept their word.
//
// [Drills] is what can be done; [Conduct] does it: for each drill it starts a
// cluster of doozerd processes on loopback (package cluster) with a link (package
// proxy) on every directed connection between nodes, and between clients and
// nodes; runs load; does harm; undoes it; waits until all is well; and judges all
// that was seen (package check). The result is a [Report]. A [Run] tells of one
// drill; a failed one keeps its directory, with the nodes' logs and data and with
// history.txt, which has every operation.
//
// # How a drill is written
//
// A drill is a row of table (drills.go): a name, one line that says what is done
// and what is to be expected, and steps of harm. A step is a function that picks
// whom to harm, does it, and calls scene.begin with how it is undone: so a drill
// needs no healing of its own. What a step finds out by itself, such as whether a
// node refused to start, it notes with scene.check. A node that can't serve is
// noted with scene.lose, a direction that is cut in scene.cut: by these the run
// knows whether a majority can still work together, and then writes have to go on
// while the harm lasts. A row may say what the machine must be able to do (needs)
// and what nodes are started with (setUp). Steps: steps.go (processes, data
// directories), cuts.go with shapes.go (the network), disks.go.
//
// # Load
//
// 8 callers (load.go), each with a client of its own, work on 10 files: sets,
// compare-and-sets, deletions, transactions, linearizable and local gets, lists at
// present, past and future revs. A reader at each node stays there, whoever leads.
// 3 more rewrite a session each, of which nodes keep no history. Some calls have a deadline that ends within an
// outage, so that there are unknown outcomes. 8 watchers (watchers.go) begin at
// revs around the present, at the edge of the window and beyond it, or with a
// snapshot, at one node after another, by the protocol and by the client library.
// Windows and logs are so short, in most runs, that watches fall out of the one
// and followers out of the other.
//
// # How the verdict is formed
//
// An observer at every node (observer.go) watches all paths from the first rev on,
// past all links. What observers were given must not contradict each other, and is
// put together to the committed log; against that everything is held (judge.go):
//
//   - one history: observers agree, no rev is left out, none comes back. An observer
//     that was cut off may miss rewrites of sessions that have been forgotten: others
//     were given them, or whoever wrote them tells.
//   - linearizable: porcupine finds an order for each path, without the log's help.
//     No answer in time is a failure.
//   - serializable: all operations on all paths fit the order of the log, and time.
//   - exactly once: each write is in the log as its caller was told: as a whole,
//     once or not at all, its conditions fulfilled.
//   - answers: local reads, past revs, refusals and TOO_LATE agree with the log.
//   - watches: every rule for every watch; each has delivered all there was. What may
//     be forgotten of a session may be missing, and so it may from windows and past
//     revs (check.Ledger.Volatile).
//   - equal nodes: files, history and hashes are the same at all nodes.
//   - processes: no node ended unbidden, none panicked, all came back.
//   - serves: writes went on during the harm, if a majority could all hear each
//     other. Where one node alone hears a majority, as in the middle of a star,
//     raft does not promise it: see scene.serves.
//
// A run is invalid, and made again, when there was too little load before the harm,
// or when there are revs that no observer saw because every window had passed
// them: it proves nothing either way. The next attempt has a longer window. One
// that remains invalid has failed the check "valid".
//
// # Seeds
//
// The seed of a run decides what is chosen: whom to harm, which links to cut, how
// long to wait, what callers do. It does not decide what processes, disk and
// scheduler do meanwhile: a failure may need several runs of its seed.
//
// # Goroutines
//
// A run has one goroutine that does the drill (cluster.RunSolo); one for each
// caller, watcher and observer, all ended and waited for before the run is; and
// one that samples and calls Progress and Finished, which Conduct waits for.
//
// # Limits
//
// Everything that has to happen is given hangLimit, a minute; nothing else is
// bounded in time. Histories are bounded by callPause, the least time between two
// calls of a caller.
package drill
