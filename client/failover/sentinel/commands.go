package sentinel

import (
	"crypto/subtle"
	"maps"
	"slices"
	"strings"
)

// version is that of the Redis whose Sentinel is imitated: clients decide by it
// what they may ask.
const version = "7.0.15"

// command is one that a client may send.
type command struct {
	min, max int // words beside the name; max < 0: any number
	// early: also before the password was given; subscribed: also in RESP2 when
	// only messages are expected.
	early, subscribed bool
	run               func(c *conn, args []string) // mu is held; args without the name
}

// commands are all of a connection. It is a function for want of constants that
// are maps.
func commands() map[string]command {
	return map[string]command{
		"ping":         {0, 1, false, true, (*conn).ping},
		"echo":         {1, 1, false, false, func(c *conn, args []string) { c.out.bulk(args[0]) }},
		"hello":        {0, -1, true, false, (*conn).hello},
		"auth":         {1, 2, true, false, (*conn).auth},
		"client":       {1, -1, false, false, (*conn).client},
		"command":      {0, -1, false, false, (*conn).command},
		"info":         {0, -1, false, false, (*conn).info},
		"role":         {0, 0, false, false, (*conn).role},
		"sentinel":     {1, -1, false, false, (*conn).sentinel},
		"subscribe":    {1, -1, false, true, (*conn).subscribe},
		"psubscribe":   {1, -1, false, true, (*conn).psubscribe},
		"unsubscribe":  {0, -1, false, true, (*conn).unsubscribe},
		"punsubscribe": {0, -1, false, true, (*conn).punsubscribe},
		"select":       {1, 1, false, false, func(c *conn, _ []string) { c.out.status("OK") }},
		"quit":         {0, -1, true, true, (*conn).quit},
		"reset":        {0, 0, true, true, (*conn).reset},
	}
}

// table is looked up only.
var table = commands()

// dispatch does a command; mu is held.
func (c *conn) dispatch(args []string) {
	name, args := args[0], args[1:]
	cmd, ok := table[name]
	switch {
	case !c.authed && !cmd.early:
		c.out.fail("NOAUTH Authentication required.")
	case !ok:
		c.out.fail("ERR unknown command '%.64s'", name)
	case len(args) < cmd.min || cmd.max >= 0 && len(args) > cmd.max:
		c.out.fail("ERR wrong number of arguments for '%s' command", name)
	case !cmd.subscribed && !c.out.resp3 && c.subs() > 0:
		c.out.fail("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", name)
	default:
		cmd.run(c, args)
	}
}

func (c *conn) ping(args []string) {
	switch {
	case !c.out.resp3 && c.subs() > 0:
		c.out.array(2)
		c.out.bulk("pong")
		c.out.bulk(strings.Join(args, ""))
	case len(args) > 0:
		c.out.bulk(args[0])
	default:
		c.out.status("PONG")
	}
}

// hello is HELLO [version [AUTH user password] [SETNAME name]]. A failed one
// changes nothing.
func (c *conn) hello(args []string) {
	resp3, name, authed := c.out.resp3, c.name, c.authed
	if len(args) > 0 {
		switch args[0] {
		case "2", "3":
			resp3 = args[0] == "3"
		default:
			c.out.fail("NOPROTO unsupported protocol version")
			return
		}
		args = args[1:]
	}
	for len(args) > 0 {
		switch option := strings.ToLower(args[0]); {
		case option == "auth" && len(args) >= 3:
			if !c.passes(args[1], args[2]) {
				return
			}
			authed, args = true, args[3:]
		case option == "setname" && len(args) >= 2:
			name, args = args[1], args[2:]
		default:
			c.out.fail("ERR Syntax error in HELLO option '%.64s'", args[0])
			return
		}
	}
	if !authed {
		c.out.fail("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	c.out.resp3, c.name, c.authed = resp3, name, authed
	c.out.pairs(6)
	c.out.bulk("server")
	c.out.bulk("redis")
	c.out.bulk("version")
	c.out.bulk(version)
	c.out.bulk("proto")
	proto := int64(2)
	if resp3 {
		proto = 3
	}
	c.out.int(proto)
	c.out.bulk("id")
	c.out.int(c.id)
	c.out.bulk("mode")
	c.out.bulk("sentinel")
	c.out.bulk("modules")
	c.out.array(0)
}

// auth is AUTH [user] password.
func (c *conn) auth(args []string) {
	if len(args) == 1 {
		if c.s.cfg.Password == "" {
			c.out.fail("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
			return
		}
		args = []string{"default", args[0]}
	}
	if c.passes(args[0], args[1]) {
		c.authed = true
		c.out.status("OK")
	}
}

// passes compares user and password, and answers if they are wrong. Without a
// password set any will do, as Redis has it for its default user.
func (c *conn) passes(user, password string) bool {
	want := c.s.cfg.Password
	if user == "default" && (want == "" || subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1) {
		return true
	}
	c.out.fail("WRONGPASS invalid username-password pair or user is disabled.")
	return false
}

// client is CLIENT; what only describes the client is taken and forgotten.
func (c *conn) client(args []string) {
	switch sub := strings.ToLower(args[0]); {
	case sub == "setname" && len(args) == 2:
		c.name = args[1]
		c.out.status("OK")
	case sub == "getname" && len(args) == 1:
		if c.name == "" {
			c.out.null()
			return
		}
		c.out.bulk(c.name)
	case sub == "id" && len(args) == 1:
		c.out.int(c.id)
	case sub == "setinfo" && len(args) == 3, (sub == "no-evict" || sub == "no-touch") && len(args) == 2:
		c.out.status("OK")
	default:
		c.out.fail("ERR unknown subcommand or wrong number of arguments for '%.64s'. Try CLIENT SETNAME, GETNAME, SETINFO, ID.", args[0])
	}
}

// command is COMMAND, which redis-cli asks for its hints.
func (c *conn) command(args []string) {
	names := slices.Sorted(maps.Keys(commands()))
	sub := ""
	if len(args) > 0 {
		sub = strings.ToLower(args[0])
	}
	switch {
	case sub == "count" && len(args) == 1:
		c.out.int(int64(len(names)))
		return
	case sub == "docs":
		c.out.pairs(0)
		return
	case sub == "info":
		if len(args) > 1 {
			names = args[1:]
		}
	case sub != "":
		c.out.fail("ERR unknown subcommand '%.64s'. Try COMMAND COUNT, DOCS, INFO.", args[0])
		return
	}
	all := commands()
	c.out.array(len(names))
	for _, name := range names {
		cmd, ok := all[strings.ToLower(name)]
		if !ok {
			c.out.nullArray()
			continue
		}
		arity := int64(cmd.min + 1)
		if cmd.max != cmd.min {
			arity = -arity
		}
		c.out.array(6)
		c.out.bulk(strings.ToLower(name))
		c.out.int(arity)
		c.out.array(0)
		for range 3 { // first and last key, step
			c.out.int(0)
		}
	}
}

func (c *conn) quit([]string) {
	c.out.status("OK")
	c.closing = true
}

// reset makes the connection as it was when it came.
func (c *conn) reset([]string) {
	clear(c.channels)
	clear(c.patterns)
	c.name, c.authed, c.out.resp3 = "", c.s.cfg.Password == "", false
	c.out.status("RESET")
}
