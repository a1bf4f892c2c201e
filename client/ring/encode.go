package ring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Encode writes f as a ring file, a node a line, so that people can read it and
// see what changed. The same membership gives the same bytes. It fills in the
// defaults; its error is ErrBadFile.
func (f *File) Encode() ([]byte, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"v\":%d, \"algo\":%q", version, string(f.Algo))
	if f.Parts != 0 {
		fmt.Fprintf(&b, ", \"parts\":%d", f.Parts)
	}
	if f.Points != 0 {
		fmt.Fprintf(&b, ", \"points\":%d", f.Points)
	}
	fmt.Fprintf(&b, ", \"copies\":%d", f.Copies)
	if f.Spread != "" {
		fmt.Fprintf(&b, ", \"spread\":%q", f.Spread)
	}
	lines(&b, "nodes", f.names(), func(name string) string { return f.Nodes[name].json() })
	if f.Algo == Slots {
		writeRanges(&b, "slots", f.Slots)
		if slices.ContainsFunc(f.Next, func(s string) bool { return s != "" }) {
			writeRanges(&b, "next", f.Next)
		}
	}
	b.WriteString("}\n")
	if b.Len() > MaxFile {
		return nil, fmt.Errorf("%w: it would have %d bytes, more than %d", ErrBadFile, b.Len(), MaxFile)
	}
	return b.Bytes(), nil
}

func writeRanges(b *bytes.Buffer, member string, owners []string) {
	ranges := formatRanges(owners)
	lines(b, member, slices.Sorted(maps.Keys(ranges)), func(name string) string { return quote(ranges[name]) })
}

// lines writes an object with a member a line.
func lines(b *bytes.Buffer, member string, names []string, value func(name string) string) {
	fmt.Fprintf(b, ",\n \"%s\":{", member)
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n  " + quote(name) + ":" + value(name))
	}
	b.WriteByte('}')
}

// json leaves out what is the default.
func (s Spec) json() string {
	var b bytes.Buffer
	member := func(name, value string) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(name) + ":" + value)
	}
	switch {
	case s.Ref != "":
		member("ref", quote(s.Ref))
	default:
		member("addr", quote(s.Addr))
	}
	if s.Weight.value() != One {
		member("weight", s.Weight.String())
	}
	if s.Zone != "" {
		member("zone", quote(s.Zone))
	}
	if s.State != "" && s.State != Up {
		member("state", quote(string(s.State)))
	}
	return "{" + b.String() + "}"
}

// quote writes a JSON string of valid UTF-8 without escaping what need not be.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(fmt.Sprintf("ring: a string that JSON cannot hold: %q: %v", s, err))
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
