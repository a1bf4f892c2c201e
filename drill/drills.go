package drill

import (
	"slices"
	"time"
)

// table is every drill, from the plain to the strange. A drill does its harm
// under load; the harm is held for a while, then undone, and all is judged.
var table = []Drill{
	{Name: "kill-leader", Summary: "kill -9 the leader; the others go on within a moment", harm: []step{kill(theLeader)}},
	{Name: "kill-follower", Summary: "kill -9 a follower; nobody notices", harm: []step{kill(aFollower)}},
	{Name: "kill-minority", Summary: "kill -9 as many nodes as can be lost, the leader among them", harm: []step{kill(aMinority)}},
	{Name: "kill-majority", Summary: "kill -9 a majority; nothing is served until it is back", harm: []step{kill(aMajority)}},
	{Name: "kill-all", Summary: "kill -9 every node at once; what was acknowledged is still there", harm: []step{kill(everyNode)}, setUp: longHistory},
	{Name: "crash-loop", Summary: "kill -9 one node after another, again and again", harm: []step{again(4, kill(anyNode))}},
	{Name: "pause", Summary: "SIGSTOP the leader; another takes over, and the old one learns of it", harm: []step{pause(theLeader)}},
	{Name: "pause-follower", Summary: "SIGSTOP a follower; nobody notices", harm: []step{pause(aFollower)}},
	{Name: "pause-majority", Summary: "SIGSTOP a majority", harm: []step{pause(aMajority)}},
	{Name: "pause-all", Summary: "SIGSTOP every node", harm: []step{pause(everyNode)}},
	{Name: "pause-kill", Summary: "SIGSTOP the leader, kill -9 its successor, and need the paused one", harm: []step{pause(theLeader), then(time.Second), kill(theLeader)}},
	{Name: "partition", Summary: "cut the nodes into two sides, the leader on either", harm: []step{apart(halves)}},
	{Name: "cut-leader", Summary: "cut the leader off from every other node", harm: []step{apart(fixed(leaderAlone))}},
	{Name: "cut-follower", Summary: "cut one follower off; it must not disturb when it is back", harm: []step{apart(fixed(followerAlone))}},
	{Name: "cut-all", Summary: "cut every link between nodes", harm: []step{apart(fixed(allApart))}},
	{Name: "cut-one-way", Summary: "one node can't be heard, or can't hear", harm: []step{apart(oneOf(leaderMute, leaderDeaf, followerMute, followerDeaf))}},
	{Name: "cut-partial", Summary: "two nodes can't hear each other, or one can't hear the other", harm: []step{apart(oneOf(leaderAndOne, twoFollowers, oneCantHear, oneNotHeard))}},
	{Name: "cut-bridge", Summary: "two halves that share one node", harm: []step{apart(bridge)}},
	{Name: "cut-ring", Summary: "every node has its two neighbours left, or hears one of them only", harm: []step{func(x *scene) {
		if x.r.IntN(2) == 0 || len(x.c.Nodes()) == 3 {
			apart(oneWayRing)(x)
		} else {
			apart(ring)(x)
		}
	}}},
	{Name: "cut-chain", Summary: "nodes in a row, each with its neighbours", harm: []step{apart(chain)}},
	{Name: "cut-star", Summary: "every node has one follower left and no other", harm: []step{apart(star)}},
	{Name: "cut-any", Summary: "any set of links, or of directions, is cut", harm: []step{apart(anyShape)}},
	{Name: "cut-every", Summary: "one tenth after another of all ways to cut 3 or 5 nodes", harm: []step{every}},
	{Name: "cut-changing", Summary: "one set of cuts after another", harm: []step{changing(4)}},
	{Name: "slow-links", Summary: "every link delays by a time of its own", harm: []step{slowLinks(40 * time.Millisecond)}},
	{Name: "slow-leader", Summary: "the leader's links delay by more than a heartbeat", harm: []step{slowNode(theLeader, 120*time.Millisecond)}},
	{Name: "resets", Summary: "connections between nodes are reset", harm: []step{resets(8)}},
	{Name: "client-cut", Summary: "clients can't reach the leader", harm: []step{clientsCut(theLeader)}},
	{Name: "client-cut-all", Summary: "clients can't reach any node", harm: []step{clientsCut(everyNode)}},
	{Name: "client-resets", Summary: "connections of clients are reset", harm: []step{clientsReset(8)}},
	{Name: "lost-replies", Summary: "replies get lost after the write was done; none is done twice", harm: []step{lostReplies}},
	{Name: "lag", Summary: "a follower is out of reach until it needs a snapshot", harm: []step{outOfReach(aFollower), outrun}, setUp: smallLog},
	{Name: "lag-pause", Summary: "a follower is paused while the log outruns it", harm: []step{pause(aFollower), outrun}, setUp: smallLog},
	{Name: "lag-kill", Summary: "a follower is dead until it needs a snapshot", harm: []step{kill(aFollower), outrun}, setUp: smallLog},
	{Name: "lag-install", Summary: "a follower is killed again and again while it is sent snapshots", harm: []step{kill(aFollower), outrun, againDown(4)}, setUp: smallLog},
	{Name: "slow-disk", Summary: "the leader's fsync takes longer than an election; another takes over", harm: []step{stalled(theLeader)}, needs: []need{strace}},
	{Name: "slow-disk-follower", Summary: "a follower's fsync takes long; nobody notices", harm: []step{stalled(aFollower)}, needs: []need{strace}},
	{Name: "slow-disks", Summary: "every fsync of a majority takes a little longer", harm: []step{sluggish(aMajority)}, needs: []need{strace}},
	{Name: "bad-disk", Summary: "the leader's fsync fails: it ends, and nothing is lost", harm: []step{failing(theLeader)}, needs: []need{strace}},
	{Name: "bad-disk-follower", Summary: "a follower's fsync fails: it ends", harm: []step{failing(aFollower)}, needs: []need{strace}},
	{Name: "no-space", Summary: "the leader's writes fail for want of space: it ends, and nothing is lost", harm: []step{outOfSpace(theLeader)}, needs: []need{strace}},
	{Name: "full-state", Summary: "a node's writes to its state fail for want of space, those to its log do not: it ends", harm: []step{noRoomForState(anyNode)}, needs: []need{strace}, setUp: smallLog},
	{Name: "full-disk", Summary: "a node's small disk is filled up, and freed again", harm: []step{full}, needs: []need{tmpfs}, setUp: smallDisk},
	{Name: "wiped", Summary: "a node's data is wiped: it refuses to start without; then it gets them back", harm: []step{wiped}},
	{Name: "swapped", Summary: "a node is started on the data of another: refused", harm: []step{swapped}},
	{Name: "rolling-restart", Summary: "SIGTERM and restart one node after another", harm: []step{rolling}},
	{Name: "terms", Summary: "SIGTERM whoever leads, again and again", harm: []step{again(3, terminate(theLeader))}},
	{Name: "terms-pause", Summary: "SIGSTOP whoever leads past an election, again and again", harm: []step{again(2, pause(theLeader))}},
	{Name: "terminate-all", Summary: "SIGTERM every node at once", harm: []step{terminate(everyNode)}, setUp: longHistory},
	{Name: "random", Summary: "several kinds of harm at once, as the seed says", harm: []step{mixed}},
}

