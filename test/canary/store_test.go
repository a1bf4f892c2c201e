package canary

// storeMutations break the tree.
func storeMutations() []mutation {
	return []mutation{
		{
			name: "retry-applied-twice", bug: "a write that is sent again is applied again",
			simulated: `is applied at rev \d+ and again|its results are out of order`,
			edits:     []edit{{"store/clients.go", "	if found {\n		return s.repeat(c, cl.results[i]), nil\n	}\n", "	_ = found\n"}},
			pkg:       "./store", run: "TestExactlyOnce", caught: `FAIL: TestExactlyOnce`, short: true,
		},
		{
			name: "forgotten-client-is-new", bug: "a write whose result may have been forgotten is applied",
			edits: []edit{{"store/clients.go", "	if c.Seq < cl.floor {\n", "	if false {\n"},
				{"store/clients.go", "	if c.Seq-cl.floor >= uint64(s.config.ClientWindow) {\n", "	if c.Seq > cl.floor && c.Seq-cl.floor >= uint64(s.config.ClientWindow) {\n"}},
			pkg: "./store", run: "TestExactlyOnce", caught: `FAIL: TestExactlyOnce`,
		},
		{
			name: "stale-token-passes", bug: "a condition on a rev holds whatever came since: the holder of an old token still writes",
			edits: []edit{{"store/apply.go", "case c.Kind == Unchanged && file != nil && file.Rev <= c.Rev:", "case c.Kind == Unchanged && file != nil:"}},
			pkg:   "./store", run: "TestConditions", caught: `FAIL: TestConditions`, short: true,
		},
		{
			name: "half-a-transaction", bug: "the operations before one that fails stay done",
			edits: []edit{{"store/apply.go", "			s.undo(nodes, events)\n", ""}},
			pkg:   "./store", run: "TestTwin|TestWrite", caught: `FAIL: Test(Twin|Write)`,
		},
		{
			name: "oldest-client-by-chance", bug: "which client is forgotten depends on the order of a map",
			simulated: `has tree`,
			edits:     []edit{{"store/clients.go", "		t.forget(t.lru.next)\n	}\n}\n\n// writeOnce", "		for _, c := range t.byID {\n			t.forget(c)\n			break\n		}\n	}\n}\n\n// writeOnce"}},
			pkg:       "./store", run: "TestDeterminism|TestMaxClients", caught: `FAIL: Test(Determinism|MaxClients)`,
		},
		{
			name: "clients-order-lost", bug: "a node that was restored forgets clients in another order than the others",
			edits: []edit{{"store/loader.go", "cmp.Compare(a.touch, b.touch)", "cmp.Compare(a.id, b.id)"}},
			pkg:   "./store", run: "TestDeterminism|TestLoader", caught: `FAIL: Test(Determinism|Loader)`,
		},
		{
			name: "poison-entry", bug: "a command that makes no sense reaches the tree",
			edits: []edit{{"store/apply.go", "	if err := c.check(); err != nil {\n", "	if err := c.check(); err != nil && false {\n"}},
			pkg:   "./store", run: "FuzzApply|TestValidate|TestWrite", caught: `FAIL: |panic: `,
		},
		{
			name: "rev-goes-back", bug: "a state that is read back has the rev of its newest file: one that was deleted last takes its rev along",
			edits: []edit{{"store/loader.go", "	if rev != s.rev+1 || ordinal != 0 {\n", "	if newest := l.newestFile(); true {\n		s.rev = newest\n	} else if rev != s.rev+1 || ordinal != 0 {\n"},
				{"store/loader.go", "// finishClients puts", "func (l *Loader) newestFile() (rev int64) {\n	for n := range l.s.nodes.all() {\n		if f := n.file(); f != nil {\n			rev = max(rev, f.Rev)\n		}\n	}\n	l.meta.rev = rev\n	return rev\n}\n\n// finishClients puts"}},
			pkg: "./store", run: "TestRevNeverGoesBack", caught: `rev \d+ after rev \d+`, short: true,
		},
		{
			name: "volatile-creation-forgotten", bug: "of a volatile file the creation is forgotten: at a past rev it was not there",
			simulated: `leads node \d+ to|is missing`,
			edits:     []edit{{"store/volatile.go", "if e.Del() || old[k-2].Del() || ", "if "}},
			pkg:       "./store", run: "TestVolatileLife|TestVolatileTwin", caught: `FAIL: |panic: `,
		},
		{
			name: "volatile-rev-split", bug: "a rev loses one of its changes because that file is volatile",
			simulated: `leads node \d+ to|is missing|panic: `,
			edits:     []edit{{"store/volatile.go", "e.Ordinal() > 0 || !e.Last()", "false"}},
			pkg:       "./store", run: "TestVolatileLife|TestVolatileTwin", caught: `FAIL: |panic: `,
		},
		{
			name: "heartbeats-fill-the-window", bug: "forgotten revs count: heartbeats push everything else out of the window",
			simulated: `leads node \d+ to`,
			edits:     []edit{{"store/window.go", "	w.since(e.Rev)[0].node = nil\n	w.uncount(e)\n", "	w.since(e.Rev)[0].node = nil\n	w.bytes -= e.cost()\n"}},
			pkg:       "./store", run: "TestVolatile", caught: `FAIL: |panic: `,
		},
		{
			name: "volatile-not-loaded", bug: "a node that was started again, or took a snapshot, keeps the history of volatile files",
			simulated: `leads node \d+ to|others have|does not start`,
			edits: []edit{{"store/loader.go", "	s.configure(m.config)\n", "	s.config = m.config\n"},
				{"store/loader.go", "		if ordinal == 0 && len(s.volatile) > 0 {\n", "		if ordinal == 0 {\n"}},
			pkg: "./store", run: "TestVolatile", caught: `FAIL: |panic: `,
		},
		{
			name: "newest-change-forgotten", bug: "the window may lose the newest change",
			edits: []edit{{"store/window.go", "for s.oldest < s.rev-1 && (", "for s.oldest < s.rev && ("},
				{"store/window.go", "min(w.front().event.Rev, s.rev-1)", "w.front().event.Rev"}},
			pkg: "./store", run: "TestRevNeverGoesBack|TestHistoryBytes|TestWindow", caught: `FAIL: |panic: `,
		},
		{
			name: "torn-records-loaded", bug: "a checkpoint in which a record is missing is served",
			edits: []edit{{"store/loader.go", "	if have := s.meta(); have != l.meta {\n", "	if have := s.meta(); false {\n"}},
			pkg:   "./store", run: "TestLoaderDamage", caught: `FAIL: TestLoaderDamage`,
		},
	}
}
