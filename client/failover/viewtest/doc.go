// Package viewtest is for tests of what is built on a failover.View: a source of
// views that a test switches, and clients in other languages.
package viewtest
