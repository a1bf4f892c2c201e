package fakestore

import (
	"testing"
	"testing/synctest"
)

// Bubble runs fn under testing/synctest, with a store of its own.
func Bubble(t *testing.T, fn func(t *testing.T, st *Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, New()) })
}
