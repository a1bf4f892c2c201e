package sentinel

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errProtocol says that what came is not RESP, or beyond a limit: nothing that
// follows can be understood.
var errProtocol = errors.New("protocol error")

// readCommand reads the next command: an array of bulk strings, or a line of
// words as people type it. An empty one has no words. An error that is not
// errProtocol is the connection's.
func readCommand(r *bufio.Reader) ([]string, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, "*") {
		args := strings.Fields(line)
		if len(args) > maxArgs {
			return nil, fmt.Errorf("%w: too many words", errProtocol)
		}
		return args, nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n > maxArgs {
		return nil, fmt.Errorf("%w: invalid multibulk length", errProtocol)
	}
	var args []string
	total := 0
	for range n { // none for a negative number, as Redis has it
		arg, err := readBulk(r, maxCommand-total)
		if err != nil {
			return nil, err
		}
		total += len(arg)
		args = append(args, arg)
	}
	return args, nil
}

// readBulk reads a bulk string, of which left bytes may still come.
func readBulk(r *bufio.Reader, left int) (string, error) {
	line, err := readLine(r)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(line, "$") {
		return "", fmt.Errorf("%w: expected '$', got '%.1s'", errProtocol, printable(line))
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 || n > min(maxArg, left) {
		return "", fmt.Errorf("%w: invalid bulk length", errProtocol)
	}
	// What is announced is within a limit and held only while it is read.
	buf := make([]byte, n+2)
	for got := 0; got < len(buf); {
		m, err := r.Read(buf[got:])
		if err != nil {
			return "", err
		}
		got += m
	}
	if buf[n] != '\r' || buf[n+1] != '\n' {
		return "", fmt.Errorf("%w: a bulk string is longer than it says", errProtocol)
	}
	return string(buf[:n]), nil
}

// readLine reads to the end of a line, which may be LF alone as Redis has it.
// The reader's buffer is maxLine.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("%w: too big a line", errProtocol)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

// reply appends answers in the form that the connection speaks.
type reply struct {
	buf   []byte
	resp3 bool
}

func (p *reply) line(kind byte, text string) {
	p.buf = append(p.buf, kind)
	p.buf = append(p.buf, printable(text)...)
	p.buf = append(p.buf, "\r\n"...)
}

// status and fail append one-line answers; what would break the line is
// replaced.
func (p *reply) status(text string)              { p.line('+', text) }
func (p *reply) fail(format string, args ...any) { p.line('-', fmt.Sprintf(format, args...)) }

func (p *reply) head(kind byte, n int64) {
	p.buf = append(p.buf, kind)
	p.buf = strconv.AppendInt(p.buf, n, 10)
	p.buf = append(p.buf, "\r\n"...)
}

func (p *reply) int(n int64) { p.head(':', n) }
func (p *reply) array(n int) { p.head('*', int64(n)) }

func (p *reply) bulk(s string) {
	p.head('$', int64(len(s)))
	p.buf = append(p.buf, s...)
	p.buf = append(p.buf, "\r\n"...)
}

// pairs begins a map of n entries, which RESP2 knows as an array.
func (p *reply) pairs(n int) {
	if p.resp3 {
		p.head('%', int64(n))
		return
	}
	p.array(2 * n)
}

// push begins a message that answers nothing.
func (p *reply) push(n int) {
	if p.resp3 {
		p.head('>', int64(n))
		return
	}
	p.array(n)
}

// null and nullArray are one in RESP3.
func (p *reply) null()      { p.none("$-1\r\n") }
func (p *reply) nullArray() { p.none("*-1\r\n") }

func (p *reply) none(resp2 string) {
	if p.resp3 {
		resp2 = "_\r\n"
	}
	p.buf = append(p.buf, resp2...)
}

// printable replaces what may not be in a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '.'
		}
		return r
	}, s)
}
