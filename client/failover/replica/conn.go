package replica

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrRefused: Redis answered with an error, which the text has.
	ErrRefused = errors.New("redis refused")
	// ErrGone: Redis no longer has the history from the offset on, or never had.
	ErrGone = errors.New("redis does not have the history asked for")
	// ErrProtocol: what Redis sent is not what the protocol says.
	ErrProtocol = errors.New("not the replication protocol")
)

// Target says where a Redis is and who asks.
type Target struct {
	// Addr is host:port, or the path of a socket if it begins with '/'.
	Addr string
	// User and Password are for AUTH; without a password there is none.
	User, Password string
	// TLS is nil for none.
	TLS *tls.Config
}

// Dial opens a plain connection to the target, without a word said.
func (t Target) Dial(ctx context.Context) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(t.Addr, "/") {
		network = "unix"
	}
	d := net.Dialer{}
	c, err := d.DialContext(ctx, network, t.Addr)
	if err != nil || t.TLS == nil {
		return c, err
	}
	cfg := t.TLS.Clone()
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		if host, _, err := net.SplitHostPort(t.Addr); err == nil {
			cfg.ServerName = host
		}
	}
	tc := tls.Client(c, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return tc, nil
}

// Conn is one connection to a Redis. It belongs to one goroutine, but for Close
// and Ack.
type Conn struct {
	c net.Conn
	r *bufio.Reader
}

// Open connects and authenticates.
func Open(ctx context.Context, t Target) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	nc, err := t.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &Conn{c: nc, r: bufio.NewReaderSize(nc, 16<<10)}
	if t.Password != "" {
		auth := []string{"AUTH", t.Password}
		if t.User != "" {
			auth = []string{"AUTH", t.User, t.Password}
		}
		if _, err := c.Do(ctx, auth...); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.c.Close() }

// under makes the end of ctx the end of what the connection waits for. The
// function it returns has to be called.
func (c *Conn) under(ctx context.Context, limit time.Duration) func() {
	c.c.SetDeadline(time.Now().Add(limit))
	stop := context.AfterFunc(ctx, func() { c.c.SetDeadline(time.Unix(1, 0)) })
	return func() {
		if stop() {
			c.c.SetDeadline(time.Time{})
		}
	}
}

// Do sends a command and returns its answer, which has to be a line or a bulk
// string; a bulk string without its end.
func (c *Conn) Do(ctx context.Context, args ...string) (string, error) {
	defer c.under(ctx, stepLimit)()
	if err := c.Send(args...); err != nil {
		return "", err
	}
	text, err := c.reply()
	if err != nil {
		return "", fmt.Errorf("%s: %w", args[0], err)
	}
	return text, nil
}

// Send sends a command and waits for nothing.
func (c *Conn) Send(args ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := io.WriteString(c.c, b.String())
	return err
}

// Reply reads one answer; without a deadline it waits for ever.
func (c *Conn) Reply() (string, error) { return c.reply() }

// SetDeadline bounds what follows.
func (c *Conn) SetDeadline(t time.Time) error { return c.c.SetDeadline(t) }

func (c *Conn) reply() (string, error) {
	line, err := c.line()
	if err != nil {
		return "", err
	}
	switch {
	case line == "":
		return "", fmt.Errorf("%w: an empty line", ErrProtocol)
	case line[0] == '-':
		return "", fmt.Errorf("%w: %s", ErrRefused, line[1:])
	case line[0] == '+' || line[0] == ':':
		return line[1:], nil
	case line[0] == '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < -1 || n > 16<<20 {
			return "", fmt.Errorf("%w: %.40q", ErrProtocol, line)
		}
		if n < 0 {
			return "", nil
		}
		buf := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, buf); err != nil {
			return "", err
		}
		return string(buf[:n]), nil
	}
	return "", fmt.Errorf("%w: %.40q", ErrProtocol, line)
}

