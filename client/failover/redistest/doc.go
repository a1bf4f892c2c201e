// Package redistest runs redis-server for tests.
//
// Start gives a server that keeps nothing on disk, at an address of its own; with
// Fence it starts as agents want it. Certify gives what servers with TLS need. Where
// there is no redis-server the test is skipped, as test/need says.
package redistest
