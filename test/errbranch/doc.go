// Command errbranch tells which error branches of the code that stores things
// were executed by a test, and fails if one was not: a branch that never ran is
// where a lost write hides.
//
//	go run ./test/errbranch            runs the tests and judges
//	go run ./test/errbranch -v         lists every branch
//	go run ./test/errbranch -profile f judges a profile of go test -coverprofile
//
// An error branch is a block that runs when a call has failed: the body of an if
// whose condition asks for an error that is there, the else of one that asks
// for none, a case of a switch of that kind. It is named by its file, its
// function and the call that failed, so that the list in allow.go survives edits.
// What is in that list may stay unexecuted, for the reason given; an entry
// that is not needed fails too.
//
// Branches are told apart by what failed: sync, write, rename and so on are
// calls that reach the disk at once; the rest are the callers above them and
// checks of what was read.
package main
