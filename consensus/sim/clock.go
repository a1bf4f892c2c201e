package sim

import "time"

// clock is one machine's: it runs at a rate of its own, and the time of day it
// tells may jump. It goes on while a process is paused or down.
type clock struct {
	rate  float64
	base  int64 // local time
	since int64 // when it was base
	wall  int64 // what the time of day differs by
}

// epoch is when simulations begin, nanoseconds since 1970.
const epoch = 1_700_000_000_000_000_000

func (c *clock) local(now int64) int64 { return c.base + int64(float64(now-c.since)*c.rate) }

func (c *clock) time(now int64) time.Time { return time.Unix(0, epoch+c.local(now)) }

func (c *clock) wallNanos(now int64) int64 { return epoch + c.local(now) + c.wall }

func (c *clock) setRate(now int64, rate float64) {
	c.base, c.since, c.rate = c.local(now), now, rate
}

// real returns how long a local duration takes.
func (c *clock) real(d time.Duration) time.Duration { return time.Duration(float64(d) / c.rate) }
