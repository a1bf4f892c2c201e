package ring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// version is the format's; a file of another is refused.
const version = 1

// Decode reads a ring file. It is strict, so that all programs understand the
// same: members that the format does not have, or that stand twice, are refused.
// Its error is ErrBadFile with what is wrong.
func Decode(data []byte) (*File, error) {
	f := new(File)
	if err := f.decode(data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadFile, err)
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) decode(data []byte) error {
	if len(data) > MaxFile {
		return fmt.Errorf("it has %d bytes, more than %d", len(data), MaxFile)
	}
	if !utf8.Valid(data) {
		return errors.New("it is not UTF-8")
	}
	v := 0
	var slots, next map[string]string
	err := members(data, func(name string, value json.RawMessage) (err error) {
		switch name {
		case "v":
			v, err = integer(value)
		case "algo":
			var s string
			s, err = word(value)
			f.Algo = Algo(s)
		case "parts":
			f.Parts, err = integer(value)
		case "copies":
			f.Copies, err = integer(value)
		case "spread":
			f.Spread, err = word(value)
		case "points":
			f.Points, err = integer(value)
		case "nodes":
			err = f.decodeNodes(value)
		case "slots":
			slots, err = texts(value)
		case "next":
			next, err = texts(value)
		default:
			err = errUnknown
		}
		return err
	})
	if err != nil {
		return err
	}
	if v != version {
		return fmt.Errorf("its version is %d; this program understands %d", v, version)
	}
	if f.Nodes == nil {
		return errors.New("nodes is missing")
	}
	return f.decodeSlots(slots, next)
}

func (f *File) decodeNodes(data []byte) error {
	f.Nodes = make(map[string]Spec)
	return members(data, func(node string, value json.RawMessage) error {
		if len(f.Nodes) == MaxNodes {
			return fmt.Errorf("there are more than %d nodes", MaxNodes)
		}
		var s Spec
		err := members(value, func(name string, value json.RawMessage) (err error) {
			switch name {
			case "addr":
				s.Addr, err = text(value)
			case "ref":
				s.Ref, err = text(value)
			case "weight":
				s.Weight, err = ParseWeight(string(value))
			case "zone":
				s.Zone, err = text(value)
			case "state":
				var state string
				state, err = word(value)
				s.State = State(state)
			default:
				err = errUnknown
			}
			return err
		})
		f.Nodes[node] = s
		return err
	})
}

// decodeSlots turns ranges of each node into a node for each slot.
func (f *File) decodeSlots(slots, next map[string]string) error {
	if f.Algo != Slots {
		if slots != nil || next != nil {
			return errors.New("slots and next are for algo slots only")
		}
		return nil
	}
	f.fill()
	if f.Parts < 1 || f.Parts > MaxSlots {
		return fmt.Errorf("parts is %d, not 1 to %d", f.Parts, MaxSlots)
	}
	if err := spread(slots, f.Slots, "slots"); err != nil || next == nil {
		return err
	}
	f.Next = make([]string, f.Parts)
	return spread(next, f.Next, "next")
}

func spread(ranges map[string]string, owners []string, where string) error {
	for name, s := range ranges {
		err := ParseRanges(s, len(owners), func(i int) error {
			if owners[i] != "" {
				return fmt.Errorf("slot %d stands twice", i)
			}
			owners[i] = name
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s of %.140q: %w", where, name, err)
		}
	}
	return nil
}

var (
	errUnknown = errors.New("there is no such member in this version of the format")
	errText    = errors.New("it is not a string, or an empty one")
	errObject  = errors.New("it is not a JSON object")
)

// members calls each for the members of a JSON object, and refuses one that
// stands twice. Names are compared byte for byte.
func members(data []byte, each func(name string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errObject
	}
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return errObject
		}
		if seen[name] {
			return fmt.Errorf("%.140q stands twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("%.140q: %w", name, err)
		}
		if err := each(name, value); err != nil {
			return fmt.Errorf("%.140q: %w", name, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return errObject
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows the object")
	}
	return nil
}

func text(value json.RawMessage) (s string, err error) {
	if value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return "", errText
	}
	return s, nil
}

// word is a string that says something: a member at its default is left out.
func word(value json.RawMessage) (string, error) {
	s, err := text(value)
	if err == nil && s == "" {
		err = errText
	}
	return s, err
}

func texts(value json.RawMessage) (map[string]string, error) {
	m := make(map[string]string)
	err := members(value, func(name string, value json.RawMessage) (err error) {
		m[name], err = text(value)
		return err
	})
	return m, err
}

func integer(value json.RawMessage) (int, error) {
	n, err := strconv.Atoi(string(value))
	if err != nil || !digits(string(value)) || n == 0 {
		return 0, errNumber
	}
	return n, nil
}
