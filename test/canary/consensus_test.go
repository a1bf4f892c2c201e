package canary

// consensusMutations break what raft is given, and what is done with its
// answers.
func consensusMutations() []mutation {
	return []mutation{
		{
			name: "read-context-reused", bug: "a read question that is repeated has the context of the first",
			edits: []edit{{"consensus/reads.go", "	q.asked++\n", "	if b.tries == 0 {\n		q.asked++\n	}\n"}},
			pkg:   "./consensus", run: "TestReadRetry", caught: `context \w+ was used twice`,
		},
		{
			name: "raft-any-reply-confirms", bug: "raft takes any answer to a heartbeat for one to the last read question, as before 3.7",
			edits: []edit{{"go.etcd.io/raft/v3/read_only.go",
				"		ro.acks[from] = max(ro.acks[from], binary.LittleEndian.Uint64(ctx))\n",
				"		_ = binary.LittleEndian\n		ro.acks[from] = ro.confirmedReads + uint64(len(ro.unconfirmedReads))\n"}},
			pkg: "./consensus", run: "TestOldHeartbeatRepliesConfirmNothing|TestOldLeaderIsFedOldReplies",
			caught: `let go by answers to an earlier question|old leader answered a read`, short: true,
		},
		{
			name: "lease-reads", bug: "a leader answers reads by its lease, without asking",
			edits: []edit{{"consensus/core.go", "raft.ReadOnlySafe", "raft.ReadOnlyLeaseBased"}},
			pkg:   "./consensus", run: "TestOldLeaderConfirmsNothing", caught: `the old leader answered a read`,
		},
		{
			name: "read-before-first-commit", bug: "a leader of one node answers reads before it has committed an entry of its term",
			edits: []edit{{"consensus/core.go", "return c.leads != 0 && c.pending.commit.Load() >= c.leads", "return true"}},
			pkg:   "./consensus", run: "TestReadOfOneNodeWaits", caught: `before the first commit: <nil>`,
		},
		{
			name: "read-before-apply", bug: "a read is let go when it is confirmed, not when its index is applied",
			simulated: `lets a read go at rev \d+, but rev \d+ was acknowledged`,
			edits:     []edit{{"consensus/loop.go", "		if b.index > applied {\n", "		if b.index > applied && len(b.reads) == 0 {\n"}},
			pkg:       "./consensus", run: "TestConfirmedReadExpires", caught: `reads_test.go:\d+: <nil>`,
		},
		{
			name: "ack-before-fsync", bug: "answers go out before what they depend on is on disk",
			simulated: `but has synced`,
			edits: []edit{{"consensus/writer.go", "		if err := w.n.cfg.Log.Append(hs, w.entries, w.sync); err != nil {\n			return err\n		}\n",
				"		if err := w.n.cfg.Log.Append(hs, w.entries, false); err != nil {\n			return err\n		}\n		w.deliver()\n		w.responses = nil\n		if w.sync {\n			if err := w.n.cfg.Log.Append(nil, nil, true); err != nil {\n				return err\n			}\n		}\n"}},
			pkg: "./consensus", run: "TestAnswersWaitForTheDisk|TestPowerCut", caught: `(?s)answered before it was stored.*acknowledged, and lost`, short: true,
		},
		{
			name: "vote-before-fsync", bug: "a vote is told before it is on disk",
			simulated: `but has synced`,
			edits:     []edit{{"consensus/writer.go", "w.sync && (w.vote || w.unsynced)", "w.sync && w.unsynced"}},
			pkg:       "./consensus", run: "TestWriterSyncs", caught: `a vote: 0 syncs, want 1`,
		},
		{
			name: "term-led-twice", bug: "a candidate asks for votes before its term is on disk, and may lead it again after a crash",
			edits: []edit{{"consensus/core.go", "	holdVotes(rd.Messages)\n", "	_ = holdVotes\n"}},
			pkg:   "./consensus", run: "TestVotesAreAskedForOnDisk", caught: `is asked before term \d+ is on disk`,
		},
		{
			name: "outdated-answer", bug: "an old leader is told that entries are on disk that were replaced before they were written",
			edits: []edit{{"consensus/core.go", "	dropOutdated(m)\n", "	_ = dropOutdated\n"}},
			pkg:   "./consensus", run: "TestOutdatedAnswersAreDropped", caught: `is told in term \d+ that entry \d+ is stored`,
		},
		{
			name: "commit-before-its-entries", bug: "entries that others replace are stored with the commit index that came with those",
			edits: []edit{{"consensus/writer.go", "		es := m.GetEntries()\n", "		es := m.GetEntries()\n		if m.Term != nil && raft.IsEmptySnap(m.GetSnapshot()) {\n			w.setHard(m)\n		}\n"}},
			pkg:   "./consensus", run: "TestWriterReplaces", caught: `before write 2, entries up to 4 are committed, of term 2`,
		},
		{
			name: "members-not-in-checkpoint", bug: "a checkpoint has the members of the start",
			edits: []edit{{"consensus/snapshot.go", "m.ConfState = k.n.storage.confState()", "m.ConfState = k.n.cfg.State.ConfState"}},
			pkg:   "./consensus", run: "TestConfChange", caught: `it did not come: the learner in a checkpoint`,
		},
		{
			name: "members-not-from-snapshot", bug: "a snapshot's members are not taken over",
			edits: []edit{{"consensus/loop.go", "			a.n.storage.setConfState(j.meta.ConfState)\n", ""}},
			pkg:   "./consensus", run: "TestSnapshotCarriesMembers", caught: `it did not come: the learner at node \d, from a snapshot`,
		},
		{
			name: "members-unchecked", bug: "a change of members goes to raft whatever it is",
			edits: []edit{{"consensus/core.go", "err := checkConfChange(c.storage.confState(), cc.AsV2()); err != nil", "err := error(nil); err != nil"}},
			pkg:   "./consensus", run: "TestConfChange", caught: `panic: `,
		},
		{
			name: "no-prevote", bug: "a node that hears no leader campaigns without asking whether others do",
			edits: []edit{{"consensus/core.go", "PreVote:                   true", "PreVote:                   false"}},
			pkg:   "./consensus", run: "TestEveryPartitionOfThree", caught: `the term rose from \d+ to \d+ with a leader that works`, short: true,
		},
		{
			name: "no-checkquorum", bug: "a leader that hears nobody stays leader",
			edits: []edit{{"consensus/core.go", "CheckQuorum:               true", "CheckQuorum:               false"}},
			pkg:   "./consensus", run: "TestEveryPartitionOfThree|TestPartitionsOfFive", caught: `no progress, though \[[\d ]+\] can lead|progress has ended`,
		},
		{
			name: "stalled-leader-stays", bug: "a leader whose disk stalls keeps leading",
			edits: []edit{{"consensus/failover.go", "	to := c.transfer()\n", "	to := uint64(0)\n"}},
			pkg:   "./consensus", run: "TestSlowDisk", caught: `it did not come: another leader`,
		},
		{
			name: "snapshot-beside-old-log", bug: "after a crash between state and log of a snapshot the old log is kept",
			edits: []edit{{"consensus/storage.go", "	if !fits {\n		next :=", "	if !fits && last == 0 {\n		next :="}},
			pkg:   "./consensus", run: "TestNewStorage|TestCrashBetweenInstallAndReset", caught: `state\.commit \d+ is out of range \[1, |TestNewStorage/snapshot_installed`,
		},
		{
			name: "forward-taken-twice", bug: "a leader takes a forwarded command again when it is sent again",
			edits: []edit{{"consensus/propose.go", "	case last <= taken, before > taken,", "	case last == 0, before > taken,"},
				{"consensus/propose.go", "	if ids[0] <= taken {\n", "	if false {\n"}},
			pkg: "./consensus", run: "TestLostForwards|TestLeaderTakes", caught: `applied 2 times|FAIL: TestLeaderTakes`,
		},
		{
			name: "skipped-is-sent-again", bug: "commands that a snapshot may contain are handed over again",
			edits: []edit{{"consensus/loop.go", "			n.core.skipped(now, a.skipped)\n", "			n.core.requeue(a.skipped + 1)\n"}},
			pkg:   "./consensus", run: "TestSkippedIsUnknown", caught: `want ErrUnknown|applied 2 times`,
		},
		{
			name: "endless-uncommitted", bug: "raft's uncommitted tail has no limit",
			edits: []edit{{"consensus/core.go", "		MaxUncommittedEntriesSize: cfg.Limits.UncommittedBytes,\n", ""}},
			pkg:   "./consensus", run: "TestRaftLimits", caught: `bytes are uncommitted`,
		},
		{
			name: "endless-inflight", bug: "what a leader sends to a follower that does not answer has no limit",
			edits: []edit{{"consensus/core.go", "		MaxInflightBytes:          max(cfg.Limits.InflightBytes, cfg.Limits.MessageBytes),\n", ""}},
			pkg:   "./consensus", run: "TestRaftLimits", caught: `bytes are on their way`,
		},
	}
}

