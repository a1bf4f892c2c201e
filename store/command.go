package store

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind says what a command does. Kinds are stored in the log: a number never
// changes its meaning.
type Kind uint8

const (
	// Write checks conditions and does operations, all or nothing.
	Write Kind = iota + 1
	// Nop changes nothing and uses no rev.
	Nop
	// Register makes a client id; it is in Result.Client.
	Register
	// System is a Write that may touch /ctl and nothing else.
	System
	// Configure changes the replicated settings.
	Configure
	// Check changes nothing: replicas compare their hashes at its index.
	Check
	numKinds
)

// CondKind says what a condition asks. Its numbers are stored in the log.
type CondKind uint8

const (
	// Any always holds.
	Any CondKind = iota
	// Missing holds if there is no file. A directory fails it with IsDir.
	Missing
	// Unchanged holds if the file exists and its rev is at most Rev.
	Unchanged
	numCondKinds
)

// Condition is what a write asks of a path, written by it or not.
type Condition struct {
	Path string
	Kind CondKind
	Rev  int64
}

// Op sets a file or, if Del, deletes it.
type Op struct {
	Path  string
	Value []byte // not kept if Del
	Del   bool
}

// Command is one entry of the log, as the store understands it.
type Command struct {
	Kind Kind
	// Client, Seq and Ack make a Write or System exactly-once; Client 0 is a
	// write that is not. Seq counts from 1; the client has the results of all
	// its writes below Ack, which is at most Seq.
	Client, Seq, Ack uint64
	Author, Message  string
	Conds            []Condition
	Ops              []Op
	Config           *Config // of Configure only
}

// Config is the replicated settings.
type Config struct {
	// ClusterID is set once; a Configure that names another leaves it.
	ClusterID [16]byte
	// Epoch only rises; a Configure with a lower one leaves it. One that
	// raises it makes the store forget all clients, unless it is the first:
	// see Exactly once in the package's comment.
	Epoch uint64
	// In a Configure command, a zero below leaves that setting as it is.
	History      int64 // revs kept readable
	HistoryBytes int64 // bytes of events in the window
	ClientTTL    int64 // nanoseconds of log time a client may be idle
	MaxClients   int
	ClientWindow int // sequence numbers a client may have without a result
	// Volatile are globs, one a line, of files that are written often and whose
	// past nobody needs: see Volatile files in the package's comment. In a
	// Configure command, no text leaves them as they are, and NoVolatile says
	// that there are none.
	Volatile string
}

// NoVolatile is the Config.Volatile that no file matches.
const NoVolatile = "/"

// Options are a node's own limits on what it proposes. They never decide what
// Apply answers.
type Options struct {
	MaxValue   int // bytes; 0 is DefaultMaxValue
	MaxCommand int // bytes; 0 is DefaultMaxCommand
}

// Validate returns nil if a server may propose c: Apply would not refuse it for
// its form, and it is within the limits of o. The error is an *Error with Code
// BadPath, BadRequest, ReadOnly or TooLarge.
func (c *Command) Validate(o Options) error {
	if err := c.validate(o); err != nil {
		return err
	}
	return nil
}

func (c *Command) validate(o Options) *Error {
	if o.MaxValue == 0 {
		o.MaxValue = DefaultMaxValue
	}
	if o.MaxCommand == 0 {
		o.MaxCommand = DefaultMaxCommand
	}
	if err := c.check(); err != nil {
		return err
	}
	switch {
	case len(c.Author) > MaxAuthor:
		return &Error{Code: TooLarge, Msg: "the author has over " + strconv.Itoa(MaxAuthor) + " bytes"}
	case len(c.Message) > MaxMessage:
		return &Error{Code: TooLarge, Msg: "the message has over " + strconv.Itoa(MaxMessage) + " bytes"}
	}
	for i := range c.Ops {
		if op := &c.Ops[i]; !op.Del && len(op.Value) > o.MaxValue {
			return &Error{Code: TooLarge, Path: op.Path, Index: i, Op: true,
				Msg: "the value has over " + strconv.Itoa(o.MaxValue) + " bytes"}
		}
	}
	if c.size() > o.MaxCommand {
		return &Error{Code: TooLarge, Msg: "the write has over " + strconv.Itoa(o.MaxCommand) + " bytes"}
	}
	return nil
}

