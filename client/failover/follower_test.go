package failover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
)

// A view is all files of the group, and which sessions live, and changes with
// them.
func TestFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := fakestore.New()
		c := st.Client()
		ctx := t.Context()
		s, err := session.Open(ctx, c, session.TTL(2*time.Second), session.Anonymous())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		f, err := Follow(ctx, c, "g")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if v := f.View(); v.Epoch != 0 || v.HasConf || v.Conf != DefaultConf() || !v.Fresh {
			t.Fatalf("%+v", v)
		}
		if _, err := Init(ctx, c, "g", DefaultConf()); err != nil {
			t.Fatal(err)
		}
		if _, err := Init(ctx, c, "g", DefaultConf()); !errors.Is(err, ErrExists) {
			t.Fatal(err)
		}
		p := Paths("g")
		st.Set(p.Node("b"), string(Node{Name: "b", Addr: "h:2", Session: "gone"}.Encode()))
		st.Set(p.Node("a"), string(Node{Name: "a", Addr: "h:1", Session: s.ID()}.Encode()))
		st.Set(p.Stat("a"), string(Stat{Role: RoleMaster}.Encode()))
		st.Set(p.Stat("c"), "{")
		rev := st.Set(p.Register(), string(Register{State: Running, Node: "a", Addr: "h:1", Session: s.ID()}.Encode()))
		v := wait(t, f, func(v View) bool { return v.Epoch == rev && !v.Nodes[1].Alive })
		if len(v.Nodes) != 2 || !v.Nodes[0].Alive || !v.MasterAlive || v.Nodes[0].Stat.Role != RoleMaster || len(v.Problems) != 1 {
			t.Fatalf("%+v", v)
		}
		if m, ok := v.Master(); !ok || m.Addr != "h:1" {
			t.Fatalf("%+v", m)
		}
		time.Sleep(time.Minute)
		if v := f.View(); !v.Fresh || !v.MasterAlive {
			t.Fatalf("%+v", v)
		}
		s.Close()
		wait(t, f, func(v View) bool { return !v.MasterAlive && !v.Nodes[0].Alive })
		c.Cut()
		time.Sleep(3 * time.Second)
		if f.View().Fresh {
			t.Error("fresh without a store")
		}
		c.Heal()
		time.Sleep(3 * time.Second)
		if !f.View().Fresh {
			t.Error("not fresh with a store")
		}
	})
}

// Bids count in their own election only.
func TestFollowerBids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := fakestore.New()
		c := st.Client()
		f, err := Follow(t.Context(), c, "g")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := Paths("g")
		e := st.Set(p.Register(), string(Register{State: Electing}.Encode()))
		st.Set(p.Bid(e-1, "a"), string(Bid{Offset: 1}.Encode()))
		st.Set(p.Bid(e, "b"), string(Bid{Offset: 2}.Encode()))
		v := wait(t, f, func(v View) bool { return len(v.Bids) == 1 })
		if v.Bids[0].Node != "b" || v.Bids[0].Offset != 2 {
			t.Fatalf("%+v", v.Bids)
		}
		st.Set(p.Register(), string(Register{State: Promoting, Node: "b", Addr: "h:1", Session: "s", Election: e}.Encode()))
		wait(t, f, func(v View) bool { return v.Register.State == Promoting && len(v.Bids) == 1 })
		st.Del(p.Bid(e, "b"))
		wait(t, f, func(v View) bool { return len(v.Bids) == 0 })
	})
}

func wait(t *testing.T, f *Follower, ok func(View) bool) View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := f.Wait(ctx, ok)
	if err != nil {
		t.Fatalf("%v: %+v", err, v)
	}
	return v
}

func TestConf(t *testing.T) {
	if c, err := ParseConf([]byte(`{"nodes":5,"future":1}`)); err != nil || c.Nodes != 5 || c.TTLms != 2000 || c.Gate() != 5 {
		t.Error(c, err)
	}
	for _, text := range []string{``, `{"nodes":0}`, `{"nodes":10}`, `{"ttl_ms":999}`, `{"gate_lag_s":0}`, `{"gate_replicas":2}`, `{"sync":3}`, `{"sync":-1}`, `{"max_lag_bytes":-1}`, `{"bid_ms":0}`, `{"hang_ms":1}`, `{"flap_ms":-1}`, `{"v":2}`} {
		if c, err := ParseConf([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, c)
		}
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{"a": true, "0.-_z": true, "": false, "A": false, "a/b": false, "-a": false, ".": false, "ä": false} {
		if err := CheckNode(name); (err == nil) != ok || err != nil && !errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
