package sentinel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover"
)

// memory is a connection whose input is there from the beginning.
type memory struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (m *memory) Read(p []byte) (int, error)       { return m.in.Read(p) }
func (m *memory) Write(p []byte) (int, error)      { return m.out.Write(p) }
func (m *memory) Close() error                     { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }
func (m *memory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// Whatever comes: no panic, and every answer is RESP.
func FuzzConnection(f *testing.F) {
	for _, seed := range []string{
		cmd("PING") + cmd("HELLO 3") + cmd("SENTINEL masters"), cmd("SENTINEL get-master-addr-by-name g1"), "PING\r\n",
		cmd("AUTH default secret") + cmd("SUBSCRIBE +switch-master") + cmd("PING") + cmd("RESET"), cmd("COMMAND INFO auth x"),
		cmd("HELLO 2 AUTH default secret SETNAME x") + cmd("PSUBSCRIBE [ * +*") + cmd("PUNSUBSCRIBE"), cmd("INFO sentinel"),
		"*1\r\n$-1\r\n", "*3\r\n$4\r\nAUTH\r\n", "*2147483648\r\n", "\xff\xfe\r\n", cmd("SENTINEL replicas g1") + cmd("QUIT"),
	} {
		f.Add([]byte(seed), false, false)
		f.Add([]byte(seed), true, true)
	}
	f.Fuzz(func(t *testing.T, input []byte, password, stale bool) {
		src := three()
		src.Change(func(v *failover.View) { v.Fresh = !stale })
		cfg := Config{Source: src, Self: "n1", Hold: -1}
		if password {
			cfg.Password = "secret"
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		m := &memory{in: bytes.NewReader(input)}
		newConn(s, m, 1).serve()
		r := bufio.NewReader(&m.out)
		for {
			if err := skipValue(r, 0); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("the answers are no RESP: %v", err)
			}
		}
	})
}

// skipValue reads one value of RESP2 or RESP3. io.EOF is the end between values.
func skipValue(r *bufio.Reader, depth int) error {
	line, err := r.ReadString('\n')
	if err != nil && line == "" && depth == 0 {
		return err
	}
	if err != nil || len(line) < 3 || line[len(line)-2] != '\r' {
		return fmt.Errorf("line %q: %v", line, err)
	}
	kind, rest := line[0], line[1:len(line)-2]
	n := 0
	switch kind {
	case '+', '-':
		return nil
	case '_':
		if rest != "" {
			return fmt.Errorf("line %q", line)
		}
		return nil
	case ':', '$', '*', '%', '>':
		if n, err = strconv.Atoi(rest); err != nil || kind != ':' && (n < -1 || n > 1<<16) {
			return fmt.Errorf("line %q", line)
		}
	default:
		return fmt.Errorf("line %q", line)
	}
	switch kind {
	case ':':
		n = 0
	case '$':
		if n >= 0 {
			buf := make([]byte, n+2)
			if _, err := io.ReadFull(r, buf); err != nil || string(buf[n:]) != "\r\n" {
				return fmt.Errorf("bulk %q: %v", buf, err)
			}
		}
		return nil
	case '%':
		n *= 2
	}
	for range n {
		if err := skipValue(r, depth+1); err != nil {
			return err
		}
	}
	return nil
}
