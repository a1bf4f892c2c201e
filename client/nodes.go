package client

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// node is one address and what is known of it. addr and given never change; all
// other fields belong to nodes.mu.
type node struct {
	addr string
	// given: it was in the target, and is kept.
	given bool
	// id is 0 until known.
	id uint64
	// conn is shared by the pipe and the watches of the node; nil when there
	// is none.
	conn *grpc.ClientConn
	// suspect: until then the node is tried last. err is why.
	suspect time.Time
	err     error
}

// nodes is the table of addresses: those of the target and those that the
// cluster tells. It is safe for concurrent use.
type nodes struct {
	dial []grpc.DialOption

	mu     sync.Mutex
	all    []*node
	closed bool
}

// newNodes makes the table of a target's addresses, which it keeps for ever.
func newNodes(addrs []string, dial []grpc.DialOption) *nodes {
	t := &nodes{dial: dial}
	for _, a := range addrs {
		t.all = append(t.all, &node{addr: a, given: true})
	}
	return t
}

// conn returns the node's connection, making one if there is none. It does
// not wait for it to be usable.
func (t *nodes) conn(n *node) (*grpc.ClientConn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if n.conn != nil {
		return n.conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+n.addr, t.dial...)
	if err != nil {
		return nil, err
	}
	n.conn = conn
	return conn, nil
}

// fail notes that the node did not do: its connection is closed, so that the
// next attempt makes a fresh one, and it is tried last for a while. conn is
// the connection that failed; if another is in use by now, nothing happens.
func (t *nodes) fail(n *node, conn *grpc.ClientConn, err error) {
	t.mu.Lock()
	if n.conn != conn {
		t.mu.Unlock()
		return
	}
	n.conn = nil
	n.suspect, n.err = time.Now().Add(suspectFor), err
	t.mu.Unlock()
	closeConn(conn)
}

// giveUp closes conn if it was never usable: the attempt that wanted it was
// called off.
func (t *nodes) giveUp(n *node, conn *grpc.ClientConn) {
	t.mu.Lock()
	if n.conn != conn || conn.GetState() == connectivity.Ready {
		t.mu.Unlock()
		return
	}
	n.conn = nil
	t.mu.Unlock()
	closeConn(conn)
}

// avoid makes the node one that is tried last, and keeps its connection: it is
// alive, but says that it is of no use.
func (t *nodes) avoid(n *node, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.suspect, n.err = time.Now().Add(suspectFor), err
}

// good notes that the node answered, as id.
func (t *nodes) good(n *node, id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.id, n.err, n.suspect = id, nil, time.Time{}
}

// byID returns the node with an id; nil if its address is not known.
func (t *nodes) byID(id uint64) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found *node
	for _, n := range t.all {
		if n.id == id && (found == nil || n.suspect.Before(found.suspect)) {
			found = n
		}
	}
	return found
}

// trusted tells whether n is not a suspect, else when it ends to be one.
func (t *nodes) trusted(n *node, now time.Time) (bool, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !now.Before(n.suspect), n.suspect
}

// order returns the nodes as they are to be tried: the preferred one, those
// with a connection, the others, the suspects; at random within each kind.
func (t *nodes) order(prefer uint64, now time.Time) []*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	rank := make(map[*node]int, len(t.all))
	for _, n := range t.all {
		switch {
		case now.Before(n.suspect):
			rank[n] = 3
		case prefer != 0 && n.id == prefer:
			rank[n] = 0
		case n.conn != nil:
			rank[n] = 1
		default:
			rank[n] = 2
		}
	}
	list := slices.Clone(t.all)
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b *node) int { return rank[a] - rank[b] })
	return list
}

// learn takes over the addresses of the members, by their ids. An address that
// moved to another node is that node's from here on. Addresses that the cluster
// no longer tells go, but for those of the target and those in use.
func (t *nodes) learn(addrs map[uint64]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	told := make(map[string]bool)
	for id, addr := range addrs {
		told[addr] = true
		i := slices.IndexFunc(t.all, func(n *node) bool { return n.addr == addr })
		if i >= 0 {
			t.all[i].id = id
		} else if len(t.all) < maxNodes {
			t.all = append(t.all, &node{addr: addr, id: id})
		}
	}
	t.all = slices.DeleteFunc(t.all, func(n *node) bool {
		return !told[n.addr] && !n.given && n.conn == nil
	})
}

// target is one address to ask for its status.
type target struct {
	id   uint64
	addr string
}

// targets lists the addresses to ask: of several with one id only one, and
// those whose id is not known.
func (t *nodes) targets() []target {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []target
	known := make(map[uint64]bool)
	for _, withID := range [...]bool{true, false} {
		for _, n := range t.all {
			if (n.id != 0) != withID || n.id != 0 && known[n.id] {
				continue
			}
			known[n.id] = true
			list = append(list, target{id: n.id, addr: n.addr})
		}
	}
	slices.SortFunc(list, func(a, b target) int {
		if a.id != b.id {
			return int(int64(a.id) - int64(b.id))
		}
		return strings.Compare(a.addr, b.addr)
	})
	return list
}

// close closes all connections and refuses further ones.
func (t *nodes) close() {
	t.mu.Lock()
	t.closed = true
	var conns []*grpc.ClientConn
	for _, n := range t.all {
		if n.conn != nil {
			conns = append(conns, n.conn)
			n.conn = nil
		}
	}
	t.mu.Unlock()
	for _, c := range conns {
		closeConn(c)
	}
}

// describe says what each address last did, for the error of a call that
// found no node.
func (t *nodes) describe() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := ErrUnreachable.Error()
	is := []error{ErrUnreachable}
	sep := ": "
	for _, n := range t.all {
		reason := "not tried yet"
		if n.err != nil {
			reason = streamText(n.err)
			is = append(is, n.err)
		} else if n.conn != nil {
			reason = "no answer yet"
		}
		text += sep + n.addr + ": " + reason
		sep = "; "
	}
	return &causes{text: text, is: is}
}

// closeConn closes a connection, and with it every stream on it. The only error
// is that it was closed before.
func closeConn(c *grpc.ClientConn) { _ = c.Close() }

// streamText is what a transport error says, without gRPC's wrapping and
// without the address, which is named beside it anyway.
func streamText(err error) string {
	s, ok := status.FromError(err)
	if !ok || errors.Is(err, ErrWrongCluster) {
		return err.Error()
	}
	text := s.Message()
	for _, wrap := range [...]string{"connection error: desc = ", "error reading server preface: "} {
		text = strings.TrimPrefix(text, wrap)
	}
	text = strings.Trim(text, `"`)
	text = strings.TrimPrefix(text, "transport: ")
	text = strings.TrimPrefix(text, "Error while dialing: ")
	if _, reason, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(text, "dial tcp") {
		text = strings.TrimPrefix(reason, "connect: ")
	}
	return text
}

// causes is an error with a text of its own that Is several others.
type causes struct {
	text string
	is   []error
}

func (e *causes) Error() string   { return e.text }
func (e *causes) Unwrap() []error { return e.is }
