// Package viewtest is for tests of what is built on a failover.View: a source of
// views that a test switches, and real Redis servers.
package viewtest
