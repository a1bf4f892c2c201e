package session

import "sync"

// memo is what recipes remember beside a session: it only ever saves them a
// question, so that all of it may be forgotten at any time.
type memo struct {
	mu sync.Mutex
	of map[string]any // guarded by mu
}

// Remember keeps a value under a key until there are too many.
func (s *Session) Remember(key string, value any) {
	m := &s.memo
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil || len(m.of) >= maxMemo {
		m.of = make(map[string]any)
	}
	m.of[key] = value
}

// Recall returns what was remembered under a key; nil: nothing.
func (s *Session) Recall(key string) any {
	s.memo.mu.Lock()
	defer s.memo.mu.Unlock()
	return s.memo.of[key]
}
