package session

import (
	"encoding/json"
	"fmt"
	"time"
)

// recordVersion is the format of Record.
const recordVersion = 1

// Record is what a session file says, as JSON.
type Record struct {
	V int `json:"v"`
	// TTLms is the TTL in milliseconds; 0: the session is kept, nobody may
	// end it but by a decision of people.
	TTLms int64 `json:"ttl_ms"`
	// Beat counts the beats of this session, Mark tells them apart: a random
	// text that only the owner of the session knows beforehand.
	Beat int64  `json:"beat"`
	Mark string `json:"mark"`
	// Who is the owner in its own words, Host its machine.
	Who  string `json:"who,omitempty"`
	Host string `json:"host,omitempty"`
	// Boot, NS and Procs identify the owner's processes on its host; empty
	// where it does not tell.
	Boot  string `json:"boot,omitempty"`
	NS    string `json:"ns,omitempty"`
	Procs []Proc `json:"procs,omitempty"`
}

// Proc is one process: its id and its start, in ticks since boot, which tells
// it from another that got the id later.
type Proc struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// TTL is the TTL that challengers go by, in bounds whatever was written.
func (r *Record) TTL() time.Duration {
	return min(max(time.Duration(min(r.TTLms, int64(MaxTTL/time.Millisecond)))*time.Millisecond, MinTTL), MaxTTL)
}

// Kept tells that the session does not expire.
func (r *Record) Kept() bool { return r.TTLms == 0 }

// ParseRecord reads the value of a session file.
func ParseRecord(value []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(value, &r); err != nil {
		return Record{}, fmt.Errorf("session record: %w", err)
	}
	if r.V != recordVersion {
		return Record{}, fmt.Errorf("session record: version %d is not known", r.V)
	}
	return r, nil
}

// encode is the value of the file. It cannot fail: the record has only text and
// numbers.
func (r *Record) encode() []byte {
	value, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("session: encode %+v: %v", *r, err))
	}
	return value
}
