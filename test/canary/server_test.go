package canary

// watchMutations break what watchers are given.
func watchMutations() []mutation {
	return []mutation{
		{
			name: "progress-ahead", bug: "a progress mark vouches for what is still queued",
			edits: []edit{{"server/watch.go", "			if err := w.deliver(); err != nil {\n				return err\n			}\n			if err := w.mark(doozerpb.WatchResponse_PROGRESS, w.cursor); err != nil {",
				"			if err := w.mark(doozerpb.WatchResponse_PROGRESS, w.s.machine.Rev()); err != nil {"}},
			pkg: "./server", run: "TestWatchRules|TestWatchCuts", caught: `after progress \d+`, tries: 3,
		},
		{
			name: "time-travel-after-install", bug: "watches are not told that a snapshot took the state's place",
			edits: []edit{{"server/snapshot.go", "	m.hub.jump(st.Rev())\n", "	m.hub.rev.Store(st.Rev())\n"}},
			pkg:   "./server", run: "TestWatchAcrossInstalls", caught: `FAIL: TestWatchAcrossInstalls`, short: true,
		},
		{
			name: "lost-under-starvation", bug: "a queue that is full drops the events and says nothing",
			edits: []edit{{"server/hub.go", "		s.lag()\n	default:\n", "		s.drop()\n		fallthrough\n	default:\n"}},
			pkg:   "./server", run: "TestWatchSlow", caught: `FAIL: TestWatchSlow`,
		},
		{
			name: "edge-of-the-window", bug: "the first rev that is gone is taken for one that can be read",
			edits: []edit{{"server/watch.go", "	case w.cursor < oldest:\n", "	case w.cursor+1 < oldest:\n"},
				{"store/scan.go", "	case sp.From <= s.oldest:\n", "	case sp.From < s.oldest:\n"}},
			pkg: "./server", run: "TestWatchBelowTheWindow", caught: `FAIL: TestWatchBelowTheWindow`,
		},
		{
			name: "future-rev-ignored", bug: "a watch from a rev that is not there yet is given what comes before it",
			edits: []edit{{"server/watch.go", "	w.cursor = req.From - 1\n", "	w.cursor = min(w.cursor, req.From-1)\n"}},
			pkg:   "./server", run: "TestWatchFuture", caught: `FAIL: TestWatchFuture`,
		},
		{
			name: "rev-split", bug: "the changes of one rev are split over messages",
			simulated: `the change of \S+ at rev \d+ is missing`,
			edits:     []edit{{"server/watch.go", "		if size >= bytes && e.Rev != events[i-1].Rev {\n			return i\n", "		if i > 0 && size >= bytes {\n			return i\n"}},
			pkg:       "./server", run: "TestARevIsNeverSplit", caught: `from_the_queue`, short: true,
		},
		{
			name: "rev-split-in-the-window", bug: "the changes of one rev that come from the window are split over messages",
			edits: []edit{{"server/watch.go", "		if err := w.sendEvents(doozerpb.WatchResponse_EVENTS, events[len(events)-1].Rev, events); err != nil {\n			return err\n		}\n",
				"		for i, e := range events {\n			if err := w.sendEvents(doozerpb.WatchResponse_EVENTS, e.Rev, events[i:i+1]); err != nil {\n				return err\n			}\n		}\n"}},
			pkg: "./server", run: "TestARevIsNeverSplit", caught: `from_the_window`,
		},
		{
			name: "event-twice", bug: "what the window has delivered comes from the queue once more",
			simulated: `not after \d+`,
			edits:     []edit{{"server/watch.go", "	for len(events) > 0 && events[0].Rev <= w.cursor {\n", "	for len(events) > 0 && false {\n"}},
			pkg:       "./server", run: "TestQueueAndWindowOverlap", caught: `rev \d+ after`,
		},
		{
			name: "together-by-glob", bug: "of many watches on a stream, those of one glob are told what one of them has to be told",
			simulated: `is missing|does not belong|not after`,
			edits:     []edit{{"server/watches.go", "			k := sameEvents{m.glob.String(), events[0], len(events)}\n", "			k := sameEvents{glob: m.glob.String()}\n"}},
			pkg:       "./server", run: "TestWatchesRules", caught: `FAIL: TestWatchesRules`, tries: 3, short: true,
		},
		{
			name: "together-progress-ahead", bug: "a progress mark of one of many watches on a stream vouches for what is still queued",
			simulated: `told PROGRESS of|told EVENTS of rev \d+ .*not after`,
			edits:     []edit{{"server/watches.go", "			x = &told{kind: doozerpb.WatchResponse_PROGRESS, rev: m.cursor}\n", "			x = &told{kind: doozerpb.WatchResponse_PROGRESS, rev: m.s.machine.Rev()}\n"}},
			pkg:       "./server", run: "TestWatchesRules", caught: `after progress \d+`, tries: 3,
		},
		{
			name: "watch-left-behind", bug: "a watch that is opened while its stream breaks stays",
			edits: []edit{{"server/watches.go", "	case t.closed:\n		return stopping() // which nobody hears\n", ""}, {"server/watches.go", "	if !t.closed {\n		t.wg.Go(fn)\n	}\n", "	t.wg.Go(fn)\n"}},
			pkg:   "./server", run: "TestWatchesBrokenWhileOpening", caught: `are left behind|WaitGroup`, tries: 3,
		},
		{
			name: "event-skipped", bug: "one event in three is lost on its way to a queue",
			edits: []edit{{"server/hub.go", "		s.fresh = append(s.fresh, shared)\n", "		if e.Rev%3 != 0 {\n			s.fresh = append(s.fresh, shared)\n		}\n"}},
			pkg:   "./server", run: "TestWatchRules", caught: `events, the store has`, short: true,
		},
		{
			name: "unbounded-watch-queue", bug: "the queue of a watcher that does not read has no bound",
			edits: []edit{{"server/hub.go", "	case len(s.queue)+len(s.fresh) > l.WatchEvents,\n		s.bytes+s.freshBytes > l.WatchBytes,\n		s.hub.queued.Load()+int64(s.freshBytes) > l.HubBytes:\n",
				"	case len(s.queue)+len(s.fresh) > l.WatchEvents*1_000_000:\n"}},
			pkg: "./server", run: "TestWatchStalled", caught: `the queues held up to \d+ bytes`,
		},
		{
			name: "client-passes-doubles", bug: "a client gives what a node sends twice to its caller twice",
			edits: []edit{{"client/view.go", "	for len(list) > 0 && list[0].GetRev() <= v.pos {\n", "	for len(list) > 0 && false {\n"}},
			pkg:   "./client", run: "TestViewScripts", caught: `FAIL: TestViewScripts`,
		},
		{
			name: "client-resumes-too-late", bug: "a watch that moves to another node leaves a change out",
			edits: []edit{{"client/view.go", "		req.From = v.pos + 1\n", "		req.From = v.pos + 2\n"}},
			pkg:   "./client", run: "TestWatchOverNodeLoss|TestViewScripts", caught: `FAIL: Test(WatchOverNodeLoss|ViewScripts)`,
		},
	}
}

