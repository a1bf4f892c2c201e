// Package line is what locks, semaphores and elections have in common: places in
// a line, each owned by a session. Packages lock and election are what programs
// use.
//
//	/lock/<name>/conf              {"v":1,"mode":"mutex","limit":1}
//	/lock/<name>/e/<session>-<n>   {"v":1,"nonce":..,"why":..}
//
// An entry is written once and never again, so its rev is its place in the line
// and its token: whoever holds later has a larger one.
//
// # The one rule
//
// It is an entry's turn at a rev at which it is there, and ahead of it fewer than
// Limit entries that it has to wait for: as a read of the line shows, or its own
// creation if the line was empty, or the answer of a node that was asked to wait for it.
// Sessions have no part in that. They license deletion: when a session has ended, anybody may delete
// its entries, and the store checks that by the condition that the session file
// is missing. So the entry of a holder that is believed dead is gone before the
// next one holds, and every write that carries the condition "this entry is
// unchanged" is refused from then on. docs/recipes.md has the whole argument.
//
// # Who waits for whom
//
// Each place watches the entry before it, so a release wakes one. It looks after
// the sessions ahead as far as the first that is alive, but after all of them if
// they all hold: patience runs for all who died together at once. Where Limit
// is more than 1 each place watches the line as a whole, and asks the store only
// when it becomes the first in line, or it is its turn.
//
// # Unknown outcomes
//
// An entry that nobody knows of would stop the line. So a creation asks that the
// session file is unchanged: after the next beat a request that is still under
// way can't be done any more, and a read of the entry's path says what became
// of it. A deletion that is not known to be done is repeated in the background.
//
// # Goroutines
//
// Enter runs on its caller's, with one beside it for each watch or session that
// it waits for; they have ended when it returns. A Place has none.
//
// # Limits
//
// MaxLimit for holders. A name has no part, but the first, that is "e",
// "conf" or "val".
package line
