// Package loopback gives tests addresses that nobody else takes: of an address
// of loopback that is the process's own, where the system allows that, so that
// no other process, and no connection that goes out, is given a port of it.
// Listen is for those who listen, Addr for those who will, or for programs that
// they start.
package loopback
