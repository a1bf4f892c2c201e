package store

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// The state is a set of records, the same bytes on every replica at the same
// index. In order of their keys:
//
//	"c" client id, 8 bytes    one client
//	"m"                       everything else
//	"v" path 0x00 rev, 8 bytes  one version
//
// Numbers in keys are big endian, so that records of one kind are in order. No
// path holds a byte below 0x20, so that versions are in order of path and rev.
//
// The first two kinds end in a hash of key and value, 8 bytes; the versions'
// hashes are summed up in "m". So no byte can change unnoticed.
//
// This is what checkpoints and backups hold: a change needs a new format
// number, and the old one stays readable.
const (
	clientKey  = 'c'
	metaKey    = 'm'
	versionKey = 'v'

	recordFormat = 2 // 1 knew no volatile files
)

func metaName() []byte { return []byte{metaKey} }

// meta is the record "m": the format, then each field as a uvarint, hashes as
// 8 bytes, the volatile globs, which format 1 did not have, as length and bytes.
type meta struct {
	rev, oldest, time int64
	config            Config
	lastClient        uint64
	touches           uint64
	hash              uint64 // of the root
	sum               uint64 // of the hashes of all versions
	files, versions   int64
	clients, results  int64
}

func (s *Store) meta() meta {
	return meta{
		rev: s.rev, oldest: s.oldest, time: s.time, config: s.config,
		lastClient: s.clients.last, touches: s.clients.touches,
		hash: s.Hash(), sum: s.sum, files: s.files, versions: s.versions,
		clients: int64(len(s.clients.byID)), results: int64(s.clients.results),
	}
}

// record returns the record of m.
func (m *meta) record() []byte {
	dst := append(make([]byte, 0, 128), recordFormat)
	for _, v := range []int64{m.rev, m.oldest, m.time, m.files, m.versions, m.clients, m.results} {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	dst = binary.AppendUvarint(dst, m.lastClient)
	dst = binary.AppendUvarint(dst, m.touches)
	dst = binary.BigEndian.AppendUint64(dst, m.hash)
	dst = binary.BigEndian.AppendUint64(dst, m.sum)
	return seal(metaName(), appendString(m.config.append(dst), m.config.Volatile))
}

// decode returns what is wrong with b, "" if nothing is.
func (m *meta) decode(b []byte) string {
	if len(b) > 0 && b[0] > recordFormat {
		return "a format newer than this program knows"
	}
	b, ok := unseal(metaName(), b)
	d := decoder{b: b}
	format := d.byte()
	if !ok || format < 1 {
		return "its hash or its format is wrong"
	}
	for _, v := range []*int64{&m.rev, &m.oldest, &m.time, &m.files, &m.versions, &m.clients, &m.results} {
		*v = d.int63()
	}
	m.lastClient = d.uvarint()
	m.touches = d.uvarint()
	m.hash = d.uint64()
	m.sum = d.uint64()
	m.config = *d.config()
	if format >= 2 {
		m.config.Volatile = strings.Clone(d.string())
	}
	switch {
	case d.bad || len(d.b) > 0:
		return "it does not decode"
	case m.config.check() != nil || defaultConfig().merge(&m.config) != m.config:
		return "a setting is out of range"
	case m.rev == 0 && m.oldest != 0 || m.rev > 0 && m.oldest >= m.rev:
		return "its window is out of range"
	case m.lastClient < m.config.Epoch*epochClients:
		return "its clients are those of an earlier epoch"
	case m.clients > int64(m.config.MaxClients) || m.results > MaxResults:
		return "it has too many clients or results"
	}
	return ""
}

// seal appends to value the hash of key and value.
func seal(key, value []byte) []byte {
	return binary.BigEndian.AppendUint64(value, sealOf(key, value))
}

func sealOf(key, value []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	d.Write(binary.BigEndian.AppendUint64(nil, uint64(len(key))))
	d.Write(key)
	d.Write(value)
	return d.Sum64()
}

// unseal returns value without its hash, false if that is not right.
func unseal(key, value []byte) ([]byte, bool) {
	n := len(value) - 8
	if n < 0 || binary.BigEndian.Uint64(value[n:]) != sealOf(key, value[:n]) {
		return nil, false
	}
	return value[:n], true
}

func appendClientKey(dst []byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, clientKey), id)
}

// record returns c's record: floor, time and number of the last use, and the
// results; for each its seq less the floor, the index and kind of what failed,
// the code and the rev. All are uvarints.
func (c *client) record() []byte {
	dst := make([]byte, 0, 40+8*len(c.results))
	dst = binary.AppendUvarint(dst, c.floor)
	dst = binary.AppendUvarint(dst, uint64(c.used))
	dst = binary.AppendUvarint(dst, c.touch)
	dst = binary.AppendUvarint(dst, uint64(len(c.results)))
	for _, r := range c.results {
		what := uint64(r.index) << 1
		if r.op {
			what |= 1
		}
		dst = binary.AppendUvarint(dst, r.seq-c.floor)
		dst = binary.AppendUvarint(dst, what)
		dst = binary.AppendUvarint(dst, uint64(r.code))
		dst = binary.AppendUvarint(dst, uint64(r.rev))
	}
	return seal(appendClientKey(nil, c.id), dst)
}

