package canary

// logMutations break the log on disk.
func logMutations() []mutation {
	return []mutation{
		{
			name: "log-without-fsync", bug: "a batch that is to be synced is only written",
			simulated: `does not start|synced`,
			edits:     []edit{{"consensus/wal/append.go", "err := l.active.file.Datasync(); err != nil", "err := error(nil); err != nil"}},
			pkg:       "./consensus/wal", run: "TestPowerCutAtEveryOperation", caught: `power_test.go:\d+|FAIL: TestPowerCutAtEveryOperation`, short: true,
		},
		{
			name: "real-log-without-fsync", bug: "the same, of a real node whose machine loses power",
			edits: []edit{{"consensus/wal/append.go", "err := l.active.file.Datasync(); err != nil", "err := error(nil); err != nil"}},
			pkg:   "./server/boot", run: "TestPowerCutOfARealNode", caught: `power cut after call \d+`, needs: "bad-disk",
		},
		{
			name: "fsync-retried", bug: "after a failed fsync the log goes on",
			edits: []edit{{"consensus/wal/append.go", "	if err != nil {\n		return l.fail(err)\n	}\n	return nil\n}\n\n// admit", "	return err\n}\n\n// admit"}},
			pkg:   "./consensus/wal", run: "TestAFailedSyncIsFinal", caught: `FAIL: TestAFailedSyncIsFinal`, short: true,
		},
		{
			name: "unsynced-is-visible", bug: "an entry can be read before its sync is done",
			edits: []edit{{"consensus/wal/append.go", "	if sync {\n		if err := l.sync(); err != nil {\n			return err\n		}\n	}\n	return l.publish(b, refs, start)\n",
				"	if err := l.publish(b, refs, start); err != nil {\n		return err\n	}\n	if sync {\n		return l.sync()\n	}\n	return nil\n"}},
			pkg: "./consensus/wal", run: "TestAnEntryThatFailedToSyncIsNotReadable", caught: `FAIL: TestAnEntryThatFailedToSyncIsNotReadable`,
		},
		{
			name: "damage-taken-for-torn", bug: "a damaged batch that was synced is cut off as a torn tail",
			edits: []edit{{"consensus/wal/replay.go", "		if ok && off > s.end && later.seq > want && later.durable >= want {\n", "		if ok && false {\n"},
				{"consensus/wal/replay.go", "	case !torn:\n", "	case !torn && false:\n"},
				{"consensus/wal/replay.go", "			if !ok || later.seq != seq {\n", "			if !ok && false {\n"}},
			pkg: "./consensus/wal", run: "TestDamageInEverySector", caught: `want damage|found\n`, short: true,
		},
		{
			name: "torn-taken-for-damage", bug: "a torn tail stops the start",
			edits: []edit{{"consensus/wal/replay.go", "		torn = zeroSectors(bad) > h.zeros\n", "		_ = bad\n"}},
			pkg:   "./consensus/wal", run: "TestDamageInTheLastBatch", caught: `damage, want tail lost`,
		},
		{
			name: "missing-segment-unnoticed", bug: "a segment that is missing in the middle is not noticed",
			edits: []edit{{"consensus/wal/replay.go", "	if s.seq != previous.seq+1 {\n", "	if false {\n"},
				{"consensus/wal/replay.go", "	if h.batch != l.written+1 {\n", "	if false {\n"}},
			pkg: "./consensus/wal", run: "TestASegmentIsMissing", caught: `FAIL: TestASegmentIsMissing`,
		},
		{
			name: "tail-not-rewritten", bug: "a start trusts pages that a failed fsync may have left in memory alone",
			edits: []edit{{"consensus/wal/replay.go", "			if _, err := s.file.WriteAt(b, off); err != nil {\n				return fail(err)\n			}\n			off += n\n", "			_ = b\n			off += n\n"}},
			pkg:   "./consensus/wal", run: "TestOpenWritesTheNewestBatchesAgain", caught: `FAIL: TestOpenWritesTheNewestBatchesAgain`,
		},
		{
			name: "committed-overwritten", bug: "the log lets committed entries be replaced",
			edits: []edit{{"consensus/wal/append.go", "i > x.base && x.refs[i-x.lo].term != e.GetTerm()", "i > x.base && false && x.refs[i-x.lo].term != e.GetTerm()"}},
			pkg:   "./consensus/wal", run: "TestAppendRefusesWhatWouldBreakTheLog", caught: `FAIL: TestAppendRefusesWhatWouldBreakTheLog`,
		},
	}
}

