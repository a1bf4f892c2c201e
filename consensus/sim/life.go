package sim

import (
	"errors"
	"time"
)

// ended is a process that ends by itself.
func (n *node) ended(err error) {
	n.w.tracef("node %d ends: %v", n.id, err)
	if !n.disk.excuses() {
		n.w.fail("node %d ended: %v", n.id, err)
		return
	}
	n.kill(n.disk.cut)
	n.bootLater(20*time.Millisecond, time.Second)
}

// kill ends the process; with power its disk loses what was not synced.
func (n *node) kill(power bool) {
	if n.up {
		n.up = false
		n.life++
		n.w.net.ended(n, power)
		n.hangUp()
	}
	n.step, n.server, n.machine, n.log = nil, nil, nil, nil
	n.disk.down(power)
}

// stop ends the process in good order: what waits is answered first.
func (n *node) stop() {
	n.w.tracef("node %d stops", n.id)
	if err := n.step.Stop(); err != nil {
		n.ended(err)
		return
	}
	n.send()
	if err := n.log.Close(); err != nil && !n.disk.excuses() {
		n.w.fail("node %d can't close its log: %v", n.id, err)
	}
	if n.disk.excuses() {
		n.ended(errors.New("the disk failed while the node stopped"))
		return
	}
	// Its answers arrive before the connections end.
	sessions := n.sessions
	n.sessions = nil
	n.w.after(5*time.Millisecond, func() {
		for _, s := range sessions {
			s.broke()
		}
	})
	n.kill(false)
	n.bootLater(time.Millisecond, time.Second)
}

// hangUp breaks all that clients have with the process.
func (n *node) hangUp() {
	sessions, watches := n.sessions, n.watches
	n.sessions, n.watches, n.set = nil, nil, nil
	for _, s := range sessions {
		s.broke()
	}
	for _, v := range watches {
		v.broke()
	}
}

// bootLater starts a process after a while.
func (n *node) bootLater(lo, hi time.Duration) {
	if n.booting {
		return
	}
	n.booting = true
	n.w.after(n.w.between(lo, hi), n.start)
}
