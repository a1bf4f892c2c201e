package rig

import (
	"strings"

	"github.com/doozer-store/doozer/drill/cluster"
)

// StartBare starts a master with two replicas that nobody guards, and returns its
// address.
func StartBare(t cluster.TB, n *Net) string {
	t.Helper()
	hosts := newHosts(t, n)
	master := hosts[0]
	master.Redis.Start()
	host, port, _ := strings.Cut(master.Front, ":")
	for _, h := range hosts[1:] {
		h.Redis.conf = append(h.Redis.conf, "replicaof "+host+" "+port)
		h.Redis.Start()
		h.Redis.AwaitLink(master.Redis)
	}
	return master.Redis.Addr
}
