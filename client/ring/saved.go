package ring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
)

// The local copy is one line with the XXH64 of the rest in hex, and a savedRing as
// JSON. It is replaced as a whole by a rename after an fsync: a crash leaves the
// old one or the new one, and beside it at most one temporary file of this
// process's id. It is a cache: a damaged one is none.

// savedRing is the local copy of a ring.
type savedRing struct {
	Name    string            `json:"name"`
	Cluster []byte            `json:"cluster"`
	Epoch   int64             `json:"epoch"`
	Saved   time.Time         `json:"saved"`
	File    []byte            `json:"file"`
	Texts   map[string]string `json:"texts"`
}

var errSaved = errors.New("the local copy is damaged")

// readSaved reads a local copy.
func readSaved(path string) (*savedRing, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSaved+1))
	if err != nil {
		return nil, err
	}
	sum, body, _ := bytes.Cut(data, []byte("\n"))
	var s savedRing
	if len(data) > maxSaved || string(sum) != strconv.FormatUint(xxhash.Sum64(body), 16) || json.Unmarshal(body, &s) != nil {
		return nil, fmt.Errorf("%w: %s", errSaved, path)
	}
	return &s, nil
}

// writeSaved replaces a local copy.
func writeSaved(path string, s *savedRing) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	data := append(strconv.AppendUint(nil, xxhash.Sum64(body), 16), '\n')
	data = append(data, body...)
	temp := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	if err := writeSynced(temp, data); err != nil {
		os.Remove(temp)
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func writeSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// load uses the local copy, if there is a good one of this ring and this cluster.
func (l *Live) load() {
	if l.cfg.Snapshot == "" {
		return
	}
	s, err := readSaved(l.cfg.Snapshot)
	if err == nil {
		err = l.use(s)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.cfg.Logger.Warn("the local copy of the ring cannot be used", "ring", l.name, "reason", err)
	}
}

// use makes the ring that was saved the present one.
func (l *Live) use(saved *savedRing) error {
	if saved.Name != l.name {
		return fmt.Errorf("it is of ring %q", saved.Name)
	}
	if id := l.c.ClusterID(); id != nil && !bytes.Equal(id, saved.Cluster) {
		return fmt.Errorf("it is of another cluster, %x", saved.Cluster)
	}
	f, err := Decode(saved.File)
	if err != nil {
		return err
	}
	r, err := build(f, saved.Epoch, nil)
	if err != nil {
		return err
	}
	s := &l.state
	s.ring, s.data, s.fromStore = r, saved.File, false
	l.setRefs()
	for path := range s.refs {
		if text, ok := saved.Texts[path]; ok {
			s.texts[path] = text
		}
	}
	l.mu.Lock()
	l.status.Saved = saved.Saved
	l.mu.Unlock()
	l.publish(true)
	return nil
}

// save writes the local copy of the present ring. A failure is told, and changes
// nothing else.
func (l *Live) save() {
	if l.cfg.Snapshot == "" {
		return
	}
	s := &l.state
	err := writeSaved(l.cfg.Snapshot, &savedRing{
		Name: l.name, Cluster: l.c.ClusterID(), Epoch: s.ring.Epoch(), Saved: time.Now(), File: s.data, Texts: s.texts,
	})
	if err != nil {
		l.cfg.Logger.Warn("the local copy of the ring cannot be written", "ring", l.name, "reason", err)
	}
	l.mu.Lock()
	l.status.SaveErr = err
	l.mu.Unlock()
}
