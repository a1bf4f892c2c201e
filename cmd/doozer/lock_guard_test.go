package main

import (
	"errors"
	"os"
	"testing"
	"time"
)

// latePipe takes some bytes each time, or is late.
type latePipe struct {
	late int // how often, before each write
	left int
	got  []byte
}

func (p *latePipe) SetWriteDeadline(time.Time) error { return nil }

func (p *latePipe) Write(text []byte) (int, error) {
	if p.left > 0 {
		p.left--
		return 0, os.ErrDeadlineExceeded
	}
	p.left = p.late
	n := min(len(text), 3)
	p.got = append(p.got, text[:n]...)
	if n < len(text) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

// A process that was not run in time has not found out that the guard does not
// read: it tries again, and gives up in the end.
func TestSendOrder(t *testing.T) {
	for late := range orderTries + 2 {
		p := &latePipe{late: late, left: late}
		err := send(p, []byte("an order"))
		if late < orderTries && (err != nil || string(p.got) != "an order") {
			t.Errorf("late %d times: %v, sent %q", late, err, p.got)
		}
		if late >= orderTries && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("late %d times: %v", late, err)
		}
	}
}