// serverMutations break the rest of what serves clients, and the client.
func serverMutations() []mutation {
	return []mutation{
		{
			name: "read-without-majority", bug: "a node answers reads without asking anybody",
			edits: []edit{{"server/read.go", "	done := make(chan error, 1)\n	s.consensus.ReadIndex(", "	done := make(chan error, 1)\n	done <- nil\n	s.consensus.ReadIndex("},
				{"server/read.go", "func(err error) { done <- err })\n	select", "func(error) {})\n	select"}},
			pkg: "./server", run: "TestReady|TestVerbsUnderFaults", caught: `FAIL: Test(Ready|VerbsUnderFaults)`,
		},
		{
			name: "health-without-majority", bug: "the readiness probe asks nobody: a node with a hanging disk is ready",
			edits: []edit{{"server/server.go", "	if e := s.readIndex(ctx); e != nil {\n		return errors.New(e.Message)\n	}\n	return nil\n", "	return nil\n"}},
			pkg:   "./server", run: "TestReady", caught: `FAIL: TestReady`,
		},
		{
			name: "list-in-one-hold", bug: "a huge list is read in one hold of the state's lock",
			edits: []edit{{"store/scan.go", "	visits := meter{limit: sc.Visits}\n	w := walker{", "	visits := meter{}\n	w := walker{"},
				{"store/scan.go", "	visits := meter{limit: sc.Visits}\n	cur :=", "	visits := meter{}\n	cur :="}},
			pkg: "./server", run: "TestListLetsApplyIn", caught: `FAIL: TestListLetsApplyIn`,
		},
		{
			name: "unlimited-streams", bug: "one connection may have any number of calls",
			edits: []edit{{"server/server.go", "		grpc.MaxConcurrentStreams(l.ConnStreams),\n", ""}},
			pkg:   "./server", run: "TestEveryLimit", caught: `a second call of one connection`, short: true,
		},
		{
			name: "silent-connections", bug: "a connection that says nothing stays open",
			edits: []edit{{"server/server.go", "		grpc.ConnectionTimeout(l.HandshakeTimeout),\n", "		grpc.ConnectionTimeout(time.Hour),\n"}},
			pkg:   "./server", run: "TestEveryLimit", caught: `a silent connection stays open`,
		},
		{
			name: "half-a-header", bug: "a request to the web listener may take for ever to arrive",
			edits: []edit{{"server/web/web.go", "		ReadHeaderTimeout: headerTimeout,\n		ReadTimeout:       readTimeout,\n", "		ReadTimeout: 0 * (headerTimeout + readTimeout),\n"}},
			pkg:   "./server/web", run: "TestHalfAHeader", caught: `half a request keeps its connection open`,
		},
		{
			name: "cut-taken-for-failed", bug: "a client calls a write failed whose reply it did not get",
			edits: []edit{{"client/retry.go", "pause: attempts > 1, unknown: write && how == endBroken}", "pause: attempts > 1}"}},
			pkg:   "./client", run: "TestDecideBroken|TestUnknownOutcomeIsResolved", caught: `FAIL: Test(DecideBroken|UnknownOutcomeIsResolved)`,
		},
		{
			name: "new-id-for-a-retry", bug: "a client sends a write again under another id",
			edits: []edit{{"client/client.go", "		now = time.Now()\n	}\n}\n\n// attempt sends", "		if k.lease != nil {\n			c.ids.release(k)\n		}\n		now = time.Now()\n	}\n}\n\n// attempt sends"}},
			pkg:   "./client", run: "TestCutAfterApply", caught: `FAIL: TestCutAfterApply`, short: true,
		},
		{
			name: "system-paths-writable", bug: "a client may write to /ctl",
			edits: []edit{{"store/command.go", "	case c.Kind == Write && isCtl(path):\n", "	case false:\n"}},
			pkg:   "./store", run: "TestValidate", caught: `FAIL: TestValidate`,
		},
	}
}
