package consensus

import "time"

// timerAlarm is an Alarm by a timer of the runtime.
type timerAlarm struct {
	timer *time.Timer
	ring  chan struct{}
}

func newTimerAlarm() *timerAlarm {
	a := &timerAlarm{ring: make(chan struct{}, 1)}
	a.timer = time.AfterFunc(time.Hour, func() {
		select {
		case a.ring <- struct{}{}:
		default:
		}
	})
	return a
}

func (a *timerAlarm) Set(d time.Duration)   { a.timer.Reset(d) }
func (a *timerAlarm) Ring() <-chan struct{} { return a.ring }
func (a *timerAlarm) Close()                { a.timer.Stop() }