// line reads a line without its end.
func (c *Conn) line() (string, error) {
	var b strings.Builder
	for {
		part, err := c.r.ReadSlice('\n')
		b.Write(part)
		if err == nil {
			return strings.TrimRight(b.String(), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		if b.Len() > maxLine {
			return "", fmt.Errorf("%w: a line of more than %d bytes", ErrProtocol, maxLine)
		}
	}
}

// Attach begins to receive the replication stream after offset of the history
// replid. If Redis has no backlog to continue from, or another history, it sends
// the whole of an empty copy first, which is thrown away, and the stream begins
// where Redis is: full tells that.
func (c *Conn) Attach(ctx context.Context, replid string, offset int64) (full bool, err error) {
	if err := c.introduce(ctx); err != nil {
		return false, err
	}
	return c.attach(ctx, replid, offset)
}

// introduce says what kind of replica this is to be, in one round trip. PSYNC can't be
// sent with it: Redis refuses it while answers are on their way.
func (c *Conn) introduce(ctx context.Context) error {
	defer c.under(ctx, stepLimit)()
	words := [][]string{
		{"REPLCONF", "listening-port", "0"},
		{"REPLCONF", "capa", "eof", "capa", "psync2"},
		// Of a copy nothing is wanted: no keys, no functions.
		{"REPLCONF", "rdb-filter-only", ""},
	}
	for _, w := range words {
		if err := c.Send(w...); err != nil {
			return err
		}
	}
	for range words {
		if _, err := c.reply(); err != nil && !errors.Is(err, ErrRefused) {
			return fmt.Errorf("REPLCONF: %w", err)
		}
	}
	return nil
}

func (c *Conn) attach(ctx context.Context, replid string, offset int64) (full bool, err error) {
	defer c.under(ctx, syncLimit)()
	line, err := c.psync(replid, offset)
	if err != nil {
		return false, err
	}
	switch {
	case strings.HasPrefix(line, "CONTINUE"):
		return false, nil
	case strings.HasPrefix(line, "FULLRESYNC "):
		return true, c.skipCopy()
	}
	return false, fmt.Errorf("PSYNC: %w: %.80q", ErrProtocol, line)
}

func (c *Conn) psync(replid string, offset int64) (string, error) {
	if replid == "" {
		replid = "?"
		offset = -2
	}
	if err := c.Send("PSYNC", replid, strconv.FormatInt(offset+1, 10)); err != nil {
		return "", err
	}
	line, err := c.lineOfSync()
	if err != nil {
		return "", fmt.Errorf("PSYNC: %w", err)
	}
	if line[0] == '-' {
		return "", fmt.Errorf("PSYNC: %w: %s", ErrRefused, line[1:])
	}
	return line[1:], nil
}

// lineOfSync reads a line that is not empty: Redis sends empty ones to show that
// it is alive.
func (c *Conn) lineOfSync() (string, error) {
	for {
		line, err := c.line()
		if err != nil || line != "" {
			return line, err
		}
	}
}

// skipCopy reads an RDB file to its end.
func (c *Conn) skipCopy() error {
	line, err := c.lineOfSync()
	if err != nil {
		return err
	}
	if mark, ok := strings.CutPrefix(line, "$EOF:"); ok && len(mark) == 40 {
		return c.skipTo(mark)
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(line, "$"), 10, 64)
	if err != nil || line[0] != '$' || n < 0 {
		return fmt.Errorf("a copy: %w: %.80q", ErrProtocol, line)
	}
	_, err = io.CopyN(io.Discard, c.r, n)
	return err
}

// skipTo reads up to the mark and behind it.
func (c *Conn) skipTo(mark string) error {
	last := make([]byte, 0, 2*len(mark))
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			return err
		}
		if len(last) == cap(last) {
			last = append(last[:0], last[len(last)-len(mark)+1:]...)
		}
		last = append(last, b)
		if strings.HasSuffix(string(last), mark) {
			return nil
		}
	}
}

// ackZero is REPLCONF ACK 0.
const ackZero = "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n"

// Ack tells Redis that the replica is there. It may be called beside Drain.
func (c *Conn) Ack() error {
	c.c.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := io.WriteString(c.c, ackZero)
	return err
}

// Drain reads the stream and throws it away until the connection ends, and
// returns why.
func (c *Conn) Drain() error {
	buf := make([]byte, readBuffer)
	for {
		if _, err := c.r.Read(buf); err != nil {
			return err
		}
	}
}
