//go:build race

package build

// Race tells whether this program was built with the race detector.
const Race = true
