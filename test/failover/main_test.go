package failover

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9/logging"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
)

func TestMain(m *testing.M) {
	logging.Disable() // of go-redis, which tells of each lost connection
	code := m.Run()
	rig.CleanUp()
	os.Exit(code)
}

// needRedis leaves a test out where there is no redis-server, unless
// DOOZER_TEST_REQUIRE=all says that everything has to be there.
func needRedis(t *testing.T) {
	t.Helper()
	if err := rig.Available(); err != nil {
		if os.Getenv("DOOZER_TEST_REQUIRE") == "all" {
			t.Fatalf("DOOZER_TEST_REQUIRE=all, but the test would be skipped: %v", err)
		}
		t.Skip(err)
	}
}

// servers starts Redis servers of those names with the same lines of
// configuration.
func servers(t *testing.T, names []string, conf ...string) []*rig.Redis {
	t.Helper()
	needRedis(t)
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
