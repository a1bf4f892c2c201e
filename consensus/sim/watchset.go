package sim

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/server"
)

// watchSet is one stream of a node on which many watches are told, as the Go
// client has them.
type watchSet struct {
	n       *node
	ws      *server.WatchesStepper
	open    map[uint64]*watch
	last    uint64
	sent    [][]byte // by the Deliver under way
	stalled int64    // until then the reader does not read
}

// share opens a watch on the node's stream, and returns what ends it.
func (n *node) share(v *watch, req *doozerpb.WatchRequest) (end func()) {
	s := n.set
	if s == nil {
		s = &watchSet{n: n, open: map[uint64]*watch{}}
		s.ws = n.server.Watches(func(m []byte) { s.sent = append(s.sent, m) })
		n.set = s
	}
	s.last++
	id := s.last
	s.open[id] = v
	s.ws.Open(id, req)
	return func() {
		delete(s.open, id)
		s.ws.CloseWatch(id)
	}
}

// due tells whether the node has something to deliver, and may.
func (s *watchSet) due() bool {
	return s != nil && s.ws.Waiting() && s.n.w.now >= s.stalled
}

// deliver lets the node send what there is; now is zero, or the node's time for
// those whose PROGRESS is due. Watches are told in the order of their ids: which of
// them comes first in a message is left to chance by the server.
func (s *watchSet) deliver(now time.Time) {
	s.sent = s.sent[:0]
	if err := s.ws.Deliver(now); err != nil {
		s.n.w.fail("node %d can't tell its watches: %v", s.n.id, err)
		return
	}
	var messages []*doozerpb.WatchesResponse
	for _, b := range s.sent {
		m := &doozerpb.WatchesResponse{}
		if err := proto.Unmarshal(b, m); err != nil {
			s.n.w.fail("node %d tells its watches what can't be decoded: %v", s.n.id, err)
			return
		}
		messages = append(messages, m)
	}
	for _, id := range slices.Sorted(maps.Keys(s.open)) {
		s.tell(id, messages)
	}
}

// tell gives a watch what of messages is for it, until it is told why it ends.
func (s *watchSet) tell(id uint64, messages []*doozerpb.WatchesResponse) {
	for _, m := range messages {
		for _, t := range m.Told {
			if v := s.open[id]; v != nil && slices.Contains(t.Ids, id) {
				v.toldShared(m.Header, t)
			}
		}
	}
}

// broke ends the stream and with it all its watches.
func (s *watchSet) broke() {
	for _, id := range slices.Sorted(maps.Keys(s.open)) {
		s.open[id].broke()
	}
	s.ws.Close()
	if s.n.set == s {
		s.n.set = nil
	}
}
