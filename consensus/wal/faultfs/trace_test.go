package faultfs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// hex is s as strace -xx writes it.
func hex(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

func TestTrace(t *testing.T) {
	file := "3<" + hex("/d/x.new") + ">"
	trace := strings.Join([]string{
		`7 openat(AT_FDCWD<` + hex("/") + `>, "` + hex("/d/x.new") + `", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600) = ` + file,
		`7 openat(AT_FDCWD<` + hex("/") + `>, "` + hex("/d/none") + `", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)`,
		`7 write(` + file + `, "` + hex("abc") + `", 3 <unfinished ...>`,
		`8 write(1<` + hex("pipe:[5]") + `>, "` + hex("said\n") + `", 5 <unfinished ...>`,
		`7 <... write resumed>) = 3`,
		`7 ftruncate(` + file + `, 2000) = 0`,
		`8 <... write resumed>) = 5`,
		`7 pwrite64(` + file + `, "` + hex("de") + `", 2, 1024) = 2`,
		`7 fdatasync(` + file + `) = 0`,
		`7 renameat(AT_FDCWD<` + hex("/") + `>, "` + hex("/d/x.new") + `", AT_FDCWD<` + hex("/") + `>, "` + hex("/d/x") + `") = 0`,
		`7 fsync(4<` + hex("/d") + `>) = 0`,
		`7 pwrite64(3<` + hex("/elsewhere") + `>, "` + hex("z") + `", 1, 0) = 1`,
		`7 fallocate(3<` + hex("/d/x") + `>, 0, 0, 4096) = 0`,
		`7 unlinkat(AT_FDCWD<` + hex("/") + `>, "` + hex("/d/x") + `", 0) = 0`,
		`7 pwrite64(3<` + hex("/d/x") + `>(deleted), "` + hex("z") + `", 1, 0) = 1`,
		`7 +++ killed by SIGKILL +++`,
		`7 pwrite64(3<` + hex("/d/x") + `>, "` + hex("z") + `", 1, 0) = ?`,
	}, "\n")
	ops, err := faultfs.ReadTrace(strings.NewReader(trace))
	must(t, err)
	m := faultfs.New()
	said := ""
	for _, op := range ops {
		if strings.HasPrefix(op.Path, "pipe:") {
			said = string(op.Data)
			if b, err := m.ReadFile("/d/x.new"); err != nil || len(b) != 0 {
				t.Errorf("when it speaks the file holds %q, %v", b, err)
			}
		}
		must(t, m.Replay(op, "/d"))
		if op.Call == "fsync" {
			crashes(m, func(m *faultfs.MemFS) {
				if b, err := m.ReadFile("/d/x"); err != nil || len(b) != 2000 || string(b[:3]) != "abc" || string(b[1024:1026]) != "de" {
					t.Fatalf("after the sync %d bytes, %v", len(b), err)
				}
			})
		}
		if op.Call == "fallocate" {
			if b, err := m.ReadFile("/d/x"); err != nil || len(b) != 4096 {
				t.Errorf("%d bytes after fallocate, %v", len(b), err)
			}
		}
	}
	if said != "said\n" || len(m.Files()) != 0 || len(ops) != 12 {
		t.Errorf("it said %q, left %q, %d calls: %v", said, m.Files(), len(ops), ops)
	}
	for _, bad := range []string{`7 pwrite64(` + file + `, "\x61"..., 3, 0) = 3`, `7 rename("` + hex("/d/x") + `") = 0`} {
		if _, err := faultfs.ReadTrace(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was understood", bad)
		}
	}
}
