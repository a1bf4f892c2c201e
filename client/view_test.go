package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// scripted reads one message of a script:
//
//	progress 5 | snapshot /a@1 /b@2 | end 5 | events +/a@6 -/b@6 | resync 9
func scripted(t *testing.T, line string) *doozerpb.WatchResponse {
	t.Helper()
	kinds := map[string]doozerpb.WatchResponse_Kind{
		"progress": doozerpb.WatchResponse_PROGRESS, "snapshot": doozerpb.WatchResponse_SNAPSHOT,
		"end": doozerpb.WatchResponse_SNAPSHOT_END, "events": doozerpb.WatchResponse_EVENTS,
		"resync": doozerpb.WatchResponse_RESYNC,
	}
	words := strings.Fields(line)
	res := &doozerpb.WatchResponse{Header: &doozerpb.Header{Epoch: 1}, Kind: kinds[words[0]]}
	for _, w := range words[1:] {
		name, rev, ok := strings.Cut(w, "@")
		if !ok {
			fmt.Sscan(w, &res.Rev)
			continue
		}
		ev := &doozerpb.Event{Path: strings.TrimLeft(name, "+-")}
		if strings.HasPrefix(name, "-") {
			ev.Kind = doozerpb.Event_DEL
		}
		fmt.Sscan(rev, &ev.Rev)
		res.Events = append(res.Events, ev)
	}
	return res
}

// drain empties the queue: "+/a@6" a set, "-/b@6" a delete, a trailing "…" one
// that is not the last of its step, "=6" a mark.
func drain(v *view) string {
	var out []string
	for !v.empty() {
		ev, mark, isMark := v.pop()
		switch {
		case isMark:
			out = append(out, fmt.Sprintf("=%d", mark))
			continue
		case ev.Del:
			out = append(out, fmt.Sprintf("-%s@%d", ev.Path, ev.Rev))
		default:
			out = append(out, fmt.Sprintf("+%s@%d", ev.Path, ev.Rev))
		}
		if ev.More {
			out[len(out)-1] += "…"
		}
	}
	return strings.Join(out, " ")
}

func requestText(v *view, cfg watchConfig) string {
	req := v.request("/**", cfg)
	if req.GetSnapshot() {
		return "snapshot"
	}
	return fmt.Sprintf("from %d", req.GetFrom())
}

