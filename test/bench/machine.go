package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// gcPercent is the load's own garbage collection: less often than by default,
// because a process that only asks has hardly any heap, and would collect
// hundreds of times a second. It is the same for every system's client.
const gcPercent = 400

// machine says what the figures were measured on, with data below dir.
func machine(dir string) string {
	var u syscall.Utsname
	_ = syscall.Uname(&u)
	var release []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	return fmt.Sprintf("%s, %d cores, %s of memory, %s %s/%s, data on %s, %s",
		field("/proc/cpuinfo", "model name"), runtime.NumCPU(), memory(), runtime.GOOS, release, runtime.GOARCH, fileSystem(dir), diskSpeed(dir))
}

// settings are those of the load.
func loadSettings() string {
	return fmt.Sprintf("the load: one process, %s, GOGC %d; servers, load and data on the same machine", runtime.Version(), gcPercent)
}

func setGC() { debug.SetGCPercent(gcPercent) }

func memory() string {
	kb := strings.Fields(field("/proc/meminfo", "MemTotal") + " 0 kB")
	var n float64
	_, _ = fmt.Sscan(kb[0], &n)
	return fmt.Sprintf("%.0f GB", n/1e6)
}

// field is the value of the first line "key: value" of a file in /proc.
func field(path, key string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func fileSystem(dir string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "unknown"
	}
	names := map[uint32]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs", 0x794c7630: "overlayfs", 0x2fc12fc1: "zfs"}
	if n := names[uint32(s.Type)]; n != "" {
		return n
	}
	return fmt.Sprintf("file system %#x", uint32(s.Type))
}

// diskSpeed is how long fdatasync takes after 4 KiB were appended: the limit of a
// write by one caller.
func diskSpeed(dir string) string {
	path := filepath.Join(dir, "fdatasync")
	f, err := os.Create(path)
	if err != nil {
		return "fdatasync unknown"
	}
	defer os.Remove(path)
	defer f.Close()
	h, block := &histogram{}, make([]byte, 4<<10)
	for range 500 {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return "fdatasync unknown"
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return "fdatasync unknown"
		}
		h.add(time.Since(start))
	}
	return fmt.Sprintf("4 KiB + fdatasync p50 %v, p99 %v", h.quantile(0.5).Round(time.Microsecond), h.quantile(0.99).Round(time.Microsecond))
}

// revision is that of this tree.
func revision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "of this tree"
	}
	return strings.TrimSpace(string(out))
}
