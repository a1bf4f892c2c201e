package main

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/client"
)

func TestParseScript(t *testing.T) {
	tests := []struct {
		script string
		want   client.Txn
	}{
		{"set /a b", client.Txn{Do: []client.Op{client.SetOp("/a", []byte("b"))}}},
		{"set /a  b c \n", client.Txn{Do: []client.Op{client.SetOp("/a", []byte(" b c "))}}},
		{"set /a\n", client.Txn{Do: []client.Op{client.SetOp("/a", []byte(""))}}},
		{"set /a \n", client.Txn{Do: []client.Op{client.SetOp("/a", []byte(""))}}},
		{"set /a \xff\x00\n", client.Txn{Do: []client.Op{client.SetOp("/a", []byte("\xff\x00"))}}},
		{"set64 /a AAE=\n", client.Txn{Do: []client.Op{client.SetOp("/a", []byte{0, 1})}}},
		{`set "/a b" c`, client.Txn{Do: []client.Op{client.SetOp("/a b", []byte("c"))}}},
		{`set "/a" "c"`, client.Txn{Do: []client.Op{client.SetOp("/a", []byte(`"c"`))}}},
		{`del "/a b"`, client.Txn{Do: []client.Op{client.DelOp("/a b")}}},
		{"# why\n\n  del /a\n", client.Txn{Do: []client.Op{client.DelOp("/a")}}},
		{"del /a\r\n", client.Txn{Do: []client.Op{client.DelOp("/a")}}},
		{"if /a missing\nif /b  rev 7\ndel /b", client.Txn{
			If: []client.Cond{client.Missing("/a"), client.Unchanged("/b", 7)},
			Do: []client.Op{client.DelOp("/b")},
		}},
	}
	for _, tt := range tests {
		got, err := parseScript([]byte(tt.script))
		if err != nil {
			t.Errorf("parseScript(%q): %v", tt.script, err)
		} else if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("parseScript(%q) = %v, want %v", tt.script, got, tt.want)
		}
	}
}

func TestParseScriptRefuses(t *testing.T) {
	tests := []struct{ script, want string }{
		{"put /a b", `line 1: "put" is none of if, set, set64, del`},
		{"set /a b\n\ndel", "line 3: a path is missing"},
		{"set", "line 1: a path is missing"},
		{"del /a b", "del takes one path"},
		{"set64 /a ?", "not base64"},
		{`set "/a b`, "does not end"},
		{`set ""`, "the quoted path is empty"},
		{`set "/a"b`, "a space is missing"},
		{"if /a", "either missing or rev R"},
		{"if /a rev", "either missing or rev R"},
		{"if /a rev x", "a rev is a number"},
		{"if /a rev 0", "revs start at 1"},
		{"if /a missing please", "either missing or rev R"},
	}
	for _, tt := range tests {
		if got, err := parseScript([]byte(tt.script)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("parseScript(%q) = %v, %v; want an error with %q", tt.script, got, err, tt.want)
		}
	}
}

func TestParseJSON(t *testing.T) {
	got, err := parseJSON([]byte(`{"if": [{"path": "/a", "missing": true}, {"path": "/b", "rev": 12}],
		"do": [{"set": "/a", "value": "x"}, {"set": "/c", "value_base64": "AAE="}, {"set": "/d"}, {"del": "/b"}],
		"message": "why"}`))
	want := client.Txn{
		If: []client.Cond{client.Missing("/a"), client.Unchanged("/b", 12)},
		Do: []client.Op{
			client.SetOp("/a", []byte("x")), client.SetOp("/c", []byte{0, 1}),
			client.SetOp("/d", []byte{}), client.DelOp("/b"),
		},
		Message: "why",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	tests := []struct{ in, want string }{
		{``, "empty"},
		{`[]`, "cannot unmarshal"},
		{`{} {}`, "more than one object"},
		{`{"iff": []}`, "unknown field"},
		{`{"if": [{"path": "/a"}]}`, "if[0]"},
		{`{"if": [{"path": "/a", "missing": true, "rev": 3}]}`, "if[0]"},
		{`{"if": [{"path": "/a", "rev": 0}]}`, "if[0]"},
		{`{"do": [{}]}`, "do[0]"},
		{`{"do": [{"set": "/a", "del": "/a"}]}`, "do[0]"},
		{`{"do": [{"del": "/a", "value": "x"}]}`, "del takes no value"},
		{`{"do": [{"set": "/a", "value": "x", "value_base64": ""}]}`, "either value or value_base64"},
		{`{"do": [{"set": "/a", "value_base64": "?"}]}`, "illegal base64"},
		{"{\"do\": [{\"set\": \"/a\", \"value\": \"\xff\"}]}", "not UTF-8"},
	}
	for _, tt := range tests {
		if got, err := parseJSON([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("parseJSON(%q) = %v, %v; want an error with %q", tt.in, got, err, tt.want)
		}
	}
}

// FuzzParseScript: no input makes the parser panic, and what it takes for a
// value comes out again when it is written as set64.
func FuzzParseScript(f *testing.F) {
	for _, seed := range []string{"set /a b\n", `if "/a b" rev 7`, "set64 /a AAE=\ndel /b", "#", `set "`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		got, err := parseScript(script)
		if err != nil {
			return
		}
		for _, op := range got.Do {
			if op.Del || strings.ContainsAny(op.Path, "\" \t\r\n") || strings.TrimSpace(op.Path) != op.Path {
				continue
			}
			again, err := parseScript([]byte("set64 " + op.Path + " " + base64.StdEncoding.EncodeToString(op.Value)))
			if err != nil || len(again.Do) != 1 || again.Do[0].Path != op.Path || string(again.Do[0].Value) != string(op.Value) {
				t.Fatalf("%s %q: %v, %v", op.Path, op.Value, again, err)
			}
		}
	})
}
