package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// identify names processes of this host so that others on it can tell whether
// they still exist. Where anything of that can't be found out it names none.
func identify(pids []int) (boot, ns string, procs []Proc) {
	boot, ns, err := here()
	if err != nil {
		return "", "", nil
	}
	for _, pid := range pids {
		start, err := startOf(pid)
		if err != nil {
			return "", "", nil
		}
		procs = append(procs, Proc{Pid: pid, Start: start})
	}
	return boot, ns, procs
}

// here identifies the running system and the pid namespace of this process.
func here() (boot, ns string, err error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", "", err
	}
	ns, err = os.Readlink("/proc/self/ns/pid")
	return strings.TrimSpace(string(id)), ns, err
}

// startOf is field 22 of /proc/PID/stat. The name before it may hold anything,
// so the fields are counted from its end.
func startOf(pid int) (uint64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, stat)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// awaitExit returns nil when all processes of r have provably ended: they are
// of this host, of this run of its kernel, and of this pid namespace (or of one
// whose number this one took over, which needs its end). It returns an error
// when ctx ends or nothing can be proved.
func awaitExit(ctx context.Context, r *Record) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	boot, ns, err := here()
	if err != nil {
		return err
	}
	if len(r.Procs) == 0 || r.Boot != boot || r.NS != ns || r.Host != host {
		return errElsewhere
	}
	for _, p := range r.Procs {
		if err := p.awaitExit(ctx); err != nil {
			return err
		}
	}
	t := time.NewTimer(settle)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitExit waits for the end of one process, which a pidfd tells: it becomes
// readable when the last thread has ended, also while nobody has reaped it.
func (p Proc) awaitExit(ctx context.Context) error {
	fd, err := unix.PidfdOpen(p.Pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	// The descriptor stands for whoever has the id at present; if that is not
	// the process meant, the one meant has ended.
	start, err := startOf(p.Pid)
	if errors.Is(err, os.ErrNotExist) || err == nil && start != p.Start {
		return nil
	}
	if err != nil {
		return err
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	ended := false
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		ended = err == nil && n == 1
		return ended
	})
	if ended {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("pidfd of %d: %w", p.Pid, err)
}
