package sentinel

import (
	"fmt"
	"net"
	"strings"

	"github.com/doozer-store/doozer/client/failover"
)

// errStale is the answer where null would not do.
const errStale = "ERR the store has not answered for too long: this Sentinel does not know who is master. Ask another one"

// changing tells whether a master is being made.
func changing(v failover.View) bool {
	return v.Register.State == failover.Electing || v.Register.State == failover.Promoting
}

// master is the address of the Redis that is master in v; not ok if none is, or
// if v is too old to tell.
func master(v failover.View) (addr string, ok bool) {
	_, addr = last(v)
	return addr, v.Fresh && v.Register.Writable() && addr != ""
}

// last is the present master, or the last one while there is none; empty if there
// never was one.
func last(v failover.View) (node, addr string) {
	if v.Register.Writable() {
		return v.Register.Node, v.Register.Addr
	}
	n, _ := v.Node(v.Register.Prev)
	return v.Register.Prev, n.Addr
}

// known tells whether v has something to say of a master.
func known(v failover.View) bool {
	_, addr := last(v)
	return addr != ""
}

// split is host and port; a port that is none is "0".
func split(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return addr, "0"
	}
	return host, port
}

// waits tells whether a command is a question for the master.
func (c *conn) waits(args []string) bool {
	if len(args) < 2 || args[0] != "sentinel" || !c.authed {
		return false
	}
	switch strings.ToLower(args[1]) {
	case "get-master-addr-by-name", "master", "masters":
		return true
	}
	return false
}

// sentinel is SENTINEL; mu is held.
func (c *conn) sentinel(args []string) {
	v := c.s.cfg.Source.View()
	sub, args := strings.ToLower(args[0]), args[1:]
	if c.general(v, sub, args) {
		return
	}
	var answer func(failover.View)
	switch sub {
	case "get-master-addr-by-name":
		answer = c.masterAddr
	case "master":
		answer = c.master
	case "replicas", "slaves":
		answer = c.replicas
	case "sentinels":
		answer = c.sentinels
	case "ckquorum":
		answer = c.ckquorum
	case "failover":
		answer = func(failover.View) { c.out.fail("ERR use 'doozer redis switch'") }
	case "monitor", "remove", "set", "reset", "flushconfig", "config", "simulate-failure":
		c.out.fail("ERR not for a client to do: the group is configured with 'doozer redis conf'")
		return
	default:
		c.out.fail("ERR unknown subcommand '%.64s'. Try SENTINEL MASTERS, MASTER, GET-MASTER-ADDR-BY-NAME, REPLICAS, SENTINELS, CKQUORUM, MYID.", sub)
		return
	}
	switch {
	case len(args) != 1:
		c.out.fail("ERR wrong number of arguments for 'sentinel|%s' command", sub)
	case args[0] != v.Group && sub == "get-master-addr-by-name":
		c.out.nullArray()
	case args[0] != v.Group:
		c.out.fail("ERR No such master with that name")
	default:
		answer(v)
	}
}

// general answers what is not about a master that is named. It is false for
// other questions.
func (c *conn) general(v failover.View, sub string, args []string) bool {
	switch {
	case sub == "masters" && len(args) == 0:
		if !v.Fresh || !known(v) {
			c.out.array(0)
			break
		}
		c.out.array(1)
		c.out.fields(masterFields(v))
	case sub == "myid" && len(args) == 0:
		c.out.bulk(sentinelID(v.Group, c.s.cfg.Self))
	case sub == "is-master-down-by-addr" && len(args) == 4:
		// Other Sentinels ask it for their elections: this one has no say in them.
		c.out.array(3)
		c.out.int(0)
		c.out.bulk("*")
		c.out.int(0)
	default:
		return false
	}
	return true
}

func (c *conn) masterAddr(v failover.View) {
	addr, ok := master(v)
	if !ok {
		c.out.nullArray()
		return
	}
	host, port := split(addr)
	c.out.array(2)
	c.out.bulk(host)
	c.out.bulk(port)
}

func (c *conn) master(v failover.View) {
	switch {
	case !v.Fresh:
		c.out.fail("%s", errStale)
	case !known(v):
		c.out.fail("ERR No such master with that name")
	default:
		c.out.fields(masterFields(v))
	}
}

func (c *conn) replicas(v failover.View) {
	if !v.Fresh {
		c.out.fail("%s", errStale)
		return
	}
	list := replicasOf(v)
	c.out.array(len(list))
	for _, n := range list {
		c.out.fields(replicaFields(v, n))
	}
}

func (c *conn) sentinels(v failover.View) {
	list := sentinelsOf(v, c.s.cfg.Self)
	c.out.array(len(list))
	for _, n := range list {
		c.out.fields(sentinelFields(v, n))
	}
}

// ckquorum: a view is fresh because a majority of the store answered.
func (c *conn) ckquorum(v failover.View) {
	if !v.Fresh {
		c.out.fail("NOQUORUM the store has not answered for too long")
		return
	}
	c.out.status(fmt.Sprintf("OK %d usable Sentinels. Quorum and failover authorization can be reached", v.Alive()))
}

// role is ROLE.
func (c *conn) role([]string) {
	c.out.array(2)
	c.out.bulk("sentinel")
	c.out.array(1)
	c.out.bulk(c.s.cfg.Source.View().Group)
}

// info is INFO, of which clients and exporters read the section sentinel.
func (c *conn) info(args []string) {
	wanted := func(section string) bool {
		for _, a := range args {
			switch strings.ToLower(a) {
			case section, "all", "default", "everything":
				return true
			}
		}
		return len(args) == 0
	}
	var b strings.Builder
	v := c.s.cfg.Source.View()
	if wanted("server") {
		fmt.Fprintf(&b, "# Server\r\nredis_version:%s\r\nredis_mode:sentinel\r\n\r\n", version)
	}
	if wanted("sentinel") {
		b.WriteString("# Sentinel\r\n")
		masters, status := 0, "ok"
		_, addr := last(v)
		if v.Fresh && known(v) {
			masters = 1
		}
		if _, ok := master(v); !ok {
			status = "odown"
		}
		fmt.Fprintf(&b, "sentinel_masters:%d\r\nsentinel_tilt:%d\r\nsentinel_running_scripts:0\r\nsentinel_scripts_queue_length:0\r\nsentinel_simulate_failure_flags:0\r\n",
			masters, btoi(!v.Fresh))
		if masters > 0 {
			fmt.Fprintf(&b, "master0:name=%s,status=%s,address=%s,slaves=%d,sentinels=%d\r\n",
				v.Group, status, addr, len(replicasOf(v)), len(sentinelsOf(v, "")))
		}
		b.WriteString("\r\n")
	}
	if wanted("doozer") {
		fmt.Fprintf(&b, "# Doozer\r\ndoozer_group:%s\r\ndoozer_node:%s\r\ndoozer_epoch:%d\r\ndoozer_state:%s\r\ndoozer_fresh:%d\r\n",
			v.Group, c.s.cfg.Self, v.Epoch, v.Register.State, btoi(v.Fresh))
	}
	c.out.bulk(b.String())
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
