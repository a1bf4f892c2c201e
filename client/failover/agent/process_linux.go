package agent

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of times in /proc, which Linux shows in hundredths of a
// second on all machines.
const clockTick = 10 * time.Millisecond

// process is the process of a Redis on this host; the zero process is none, or
// one that can't be told to be it.
type process struct {
	pid   int
	start string
}

// processOf finds the process that INFO speaks of, if it is one of this host: it
// has that id, that program and that port, and it is reached by an address of this
// host.
func processOf(addr string, in info) process {
	pid, err := strconv.Atoi(in["process_id"])
	if err != nil || pid <= 1 || !localAddr(addr) {
		return process{}
	}
	exe, err := os.Readlink("/proc/" + in["process_id"] + "/exe")
	if err != nil {
		return process{}
	}
	exe = strings.TrimSuffix(exe, " (deleted)")
	name := filepath.Base(exe)
	if !strings.Contains(name, "redis") && !strings.Contains(name, "valkey") {
		return process{}
	}
	line, err := os.ReadFile("/proc/" + in["process_id"] + "/cmdline")
	if err != nil || !strings.HasPrefix(addr, "/") && !bytes.Contains(line, []byte(":"+in["tcp_port"])) {
		return process{}
	}
	p := process{pid: pid}
	fields := p.stat()
	if len(fields) < 20 {
		return process{}
	}
	p.start = fields[19]
	return p
}

// localAddr tells whether addr is a socket file or an address of this host.
func localAddr(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return strings.HasPrefix(addr, "/")
	}
	if host == "" || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}

// stat is /proc/PID/stat from the state on.
func (p process) stat() []string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/stat")
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// cpu is the processor time it has used.
func (p process) cpu() time.Duration {
	if p.pid == 0 {
		return 0
	}
	f := p.stat()
	if len(f) < 20 || f[19] != p.start {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	sys, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+sys) * clockTick
}

var errNoProcess = errors.New("its process is not known to be on this host")

// kill ends the process and returns when it has ended.
func (p process) kill(ctx context.Context) error {
	if p.pid == 0 {
		return errNoProcess
	}
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// The descriptor stands for whoever has the id; only if that is the process
	// meant it is ended.
	if f := p.stat(); len(f) < 20 || f[19] != p.start {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, syscall.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20)
		if n == 1 && err == nil {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return ctx.Err()
}
