package sentinel

import (
	"maps"
	"slices"
	"time"
)

// subs is how many channels and patterns there are; mu is held, in these all.
func (c *conn) subs() int { return len(c.channels) + len(c.patterns) }

func (c *conn) subscribe(args []string)    { c.listen("subscribe", c.channels, args) }
func (c *conn) psubscribe(args []string)   { c.listen("psubscribe", c.patterns, args) }
func (c *conn) unsubscribe(args []string)  { c.leave("unsubscribe", c.channels, args) }
func (c *conn) punsubscribe(args []string) { c.leave("punsubscribe", c.patterns, args) }

// listen answers each name on its own, as Redis does.
func (c *conn) listen(kind string, set map[string]bool, names []string) {
	for _, name := range names {
		if !set[name] && c.subs() >= maxSubs {
			c.out.fail("ERR too many subscriptions: %d", maxSubs)
			return
		}
		set[name] = true
		c.subscribed(kind, name)
	}
	if !c.pushing {
		c.pushing = true
		c.wg.Go(c.push)
	}
}

// leave drops names, or all of them if none is given.
func (c *conn) leave(kind string, set map[string]bool, names []string) {
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(set))
	}
	for _, name := range names {
		delete(set, name)
		c.subscribed(kind, name)
	}
	if len(names) == 0 {
		c.out.push(3)
		c.out.bulk(kind)
		c.out.null()
		c.out.int(int64(c.subs()))
	}
}

func (c *conn) subscribed(kind, name string) {
	c.out.push(3)
	c.out.bulk(kind)
	c.out.bulk(name)
	c.out.int(int64(c.subs()))
}

// push tells the subscriber of changes until the connection ends. It owns told.
func (c *conn) push() {
	src := c.s.cfg.Source
	for settled := false; ; {
		changed := src.Changed()
		v := src.View()
		if _, ok := master(v); ok && c.told.odown && !settled {
			// Who lost its master looks for the next one itself.
			settled = true
			select {
			case <-time.After(settle):
				continue
			case <-c.life.Done():
				return
			}
		}
		settled = false
		if v.Fresh && c.publish(c.told.update(v)) != nil {
			return
		}
		select {
		case <-changed:
		case <-c.life.Done():
			return
		}
	}
}

// publish sends what the subscriber wants of events.
func (c *conn) publish(events []event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		if c.channels[e.channel] {
			c.out.push(3)
			c.out.bulk("message")
			c.out.bulk(e.channel)
			c.out.bulk(e.text)
		}
		for _, pattern := range slices.Sorted(maps.Keys(c.patterns)) {
			if match(pattern, e.channel) {
				c.out.push(4)
				c.out.bulk("pmessage")
				c.out.bulk(pattern)
				c.out.bulk(e.channel)
				c.out.bulk(e.text)
			}
		}
	}
	return c.flush()
}
