// Package canary breaks doozer on purpose and demands that its tests notice.
//
// A test that has never failed proves nothing. For each bug that this kind of
// system has had before (docs/testing.md lists them) there is a mutation: a few
// lines of the tree replaced by what a mistake would have made of them. It is
// applied with go's -overlay, so that no broken code lies in the tree and no
// copy is made, and then the test that is named for the bug must fail, in its
// own words. The same test passes without the mutation; that is the control.
//
// Three things make a mutation fail its own test here:
//
//   - the lines it replaces are no longer in the file: it has rotted, and says
//     which lines it looked for;
//   - the broken tree does not build;
//   - the named test passes, or fails for another reason: it does not watch
//     what it was said to watch.
//
// Mutations of packages run the unit test that is named. Canaries of processes
// put the overlay into GOFLAGS: the tests of test/cluster then build a broken
// doozerd, or are themselves a broken client, and the checkers of drill/check
// must report it.
//
// Plain go test runs the few mutations that are marked short; with
// DOOZER_TEST_LONG=1 (make canaries) all. DOOZER_TEST_CANARY=regexp runs
// those whose names match.
package canary