// clockMutations let a node take its own sleep for the silence of others, or
// sleep where it must not.
func clockMutations() []mutation {
	return []mutation{
		{
			name: "pause-is-silence", bug: "all ticks of a pause are given at once",
			edits: []edit{{"consensus/raftclock.go", "	n := int(k.due.Sub(k.base) / k.tick)\n", "	n := k.elapsed(c.now)\n"}},
			pkg:   "./consensus", run: "TestPausedLeader", caught: `after a pause of \S+ it sent \d+ heartbeats`,
		},
		{
			name: "late-sleep-counts", bug: "a follower that was stopped in its sleep counts the sleep",
			edits: []edit{{"consensus/raftclock.go", "		n = 1\n	}\n	k.base", "		_ = n\n	}\n	k.base"}},
			pkg:   "./consensus", run: "TestPausedCluster", caught: `it asked for 2 votes`,
		},
		{
			name: "sleep-up-to-the-campaign", bug: "a follower sleeps until it campaigns",
			edits: []edit{{"consensus/raftclock.go", "c.cfg.ElectionTicks - c.cfg.HeartbeatTicks - 1 - k.count", "c.cfg.ElectionTicks - 1 - k.count"}},
			pkg:   "./consensus", run: "TestPausedFollower", caught: `it asked for \d+ votes`, short: true,
		},
		{
			name: "tick-before-messages", bug: "ticks are given before what came is heard",
			edits: []edit{{"consensus/loop.go", "	n.tell(now, n.inbox.take())\n	n.core.wake(now)\n", "	n.core.wake(now)\n	n.tell(now, n.inbox.take())\n"}},
			pkg:   "./consensus", run: "TestWhatCameIsHeardFirst", caught: `although its leader's heartbeat was there`,
		},
		{
			name: "leader-keeps-followers-sleep", bug: "a new leader is given the ticks that it slept as a follower",
			edits: []edit{{"consensus/core.go", "	if role != c.role || term != c.term {\n		c.clock.restart(c.now)\n	}\n", ""}},
			pkg:   "./consensus", run: "TestNewLeaderCountsAnew", caught: `it sent \d+ heartbeats`,
		},
		{
			name: "busy-node-sleeps", bug: "a node sleeps while a proposal waits",
			edits: []edit{{"consensus/raftclock.go", " && c.pending.empty()", ""}},
			pkg:   "./consensus", run: "TestBusyNodeTicks", caught: `proposal: it woke 0 times`,
		},
	}
}

