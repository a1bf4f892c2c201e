package main

import (
	"encoding/hex"

	"github.com/doozer-store/doozer/client"
)

// The names here are an interface to scripts, as those of all *JSON types: they
// are added to, never changed. What is 0 or empty is printed too where scripts
// would otherwise have to ask whether it is there.

// healthJSON is the outcome of status -o json.
type healthJSON struct {
	// OK is what exit status 0 says.
	OK        bool       `json:"ok"`
	Cluster   string     `json:"cluster"`
	Epoch     uint64     `json:"epoch"`
	Leader    uint64     `json:"leader"` // id; 0: none
	Reachable int        `json:"reachable"`
	Majority  bool       `json:"majority"`
	Nodes     []nodeJSON `json:"nodes"`
}

// nodeJSON is one node; of one that is not reachable only the first five
// members tell something.
type nodeJSON struct {
	ID         uint64 `json:"id"`
	Name       string `json:"name"`
	Addr       string `json:"addr"`
	Reachable  bool   `json:"reachable"`
	Error      string `json:"error,omitempty"`
	Role       string `json:"role,omitempty"`
	Leader     bool   `json:"leader"`
	Voter      bool   `json:"voter"`
	NotReady   string `json:"not_ready,omitempty"`
	Version    string `json:"version,omitempty"`
	Started    string `json:"started,omitempty"`
	Rev        int64  `json:"rev"`
	Oldest     int64  `json:"oldest"`
	Lag        int64  `json:"lag"`
	AgeMS      int64  `json:"age_ms"`
	Hash       string `json:"hash,omitempty"`
	DBSize     int64  `json:"db_size"`
	LogSize    int64  `json:"log_size"`
	Files      int64  `json:"files"`
	Watchers   int64  `json:"watchers"`
	Clients    int64  `json:"clients"`
	Term       uint64 `json:"term"`
	Applied    uint64 `json:"applied_index"`
	Commit     uint64 `json:"commit_index"`
	Last       uint64 `json:"last_index"`
	Checkpoint uint64 `json:"checkpoint_index"`
}

func (h *health) json() healthJSON {
	j := healthJSON{
		OK: h.majority && h.leader != 0, Leader: h.leader, Reachable: h.reachable, Majority: h.majority,
		Nodes: []nodeJSON{},
	}
	if h.chief != nil {
		j.Cluster, j.Epoch = hex.EncodeToString(h.chief.ClusterID), h.chief.Epoch
	}
	for _, n := range h.nodes {
		node := nodeJSON{ID: n.ID, Name: n.Name, Addr: n.Addr, Reachable: n.Reachable, Voter: h.voters[n.ID]}
		if n.Reachable {
			node.tell(h, n)
		} else {
			node.Error = trouble(n)
		}
		j.Nodes = append(j.Nodes, node)
	}
	return j
}

// tell fills in what a node that answered says about itself.
func (j *nodeJSON) tell(h *health, n client.NodeStatus) {
	j.Role, j.Leader, j.NotReady, j.Version = string(n.Role), n.ID == h.leader, n.NotReady, n.Version
	j.Started, j.Rev, j.Oldest, j.Lag = stampJSON(n.Started), n.Rev, n.Oldest, h.lag(n)
	j.AgeMS, j.Hash, j.DBSize, j.LogSize = n.Age.Milliseconds(), hashText(n.Hash), n.DBSize, n.LogSize
	j.Files, j.Watchers, j.Clients = n.Files, n.Watchers, n.Clients
	j.Term, j.Applied, j.Commit, j.Last, j.Checkpoint = n.Term, n.AppliedIndex, n.CommitIndex, n.LastIndex, n.CheckpointIndex
}
