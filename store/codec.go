package store

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The first byte of every encoded command is its version: 2 of a Configure that
// says which files are volatile, 1 of all others, which is all that there was
// before.
const (
	commandVersion  = 1
	volatileVersion = 2
)

// opDel is the flag of an operation that deletes.
const opDel = 1

// Append appends c's encoding to dst:
//
//	version  1 byte: 1, or 2 of a Configure with volatile globs
//	kind     1 byte
//	client   uvarint; if not 0, seq and ack, uvarints
//	author   uvarint length, bytes
//	message  uvarint length, bytes
//	conds    uvarint count; for each: kind 1 byte, path, rev uvarint
//	ops      uvarint count; for each: flags 1 byte (1: delete), path, and
//	         unless it deletes the value; both as length and bytes
//	config   of Configure only: cluster id 16 bytes, epoch, history, history
//	         bytes, client TTL, max clients, client window, uvarints, and in
//	         version 2 the volatile globs as length and bytes
//
// This is what the log stores for ever: a change needs a new version, and the
// old one stays readable.
func (c *Command) Append(dst []byte) []byte {
	version := byte(commandVersion)
	if c.Kind == Configure && c.Config != nil && c.Config.Volatile != "" {
		version = volatileVersion
	}
	dst = append(dst, version, byte(c.Kind))
	dst = binary.AppendUvarint(dst, c.Client)
	if c.Client != 0 {
		dst = binary.AppendUvarint(dst, c.Seq)
		dst = binary.AppendUvarint(dst, c.Ack)
	}
	dst = appendString(dst, c.Author)
	dst = appendString(dst, c.Message)
	dst = binary.AppendUvarint(dst, uint64(len(c.Conds)))
	for i := range c.Conds {
		cond := &c.Conds[i]
		dst = append(dst, byte(cond.Kind))
		dst = appendString(dst, cond.Path)
		dst = binary.AppendUvarint(dst, uint64(cond.Rev))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Ops)))
	for i := range c.Ops {
		op := &c.Ops[i]
		if op.Del {
			dst = appendString(append(dst, opDel), op.Path)
			continue
		}
		dst = appendString(append(dst, 0), op.Path)
		dst = appendBytes(dst, op.Value)
	}
	if c.Kind == Configure && c.Config != nil {
		dst = c.Config.append(dst)
	}
	if version == volatileVersion {
		dst = appendString(dst, c.Config.Volatile)
	}
	return dst
}

// size returns a bound on the length of c's encoding.
func (c *Command) size() int {
	n := 128 + len(c.Author) + len(c.Message)
	for i := range c.Conds {
		n += 16 + len(c.Conds[i].Path)
	}
	for i := range c.Ops {
		n += 16 + len(c.Ops[i].Path) + len(c.Ops[i].Value)
	}
	return n
}

// DecodeCommand is the inverse of Append. The command's strings and values
// alias b, which must not change while the command is used. The error is an
// *Error with Code BadRequest.
func DecodeCommand(b []byte) (Command, error) {
	var c Command
	if err := c.decode(b); err != nil {
		return Command{}, err
	}
	return c, nil
}

// decode sets c to the command that b holds, using c's slices if they are
// large enough.
func (c *Command) decode(b []byte) *Error {
	d := decoder{b: b}
	version := d.byte()
	if version != commandVersion && version != volatileVersion {
		return badRequest("not a command of a version that this program knows")
	}
	*c = Command{Kind: Kind(d.byte()), Conds: c.Conds[:0], Ops: c.Ops[:0]}
	if c.Client = d.uvarint(); c.Client != 0 {
		c.Seq = d.uvarint()
		c.Ack = d.uvarint()
	}
	c.Author = d.string()
	c.Message = d.string()
	for range d.count(MaxConds) {
		c.Conds = append(c.Conds, Condition{Kind: CondKind(d.byte()), Path: d.string(), Rev: d.int63()})
	}
	for range d.count(MaxOps) {
		op := Op{Del: d.flags(opDel)&opDel != 0, Path: d.string()}
		if !op.Del {
			op.Value = d.bytes()
		}
		c.Ops = append(c.Ops, op)
	}
	if c.Kind == Configure {
		c.Config = d.config()
	}
	if version == volatileVersion {
		if c.Kind != Configure {
			return badRequest("a command of a version that only a configure has")
		}
		if c.Config.Volatile = d.string(); c.Config.Volatile == "" {
			d.fail()
		}
	}
	if d.bad || len(d.b) > 0 {
		return badRequest("a damaged command")
	}
	return nil
}

// append appends the settings but Volatile, which came later.
func (c *Config) append(dst []byte) []byte {
	dst = append(dst, c.ClusterID[:]...)
	dst = binary.AppendUvarint(dst, c.Epoch)
	dst = binary.AppendUvarint(dst, uint64(c.History))
	dst = binary.AppendUvarint(dst, uint64(c.HistoryBytes))
	dst = binary.AppendUvarint(dst, uint64(c.ClientTTL))
	dst = binary.AppendUvarint(dst, uint64(c.MaxClients))
	return binary.AppendUvarint(dst, uint64(c.ClientWindow))
}

// config reads what append appended.
func (d *decoder) config() *Config {
	c := new(Config)
	copy(c.ClusterID[:], d.take(len(c.ClusterID)))
	c.Epoch = d.uvarint()
	c.History = d.int63()
	c.HistoryBytes = d.int63()
	c.ClientTTL = d.int63()
	c.MaxClients = int(d.int63())
	c.ClientWindow = int(d.int63())
	return c
}

// decoder reads an encoding from the front of b. After the first fault bad is
// set, b is empty, and everything reads as zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// flags reads a byte that may have no bit set outside known.
func (d *decoder) flags(known byte) byte {
	f := d.byte()
	if f&^known != 0 {
		d.fail()
	}
	return f
}

// uvarint refuses encodings that are longer than needed, so that what decodes
// encodes to the same bytes.
func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n != max(1, (bits.Len64(v)+6)/7) {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// int63 reads a uvarint that an int64 can hold.
func (d *decoder) int63() int64 {
	v := d.uvarint()
	if v > 1<<63-1 {
		d.fail()
		return 0
	}
	return int64(v)
}

// count reads a uvarint that is at most limit.
func (d *decoder) count(limit uint64) int {
	n := d.uvarint()
	if n > limit {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) string() string { return aliasString(d.bytes()) }

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// aliasString returns b as a string without copying it. Decoding a command
// allocates nothing for it; whatever the store keeps, it copies.
func aliasString(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
