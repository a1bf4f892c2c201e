package server

import (
	"strconv"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// statusResponse returns how the node is, without a header. It waits for
// nobody but holders of the state's lock.
func (s *Server) statusResponse() *doozerpb.StatusResponse {
	st, m := s.consensus.Status(), s.machine.Stats()
	r := &doozerpb.StatusResponse{
		Name:            s.name,
		Role:            role(st.Role),
		Term:            st.Term,
		AppliedIndex:    st.Applied,
		CommitIndex:     st.Commit,
		LastIndex:       st.Last,
		CheckpointIndex: st.Checkpoint,
		OldestRev:       m.Oldest,
		DbSize:          m.DBSize,
		LogSize:         st.LogSize,
		Files:           m.Files,
		Watchers:        int64(m.Watchers),
		Clients:         int64(m.Clients),
		Version:         s.version,
		Started:         s.started.UnixNano(),
		Hash:            m.Hash,
		NotReady:        s.notReady(),
	}
	// Names and addresses are in the tree, under /ctl, as the registrar of each
	// node wrote them: they may lag behind the members consensus knows.
	s.machine.View(func(tree *store.Store) {
		for _, member := range st.Members {
			r.Members = append(r.Members, memberOf(tree, member, st))
		}
	})
	return r
}

// memberOf returns what is known of a member: consensus has how it keeps up,
// the tree what it is called and where it is.
func memberOf(tree *store.Store, m MemberStatus, st Status) *doozerpb.Member {
	at := "/ctl/node/" + strconv.FormatUint(m.ID, 10) + "/"
	text := func(name string) string {
		if e, err := tree.Get(at+name, 0); err == nil {
			return string(e.Value())
		}
		return ""
	}
	return &doozerpb.Member{
		Id:        m.ID,
		Name:      text("name"),
		Addr:      text("addr"),
		PeerAddr:  text("peer-addr"),
		Voter:     m.Voter,
		Match:     m.Match,
		Connected: m.Connected || m.ID == st.ID,
		Version:   text("version"),
	}
}

// role returns what consensus calls by name; a candidate of any stage is one.
func role(name string) doozerpb.StatusResponse_Role {
	switch name {
	case "leader":
		return doozerpb.StatusResponse_LEADER
	case "follower":
		return doozerpb.StatusResponse_FOLLOWER
	case "learner":
		return doozerpb.StatusResponse_LEARNER
	default:
		return doozerpb.StatusResponse_CANDIDATE
	}
}