// stateMutations break checkpoints, snapshots and who a data directory belongs to.
func stateMutations() []mutation {
	return []mutation{
		{
			name: "index-beside-state", bug: "a checkpoint's index is committed in a transaction of its own, before the state",
			edits: []edit{{"consensus/checkpoint/commit.go", "	p, err := newPart(b)\n",
				"	if err := b.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(metaBucket)).Put([]byte(metaKey), m.encode()) }); err != nil {\n		return false, err\n	}\n	p, err := newPart(b)\n"}},
			pkg: "./consensus/checkpoint", run: "TestOneTransaction|TestKill", caught: `takes 2 transactions`,
		},
		{
			name: "half-a-checkpoint", bug: "a large checkpoint is brought into the database before the file that has all of it is in place",
			edits: []edit{{"consensus/checkpoint/redo.go", "	if err := w.publish(); err != nil {\n		return true, err // whether it is on the disk the next Open will see\n	}\n	r, err := db.openRedo()\n	if err != nil {\n		return true, err\n	}\n	return true, db.bring(b, r)\n",
				"	if err := w.publish(); err != nil {\n		return true, err\n	}\n	r, err := db.openRedo()\n	if err == nil {\n		err = os.Remove(db.redoPath())\n	}\n	if err != nil {\n		return true, err\n	}\n	if err := db.bring(b, r); !errors.Is(err, fs.ErrNotExist) {\n		return true, err\n	}\n	return false, nil\n"}},
			pkg: "./consensus/checkpoint", run: "TestCrashAtEveryStepOfALargeCommit|TestKill", caught: `holds a part of a commit`,
		},
		{
			name: "half-a-checkpoint-read", bug: "a snapshot that begins while a large checkpoint is brought in shows a part of it",
			edits: []edit{{"consensus/checkpoint/db.go", "	db.whole.RLock()\n	defer db.whole.RUnlock()\n	tx, err := h.b.Begin(false)\n", "	tx, err := h.b.Begin(false)\n"}},
			pkg:   "./consensus/checkpoint", run: "TestReadersOfALargeCommit", caught: `a reader saw`,
		},
		{
			name: "install-unsynced", bug: "a snapshot takes the state's place before it is whole",
			edits: []edit{{"consensus/checkpoint/stage.go", "	if err := s.flush(); err != nil {\n		return err\n	}\n	if err := initialize(s.b, s.meta); err != nil {\n		return fmt.Errorf(\"checkpoint: stage: %w\", err)\n	}\n	s.db.o.step(\"whole\")\n",
				"	if err := os.Rename(s.db.staged(), s.db.path); err != nil {\n		return err\n	}\n	if err := s.flush(); err != nil {\n		return err\n	}\n	if err := initialize(s.b, s.meta); err != nil {\n		return fmt.Errorf(\"checkpoint: stage: %w\", err)\n	}\n	s.db.o.step(\"whole\")\n"}},
			pkg: "./consensus/checkpoint", run: "TestCrashAtEveryStep", caught: `FAIL: TestCrashAtEveryStep`,
		},
		{
			name: "old-checkpoint-after-snapshot", bug: "a checkpoint that was taken before a snapshot was installed is written after it",
			edits: []edit{{"server/snapshot.go", "		if m.installs != installs {\n", "		if m.installs < installs {\n"}},
			pkg:   "./server", run: "TestSnapshotBetweenMachines", caught: `FAIL: TestSnapshotBetweenMachines`,
		},
		{
			name: "full-disk-is-final", bug: "a checkpoint that did not fit on the disk ends all later ones",
			edits: []edit{{"consensus/checkpoint/commit.go", "	if err != nil && !diskFull(err) {\n", "	if err != nil {\n"}},
			pkg:   "./consensus/checkpoint", run: "TestDiskIsFull", caught: `FAIL: TestDiskIsFull`,
		},
		{
			name: "wiped-node-returns", bug: "a node that lost its data is taken back under its old id",
			edits: []edit{{"server/boot/identity.go", "		return was == is, nil\n", "		_ = was\n		return true, nil\n"}},
			pkg:   "./server/boot", run: "TestWipedNodeIsRefused|TestPeerBookRemembers", caught: `FAIL: TestPeerBookRemembers`,
		},
		{
			name: "lost-files-unnoticed", bug: "a data directory without its log or state is taken for a new one",
			edits: []edit{{"server/boot/identity.go", "	if id.Ready {\n", "	if false {\n"}},
			pkg:   "./server/boot", run: "TestStartRefusals|TestIdentityRefusals", caught: `it started|FAIL: Test(Start|Identity)Refusals`,
		},
		{
			name: "other-directory", bug: "a node starts on another's data directory",
			edits: []edit{{"server/boot/identity.go", "	if c.Name != \"\" && c.Name != id.Name {\n", "	if false {\n"}},
			pkg:   "./server/boot", run: "TestIdentityRefusals", caught: `FAIL: TestIdentityRefusals`,
		},
		{
			name: "divergence-unnoticed", bug: "a node that is outvoted goes on serving",
			edits: []edit{{"server/boot/verify.go", "	if peer := outvoted(at, mine, len(v.n.id.Members)); peer != 0 {\n", "	if peer := outvoted(at, mine, len(v.n.id.Members)); peer != 0 && false {\n"}},
			pkg:   "./server/boot", run: "TestDivergedNodeIsQuarantined", caught: `FAIL: TestDivergedNodeIsQuarantined`,
		},
	}
}
