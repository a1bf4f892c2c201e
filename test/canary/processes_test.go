package canary

// processMutations break doozerd, or the client that loads it, and leave it to
// a drill to notice: real processes under harm, judged by what clients and
// watchers saw. What is caught is a check that failed, by its name.
//
// Drills don't show an acknowledgement before the fsync: the kernel keeps what a
// killed process has written. That canary is proved where power can be cut:
// ack-before-fsync, log-without-fsync and, with a real node, real-log-without-fsync.
func processMutations() []mutation {
	// Watches of everything are what drills know the committed log by: those
	// stay right, so that the watch checker has to find it.
	const some = `!s.globs[0].Match("/zzz")`
	return []mutation{
		{
			name: "stale-reads", bug: "a node answers reads at once, from the state it has",
			simulated: `lets a read go at rev \d+, but rev \d+ was acknowledged`,
			edits:     []edit{{"consensus/node.go", "	if !n.inbox.put(func(b *batch) { b.reads = append(b.reads, r) }) {\n		n.answerRead(r, ErrStopped)\n	}\n", "	n.answerRead(r, nil)\n"}},
			drill:     "cut-leader", caught: `check linearizable: `, short: true,
		},
		{
			name: "skipped-event", bug: "watches of some files miss a change now and then",
			simulated: `the change of \S+ at rev \d+ is missing`,
			edits:     []edit{{"server/hub.go", "		s.fresh = append(s.fresh, shared)\n", "		if " + some + " && e.Rev%50 == 0 {\n			return\n		}\n		s.fresh = append(s.fresh, shared)\n"}},
			drill:     "kill-follower", caught: `check watches: (?s:.*)reliable: `, short: true,
		},
		{
			name: "duplicated-event", bug: "watches of some files are given a change twice now and then",
			edits: []edit{{"server/hub.go", "		s.fresh = append(s.fresh, shared)\n", "		if " + some + " && e.Rev%50 == 0 {\n			s.fresh = append(s.fresh, shared)\n		}\n		s.fresh = append(s.fresh, shared)\n"}},
			drill: "kill-follower", caught: `check watches: (?s:.*)unique: `,
		},
		{
			name: "duplicated-in-client", bug: "the client library gives its caller a change twice now and then",
			edits: []edit{{"client/view.go", "	v.queue = append(v.queue, step{list: list})\n", "	v.queue = append(v.queue, step{list: list})\n	if last := list[len(list)-1:]; last[0].GetRev()%50 == 0 {\n		v.queue = append(v.queue, step{list: last})\n	}\n"}},
			drill: "kill-follower", caught: `check watches: (?s:.*)unique: `,
		},
		{
			name: "split-revision", bug: "watches of some files get the changes of a rev in messages of their own",
			edits: []edit{{"server/watches.go", "			n := wholeRevs(x.events, t.s.limits.MessageBytes)\n",
				"			n := wholeRevs(x.events, t.s.limits.MessageBytes)\n			t.mu.Lock()\n			if m := t.open[x.ids[0]]; m != nil {\n				if s := m.sub; " + some + " {\n					n = 1\n				}\n			}\n			t.mu.Unlock()\n"}},
			drill: "kill-follower", caught: `check watches: (?s:.*)atomic: `,
		},
		{
			name: "time-travel", bug: "a node that installed a snapshot leaves its watches without the changes in it",
			edits: []edit{{"server/snapshot.go", "	m.hub.jump(st.Rev())\n", "	m.hub.rev.Store(st.Rev())\n"}},
			drill: "lag", caught: `check (watches|one history): `,
		},
		{
			name: "retry-without-number", bug: "the client sends a write again under another id",
			edits: []edit{{"client/client.go", "		now = time.Now()\n	}\n}\n\n// attempt sends", "		if k.lease != nil {\n			c.ids.release(k)\n		}\n		now = time.Now()\n	}\n}\n\n// attempt sends"}},
			drill: "lost-replies", caught: `check exactly once: `,
		},
		{
			name: "ack-before-write", bug: "the log is kept in the process and written by the way",
			edits: []edit{
				{"consensus/wal/log.go", "type Log struct {\n", "type Log struct {\n	kept []keptWrite\n"},
				{"consensus/wal/append.go", "// batch is what one write carries:", "type keptWrite struct {\n	s   *segment\n	b   []byte\n	off int64\n}\n\n// batch is what one write carries:"},
				{"consensus/wal/append.go", "	if _, err := s.file.WriteAt(l.buf, s.end); err != nil {\n",
					"	l.kept = append(l.kept, keptWrite{s, append([]byte(nil), l.buf...), s.end})\n	var err error\n	for err == nil && len(l.kept) > 0 && (len(l.kept) > 20 || l.kept[0].s != s || l.written < 50) {\n		_, err = l.kept[0].s.file.WriteAt(l.kept[0].b, l.kept[0].off)\n		l.kept = l.kept[1:]\n	}\n	if err != nil {\n"},
			},
			drill: "kill-all", caught: `check (exactly once|one history|linearizable|serializable): `,
		},
		{
			name: "own-clock", bug: "every node stamps changes with its own clock",
			simulated: `has tree|records differ|another|is not the one that must come next`,
			edits:     []edit{{"server/machine.go", "		out[i], events = m.st.Apply(index, now, cmd)\n", "		out[i], events = m.st.Apply(index, time.Now().UnixNano(), cmd)\n"}},
			drill:     "kill-follower", caught: `check (equal nodes|processes): `,
		},
		{
			name: "session-never-began", bug: "of a volatile file the creation is forgotten",
			edits: []edit{{"store/volatile.go", "if e.Del() || old[k-2].Del() || ", "if "}},
			drill: "kill-follower", caught: `check (answers|watches|equal nodes|one history): (?s:.*)(/session/|right after)`,
		},
		{
			name: "sessions-fill-the-window", bug: "forgotten revs count in the window",
			edits: []edit{{"store/window.go", "	w.since(e.Rev)[0].node = nil\n	w.uncount(e)\n", "	w.since(e.Rev)[0].node = nil\n	w.bytes -= e.cost()\n"}},
			drill: "kill-follower", caught: `check (answers|watches): (?s:.*)too late`,
			tries: 6, // most windows are long
		},
		{
			name: "fsync-error-ignored", bug: "a failed fsync, of the log or of a checkpoint, is taken for one that worked",
			edits: []edit{
				{"consensus/wal/append.go", "		return fmt.Errorf(\"wal: sync %s: %w\", l.active.name, err)\n", "		l.unsynced += 0\n"},
				{"consensus/snapshot.go", "		k.n.fail(fmt.Errorf(\"the state can't be written: %w\", err))\n		return false\n", "		return true\n"},
			},
			drill: "bad-disk", caught: `check processes: (?s:.*)(still runs|did not end|has not ended)`,
		},
	}
}