// check returns why Apply refuses c whatever the tree holds, nil if it does
// not. It depends on c alone and on the limits of the format.
func (c *Command) check() *Error {
	if c.Kind == 0 || c.Kind >= numKinds {
		return badRequest("unknown kind of command")
	}
	if c.Kind == Configure {
		if c.Config == nil {
			return badRequest("a configure without settings")
		}
		if err := c.Config.check(); err != nil {
			return err
		}
	}
	if c.Kind != Write && c.Kind != System {
		if len(c.Conds) > 0 || len(c.Ops) > 0 || c.Client != 0 {
			return badRequest("only a write has conditions, operations or a client")
		}
		return nil
	}
	return c.checkWrite()
}

func (c *Command) checkWrite() *Error {
	switch {
	case len(c.Conds) > MaxConds || len(c.Ops) > MaxOps:
		return badRequest("over 128 conditions or operations")
	case len(c.Conds) == 0 && len(c.Ops) == 0:
		return badRequest("neither conditions nor operations")
	case c.Client != 0 && (c.Seq == 0 || c.Ack > c.Seq):
		return badRequest("a sequence number is 0, or below the acknowledged one")
	case !utf8.ValidString(c.Author) || !utf8.ValidString(c.Message):
		return badRequest("the author or the message is not valid UTF-8")
	}
	for i := range c.Conds {
		cond := &c.Conds[i]
		if err := checkPath(cond.Path); err != nil {
			err.Index = i
			return err
		}
		if cond.Kind >= numCondKinds || cond.Rev < 0 {
			return &Error{Code: BadRequest, Index: i, Msg: "unknown kind of condition, or a rev below 0"}
		}
	}
	for i := range c.Ops {
		if err := c.checkOp(i); err != nil {
			err.Index, err.Op = i, true
			return err
		}
	}
	if i := duplicate(c.Ops); i >= 0 {
		return &Error{Code: BadRequest, Index: i, Op: true, Msg: "two operations on one path"}
	}
	return nil
}

func (c *Command) checkOp(i int) *Error {
	path := c.Ops[i].Path
	if err := checkPath(path); err != nil {
		return err
	}
	switch {
	case c.Kind == Write && isCtl(path):
		return &Error{Code: ReadOnly, Path: strings.Clone(path)}
	case c.Kind == System && !isCtl(path):
		return &Error{Code: BadRequest, Path: strings.Clone(path), Msg: "a system write outside " + ctl}
	}
	return nil
}

// duplicate returns the index of the first operation whose path an operation
// before it has, -1 if there is none.
func duplicate(ops []Op) int {
	if len(ops) <= 8 {
		for i := range ops {
			for j := range i {
				if ops[j].Path == ops[i].Path {
					return i
				}
			}
		}
		return -1
	}
	seen := make(map[string]struct{}, len(ops))
	for i := range ops {
		if _, ok := seen[ops[i].Path]; ok {
			return i
		}
		seen[ops[i].Path] = struct{}{}
	}
	return -1
}

// check returns why a Configure command with c is refused, nil if it is not.
func (c *Config) check() *Error {
	within := func(v, most int64) bool { return v >= 0 && v <= most }
	if c.Epoch > maxEpoch || !within(c.History, maxHistory) || !within(c.HistoryBytes, maxHistoryBytes) ||
		!within(c.ClientTTL, maxClientTTL) || !within(int64(c.MaxClients), maxMaxClients) ||
		!within(int64(c.ClientWindow), maxClientWindow) {
		return badRequest("a setting is out of range")
	}
	_, err := compileVolatile(c.Volatile)
	return err
}

// Validate returns nil if a Configure command with c would not be refused. The
// error is an *Error with Code BadRequest.
func (c *Config) Validate() error {
	if err := c.check(); err != nil {
		return err
	}
	return nil
}

// defaultConfig is in force before any Configure command.
func defaultConfig() Config {
	return Config{
		History:      DefaultHistory,
		HistoryBytes: DefaultHistoryBytes,
		ClientTTL:    DefaultClientTTL,
		MaxClients:   DefaultMaxClients,
		ClientWindow: DefaultClientWindow,
	}
}

// merge returns c as a Configure command with n leaves it.
func (c Config) merge(n *Config) Config {
	if c.ClusterID == [16]byte{} {
		c.ClusterID = n.ClusterID
	}
	c.Epoch = max(c.Epoch, n.Epoch)
	if n.History != 0 {
		c.History = n.History
	}
	if n.HistoryBytes != 0 {
		c.HistoryBytes = n.HistoryBytes
	}
	if n.ClientTTL != 0 {
		c.ClientTTL = n.ClientTTL
	}
	if n.MaxClients != 0 {
		c.MaxClients = n.MaxClients
	}
	if n.ClientWindow != 0 {
		c.ClientWindow = n.ClientWindow
	}
	if n.Volatile != "" {
		c.Volatile = strings.Clone(n.Volatile)
	}
	return c
}
