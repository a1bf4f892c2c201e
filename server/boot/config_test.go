package boot

import (
	"strings"
	"testing"
	"time"
)

func TestParseCluster(t *testing.T) {
	for _, c := range []struct {
		in, want string // names in order of id, or a part of the error
		bad      bool
	}{
		{in: "a=h1:1,b=h2:1,c=h3:1", want: "a b c"},
		{in: "c=h3:1, a=h1:1 ,b=h2:1", want: "a b c"},
		{in: "solo=127.0.0.1:8056", want: "solo"},
		{in: "e=h:1,d=h:2,c=h:3,b=h:4,a=h:5", want: "a b c d e"},
		{in: "a=[::1]:8056", want: "a"},
		{in: "", want: "is not NAME=HOST:PORT", bad: true},
		{in: "a", want: "is not NAME=HOST:PORT", bad: true},
		{in: "=h:1", want: "is not a node name", bad: true},
		{in: "a/b=h:1", want: "is not a node name", bad: true},
		{in: "..=h:1", want: "is not a node name", bad: true},
		{in: strings.Repeat("n", 65) + "=h:1", want: "is not a node name", bad: true},
		{in: "a=h", want: "is not HOST:PORT", bad: true},
		{in: "a=h:0", want: "no port from 1", bad: true},
		{in: "a=h:65536", want: "no port from 1", bad: true},
		{in: "a=:8056", want: "no host that others could dial", bad: true},
		{in: "a=0.0.0.0:8056", want: "no host that others could dial", bad: true},
		{in: "a=h1:1,a=h2:1,b=h3:1", want: "names node a twice", bad: true},
		{in: "a=h1:1,b=h1:1,c=h3:1", want: "same address", bad: true},
		{in: "a=h1:1,b=h2:1", want: "has 2 nodes; a cluster has 1, 3 or 5", bad: true},
		{in: "a=h:1,b=h:2,c=h:3,d=h:4", want: "has 4 nodes", bad: true},
	} {
		got, err := parseCluster(c.in)
		switch {
		case c.bad && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("parseCluster(%q) = %v, %v; want an error with %q", c.in, got, err, c.want)
		case !c.bad && (err != nil || strings.Join(names(got), " ") != c.want):
			t.Errorf("parseCluster(%q) = %v, %v; want %s", c.in, names(got), err, c.want)
		}
	}
}

func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string // part of the error, "" for none
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.DataDir = "" }, "--data-dir is missing"},
		{func(c *Config) { c.Name = "a b" }, "--name"},
		{func(c *Config) { c.Listen = "8046" }, "--listen"},
		{func(c *Config) { c.Listen = "h:99999" }, "--listen"},
		{func(c *Config) { c.Listen = ":8046" }, "add --advertise"},
		{func(c *Config) { c.Listen = "0.0.0.0:8046" }, "add --advertise"},
		{func(c *Config) { c.Listen, c.Advertise = ":8046", "h:8046" }, ""},
		{func(c *Config) { c.Advertise = ":8046" }, "--advertise"},
		{func(c *Config) { c.PeerListen = "x" }, "--peer-listen"},
		{func(c *Config) { c.PeerAdvertise = "0.0.0.0:1" }, "--peer-advertise"},
		{func(c *Config) { c.Web = "true" }, "--web"},
		{func(c *Config) { c.Web = "false" }, ""},
		{func(c *Config) { c.History = -1 }, "--history"},
		{func(c *Config) { c.History = maxHistory + 1 }, "--history"},
		{func(c *Config) { c.Volatile = []string{"/a/*", "/b//c"} }, "--volatile /a/*,/b//c: "},
		{func(c *Config) { c.Volatile = []string{"none"} }, ""},
		{func(c *Config) { c.MaxValue = -1 }, "--max-value"},
		{func(c *Config) { c.MaxValue = 2 << 20 }, "--max-value"},
		{func(c *Config) { c.CheckpointBytes = 1 }, "--checkpoint-bytes"},
		{func(c *Config) { c.Heartbeat = time.Millisecond }, "--heartbeat"},
		{func(c *Config) { c.Heartbeat = time.Second }, "--election-timeout"},
	} {
		cfg := Config{DataDir: "d"}
		c.change(&cfg)
		err := cfg.prepare()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", cfg, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: error %v, want one with %q", cfg, err, c.want)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("error of more than a line: %q", err)
		}
	}
}
