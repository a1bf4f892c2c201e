// Package redistest runs redis-server for tests.
//
// Start gives a server that is boot fenced, as agents want it, and keeps nothing
// on disk. Where there is no redis-server the test is skipped; with
// DOOZER_TEST_REQUIRE=all it fails.
package redistest
