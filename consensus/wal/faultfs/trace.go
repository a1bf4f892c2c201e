package faultfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// TraceCalls are the system calls a trace must have for ReadTrace, as strace's
// -e trace= wants them. The other options are -f -y -xx -s 67108864.
const TraceCalls = "openat,write,pwrite64,fdatasync,fsync,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat"

// TraceOp is one system call of a real process that changed something.
type TraceOp struct {
	Call string
	Path string // of the file; the old name of a rename
	To   string // the new name of a rename
	Off  int64
	Size int64 // of ftruncate and fallocate
	Data []byte
	Made bool // openat with O_CREAT or O_TRUNC
	Cut  bool // openat with O_TRUNC
}

// String returns the call without its data.
func (o TraceOp) String() string {
	return fmt.Sprintf("%s %s %s at %d, %d bytes", o.Call, o.Path, o.To, o.Off, max(o.Size, int64(len(o.Data))))
}

var (
	traceLine   = regexp.MustCompile(`^(\d+)\s+(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$`)
	traceFile   = regexp.MustCompile(`^(-?\d+|AT_FDCWD)(?:<((?:[^>\\]|\\.)*)>)?`)
	traceResult = regexp.MustCompile(`\)\s+= (-?\d+)`)
	traceString = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
)

// ReadTrace reads what strace wrote. Calls come in the order in which they
// ended, but for writes to standard output, which count from their beginning:
// what a process says has to be true before it is said. Failed calls are left
// out.
func ReadTrace(r io.Reader) (ops []TraceOp, err error) {
	lines := bufio.NewReaderSize(r, 1<<20)
	begun := map[string]string{} // by thread: the beginning of an unfinished call
	for {
		line, readErr := lines.ReadString('\n')
		if m := traceLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			text := m[3] + "(" + m[4]
			if m[2] != "" {
				text = begun[m[1]] + m[4]
				delete(begun, m[1])
			}
			if head, ok := strings.CutSuffix(text, " <unfinished ...>"); ok {
				begun[m[1]] = head
				if !strings.HasPrefix(head, "write(1<") {
					continue
				}
				text = head + ") = 1"
			} else if m[2] == "write" && strings.HasPrefix(text, "write(1<") {
				continue // it counted when it began
			}
			op, ok, err := parseCall(text)
			if err != nil {
				return nil, fmt.Errorf("faultfs: trace: %w: %.200s", err, line)
			}
			if ok {
				ops = append(ops, op)
			}
		}
		if readErr == io.EOF {
			return ops, nil
		}
		if readErr != nil {
			return nil, readErr
		}
	}
}

// deleted ends the path of a file whose name is gone.
const deleted = " (deleted)"

var errTrace = errors.New("not understood")

// parseCall parses `name(args) = result`; ok is false for one that failed or
// changed nothing.
func parseCall(text string) (op TraceOp, ok bool, err error) {
	name, args, _ := strings.Cut(text, "(")
	results := traceResult.FindAllStringSubmatchIndex(args, -1)
	if len(results) == 0 {
		return op, false, nil // killed in it
	}
	at := results[len(results)-1]
	result, _ := strconv.ParseInt(args[at[2]:at[3]], 10, 64)
	args = args[:at[0]]
	if result < 0 {
		return op, false, nil
	}
	op.Call = name
	strs := traceString.FindAllStringSubmatchIndex(args, -1)
	str := func(i int) string { return unescape(args[strs[i][2]:strs[i][3]]) }
	if m := traceFile.FindStringSubmatch(args); m != nil && m[2] != "" && m[1] != "AT_FDCWD" {
		op.Path = unescape(m[2])
		if strings.HasPrefix(args[len(m[0]):], "(deleted)") {
			op.Path += deleted
		}
	}
	switch name {
	case "openat":
		if len(strs) != 1 {
			return op, false, errTrace
		}
		flags := args[strs[0][1]:]
		op.Path, op.Cut = str(0), strings.Contains(flags, "O_TRUNC")
		op.Made = op.Cut || strings.Contains(flags, "O_CREAT")
		return op, op.Made, nil
	case "write", "pwrite64":
		if len(strs) != 1 || strings.HasPrefix(args[strs[0][1]:], "...") {
			return op, false, errTrace
		}
		op.Data = []byte(str(0))
		if name == "pwrite64" {
			op.Off, err = lastNumber(args)
		}
		if int64(len(op.Data)) > result && op.Path != "" && !strings.HasPrefix(text, "write(1<") {
			op.Data = op.Data[:result]
		}
		return op, true, err
	case "ftruncate", "fallocate":
		op.Size, err = lastNumber(args)
	case "rename", "renameat", "renameat2":
		if len(strs) != 2 {
			return op, false, errTrace
		}
		op.Call, op.Path, op.To = "rename", str(0), str(1)
	case "unlink", "unlinkat":
		if len(strs) != 1 {
			return op, false, errTrace
		}
		op.Call, op.Path = "unlink", str(0)
	case "fsync", "fdatasync":
	default:
		return op, false, nil
	}
	return op, true, err
}

func lastNumber(args string) (int64, error) {
	return strconv.ParseInt(strings.TrimSpace(args[strings.LastIndexByte(args, ',')+1:]), 10, 64)
}

// unescape turns \x2f into a slash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s)/4)
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				out = append(out, byte(v))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// Replay does what a traced call did, if it was about a file below dir. A file
// that was removed, or replaced by a rename, while it was open is not followed.
func (m *MemFS) Replay(op TraceOp, dir string) error {
	if !strings.HasPrefix(op.Path, dir+"/") && op.Path != dir {
		return nil
	}
	f, err := m.Open(op.Path)
	there := err == nil
	switch op.Call {
	case "openat":
		if !there || op.Cut {
			_, err := m.Create(op.Path)
			return err
		}
		return nil
	case "rename":
		return m.Rename(op.Path, op.To)
	case "unlink":
		if !there {
			return nil // a directory
		}
		return m.Remove(op.Path)
	}
	switch {
	case there:
	case op.Call == "fsync" || op.Call == "fdatasync":
		return m.SyncDir(filepath.Clean(op.Path))
	case errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(op.Path, deleted):
		return nil
	default:
		return fmt.Errorf("faultfs: replay %v: %w", op, err)
	}
	switch op.Call {
	case "write": // of whole files, each in one call
		_, err = f.WriteAt(op.Data, 0)
	case "pwrite64":
		_, err = f.WriteAt(op.Data, op.Off)
	case "ftruncate", "fallocate":
		_, err = f.WriteAt(nil, op.Size)
	case "fsync", "fdatasync":
		err = f.Datasync()
	}
	return err
}

// Restore writes the files below the directory from into the directory to of
// the operating system, which exists; sectors of zeros become holes.
func (m *MemFS) Restore(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, n := range m.now {
		rel, err := filepath.Rel(from, name)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		path := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := n.restore(path); err != nil {
			return err
		}
	}
	return nil
}

func (n *inode) restore(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(n.size); err != nil {
		return err
	}
	for i, s := range n.now {
		if *s == (sector{}) || i*SectorSize >= n.size {
			continue
		}
		if _, err := f.WriteAt(s[:min(SectorSize, n.size-i*SectorSize)], i*SectorSize); err != nil {
			return err
		}
	}
	return nil
}
