package sentinel

import (
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/viewtest"
)

func three() *viewtest.Source {
	return viewtest.New("10.0.0.1:6379", "10.0.0.2:6379", "[fd00::3]:6379")
}

const (
	run1, run2, run3 = "0000000000000000000000000000000000000001", "0000000000000000000000000000000000000002", "0000000000000000000000000000000000000003"
	pings            = `"link-pending-commands" "0" "link-refcount" "1" "last-ping-sent" "0" "last-ok-ping-reply" "0" "last-ping-reply" "0"`
	down2s           = `"down-after-milliseconds" "2000"`
)

// The properties of instances, in the order and with the names that Sentinel has.
func masterEntry(addr, runID, flags, epoch string) string {
	return `"name" "g1" ` + addr + ` "runid" "` + runID + `" "flags" "` + flags + `" ` + pings + " " + down2s +
		` "info-refresh" "0" "role-reported" "master" "role-reported-time" "0" "config-epoch" "` + epoch +
		`" "num-slaves" "2" "num-other-sentinels" "2" "quorum" "2" "failover-timeout" "2000" "parallel-syncs" "1"`
}

func replicaEntry(name, addr, runID, flags, link string) string {
	return `"name" "` + name + `" ` + addr + ` "runid" "` + runID + `" "flags" "` + flags + `" ` + pings + " " + down2s +
		` "info-refresh" "0" "role-reported" "slave" "role-reported-time" "0" "master-link-down-time" "0" "master-link-status" "` + link +
		`" "master-host" "10.0.0.1" "master-port" "6379" "slave-priority" "100" "slave-repl-offset" "0" "replica-announced" "1"`
}

func sentinelEntry(node, addr, flags string) string {
	id := sentinelID("g1", node)
	return `"name" "` + id + `" ` + addr + ` "runid" "` + id + `" "flags" "` + flags + `" ` + pings + " " + down2s +
		` "last-hello-message" "0" "voted-leader" "?" "voted-leader-epoch" "0"`
}

// What is answered about a group that runs, byte for byte.
func TestQueries(t *testing.T) {
	src := three()
	src.Change(func(v *failover.View) {
		v.Nodes[2].Alive = false
		v.Nodes[2].Stat.Link = "down"
	})
	addr := serve(t, Config{Source: src, Self: "n1"})
	two, dead := `"ip" "10.0.0.2" "port" "6379"`, `"ip" "fd00::3" "port" "6379"`
	tests := []struct{ send, want string }{
		{"SENTINEL GET-MASTER-ADDR-BY-NAME g1", `*2 "10.0.0.1" "6379"`},
		{"SENTINEL get-master-addr-by-name other", "*-1"},
		{"SENTINEL master g1", "*40 " + masterEntry(`"ip" "10.0.0.1" "port" "6379"`, run1, "master", "11")},
		{"SENTINEL masters", "*1 *40 " + masterEntry(`"ip" "10.0.0.1" "port" "6379"`, run1, "master", "11")},
		{"SENTINEL replicas g1", "*2 *42 " + replicaEntry("10.0.0.2:6379", two, run2, "slave", "ok") +
			" *42 " + replicaEntry("[fd00::3]:6379", dead, run3, "s_down,slave,disconnected", "err")},
		{"SENTINEL slaves g1", "*2 *42 " + replicaEntry("10.0.0.2:6379", two, run2, "slave", "ok") +
			" *42 " + replicaEntry("[fd00::3]:6379", dead, run3, "s_down,slave,disconnected", "err")},
		{"SENTINEL sentinels g1", "*2 *28 " + sentinelEntry("n2", `"ip" "10.0.0.2" "port" "26379"`, "sentinel") +
			" *28 " + sentinelEntry("n3", `"ip" "10.0.0.3" "port" "26379"`, "s_down,sentinel,disconnected")},
		{"SENTINEL ckquorum g1", "+OK~2~usable~Sentinels.~Quorum~and~failover~authorization~can~be~reached"},
		{"SENTINEL myid", `"` + sentinelID("g1", "n1") + `"`},
		{"SENTINEL is-master-down-by-addr 10.0.0.1 6379 0 *", `*3 :0 "*" :0`},
		{"SENTINEL master other", "-ERR~No~such~master~with~that~name"},
		{"SENTINEL replicas other", "-ERR~No~such~master~with~that~name"},
		{"SENTINEL master", "-ERR~wrong~number~of~arguments~for~'sentinel|master'~command"},
		{"SENTINEL failover g1", "-ERR~use~'doozer~redis~switch'"},
		{"SENTINEL set g1 quorum 2", "-ERR~not~for~a~client~to~do:~the~group~is~configured~with~'doozer~redis~conf'"},
		{"SENTINEL nonsense", "-ERR~unknown~subcommand~'nonsense'.~Try~SENTINEL~MASTERS,~MASTER,~GET-MASTER-ADDR-BY-NAME,~REPLICAS,~SENTINELS,~CKQUORUM,~MYID."},
	}
	w := dial(t, addr)
	for _, tt := range tests {
		w.send(cmd(tt.send))
		w.want(tt.want)
	}
	w.send(cmd("HELLO 3"))
	w.want(`%6 "server" "redis" "version" "7.0.15" "proto" :3 "id" :1 "mode" "sentinel" "modules" *0`)
	for _, tt := range tests {
		w.send(cmd(tt.send))
		// Only maps and null are another thing in RESP3.
		w.want(strings.NewReplacer("*-1", "_", "*40 ", "%20 ", "*42 ", "%21 ", "*28 ", "%14 ").Replace(tt.want))
	}
}