// peerMutations let through what a peer must not be able to do.
func peerMutations() []mutation {
	return []mutation{
		{
			name: "heartbeat-beyond-log", bug: "a heartbeat that commits more than the log holds reaches raft",
			edits: []edit{{"consensus/validate.go", "	if m.GetTerm() >= c.term && m.GetCommit() > c.lastIndex {\n", "	if false {\n"}},
			pkg:   "./consensus", run: "TestPeerChecks", caught: `TestPeerChecks/heartbeat_beyond_the_log`, short: true,
		},
		{
			name: "short-read-position", bug: "an answer with a short read position reaches raft",
			edits: []edit{{"consensus/validate.go", "	if len(ctx) != 0 && (m.GetType() != raftpb.MsgHeartbeatResp || len(ctx) != 8) {\n", "	if false {\n"}},
			pkg:   "./consensus", run: "TestPeerChecks", caught: `panic: |TestPeerChecks/short_read_position`,
		},
		{
			name: "unsent-read-position", bug: "an answer may confirm a read position that was never sent",
			edits: []edit{{"consensus/validate.go", "	if len(ctx) == 8 && binary.LittleEndian.Uint64(ctx) > p.readPosition {\n", "	if false {\n"}},
			pkg:   "./consensus", run: "TestPeerChecks", caught: `panic: |TestPeerChecks/read_position_that_was_not_sent`,
		},
		{
			name: "malformed-member-change", bug: "an entry with a change of members that can't be decoded reaches the log",
			edits: []edit{{"consensus/validate.go", "	if _, err := decodeConfChange(e); err != nil {\n", "	if _, err := decodeConfChange(e); err != nil && false {\n"}},
			pkg:   "./consensus", run: "TestPeerChecks", caught: `TestPeerChecks/append_of_a_malformed_change_of_members`,
		},
		{
			name: "peer-proposes", bug: "a peer may send proposals, also empty ones, straight to raft",
			edits: []edit{{"consensus/validate.go", "	case raftpb.MsgVote, raftpb.MsgPreVote,", "	case raftpb.MsgProp:\n		return nil\n	case raftpb.MsgVote, raftpb.MsgPreVote,"}},
			pkg:   "./consensus", run: "TestPeerChecks", caught: `panic: |TestPeerChecks/proposal`,
		},
		{
			name: "two-leaders-of-a-term", bug: "a message of a second leader of the same term is believed",
			edits: []edit{{"consensus/validate.go", "	case m.GetTerm() == c.term && c.role == raft.StateLeader:\n", "	case false:\n"},
				{"consensus/validate.go", "	case m.GetTerm() == c.term && c.leader != raft.None && c.leader != m.GetFrom():\n", "	case false:\n"}},
			pkg: "./consensus", run: "TestPeerChecks", caught: `panic: |TestPeerChecks/\w+_to_the_leader_of_its_term`,
		},
		{
			name: "lost-entries-go-unnoticed", bug: "a follower that lost entries it had confirmed drops the message that shows it, and goes on",
			edits: []edit{{"consensus/core.go", "			if errors.Is(err, ErrLostEntries) {\n				c.cfg.Fatal(err)\n			}\n", ""}},
			pkg:   "./consensus", run: "TestPeerChecks", caught: `the node ended with <nil>|commit index beyond a log`,
		},
	}
}
