package faultfs

import "errors"

// ErrPower is what every operation returns after a power cut.
var ErrPower = errors.New("faultfs: power is cut")

// OpKind says what an operation does.
type OpKind uint8

// The operations a fault function sees.
const (
	OpMkdir OpKind = iota
	OpCreate
	OpOpen
	OpRemove
	OpRename
	OpReadDir
	OpSyncDir
	OpRead
	OpWrite
	OpAllocate
	OpSync
	OpSize
)

// String returns the kind's name.
func (k OpKind) String() string {
	names := [...]string{"mkdir", "create", "open", "remove", "rename", "readdir", "syncdir",
		"read", "write", "allocate", "sync", "size"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Changes tells operations that change something from those that only look.
func (k OpKind) Changes() bool {
	switch k {
	case OpOpen, OpReadDir, OpRead, OpSize:
		return false
	}
	return true
}

// Op is one operation that is about to happen.
type Op struct {
	Kind OpKind
	Name string // the path, as the file was opened
	Off  int64
	Len  int
	N    int // operations of all kinds before this one
}

// SetFault installs fn, which is asked before every operation and fails it by
// returning an error. fn may call CrashClone; nil removes it.
func (m *MemFS) SetFault(fn func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fn
}

// CutAfter is a fault function: n operations that change something succeed,
// then all operations fail with ErrPower. It is not for concurrent use.
func CutAfter(n int) func(Op) error {
	return func(op Op) error {
		if n <= 0 && (op.Kind.Changes() || n < 0) {
			n = -1
			return ErrPower
		}
		if op.Kind.Changes() {
			n--
		}
		return nil
	}
}

// FailNth is a fault function: the nth operation of the kind, counted from 1,
// fails with err, all others succeed. It is not for concurrent use.
func FailNth(kind OpKind, n int, err error) func(Op) error {
	return func(op Op) error {
		if op.Kind == kind {
			if n--; n == 0 {
				return err
			}
		}
		return nil
	}
}

// ask numbers an operation and lets the fault function decide.
func (m *MemFS) ask(op Op) error {
	m.mu.Lock()
	op.N = m.count
	m.count++
	fault := m.fault
	m.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(op)
}
