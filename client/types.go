package client

import (
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// File is a whole file as it is at one rev.
type File struct {
	Path string
	// Value is the caller's own copy; nil where it was not asked for and in
	// an Event that tells of a deletion.
	Value []byte
	// Len is the bytes of the value, also where Value was not asked for.
	Len int64
	// Rev is the rev of the last change of the file.
	Rev int64
	// Time is when the last change was proposed, by the leader's clock.
	Time time.Time
	// Author made the last change: an authenticated identity, or host:port.
	Author string
	// Message is what the author said about it.
	Message string
}

// Info describes a file or a directory without its value.
type Info struct {
	Path  string
	IsDir bool
	// Rev is the rev of a file's last change; 0 for a directory.
	Rev int64
	// Len is the bytes of a file's value, or the entries of a directory.
	Len     int64
	Time    time.Time
	Author  string
	Message string
	// Hash is the running hash of all that is under a directory, at the
	// present rev only; else 0.
	Hash uint64
}

// Event is one change of one file. Its Value may be shared with other watches and
// must not be changed.
type Event struct {
	File
	// Del tells that the change deleted the file.
	Del bool
	// More tells that the next event belongs to the same step: to the same
	// rev, or to the same snapshot or resync. What was built from events
	// equals a state of the store only after an event without More.
	More bool
}

// Self tells which node answered, and who it takes the caller for.
type Self struct {
	Node     uint64
	Name     string
	Version  string
	Identity string
	// ClusterID is empty until the cluster has one.
	ClusterID []byte
	Epoch     uint64
	// Rev is the node's applied rev, Leader the leader it knows (0: none),
	// Age the time since it last heard from a leader.
	Rev    int64
	Leader uint64
	Age    time.Duration
}

// Header is what a node says about itself with every answer. Served hands it
// out.
type Header struct {
	// Node answered.
	Node uint64
	// Rev is its applied rev when it answered, Age the time since it had last
	// heard from a leader then: what a Local read returns was the present
	// state no longer ago than Age and the time the call took.
	Rev int64
	Age time.Duration
	// Leader is the leader that it knows; 0: none.
	Leader uint64
	// Epoch rises when a backup is restored.
	Epoch uint64
}

// Role is what a node does in the cluster.
type Role string

// The roles of a node.
const (
	RoleFollower  Role = "follower"
	RoleLeader    Role = "leader"
	RoleCandidate Role = "candidate"
	RoleLearner   Role = "learner"
)

// Member is one node as another one knows it.
type Member struct {
	ID   uint64
	Name string
	// Addr and PeerAddr are host:port, for clients and for peers.
	Addr     string
	PeerAddr string
	Voter    bool
	// Match is the last log index known to be stored there, as a leader sees
	// it; 0 elsewhere.
	Match uint64
	// Connected tells that the answering node has a connection to it.
	Connected bool
	Version   string
}

// NodeStatus is what one node says about itself, or why it did not.
type NodeStatus struct {
	// Addr is where it was asked. ID and Name are what is known of it, also
	// when it did not answer.
	Addr string
	ID   uint64
	Name string
	// Reachable tells that it answered; if not, Err says why and nothing
	// below is set.
	Reachable bool
	Err       error

	Role            Role
	Leader          uint64
	Term            uint64
	AppliedIndex    uint64
	CommitIndex     uint64
	LastIndex       uint64
	CheckpointIndex uint64
	// Rev and Oldest are the ends of the node's window; Hash is that of the
	// whole tree at Rev.
	Rev    int64
	Oldest int64
	Hash   uint64
	// Age is the time since it last heard from a leader.
	Age time.Duration
	// DBSize and LogSize are in bytes.
	DBSize    int64
	LogSize   int64
	Files     int64
	Watchers  int64
	Clients   int64
	Version   string
	Started   time.Time
	ClusterID []byte
	Epoch     uint64
	Members   []Member
	// NotReady says why the node is not ready; empty when it is.
	NotReady string
}

// CondKind is what a condition asks of a path.
type CondKind int

// The kinds of conditions.
const (
	// CondAny always holds.
	CondAny CondKind = iota
	// CondMissing holds when there is no file.
	CondMissing
	// CondUnchanged holds when the file exists and its rev is <= Cond.Rev.
	CondUnchanged
)

// Cond is a condition of a transaction; Missing and Unchanged make them.
type Cond struct {
	Path string
	Kind CondKind
	Rev  int64
}

// Missing asks that there is no file at path.
func Missing(path string) Cond { return Cond{Path: path, Kind: CondMissing} }

// Unchanged asks that the file exists and has not changed since rev. With the
// file's own rev it is compare-and-set; with the rev of a consistent read of
// many files it asks that this one has not changed since that read.
func Unchanged(path string, rev int64) Cond {
	return Cond{Path: path, Kind: CondUnchanged, Rev: rev}
}

// Op is one set or delete of a transaction; SetOp and DelOp make them.
type Op struct {
	Path  string
	Value []byte
	Del   bool
}

// SetOp sets the file at path to value.
func SetOp(path string, value []byte) Op { return Op{Path: path, Value: value} }

// DelOp deletes the file at path, which has to exist.
func DelOp(path string) Op { return Op{Path: path, Del: true} }

// Txn is a transaction: if all conditions hold, all operations are done at one
// rev; else none. At most 128 of each. A condition may name a path that is not
// written: that is how a write carries a lock's token.
type Txn struct {
	If []Cond
	Do []Op
	// Message is kept in the history with every change of the transaction.
	Message string
}

// timeOf is a time of the protocol, nanoseconds since 1970; none is the zero
// Time, not the year 1970.
func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// headerOf takes over a header; of a nil one, nothing is known.
func headerOf(h *doozerpb.Header) Header {
	return Header{
		Node: h.GetNode(), Rev: h.GetRev(), Age: time.Duration(h.GetAgeMs()) * time.Millisecond,
		Leader: h.GetLeader(), Epoch: h.GetEpoch(),
	}
}

// fileOf, infoOf and eventOf take values over without a copy: the message that
// they came in is the caller's alone.
func fileOf(f *doozerpb.File) File {
	return File{
		Path: f.GetPath(), Value: f.GetValue(), Len: f.GetLen(), Rev: f.GetRev(), Time: timeOf(f.GetTime()),
		Author: f.GetAuthor(), Message: f.GetMessage(),
	}
}

func infoOf(f *doozerpb.File) Info {
	return Info{
		Path: f.GetPath(), IsDir: f.GetIsDir(), Rev: f.GetRev(), Len: f.GetLen(), Time: timeOf(f.GetTime()),
		Author: f.GetAuthor(), Message: f.GetMessage(), Hash: f.GetHash(),
	}
}

func eventOf(e *doozerpb.Event) Event {
	return Event{
		File: File{
			Path: e.GetPath(), Value: e.GetValue(), Len: e.GetLen(), Rev: e.GetRev(), Time: timeOf(e.GetTime()),
			Author: e.GetAuthor(), Message: e.GetMessage(),
		},
		Del: e.GetKind() == doozerpb.Event_DEL,
	}
}
