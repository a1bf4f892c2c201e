package boot

import (
	"context"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/doozer-store/doozer/proto/peerpb"
)

// verifyWindow is how many indexes the verifier remembers hashes of; those
// that fall out were never compared, which costs nothing but the chance.
const verifyWindow = 64

// verifier compares this node's state with its peers': all nodes tell each
// other their root hash at the same log indexes. A node whose hash differs
// from the one that a majority has in common is wrong: it finds out where,
// says so, and serves nothing any more.
type verifier struct {
	n *Node
	// leader wakes the registrar.
	leader chan struct{}
	// suspects are comparisons that came out against this node.
	suspects chan suspect

	mu     sync.Mutex
	hashes map[uint64]map[uint64]state // index -> node -> state
	order  []uint64                    // indexes as they came
}

// state is what a node has at an index.
type state struct {
	rev  int64
	hash uint64
}

// suspect is an index at which this node differs from a majority.
type suspect struct {
	index uint64
	peer  uint64 // one of the majority
	// ours and theirs are the two states at that index.
	ours, theirs state
}

func newVerifier(n *Node) *verifier {
	return &verifier{n: n, leader: make(chan struct{}, 1), suspects: make(chan suspect, 1), hashes: map[uint64]map[uint64]state{}}
}

// own takes this node's hash and tells the peers. Called by the applier.
func (v *verifier) own(index uint64, rev int64, hash uint64) {
	v.n.transport.SendHash(index, rev, hash)
	v.note(v.n.id.ID, index, rev, hash)
}

// peer takes a peer's hash.
func (v *verifier) peer(from, index uint64, rev int64, hash uint64) { v.note(from, index, rev, hash) }

func (v *verifier) note(node, index uint64, rev int64, hash uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at := v.hashes[index]
	if at == nil {
		if len(v.order) == verifyWindow {
			delete(v.hashes, v.order[0])
			v.order = append(v.order[:0], v.order[1:]...)
		}
		at = map[uint64]state{}
		v.hashes[index] = at
		v.order = append(v.order, index)
	}
	at[node] = state{rev, hash}
	mine, ok := at[v.n.id.ID]
	if !ok {
		return
	}
	if peer := outvoted(at, mine, len(v.n.id.Members)); peer != 0 {
		select {
		case v.suspects <- suspect{index, peer, mine, at[peer]}:
		default: // one is enough
		}
	}
}

// outvoted returns a node of the majority that agrees on a state other than
// mine; 0 if there is none.
func outvoted(at map[uint64]state, mine state, members int) uint64 {
	count := map[state]int{}
	for _, h := range at {
		count[h]++
	}
	var found uint64
	for node, h := range at {
		if h != mine && count[h]*2 > members && (found == 0 || node < found) {
			found = node
		}
	}
	return found
}

// run quarantines the node when it is outvoted. It ends with ctx.
func (v *verifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-v.suspects:
			v.quarantine(ctx, s)
		}
	}
}

func (v *verifier) quarantine(ctx context.Context, s suspect) {
	if v.n.machine.Quarantined() != "" {
		return
	}
	// The higher rev shows what only one of them did.
	where := v.locate(ctx, s.peer, max(s.ours.rev, s.theirs.rev))
	reason := fmt.Sprintf("at log index %d this node is at rev %d with hash %016x, a majority at rev %d with hash %016x", s.index, s.ours.rev, s.ours.hash, s.theirs.rev, s.theirs.hash)
	if where != "" {
		reason += "; they differ first at " + where
	}
	v.n.machine.SetQuarantine(reason)
	v.n.cfg.Logger.Error("QUARANTINED: this node serves nothing until its data is replaced", "reason", reason)
	if err := v.n.consensus.TransferLeadership(ctx); err != nil {
		v.n.cfg.Logger.Warn("leadership was not handed over", "err", err)
	}
}

// locateCalls bounds how many directories are compared to find a difference.
const locateCalls = 256

// difference is a file that two nodes do not have alike; rev is the lower of
// its two revs. The lowest of all is where the difference began: what was
// written after it differs by its rev at least.
type difference struct {
	path string
	rev  int64
}

// locate compares the directories whose hashes differ with the peer's, and
// returns the path at which the difference began; "" if it can't be told.
func (v *verifier) locate(ctx context.Context, peer uint64, rev int64) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var first *difference
	dirs := []string{"/"}
	for calls := 0; len(dirs) > 0 && calls < locateCalls; calls++ {
		dir := dirs[0]
		dirs = dirs[1:]
		theirs, err := v.n.transport.Tree(ctx, peer, dir, rev)
		if err != nil {
			v.n.cfg.Logger.Warn("a peer's tree can't be compared", "peer", peer, "dir", dir, "rev", rev, "err", err)
			break
		}
		ours, err := v.tree(ctx, dir, rev)
		if err != nil {
			v.n.cfg.Logger.Warn("the tree can't be compared", "dir", dir, "rev", rev, "err", err)
			break
		}
		files, below := differences(dir, ours, theirs)
		dirs = append(dirs, below...)
		for _, f := range files {
			if first == nil || f.rev < first.rev {
				first = &f
			}
		}
	}
	if first == nil {
		return ""
	}
	return first.path
}

// differences returns the files of a directory that are not alike, and the
// directories in which there are some.
func differences(dir string, ours, theirs []*peerpb.TreeEntry) (files []difference, dirs []string) {
	mine := map[string]*peerpb.TreeEntry{}
	for _, e := range ours {
		mine[e.GetName()] = e
	}
	for _, t := range theirs {
		name := path.Join(dir, t.GetName())
		m, ok := mine[t.GetName()]
		delete(mine, t.GetName())
		switch {
		case !ok:
			files = append(files, difference{name, revOf(t)})
		case m.GetHash() == t.GetHash() && m.GetIsDir() == t.GetIsDir():
		case m.GetIsDir() && t.GetIsDir():
			dirs = append(dirs, name)
		default:
			files = append(files, difference{name, min(revOf(m), revOf(t))})
		}
	}
	for _, m := range mine {
		files = append(files, difference{path.Join(dir, m.GetName()), revOf(m)})
	}
	slices.SortFunc(files, func(a, b difference) int { return strings.Compare(a.path, b.path) })
	return files, dirs
}

// revOf returns an entry's rev; directories have none, and come last.
func revOf(e *peerpb.TreeEntry) int64 {
	if e.GetIsDir() {
		return math.MaxInt64
	}
	return e.GetRev()
}

// tree lists the hashes under a directory at rev, or at the present rev where
// that is lower; it also answers peers.
func (v *verifier) tree(_ context.Context, dir string, rev int64) ([]*peerpb.TreeEntry, error) {
	entries, err := v.n.machine.Tree(dir, rev)
	if err != nil {
		return nil, err
	}
	out := make([]*peerpb.TreeEntry, len(entries))
	for i, e := range entries {
		out[i] = &peerpb.TreeEntry{Name: e.Name, IsDir: e.IsDir, Rev: e.Rev, Hash: e.Hash}
	}
	return out, nil
}