// decodeClient returns the client of a record, or what is wrong with it.
func decodeClient(key, value []byte) (*client, string) {
	d := decoder{b: key[1:]}
	c := &client{id: d.uint64(), saved: true}
	if d.bad || len(d.b) > 0 {
		return nil, "its key does not decode"
	}
	value, ok := unseal(key, value)
	if !ok {
		return nil, "its hash is wrong"
	}
	d = decoder{b: value}
	c.floor = d.uvarint()
	c.used = d.int63()
	c.touch = d.uvarint()
	n := d.count(maxClientWindow)
	c.results = make([]result, 0, min(n, len(value)/4))
	for range n {
		if d.bad {
			break
		}
		r := result{seq: c.floor + d.uvarint()}
		what := d.count(1<<9 - 1)
		r.op, r.index = what&1 != 0, uint8(what>>1)
		r.code = Code(d.count(uint64(numCodes) - 1))
		r.rev = d.int63()
		if r.seq < c.floor || len(c.results) > 0 && r.seq <= c.results[len(c.results)-1].seq {
			return nil, "its results are out of order"
		}
		c.results = append(c.results, r)
	}
	if d.bad || len(d.b) > 0 {
		return nil, "it does not decode"
	}
	return c, ""
}

func appendVersionKey(dst []byte, path string, rev int64) []byte {
	dst = append(append(append(dst, versionKey), path...), 0)
	return binary.BigEndian.AppendUint64(dst, uint64(rev))
}

// record returns the key and value of e's record: flags and ordinal, a byte
// each, the time, a uvarint, author, message and, unless it is a deletion, the
// value, each with its length. Both are the receiver's to keep.
func (e *Event) record() (key, value []byte) {
	key, value = e.appendRecord(nil)
	return key[:len(key):len(key)], value
}

// appendRecord is record in the array of b, if that is large enough. The key is
// at its start.
func (e *Event) appendRecord(b []byte) (key, value []byte) {
	b = slices.Grow(b[:0], len(e.Path())+len(e.Author())+len(e.Message())+e.size()+48)
	b = appendVersionKey(b, e.Path(), e.Rev)
	n := len(b)
	b = append(b, e.flags(), byte(e.Ordinal()))
	b = binary.AppendUvarint(b, uint64(e.Time))
	b = appendString(b, e.Author())
	b = appendString(b, e.Message())
	if !e.Del() {
		b = appendBytes(b, e.Value())
	}
	return b[:n], b[n:]
}

// decodeVersion returns the version of a record, whose path, value, author and
// message alias it, or what is wrong with it.
func decodeVersion(key, value []byte) (v Version, fault string) {
	i := slices.Index(key, 0)
	if i < 0 || len(key) != i+9 {
		return v, "its key does not decode"
	}
	v.Path = aliasString(key[1:i])
	v.Rev = int64(binary.BigEndian.Uint64(key[i+1:]))
	d := decoder{b: value}
	f := d.flags(eventDel | eventLast)
	v.Del, v.Last = f&eventDel != 0, f&eventLast != 0
	v.Ordinal = int(d.byte())
	v.Time = d.int63()
	v.Author = d.string()
	v.Message = d.string()
	if !v.Del {
		v.Value = d.bytes()
	}
	switch {
	case d.bad || len(d.b) > 0:
		return v, "it does not decode"
	case v.Rev <= 0 || v.Ordinal >= MaxOps:
		return v, "its rev or place is out of range"
	case v.Path == "/" || pathFault(v.Path) != "":
		return v, "its path is not well formed"
	}
	return v, ""
}

// Snapshot calls put with all records in order of their keys, and returns its
// first error. put may keep what it is given.
func (s *Store) Snapshot(put func(key, value []byte) error) error {
	ids := make([]uint64, 0, len(s.clients.byID))
	for id := range s.clients.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := put(appendClientKey(nil, id), s.clients.byID[id].record()); err != nil {
			return err
		}
	}
	m := s.meta()
	if err := put(metaName(), m.record()); err != nil {
		return err
	}
	var err error
	one := func(e *Event) bool {
		err = put(e.record())
		return err == nil
	}
	w := walker{
		nodes: s.nodes,
		enter: func(*node) bool { return true },
		visit: func(n *node) bool {
			for _, e := range n.old() {
				if !one(e) {
					return false
				}
			}
			return n.head == nil || one(n.head)
		},
	}
	w.walk(s.root)
	return err
}
