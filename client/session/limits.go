package session

import "time"

const (
	// DefaultTTL is the TTL of a session that is given none.
	DefaultTTL = 15 * time.Second
	// MinTTL and MaxTTL are the shortest and the longest TTL. Open refuses
	// others; a record that says something else is read as the nearer one.
	MinTTL = time.Second
	MaxTTL = time.Hour

	// Dir holds the session files.
	Dir = "/session"

	// maxDebts is how many files a session remembers to delete that could not
	// be deleted at once. When there are more, the session ends its life: with
	// it, they are as good as deleted.
	maxDebts = 1024

	// maxMemo is how many values Remember keeps; with one more it begins anew.
	maxMemo = 1024
)

// The parts of a TTL. The owner's sum is smaller than the challenger's by at
// least the margin: that is the distance between "the owner has stopped" and
// "another may begin", and all that clocks may drift apart during one TTL.

// beatEvery is the time between two beats.
func beatEvery(ttl time.Duration) time.Duration { return ttl / 3 }

// margin is how long before the end of the TTL the owner stops.
func margin(ttl time.Duration) time.Duration { return max(ttl/10, 250*time.Millisecond) }

// lapseTick is how often the owner compares its clock with the deadline, beside
// a timer that is set to it: timers stand still while the machine sleeps.
func lapseTick(ttl time.Duration) time.Duration { return margin(ttl) / 2 }

// retryPause is the time between attempts of what failed.
func retryPause(ttl time.Duration) time.Duration { return min(ttl/20, 250*time.Millisecond) }

// patience is how long a challenger sees no change before it acts.
func patience(ttl time.Duration) time.Duration { return ttl + ttl/50 + 50*time.Millisecond }

// lookEvery is how often a challenger looks at a session file.
func lookEvery(ttl time.Duration) time.Duration { return ttl / 6 }

// gapLimit is the longest time between two answers to a challenger that it
// counts as having watched. It is less than the 2/3 of a TTL for which an owner
// that just missed a beat can be kept from the next one, so that an outage that
// is counted expires nobody either.
func gapLimit(ttl time.Duration) time.Duration { return ttl / 2 }

// closeLimit bounds what Close does with the store.
func closeLimit(ttl time.Duration) time.Duration { return min(ttl, 5*time.Second) }

// settle is the time between the end of a process and the deletion of its
// session: what the process had told the kernel to kill with it dies meanwhile.
const settle = 30 * time.Millisecond
