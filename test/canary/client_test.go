package canary

// lockMutations break what is built on a client: sessions, and locks on them.
func lockMutations() []mutation {
	return []mutation{
		{
			name: "unfenced-lock", bug: "a write under a lock does not carry the holder's token",
			edits: []edit{{"client/session/line/place.go", "	t.If = append([]client.Cond{p.Cond()}, t.If...)\n", ""}},
			pkg:   "./client/lock", run: "TestModel|TestPausedHolder", caught: `FAIL: Test(Model|PausedHolder)`, short: true,
		},
		{
			name: "lock-of-the-living", bug: "a place is taken from a holder whose session is there",
			edits: []edit{{"client/session/line/turn.go", "		If:      []client.Cond{client.Missing(session.PathOf(e.Session)), client.Unchanged(e.Path, e.Rev)},\n", "		If:      []client.Cond{client.Unchanged(e.Path, e.Rev)},\n"},
				{"client/session/line/turn.go", "		if e.Session != id {\n			continue\n		}\n", "		_ = id\n"}},
			pkg: "./client/lock", run: "TestModel|TestMutex", caught: `FAIL: Test(Model|Mutex)`,
		},
		{
			name: "turn-of-the-dead", bug: "a place has its turn though it was given away",
			edits: []edit{{"client/session/line/turn.go", "client.Unchanged(q.life.Path(), math.MaxInt64)},\n", "client.Unchanged(q.life.Path(), math.MaxInt64)}[:0],\n"}},
			pkg:   "./client/lock", run: "TestTurnOfTheDead", caught: `two hold the lock`, short: true,
		},
		{
			name: "late-beat-loses", bug: "a session is ended though it beat while its end was on the way",
			edits: []edit{{"client/session/challenge.go", "		If:      []client.Cond{client.Unchanged(w.path, w.rev)},\n", ""}},
			pkg:   "./client/session", run: "TestBeatOvertakesDeletion", caught: `deletions that a beat had overtaken`,
		},
	}
}

// failoverMutations break the choice of a Redis to promote, and the gate of a master.
func failoverMutations() []mutation {
	return []mutation{
		{
			name: "part-of-a-copy-elected", bug: "a Redis whose copy was cut off may be promoted",
			edits: []edit{{"client/failover/elect.go", "	return b.Priority > 0 && !b.Partial && reach(v, b) >= 0\n", "	return b.Priority > 0 && reach(v, b) >= 0\n"}},
			pkg:   "./client/failover", run: "TestSimulation", caught: `it lacks write \d+, which the master before began with`, short: true,
		},
		{
			name: "short-history-elected", bug: "a Redis that lacks the beginning of the last master's history may be promoted",
			edits: []edit{{"client/failover/elect.go", "	case b.ReplID == r.ReplID && b.Offset >= r.StartOffset:\n", "	case b.ReplID == r.ReplID:\n"}},
			pkg:   "./client/failover", run: "TestSimulation", caught: `it lacks write \d+, which the master before began with`,
		},
		{
			name: "too-few-bids", bug: "in sync mode any bids are enough to promote the best of them",
			edits: []edit{{"client/failover/elect.go", "	if n < need {\n", "	if n < need && false {\n"}},
			pkg:   "./client/failover", run: "TestSimulation", caught: `it lacks write \d+, which was confirmed`,
		},
		{
			name: "gate-before-it-is-attached", bug: "Redis takes writes as soon as it counts connections, before it is asked whether the session is valid",
			edits: []edit{{"client/failover/agent/exec.go", "	if err := a.shutWith(ctx, v); err != nil {\n		return nil, err\n	}\n	if !a.own.Backlog {\n", "	if err := a.redis.set(ctx, \"min-replicas-to-write\", n, \"min-replicas-max-lag\", v.Conf.GateLagS); err != nil {\n		return nil, err\n	}\n	if !a.own.Backlog {\n"}},
			pkg:   "./client/failover/agent", run: "TestGateIsAttachedFirst", caught: `connections were attached, \d+ of them too old; want`, program: "redis-server",
		},
	}
}
