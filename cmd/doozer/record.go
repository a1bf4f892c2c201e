package main

import (
	"bufio"
	"fmt"

	"github.com/doozer-store/doozer/client"
)

// Words for the kind of a change, in records, JSON and DOOZER_KIND.
const (
	kindSet = "set"
	kindDel = "del"
)

func kindOf(ev client.Event) string {
	if ev.Del {
		return kindDel
	}
	return kindSet
}

// eventJSON is a change; in the history Len stands in for the value.
type eventJSON struct {
	Path    string `json:"path"`
	Rev     int64  `json:"rev"`
	Kind    string `json:"kind"`
	Time    string `json:"time"`
	Author  string `json:"author"`
	Message string `json:"message"`
	valueJSON
}

// printEvent writes one change: as text PATH REV set|del LEN LF VALUE LF, where
// LEN makes any value safe and the last three words of the first line are
// never part of the path; as JSON one object a line.
func printEvent(out *bufio.Writer, format formatFlag, ev client.Event) error {
	if format == formatJSON {
		j := eventJSON{
			Path: ev.Path, Rev: ev.Rev, Kind: kindOf(ev), Time: stampJSON(ev.Time),
			Author: ev.Author, Message: ev.Message,
		}
		if !ev.Del {
			j.valueJSON = newValueJSON(ev.Value)
		}
		return printJSON(out, j)
	}
	fmt.Fprintf(out, "%s %d %s %d\n", ev.Path, ev.Rev, kindOf(ev), len(ev.Value))
	out.Write(ev.Value)
	return out.WriteByte('\n')
}
