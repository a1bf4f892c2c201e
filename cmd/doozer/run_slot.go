package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
)

// A slot is a number that one holder of a line has. The line bounds how many
// hold; the slots only number them:
//
//	/lock/<name>/val/<n>  {"v":1,"state":..,"entry":..,...}
//
// The file names the entry of the line whose slot it is. It is taken by a
// transaction that asks that the taker's entry is there, that the file is as it
// was read, and that the entry which it names is missing. So of two that hold,
// which both have their entries, never both have one slot; and as at most N hold,
// there is one from 1 to N for each. From then on only the holder writes it,
// under the condition that its entry is there.

// slotFile is what the file of a slot says.
type slotFile struct {
	V     int    `json:"v"`
	State string `json:"state"`
	// Entry is the place in line of who has the slot, or had it.
	Entry string `json:"entry"`
	// Host is the machine, Pid the command's process while it runs.
	Host string `json:"host,omitempty"`
	Pid  int    `json:"pid,omitempty"`
	// Restarts counts the starts after the first one by this holder; Exit is
	// the last exit status that is known, also of earlier holders.
	Restarts int  `json:"restarts"`
	Exit     *int `json:"exit,omitempty"`
}

const slotVersion = 1

// The states of a slot.
const (
	slotStarting = "starting"
	slotRunning  = "running"
	slotBackoff  = "backoff" // between two starts
	slotStopped  = "stopped" // given up
	slotLost     = "lost"
	slotFree     = "free" // nobody has it; never written
)

// slotAt is a slot with what is known of its file.
type slotAt struct {
	slotFile
	number int
	rev    int64     // 0: there is no file
	since  time.Time // of the file
}

func slotPath(name string, number int) string {
	return line.Root + "/" + name + "/val/" + strconv.Itoa(number)
}

func entryPrefix(name string) string { return line.Root + "/" + name + "/e/" }

// encode is the file. It cannot fail: it has only text and numbers.
func (f slotFile) encode() []byte {
	f.V = slotVersion
	value, err := json.Marshal(f)
	if err != nil {
		panic(fmt.Sprintf("run: encode %+v: %v", f, err))
	}
	return value
}

// readSlots reads the files of a line's slots, in order. What can't be read names
// nobody.
func readSlots(ctx context.Context, st session.Store, name string) (slots []slotAt, err error) {
	for f, err := range st.Walk(ctx, line.Root+"/"+name+"/val/*") {
		if err != nil {
			return nil, err
		}
		number, err := strconv.Atoi(f.Path[strings.LastIndexByte(f.Path, '/')+1:])
		if err != nil || number < 1 || f.Path != slotPath(name, number) {
			continue
		}
		s := slotAt{number: number, rev: f.Rev, since: f.Time}
		if json.Unmarshal(f.Value, &s.slotFile) != nil || s.V != slotVersion || !strings.HasPrefix(s.Entry, entryPrefix(name)) {
			s.slotFile = slotFile{}
		}
		slots = append(slots, s)
	}
	slices.SortFunc(slots, func(a, b slotAt) int { return a.number - b.number })
	return slots, nil
}

// claim takes a slot for an entry that holds, while ctx lives: the one it had
// last, if that is free, else the lowest that is. It waits out a store that can't
// answer. Its error Is session.ErrLost if the place was given to others.
func claim(ctx context.Context, st session.Store, name string, p *line.Place, last int) (slotAt, error) {
	for {
		s, err := freeSlot(ctx, st, name, p.Path(), last)
		if err == nil && s.Entry == p.Path() {
			return s, nil
		}
		if err == nil {
			s, err = take(ctx, name, p, s)
		}
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, client.ErrRevMismatch):
			// It is another's, or a request whose reply was lost has taken it.
		case !line.Transient(err):
			return slotAt{}, err
		case !pause(ctx, retrySlot):
			return slotAt{}, ctx.Err()
		}
	}
}

// take takes a slot as it was read. If it is not known what became of a request
// the same one is sent again, until it is known: else one that is late might take
// a second slot.
func take(ctx context.Context, name string, p *line.Place, s slotAt) (slotAt, error) {
	path := slotPath(name, s.number)
	conds := []client.Cond{client.Missing(path)}
	if s.rev != 0 {
		conds[0] = client.Unchanged(path, s.rev)
	}
	if s.Entry != "" {
		conds = append(conds, client.Missing(s.Entry))
	}
	s.slotFile = slotFile{State: slotStarting, Entry: p.Path(), Host: hostName(), Exit: s.Exit}
	for {
		_, err := p.Txn(ctx, client.Txn{If: conds, Do: []client.Op{client.SetOp(path, s.encode())}})
		if err == nil || !line.Transient(err) {
			return s, err
		}
		if !pause(ctx, retrySlot) {
			return s, ctx.Err()
		}
	}
}

// freeSlot finds a slot whose holder, if it ever had one, is gone; or the one that
// the entry own has.
func freeSlot(ctx context.Context, st session.Store, name, own string, last int) (slotAt, error) {
	slots, err := readSlots(ctx, st, name)
	if err != nil {
		return slotAt{}, err
	}
	for _, s := range slots {
		if s.Entry == own {
			return s, nil
		}
	}
	present := map[string]bool{}
	for f, err := range st.Walk(ctx, entryPrefix(name)+"*", client.NoValues()) {
		if err != nil {
			return slotAt{}, err
		}
		present[f.Path] = true
	}
	return pickSlot(slots, present, last), nil
}

// pickSlot is the slot last if that is free, else the lowest that is: at most N-1
// others hold, so that is one from 1 to N.
func pickSlot(slots []slotAt, present map[string]bool, last int) slotAt {
	byNumber := map[int]slotAt{}
	for _, s := range slots {
		byNumber[s.number] = s
	}
	free := func(number int) bool { return !present[byNumber[number].Entry] }
	number := 1
	if last > 0 && free(last) {
		number = last
	}
	for !free(number) {
		number++
	}
	s := byNumber[number]
	s.number = number
	return s
}
