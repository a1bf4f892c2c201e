package sim

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/store"
)

// Times of a client.
const (
	opPatience   = 12 * time.Second // then it gives up
	backoffLo    = 5 * time.Millisecond
	backoffHi    = 100 * time.Millisecond
	breakNoticed = 300 * time.Millisecond
	outstanding  = 6 // calls at once
)

// client makes calls on one session at a time and sends them again, to other
// nodes too, as package client does.
type client struct {
	w    *world
	id   int
	sess *session

	// registered is its id in the store, 0 for none; registering while it asks.
	registered  uint64
	registering bool
	nextSeq     uint64
	nextTag     uint64
	made        int // calls so far: their names
	calls       []*call
	byTag       map[uint64]*call
	// known is what it last saw of each path, for conditions.
	known map[string]int64
	quiet bool // makes no further calls
}

// session is a Do stream to one node's process.
type session struct {
	c    *client
	n    *node
	do   *server.DoStepper
	dead bool
	last int64 // when what was sent last arrives
}

func newClient(w *world, id int) *client {
	c := &client{w: w, id: id, nextSeq: 1, byTag: map[uint64]*call{}, known: map[string]int64{}}
	w.every(func() time.Duration { return w.between(0, 3*w.set.opEvery) }, func() bool {
		if !c.quiet {
			c.next()
		}
		return true
	})
	w.every(func() time.Duration { return w.between(500*time.Millisecond, 4*time.Second) }, func() bool {
		if c.sess != nil && w.chance(0.2) {
			w.tracef("client %d: connection lost", c.id)
			c.sess.broke()
		}
		return true
	})
	return c
}

// connect opens a session to a node that serves, if the client finds one.
func (c *client) connect() *session {
	if c.sess != nil {
		return c.sess
	}
	n := c.w.nodes[c.w.rng.IntN(len(c.w.nodes))]
	if !n.up || !n.serving {
		return nil
	}
	s := &session{c: c, n: n}
	s.do = n.server.Do(fmt.Sprintf("client%d", c.id), s.answered)
	n.sessions = append(n.sessions, s)
	c.sess = s
	return s
}

// broke ends a session. What was sent may have arrived, what was answered is
// lost; the client notices after a while.
func (s *session) broke() {
	if s.dead {
		return
	}
	s.dead = true
	if s.n.up {
		s.do.Close()
		for i, o := range s.n.sessions {
			if o == s {
				s.n.sessions = append(s.n.sessions[:i:i], s.n.sessions[i+1:]...)
				break
			}
		}
	}
	s.c.w.after(s.c.w.between(0, breakNoticed), func() {
		if s.c.sess == s {
			s.c.sess = nil
		}
		s.c.lost(s)
	})
}

// lost sends again what a session has not answered.
func (c *client) lost(s *session) {
	for _, k := range append([]*call(nil), c.calls...) {
		if k.sent == s {
			k.sent = nil
			k.unknown = k.unknown || k.writes()
			k.again(0)
		}
	}
}

// arrive lets fn happen at the other end of a session, in order.
func (s *session) arrive(fn func()) {
	w := s.c.w
	s.last = max(s.last+1, w.now+int64(w.between(50*time.Microsecond, 2*time.Millisecond)))
	w.queue.push(s.last, func() {
		if !s.dead {
			fn()
		}
	})
}

// answered takes a DoResponse on its way.
func (s *session) answered(message []byte) {
	s.c.w.mixBytes(message)
	s.arrive(func() {
		m := &doozerpb.DoResponse{}
		if err := proto.Unmarshal(message, m); err != nil {
			s.c.w.fail("node %d answers what can't be decoded: %v", s.n.id, err)
			return
		}
		for _, r := range m.Responses {
			if k := s.c.byTag[r.Tag]; k != nil && k.sent == s && k.tag == r.Tag {
				delete(s.c.byTag, r.Tag)
				k.sent = nil
				k.answered(m.Header, r)
			}
		}
	})
}

// next makes a call.
func (c *client) next() {
	if len(c.calls) >= outstanding {
		return
	}
	if c.registered == 0 {
		if !c.registering {
			c.registering = true
			c.begin(&call{kind: callRegister})
		}
		return
	}
	c.begin(c.drawCall())
}

func (c *client) begin(k *call) {
	c.made++
	k.c, k.name = c, fmt.Sprintf("c%d-%d", c.id, c.made)
	k.begun, k.lo = c.w.now, c.w.truth.acked
	k.bare = k.writes() && c.w.chance(0.15)
	if k.writes() && !k.bare {
		k.client, k.seq = c.registered, c.nextSeq
		c.nextSeq++
	}
	c.calls = append(c.calls, k)
	k.attempt()
}

// ack returns the sequence number below which all is settled.
func (c *client) ack() uint64 {
	low := c.nextSeq
	for _, k := range c.calls {
		if k.seq != 0 && k.client == c.registered {
			low = min(low, k.seq)
		}
	}
	return low
}

// expired takes another id: the store has forgotten this one.
func (c *client) expired(client uint64) {
	if c.registered == client {
		c.registered, c.nextSeq = 0, 1
	}
}

// end takes a call off the client's hands.
func (c *client) end(k *call) {
	for i, o := range c.calls {
		if o == k {
			c.calls = append(c.calls[:i:i], c.calls[i+1:]...)
			break
		}
	}
	delete(c.byTag, k.tag)
	if k.kind == callRegister {
		c.registering = false
	}
}

// sessions are the files that clients rewrite all the time.
const sessions = "/session/*"

// sessionOf is the file by which a client says that it is there.
func sessionOf(client int) string { return fmt.Sprintf("/session/s%d", client) }

// drawPath draws the path of a file, now and then that of a session.
func (c *client) drawPath() string {
	if c.w.set.beats > 0 && c.w.chance(0.15) {
		return sessionOf(c.w.uniform(1, c.w.set.clients))
	}
	i := c.w.rng.IntN(c.w.set.paths)
	if i%4 == 3 {
		return fmt.Sprintf("/d/e%d/f%d", i%3, i)
	}
	return fmt.Sprintf("/d/p%d", i)
}

// drawGlob draws what to list, or to watch.
func (w *world) drawGlob() *store.Glob {
	g, err := store.CompileGlob(pick(w, "/**", "/d/**", "/d/p*", "/d/p1", "/d/**/f*", sessions, sessionOf(1)))
	if err != nil {
		panic(err)
	}
	return g
}
