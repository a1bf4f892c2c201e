package rig

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// ReplyError is an error that Redis answered, with its first word: "READONLY You
// can't write against a read only replica.".
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// Refused tells whether err is an answer of Redis that begins with that word.
func Refused(err error, word string) bool {
	var e ReplyError
	return errors.As(err, &e) && strings.HasPrefix(string(e), word)
}

func isReply(err error) bool { return errors.As(err, new(ReplyError)) }

// Conn is one connection to a Redis server, byte for byte: what a test of its
// replication needs and client libraries hide. One goroutine uses it at a time.
type Conn struct {
	nc    net.Conn
	r     *bufio.Reader
	limit time.Duration // of one call
}

// callLimit is what only a server that hangs exceeds.
const callLimit = 30 * time.Second

// Dial connects to addr.
func Dial(addr string) (*Conn, error) { return DialLimit(addr, callLimit) }

// DialLimit connects to addr; the connection and each call may take limit.
func DialLimit(addr string, limit time.Duration) (*Conn, error) {
	nc, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		return nil, err
	}
	return &Conn{nc: nc, r: bufio.NewReader(nc), limit: limit}, nil
}

// Close closes the connection.
func (c *Conn) Close() { c.nc.Close() }

// drop closes the connection without a trace: polls make thousands, and the kernel
// would remember each for a minute.
func (c *Conn) drop() {
	if nc, ok := c.nc.(*net.TCPConn); ok {
		nc.SetLinger(0)
	}
	c.nc.Close()
}

// Send writes a command and waits for nothing.
func (c *Conn) Send(args ...string) error {
	c.nc.SetWriteDeadline(time.Now().Add(c.limit))
	_, err := c.nc.Write(command(args))
	return err
}

// Do is one command and its answer: a string, an integer as its digits, or the
// elements of an array with a newline between them. Nil is "".
func (c *Conn) Do(args ...string) (string, error) {
	if err := c.Send(args...); err != nil {
		return "", err
	}
	return c.Receive()
}

// Receive reads one answer, as Do gives it.
func (c *Conn) Receive() (string, error) {
	c.nc.SetReadDeadline(time.Now().Add(c.limit))
	return c.reply()
}

func (c *Conn) line() (string, error) {
	s, err := c.r.ReadString('\n')
	return strings.TrimSuffix(s, "\r\n"), err
}

func (c *Conn) reply() (string, error) {
	s, err := c.line()
	for err == nil && s == "" { // what keeps a waiting replica's connection alive
		s, err = c.line()
	}
	if err != nil {
		return "", err
	}
	switch s[0] {
	case '+', ':':
		return s[1:], nil
	case '-':
		return "", ReplyError(s[1:])
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil {
		return "", fmt.Errorf("not RESP: %q", s)
	}
	switch {
	case n < 0:
		return "", nil
	case s[0] == '$':
		b := make([]byte, n+2)
		_, err := io.ReadFull(c.r, b)
		return string(b[:n]), err
	case s[0] == '*':
		parts := make([]string, n)
		for i := range parts {
			part, err := c.reply()
			if err != nil && !isReply(err) {
				return "", err
			}
			parts[i] = part
		}
		return strings.Join(parts, "\n"), nil
	}
	return "", fmt.Errorf("not RESP: %q", s)
}

// Psync asks to be sent what the server writes, from byte offset on of the
// history replid, as a replica does, and returns its answer's words: CONTINUE,
// or FULLRESYNC with a history and an offset, after which the server sends its
// data.
func (c *Conn) Psync(replid string, offset int64) ([]string, error) {
	s, err := c.Do("PSYNC", replid, strconv.FormatInt(offset, 10))
	return strings.Fields(s), err
}

// SkipData reads over the data that follows a FULLRESYNC.
func (c *Conn) SkipData() error {
	c.nc.SetReadDeadline(time.Now().Add(c.limit))
	s, err := c.line()
	for err == nil && s == "" {
		s, err = c.line()
	}
	if err != nil {
		return err
	}
	if mark, ok := strings.CutPrefix(s, "$EOF:"); ok {
		return c.skipTo(mark)
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "$"), 10, 64)
	if err != nil {
		return fmt.Errorf("not the head of data: %q", s)
	}
	_, err = io.CopyN(io.Discard, c.r, n)
	return err
}

func (c *Conn) skipTo(mark string) error {
	var seen []byte
	for string(seen) != mark {
		b, err := c.r.ReadByte()
		if err != nil {
			return err
		}
		seen = append(seen, b)
		seen = seen[max(0, len(seen)-len(mark)):]
	}
	return nil
}

// command is args as RESP.
func command(args []string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// ReceiveSized is Receive for a stream of replication, and tells how many bytes
// the answer had.
func (c *Conn) ReceiveSized() (string, int64, error) {
	s, err := c.Receive()
	if err != nil {
		return "", 0, err
	}
	return s, int64(len(command(strings.Split(s, "\n")))), nil
}
