package ring

import "sync"

// Load keeps any one node from being asked much more than the others, for keys
// that are asked for unevenly: a node that has its limit is passed over for the
// next in the key's ranking (Mirrokni, Thorup, Zadimoghaddam: Consistent hashing
// with bounded loads, 2016). It counts what this process asks, nothing else, and
// may be used by any number of goroutines.
type Load struct {
	factor float64

	mu     sync.Mutex // guards all below
	byNode map[string]int64
	total  int64
}

// NewLoad bounds the load of a node to factor times the mean, by weight, rounded
// up. 1.25 is usual; below 1 it is 1, which moves the most keys.
func NewLoad(factor float64) *Load {
	return &Load{factor: max(factor, 1), byNode: make(map[string]int64)}
}

// Pick is the first node in key's ranking that has not its limit, and counts one
// more for it until Done; nil if the ring has no owners. The usual case costs
// little more than Owner; only when the owner has its limit are the others ranked.
func (l *Load) Pick(r *Ring, key string) *Node {
	n := r.Owner(key)
	if n == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.free(n, r.own.total) {
		for _, n = range r.Owners(nil, key, len(r.nodes)) {
			if l.free(n, r.own.total) {
				break
			}
		}
	}
	l.byNode[n.Name]++
	l.total++
	return n
}

// free tells whether n may have one more. Not all nodes can be at their limits:
// these add up to more than the load.
func (l *Load) free(n *Node, weight uint64) bool {
	limit := l.factor * float64(l.total+1) * float64(n.Weight) / float64(weight)
	return float64(l.byNode[n.Name]) < limit
}

// Done takes back what Pick counted for n.
func (l *Load) Done(n *Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byNode[n.Name] > 0 {
		l.total--
	}
	if l.byNode[n.Name]--; l.byNode[n.Name] <= 0 {
		delete(l.byNode, n.Name)
	}
}
