package main

import (
	"bufio"
	"errors"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
)

var threeMembers = []client.Member{
	{ID: 1, Name: "n1", Addr: "10.0.0.1:8046", Voter: true},
	{ID: 2, Name: "n2", Addr: "10.0.0.2:8046", Voter: true},
	{ID: 3, Name: "n3", Addr: "10.0.0.3:8046", Voter: true},
}

// up is a node of threeMembers that answered.
func up(id int, role client.Role, rev int64) client.NodeStatus {
	m := threeMembers[id-1]
	return client.NodeStatus{
		Addr: m.Addr, ID: m.ID, Name: m.Name, Reachable: true, Role: role, Term: 4, Rev: rev,
		DBSize: 3 << 20, LogSize: 64 << 20, Version: "v1.2.3", Epoch: 1, Members: threeMembers,
		ClusterID: []byte{0xab, 0xcd},
	}
}

// down is one that did not; its name is known from the others.
func down(id int, why string) client.NodeStatus {
	m := threeMembers[id-1]
	return client.NodeStatus{Addr: m.Addr, ID: m.ID, Err: errors.New(why)}
}

func with(n client.NodeStatus, change func(*client.NodeStatus)) client.NodeStatus {
	change(&n)
	return n
}

func TestHealth(t *testing.T) {
	tests := []struct {
		name     string
		nodes    []client.NodeStatus
		majority bool
		leader   uint64
		want     string
	}{
		{
			"all well",
			[]client.NodeStatus{
				with(up(2, client.RoleFollower, 118), func(n *client.NodeStatus) { n.Age = 40 * time.Millisecond }),
				up(1, client.RoleLeader, 120), up(3, client.RoleFollower, 121),
			}, true, 1,
			`cluster abcd, epoch 1, 3 of 3 reachable, leader n1 (1)

ID  NAME  ROLE      ADDRESS        REV  LAG   AGE       DB       LOG  VERSION  REACHABLE
 1  n1    leader*   10.0.0.1:8046  120    0  0.0s  3.0 MiB  64.0 MiB  v1.2.3   yes
 2  n2    follower  10.0.0.2:8046  118    2  0.0s  3.0 MiB  64.0 MiB  v1.2.3   yes
 3  n3    follower  10.0.0.3:8046  121    0  0.0s  3.0 MiB  64.0 MiB  v1.2.3   yes
`,
		},
		{
			"one down, one sick",
			[]client.NodeStatus{
				up(1, client.RoleLeader, 120), down(2, "connection\nrefused"),
				with(up(3, client.RoleFollower, 20), func(n *client.NodeStatus) { n.Age, n.NotReady = time.Minute, "catching up" }),
			}, true, 1,
			`cluster abcd, epoch 1, 2 of 3 reachable, leader n1 (1)

ID  NAME  ROLE      ADDRESS        REV  LAG   AGE       DB       LOG  VERSION  REACHABLE
 1  n1    leader*   10.0.0.1:8046  120    0  0.0s  3.0 MiB  64.0 MiB  v1.2.3   yes
 2  n2    -         10.0.0.2:8046    -    -     -        -         -  -        no: connection\nrefused
 3  n3    follower  10.0.0.3:8046   20  100  1m0s  3.0 MiB  64.0 MiB  v1.2.3   yes, not ready: catching up
`,
		},
		{
			"no majority: the others are known from the members of one",
			[]client.NodeStatus{up(3, client.RoleCandidate, 120)}, false, 0,
			`cluster abcd, epoch 1, 1 of 3 reachable, NO LEADER

ID  NAME  ROLE       ADDRESS        REV  LAG   AGE       DB       LOG  VERSION  REACHABLE
 1  n1    -          10.0.0.1:8046    -    -     -        -         -  -        no: not asked
 2  n2    -          10.0.0.2:8046    -    -     -        -         -  -        no: not asked
 3  n3    candidate  10.0.0.3:8046  120    0  0.0s  3.0 MiB  64.0 MiB  v1.2.3   yes
`,
		},
		{
			"nobody answers",
			[]client.NodeStatus{{Addr: "10.0.0.9:8046", Err: errors.New("timed out")}}, false, 0,
			`cluster -, epoch -, 0 of 1 reachable, NO LEADER

ID  NAME  ROLE  ADDRESS        REV  LAG  AGE  DB  LOG  VERSION  REACHABLE
 -  -     -     10.0.0.9:8046    -    -    -   -    -  -        no: timed out
`,
		},
		{
			"an old leader does not know that it is one no longer",
			[]client.NodeStatus{
				with(up(1, client.RoleLeader, 130), func(n *client.NodeStatus) { n.Term = 3 }),
				up(2, client.RoleFollower, 121), up(3, client.RoleLeader, 120),
			}, true, 3,
			`cluster abcd, epoch 1, 3 of 3 reachable, leader n3 (3)

ID  NAME  ROLE      ADDRESS        REV  LAG   AGE       DB       LOG  VERSION  REACHABLE
 1  n1    leader    10.0.0.1:8046  130    0  0.0s  3.0 MiB  64.0 MiB  v1.2.3   yes
 2  n2    follower  10.0.0.2:8046  121    0  0.0s  3.0 MiB  64.0 MiB  v1.2.3   yes
 3  n3    leader*   10.0.0.3:8046  120    0  0.0s  3.0 MiB  64.0 MiB  v1.2.3   yes
`,
		},
	}
	for _, tt := range tests {
		h := newHealth(tt.nodes)
		if h.majority != tt.majority || h.leader != tt.leader {
			t.Errorf("%s: majority %v, leader %d", tt.name, h.majority, h.leader)
		}
		if got := written(t, func(out *bufio.Writer) error { return h.print(out) }); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// Standbys answer, but do not count: a majority is one of the voters.
func TestHealthStandbys(t *testing.T) {
	members := append([]client.Member{}, threeMembers...)
	members[2].Voter = false
	tests := []struct {
		name     string
		nodes    []client.NodeStatus
		majority bool
	}{
		{"a voter and the standby", []client.NodeStatus{up(1, client.RoleLeader, 9), up(3, client.RoleFollower, 9)}, false},
		{"both voters", []client.NodeStatus{up(1, client.RoleLeader, 9), up(2, client.RoleFollower, 9)}, true},
	}
	for _, tt := range tests {
		for i := range tt.nodes {
			tt.nodes[i].Members = members
		}
		h := newHealth(tt.nodes)
		if h.majority != tt.majority {
			t.Errorf("%s: majority %v, want %v", tt.name, h.majority, tt.majority)
		}
		for _, n := range h.json().Nodes {
			if n.Voter != (n.ID != 3) {
				t.Errorf("%s: node %d: voter %v", tt.name, n.ID, n.Voter)
			}
			if n.ID == 3 && n.Reachable && h.role(h.nodes[2]) != "standby" {
				t.Errorf("%s: role %q", tt.name, h.role(h.nodes[2]))
			}
		}
	}
}