// INFO as redis_exporter and clients read it.
func TestInfo(t *testing.T) {
	w := dial(t, serve(t, Config{Source: three(), Self: "n1"}))
	for section, want := range map[string]string{
		"server":   "# Server\r\nredis_version:7.0.15\r\nredis_mode:sentinel\r\n\r\n",
		"sentinel": "# Sentinel\r\nsentinel_masters:1\r\nsentinel_tilt:0\r\nsentinel_running_scripts:0\r\nsentinel_scripts_queue_length:0\r\nsentinel_simulate_failure_flags:0\r\nmaster0:name=g1,status=ok,address=10.0.0.1:6379,slaves=2,sentinels=3\r\n\r\n",
		"doozer":   "# Doozer\r\ndoozer_group:g1\r\ndoozer_node:n1\r\ndoozer_epoch:11\r\ndoozer_state:running\r\ndoozer_fresh:1\r\n",
		"nothing":  "",
	} {
		w.send(cmd("INFO " + section))
		var b reply
		b.bulk(want)
		got := make([]byte, len(b.buf))
		for n := 0; n < len(got); {
			m, err := w.Read(got[n:])
			if err != nil {
				t.Fatalf("INFO %s: %v after %q", section, err, got[:n])
			}
			n += m
		}
		if string(got) != string(b.buf) {
			t.Errorf("INFO %s: %q, want %q", section, got, b.buf)
		}
	}
}

// A view that is too old leads nobody anywhere, but to the other Sentinels.
func TestStale(t *testing.T) {
	src := three()
	w := dial(t, serve(t, Config{Source: src, Self: "n1", Hold: time.Hour}))
	src.Change(func(v *failover.View) { v.Fresh = false })
	stale := "-" + strings.ReplaceAll(errStale, " ", "~")
	for _, tt := range []struct{ send, want string }{
		{"SENTINEL get-master-addr-by-name g1", "*-1"},
		{"SENTINEL masters", "*0"},
		{"SENTINEL master g1", stale},
		{"SENTINEL replicas g1", stale},
		{"SENTINEL slaves g1", stale},
		{"SENTINEL ckquorum g1", "-NOQUORUM~the~store~has~not~answered~for~too~long"},
		{"SENTINEL sentinels g1", "*2 *28 " + sentinelEntry("n2", `"ip" "10.0.0.2" "port" "26379"`, "sentinel") +
			" *28 " + sentinelEntry("n3", `"ip" "10.0.0.3" "port" "26379"`, "sentinel")},
		{"PING", "+PONG"},
	} {
		w.send(cmd(tt.send))
		w.want(tt.want)
	}
	src.Change(func(v *failover.View) { v.Fresh = true })
	w.send(cmd("SENTINEL get-master-addr-by-name g1"))
	w.want(`*2 "10.0.0.1" "6379"`)
}

// While a master is elected a question for it waits for the outcome.
func TestHold(t *testing.T) {
	src := three()
	addr := serve(t, Config{Source: src, Self: "n1", Hold: time.Hour})
	for _, q := range []struct{ send, want string }{
		{"SENTINEL get-master-addr-by-name g1", `*2 "10.0.0.2" "6379"`},
		{"SENTINEL master g1", "*40 " + masterEntry(`"ip" "10.0.0.2" "port" "6379"`, run2, "master", "13")},
	} {
		src.Run("n1")
		src.Change(func(v *failover.View) { v.Epoch = 11 })
		w := dial(t, addr)
		src.Elect()
		// PONG is there before: the answers before a question do not wait with it.
		w.send(cmd("PING") + cmd(q.send))
		w.want("+PONG")
		src.Change(func(v *failover.View) { v.Register.State, v.Register.Node = failover.Promoting, "n2" })
		src.Run("n2")
		w.want(q.want)
	}
	// A view that is no longer fresh ends the waiting.
	src.Elect()
	w := dial(t, addr)
	w.send(cmd("PING") + cmd("SENTINEL get-master-addr-by-name g1"))
	w.want("+PONG")
	src.Change(func(v *failover.View) { v.Fresh = false })
	w.want("*-1")
}

// After Hold, or without, an election shows as a master that is down.
func TestElecting(t *testing.T) {
	src := three()
	for _, hold := range []time.Duration{-1, time.Millisecond} {
		w := dial(t, serve(t, Config{Source: src, Self: "n1", Hold: hold}))
		src.Run("n1")
		src.Change(func(v *failover.View) { v.Epoch = 11 })
		src.Elect()
		w.send(cmd("SENTINEL get-master-addr-by-name g1") + cmd("SENTINEL master g1") + cmd("SENTINEL replicas g1"))
		two, three := `"ip" "10.0.0.2" "port" "6379"`, `"ip" "fd00::3" "port" "6379"`
		w.want("*-1 *40 " + masterEntry(`"ip" "10.0.0.1" "port" "6379"`, run1, "s_down,o_down,master,failover_in_progress", "12") +
			" *2 *42 " + replicaEntry("10.0.0.2:6379", two, run2, "slave", "ok") + " *42 " + replicaEntry("[fd00::3]:6379", three, run3, "slave", "ok"))
	}
}

// A group that never had a master has none to speak of.
func TestNoMasterEver(t *testing.T) {
	src := viewtest.New()
	src.Change(func(v *failover.View) { v.Register, v.Epoch = failover.Register{}, 0 })
	w := dial(t, serve(t, Config{Source: src, Self: "n1", Hold: time.Hour}))
	w.send(cmd("SENTINEL get-master-addr-by-name g1") + cmd("SENTINEL masters") + cmd("SENTINEL master g1") + cmd("SENTINEL replicas g1") + cmd("SENTINEL sentinels g1"))
	w.want("*-1 *0 -ERR~No~such~master~with~that~name *0 *0")
}