// Drills is every drill there is; Missing tells of those that this machine can't
// run.
func Drills() []Drill {
	all := slices.Clone(table)
	for i := range all {
		for _, n := range all[i].needs {
			if w := n(); w != "" {
				all[i].Missing = w
			}
		}
	}
	return all
}

// longHistory leaves enough to those who watched when all nodes were gone.
func longHistory(s *setting) { s.history = 100_000 }

// smallLog makes nodes need a snapshot soon.
func smallLog(s *setting) { s.checkpoint = 16 << 10 }

// smallDisk puts the last node on a small file system, which checkpoints fill.
func smallDisk(s *setting) { s.tmpfs, s.checkpoint = 1, 16<<10 }

// outrun waits until the log has come so far that who lags needs a snapshot: some
// checkpoints.
func outrun(x *scene) {
	x.c.TB().Helper()
	target := x.load.written.Load() + 500
	x.await("the log outruns who lags", func() bool { return x.load.written.Load() >= target })
}

// againDown starts what is down, and kills it again soon.
func againDown(times int) step {
	return func(x *scene) {
		for range times {
			for _, n := range x.c.Nodes() {
				if !n.Running() {
					n.Start()
					x.linger(400 * time.Millisecond)
					n.Kill()
				}
			}
			x.linger(100 * time.Millisecond)
		}
	}
}

// mixed does a few harms one after another, of kinds that any machine can do.
func mixed(x *scene) {
	steps := []step{
		kill(anyNode), kill(theLeader), pause(anyNode), pause(theLeader), apart(anyShape), apart(halves),
		slowLinks(20 * time.Millisecond), resets(3), clientsCut(anyNode), clientsReset(3), lostReplies,
	}
	for range 2 + x.r.IntN(3) {
		steps[x.r.IntN(len(steps))](x)
		x.linger(500 * time.Millisecond)
	}
}
