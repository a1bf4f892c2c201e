package ring

import (
	"errors"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "10.0.0.1:6379": "10.0.0.1:6379", "10.0.0.1:6379\n": "10.0.0.1:6379", " a \n\n": " a \n", "[::1]:1": "[::1]:1",
		`{"addr":"a:1"}`:     "a:1",
		`{"addr":""}` + "\n": "",
		`{"state":"running","node":"n1","addr":"a:1"}`:     "a:1",
		`{"state":"switching","addr":"a:1","to":"n2"}`:     "a:1",
		`{"state":"electing","prev":"n1"}`:                 "",
		`{"state":"promoting","node":"n2","addr":"b:1"}`:   "",
		`{"addr":"a:1","more":{"addr":"no"},"list":[1,2]}`: "a:1",
	} {
		if got, err := Address([]byte(text)); got != want || err != nil {
			t.Errorf("%q is at %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		"\xff": errRefText, strings.Repeat("x", maxRefText+1): errRefText, `{"addr":`: errRefJSON, `{"addr":7}`: errRefJSON,
		`{"state":"running"}`: errRefJSON, `{}`: errRefJSON, `{"addr":"a"} x`: errRefJSON,
	} {
		if got, err := Address([]byte(text)); got != "" || !errors.Is(err, want) {
			t.Errorf("%.80q is at %q, %v, want %v", text, got, err, want)
		}
	}
}

// A node that refers to the register of a group is where its master is.
func TestLiveRegister(t *testing.T) {
	c := startStore(t).client()
	f := &File{}
	if err := f.Add("G1", Spec{Ref: "/redis/g1/master"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), c, "redis", f); err != nil {
		t.Fatal(err)
	}
	l := open(t, c, "redis", Config{Patience: hang})
	for _, step := range []struct{ register, want string }{
		{`{"state":"running","node":"n1","addr":"10.0.0.1:6379","session":"1.a"}`, "10.0.0.1:6379"},
		{`{"state":"electing","prev":"n1"}`, ""},
		{`{"state":"promoting","node":"n2","addr":"10.0.0.2:6379","session":"1.b"}`, ""},
		{`{"state":"running","node":"n2","addr":"10.0.0.2:6379","session":"1.b"}`, "10.0.0.2:6379"},
		{`{"state":"switching","node":"n2","addr":"10.0.0.2:6379","session":"1.b","to":"n1"}`, "10.0.0.2:6379"},
		{`{"state":"running","node":"n1","addr":"10.0.0.1:6379","session":"1.a"}`, "10.0.0.1:6379"},
	} {
		set(t, c, "/redis/g1/master", step.register)
		until(t, step.register, func() bool { return l.Ring().Node("G1").Addr == step.want })
	}
	set(t, c, "/redis/g1/master", "{")
	until(t, "a register that is none is told", func() bool { return errors.Is(l.Status().Err, errRefJSON) })
	if addr := l.Ring().Node("G1").Addr; addr != "" {
		t.Errorf("the address of no register: %q", addr)
	}
}
