package failover

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9/logging"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
	"github.com/doozer-store/doozer/test/need"
)

func TestMain(m *testing.M) {
	logging.Disable() // of go-redis, which tells of each lost connection
	code := m.Run()
	rig.CleanUp()
	os.Exit(code)
}

// servers starts Redis servers of those names with the same lines of
// configuration.
func servers(t *testing.T, names []string, conf ...string) []*rig.Redis {
	t.Helper()
	need.Program(t, "redis-server")
	p, err := cluster.NewPorts()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	var all []*rig.Redis
	for _, name := range names {
		all = append(all, rig.StartRedis(t, p, name, conf...))
	}
	return all
}
