package web

import "time"

const (
	// headerTimeout and answerTimeout bound a request and its answer, idleTimeout
	// how long a connection is kept for the next: beyond them it ends.
	headerTimeout = 5 * time.Second
	answerTimeout = 10 * time.Second
	idleTimeout   = time.Minute

	// maxHeader is the bytes of the header of a request; more is refused by
	// net/http. Bodies are not read.
	maxHeader = 16 << 10
)
