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
