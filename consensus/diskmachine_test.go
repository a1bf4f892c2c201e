package consensus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"

	"github.com/doozer-store/doozer/consensus/wal"
)

// diskMachine is a machine whose durable half is a file of a wal.FS, written as
// bbolt writes: data where nobody looks yet, sync, then one of two meta
// sectors, sync; and a snapshot into a file beside it that takes its name. So
// a power cut can come between any two operations of log and state.
type diskMachine struct {
	files    wal.FS
	file     wal.File
	seq      uint64 // of the meta sector in use
	now      machineState
	durable  machineState
	reported uint64 // index of the last checkpoint that was said to be durable
	installs int
	staging  bool // StageSnapshot runs
}

const (
	machineFile   = "/state/state.db"
	machineStaged = machineFile + ".staged"
	machineSlot   = 1 << 20
)

// openDiskMachine opens what a crash left, or makes the state of a new node.
func openDiskMachine(files wal.FS, first Meta) (*diskMachine, error) {
	m := &diskMachine{files: files}
	if err := files.Remove(machineStaged); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := files.Open(machineFile)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = m.build(machineState{Meta: first}); err == nil {
			err = m.rename()
		}
	}
	if err != nil {
		return nil, err
	}
	m.file = f
	for k := range uint64(2) {
		seq, s, readErr := readMachine(f, k)
		if seq > m.seq { // the other's data is being replaced
			m.seq, m.durable, err = seq, s, readErr
		}
	}
	if err != nil || m.seq == 0 {
		return nil, fmt.Errorf("meta sector of seq %d: %w", m.seq, err)
	}
	m.now = m.durable
	m.now.List = slices.Clone(m.now.List)
	m.reported = m.durable.Meta.Index
	return m, nil
}

// readMachine returns the state of a meta sector, seq 0 if the sector is torn.
func readMachine(f wal.File, k uint64) (seq uint64, s machineState, err error) {
	sector := make([]byte, 512)
	if _, err := f.ReadAt(sector, int64(512*k)); err != nil && err != io.EOF {
		return ^uint64(0), s, err
	}
	le := binary.LittleEndian
	if le.Uint32(sector[20:]) != crc32.ChecksumIEEE(sector[:20]) || le.Uint64(sector) == 0 {
		return 0, s, nil
	}
	data := make([]byte, le.Uint64(sector[8:]))
	if _, err := f.ReadAt(data, int64(machineSlot*(k+1))); err != nil {
		return le.Uint64(sector), s, err
	}
	if le.Uint32(sector[16:]) != crc32.ChecksumIEEE(data) {
		return le.Uint64(sector), s, fmt.Errorf("the data of state %d is not what was written before its meta", le.Uint64(sector))
	}
	return le.Uint64(sector), s, json.Unmarshal(data, &s)
}

func writeMachine(f wal.File, seq uint64, s machineState) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, int64(machineSlot*(seq%2+1))); err != nil {
		return err
	}
	if err := f.Datasync(); err != nil {
		return err
	}
	sector := make([]byte, 512)
	le := binary.LittleEndian
	le.PutUint64(sector, seq)
	le.PutUint64(sector[8:], uint64(len(data)))
	le.PutUint32(sector[16:], crc32.ChecksumIEEE(data))
	le.PutUint32(sector[20:], crc32.ChecksumIEEE(sector[:20]))
	if _, err := f.WriteAt(sector, int64(512*(seq%2))); err != nil {
		return err
	}
	return f.Datasync()
}

// build writes a staged file.
func (m *diskMachine) build(s machineState) (wal.File, error) {
	f, err := m.files.Create(machineStaged)
	if err != nil {
		return nil, err
	}
	return f, writeMachine(f, 2, s)
}

func (m *diskMachine) rename() error {
	if err := m.files.Rename(machineStaged, machineFile); err != nil {
		return err
	}
	return m.files.SyncDir("/state")
}

func (m *diskMachine) Apply(index uint64, _ int64, commands [][]byte, results []any) {
	if index <= m.now.Meta.Index {
		panic(fmt.Sprintf("apply %d after %d", index, m.now.Meta.Index))
	}
	m.now.Meta.Index = index
	for i, c := range commands {
		results[i] = len(m.now.List)
		m.now.List = append(m.now.List, string(c))
	}
}

func (m *diskMachine) Checkpoint(meta Meta) func() error {
	s, installs := machineState{Meta: meta, List: slices.Clip(m.now.List)}, m.installs
	return func() error {
		if m.installs != installs {
			return nil
		}
		if err := writeMachine(m.file, m.seq+1, s); err != nil {
			return err
		}
		m.seq++
		m.durable, m.reported = s, meta.Index
		return nil
	}
}

func (m *diskMachine) OpenSnapshot() (Meta, io.ReadCloser, error) {
	b, err := json.Marshal(m.durable)
	return m.durable.Meta, io.NopCloser(bytes.NewReader(b)), err
}

func (m *diskMachine) StageSnapshot(meta Meta, r io.Reader) (func() error, func(), error) {
	var s machineState
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return nil, nil, err
	}
	if s.Meta.Index != meta.Index || s.Meta.Term != meta.Term {
		return nil, nil, fmt.Errorf("stream of %d, message of %d", s.Meta.Index, meta.Index)
	}
	m.staging = true
	f, err := m.build(s)
	m.staging = false
	if err != nil {
		return nil, nil, err
	}
	install := func() error {
		if err := m.rename(); err != nil {
			return err
		}
		m.file, m.seq, m.durable, m.now, m.reported = f, 2, s, s, s.Meta.Index
		m.now.List = slices.Clone(s.List)
		m.installs++
		return nil
	}
	return install, func() { _ = m.files.Remove(machineStaged) }, nil
}