// TestViewScripts: each script is a watch; "connect" starts a stream, and what
// is asked for follows; "lost" ends it; other lines are messages and, after
// "->", what is delivered.
func TestViewScripts(t *testing.T) {
	snap, plain := watchConfig{snapshot: true}, watchConfig{}
	for _, test := range []struct {
		name   string
		cfg    watchConfig
		script string
	}{
		{"plain", plain, `
			connect -> from 0
			progress 7 -> =7
			events +/a@8 +/b@8 -/c@9 -> +/a@8… +/b@8 -/c@9
			lost
			connect -> from 10
			progress 9 -> =9
			events +/a@10 -> +/a@10
			progress 12 -> =12
			lost
			connect -> from 13`},
		{"lost before it began", plain, `
			connect -> from 0
			lost
			connect -> from 0
			progress 7 -> =7`},
		{"from", watchConfig{from: 5}, `
			connect -> from 5
			progress 4 -> =4
			events +/a@5 -> +/a@5
			lost
			connect -> from 6`},
		{"the first mark of a resumed stream says nothing", watchConfig{from: 5}, `
			connect -> from 5
			progress 20 ->
			events +/a@6 -> +/a@6`},
		{"nothing twice", watchConfig{from: 5}, `
			connect -> from 5
			events +/a@5 +/a@6 -> +/a@5 +/a@6
			lost
			connect -> from 7
			events +/a@6 +/a@7 -> +/a@7`},
		{"snapshot", snap, `
			connect -> snapshot
			progress 5 ->
			snapshot /a@1 /b@2 -> +/a@1…
			snapshot /c@5 -> +/b@2…
			end 5 -> +/c@5 =5
			events +/d@6 -> +/d@6
			lost
			connect -> from 7`},
		{"empty snapshot", snap, `
			connect -> snapshot
			progress 0 ->
			end 0 -> =0
			lost
			connect -> from 1`},
		{"snapshot starts over", snap, `
			connect -> snapshot
			snapshot /a@1 /b@2 /c@3 -> +/a@1… +/b@2…
			lost
			connect -> snapshot
			snapshot /b@9 /c@3 ->
			snapshot /d@8 ->
			end 10 -> +/c@3… +/d@8… +/b@9… -/a@10 =10`},
		{"snapshot lost before the first file", snap, `
			connect -> snapshot
			snapshot /a@1 ->
			lost
			connect -> snapshot
			snapshot /a@1 /b@2 -> +/a@1…
			end 2 -> +/b@2 =2`},
		{"resync with a snapshot", snap, `
			connect -> snapshot
			snapshot /a@1 /b@2 /c@3 -> +/a@1… +/b@2…
			end 5 -> +/c@3 =5
			events -/a@6 +/e@7 -> -/a@6 +/e@7
			resync 20 ->
			snapshot /a@15 /c@3 /d@12 ->
			end 20 -> +/d@12… +/a@15… -/b@20… -/e@20 =20
			events +/b@21 -> +/b@21`},
		{"a resync is interrupted by another", snap, `
			connect -> snapshot
			snapshot /a@1 /b@2 -> +/a@1…
			end 5 -> +/b@2 =5
			resync 20 ->
			snapshot /a@15 ->
			lost
			connect -> snapshot
			snapshot /a@1 ->
			end 30 -> -/b@30 =30
			resync 31 ->
			snapshot /a@1 ->
			end 31 -> =31`},
		{"resync without a snapshot", watchConfig{from: 3}, `
			connect -> from 3
			progress 2 -> =2
			events +/a@3 -> +/a@3
			resync 20 ->
			snapshot /a@3 /c@19 /d@12 ->
			end 20 -> +/d@12… +/c@19 =20
			lost
			connect -> from 21`},
		{"restored from a backup", snap, `
			connect -> snapshot
			snapshot /a@1 /b@2 -> +/a@1…
			end 5 -> +/b@2 =5
			restored
			connect -> snapshot
			snapshot /a@1 ->
			end 3 -> +/a@1… -/b@3 =3
			events +/b@4 -> +/b@4`},
		{"restored, without a snapshot", plain, `
			connect -> from 0
			progress 9 -> =9
			restored
			connect -> snapshot
			snapshot /a@1 ->
			end 3 -> +/a@1 =3
			lost
			connect -> from 4`},
	} {
		t.Run(test.name, func(t *testing.T) { runScript(t, test.cfg, test.script) })
	}
}

func runScript(t *testing.T, cfg watchConfig, script string) {
	v := newView(cfg)
	first := false
	for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
		line = strings.TrimSpace(line)
		words, want, _ := strings.Cut(line, "->")
		want = strings.TrimSpace(want)
		got := ""
		switch strings.TrimSpace(words) {
		case "connect":
			got, first = requestText(&v, cfg), true
		case "lost":
			v.abort(viewChanges)
		case "restored":
			res := scripted(t, "progress 1")
			res.Header.Epoch = 2
			v.epoch = 1
			if err := v.take(res, true); !errors.Is(err, errEpoch) {
				t.Fatalf("a new epoch gives %v", err)
			}
			v.abort(viewAll)
			v.epoch = 1 // the script's next messages
		default:
			if err := v.take(scripted(t, words), first); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			got, first = drain(&v), false
		}
		if got != want {
			t.Fatalf("%s: got %s", line, got)
		}
	}
}

func TestViewRefusesNonsense(t *testing.T) {
	for _, test := range []struct {
		cfg  watchConfig
		line string
		want error
	}{
		{watchConfig{}, "snapshot /a@1", ErrInternal},
		{watchConfig{}, "end 1", ErrInternal},
		{watchConfig{snapshot: true}, "events +/a@1", ErrInternal},
		{watchConfig{noResync: true}, "resync 5", ErrTooLate},
	} {
		v := newView(test.cfg)
		if err := v.take(scripted(t, test.line), true); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.line, err)
		}
	}
}
