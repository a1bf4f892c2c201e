package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// openIdentity reads or makes the id in dir, and locks it: who has the lock knows
// that the agent that had the id before has ended.
func openIdentity(dir string) (*identity, error) {
	path := filepath.Join(dir, "agent.id")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w: give each agent a --dir of its own", path, ErrTaken)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	text, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(text))) < 16 {
		text = []byte(rand.Text())
		if _, err = f.WriteAt(text, 0); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &identity{text: strings.TrimSpace(string(text)), lock: f}, nil
}
