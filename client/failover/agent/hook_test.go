package agent

import (
	"testing"

	"github.com/doozer-store/doozer/client/failover"
)

// The view that the hook is told is its own: the loop goes on to change its view
// while the command runs.
func TestHookHasItsView(t *testing.T) {
	h := newHook(&Agent{cfg: Config{OnChange: []string{"true"}}})
	v := failover.View{Epoch: 1, Register: failover.Register{State: failover.Running, Node: "a"}}
	h.see(&v)
	v.Register.Node = "b"
	if h.next.Register.Node != "a" {
		t.Errorf("the hook is told of %+v", h.next.Register)
	}
}
