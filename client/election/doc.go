// Package election has one leader at a time among any number of candidates.
//
//	err := election.Run(ctx, s, "scheduler", addr, func(ctx context.Context, l *election.Leadership) error {
//		return schedule(ctx, l.Term()) // until ctx ends
//	})
//
// Candidates are places in a line (package line), in the order in which they
// came; the leader is the first. Its term is its token: it rises from leader to
// leader. What a leader writes by Leadership.Txn and Set is refused by the store
// when another leads; what it does elsewhere has to carry the term.
//
// /lock/<name>/val says who leads: {"v":1,"term":..,"value":..}, written under
// the leader's token and deleted with its place. A candidate is told that it
// leads only after the store has accepted that file from it: a candidate whose
// session has died meanwhile is never told.
//
// # Observers
//
// Observe yields the leaders as they come and go, from any number of programs,
// which need no session. Between the death of a leader and the next one it shows
// the dead one for as long as nobody has found out.
//
// # Errors
//
// Those of package lock: ErrConf and ErrBadName for names, session.ErrLost when
// leadership was lost, ErrResigned after Resign.
package election
