package server

import (
	"time"

	"github.com/doozer-store/doozer/consensus"
)

// Consensus is what the server needs of the consensus package
// (consensus.Node has it). Its methods are safe for concurrent use.
type Consensus interface {
	// Propose puts data into the log. done is called exactly once, from any
	// goroutine (usually the applier's, in batches), and must not block: with
	// what Machine.Apply returned for data, or with an error that says
	// whether data may yet be applied (ErrUnknown) or never will be.
	Propose(data []byte, deadline time.Time, done func(result any, err error))
	// ReadIndex calls done, as Propose does, once the local state includes
	// everything acknowledged anywhere before the call.
	ReadIndex(deadline time.Time, done func(err error))
	// Status does not wait for anything.
	Status() Status
}

// What consensus tells, under the names used here.
type (
	Status       = consensus.Status
	MemberStatus = consensus.MemberStatus
	Meta         = consensus.Meta
)

var (
	_ Consensus              = (*consensus.Node)(nil)
	_ consensus.StateMachine = (*Machine)(nil)
	_ queues                 = (*consensus.Node)(nil)
)
