package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Tail returns the bytes after offset from up to offset to of the history replid,
// as Redis would send them to a replica. Redis must be a master. A history that
// it does not have from there on is ErrGone.
func Tail(ctx context.Context, t Target, replid string, from, to int64) ([]byte, error) {
	if to < from || to-from > MaxTail {
		return nil, fmt.Errorf("%w: %d bytes", ErrGone, to-from)
	}
	c, err := Open(ctx, t)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// The filter keeps a Redis that does not have the history from sending a
	// copy of everything before it is hung up on.
	for _, cmd := range [][]string{
		{"REPLCONF", "capa", "eof", "capa", "psync2"},
		{"REPLCONF", "rdb-filter-only", ""},
	} {
		if _, err := c.Do(ctx, cmd...); err != nil && !errors.Is(err, ErrRefused) {
			return nil, err
		}
	}
	defer c.under(ctx, syncLimit)()
	line, err := c.psync(replid, from)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, "CONTINUE") {
		return nil, fmt.Errorf("%w after %s:%d", ErrGone, replid, from)
	}
	buf := make([]byte, to-from)
	_, err = io.ReadFull(c.r, buf)
	return buf, err
}

// Commands is what a piece of a replication stream has in it.
type Commands struct {
	// Raw is the stream without what a master says to its replicas only.
	Raw []byte
	// Count is how many commands change data.
	Count int64
	// Selects tells that the first of them comes after a SELECT.
	Selects bool
	// Rest is how many bytes at the end are no whole command.
	Rest int
}

// Parse takes a stream apart that begins with a command.
func Parse(stream []byte) (Commands, error) {
	var c Commands
	rest := stream
	for len(rest) > 0 {
		name, n, err := command(rest)
		if err != nil {
			return c, err
		}
		if n == 0 {
			break
		}
		raw := rest[:n]
		rest = rest[n:]
		switch name {
		case "PING", "REPLCONF":
			continue
		case "SELECT":
			c.Selects = c.Selects || c.Count == 0
		case "MULTI", "EXEC":
		default:
			c.Count++
		}
		c.Raw = append(c.Raw, raw...)
	}
	c.Rest = len(rest)
	return c, nil
}

// command is the name and the length of the first command; 0: it is not whole.
func command(b []byte) (name string, size int, err error) {
	n, used, err := number(b, '*')
	if err != nil || used == 0 {
		return "", 0, err
	}
	size = used
	for i := range n {
		length, used, err := number(b[size:], '$')
		if err != nil || used == 0 {
			return "", 0, err
		}
		size += used
		if len(b)-size < length+2 {
			return "", 0, nil
		}
		if i == 0 {
			name = strings.ToUpper(string(b[size : size+length]))
		}
		size += length + 2
	}
	return name, size, nil
}

// number reads a line of a mark and a number; used is 0 when it is not whole.
func number(b []byte, mark byte) (n, used int, err error) {
	end := bytes.Index(b[:min(len(b), 32)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= 32 {
			return 0, 0, fmt.Errorf("%w: %.32q", ErrProtocol, b)
		}
		return 0, 0, nil
	}
	if b[0] != mark {
		return 0, 0, fmt.Errorf("%w: %.32q", ErrProtocol, b[:end])
	}
	n, err = strconv.Atoi(string(b[1:end]))
	if err != nil || n < 0 {
		return 0, 0, fmt.Errorf("%w: %.32q", ErrProtocol, b[:end])
	}
	return n, end + 2, nil
}

// LastSelect is the database that the last SELECT in a piece of a stream names,
// which need not begin with a command; ok is false when there is none.
func LastSelect(stream []byte) (db int, ok bool) {
	const word = "*2\r\n$6\r\nSELECT\r\n$"
	for {
		i := bytes.LastIndex(stream, []byte(word))
		if i < 0 {
			return 0, false
		}
		part := bytes.SplitN(stream[i+len(word):], []byte("\r\n"), 3)
		if len(part) >= 2 {
			if db, err := strconv.Atoi(string(part[1])); err == nil && strconv.Itoa(len(part[1])) == string(part[0]) {
				return db, true
			}
		}
		stream = stream[:i]
	}
}
