// Package output keeps what programs and loggers print, for tests that look while
// they go on.
package output
