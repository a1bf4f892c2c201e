package client

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, test := range []struct {
		target string
		want   []string
		bad    string // part of the error
	}{
		{target: "a:1", want: []string{"a:1"}},
		{target: "a:1,b:2", want: []string{"a:1", "b:2"}},
		{target: " a:1 , b:2,,a:1", want: []string{"a:1", "b:2"}},
		{target: "[::1]:8046", want: []string{"[::1]:8046"}},
		{target: "doozer:?ca=a:1", want: []string{"a:1"}},
		{target: "doozer:?ca=a:1&ca=b:2&ca=a:1", want: []string{"a:1", "b:2"}},
		{target: "doozer:?ca=%5B%3A%3A1%5D:80", want: []string{"[::1]:80"}},
		{target: "", bad: "no address"},
		{target: ",", bad: "no address"},
		{target: "doozer:?", bad: "no address"},
		{target: "doozer:", bad: `"?ca=host:port"`},
		{target: "doozer://a:1", bad: `"?ca=host:port"`},
		{target: "doozer:?cn=x&ca=a:1", bad: `unknown parameter "cn"`},
		{target: "doozer:?ca=%zz", bad: "escape"},
		{target: "a", bad: `"a" is not host:port`},
		{target: "a:1,b", bad: `"b" is not host:port`},
		{target: ":1", bad: "no host"},
		{target: "a:0", bad: `bad port "0"`},
		{target: "a:65536", bad: `bad port "65536"`},
		{target: "a:http", bad: `bad port "http"`},
		{target: "http://a:1", bad: "not host:port"},
		{target: "::1:1", bad: "not host:port"},
	} {
		got, err := parseTarget(test.target)
		if test.bad == "" {
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%q = %q, %v; want %q", test.target, got, err, test.want)
			}
			continue
		}
		if !errors.Is(err, ErrBadTarget) || !strings.Contains(err.Error(), test.bad) {
			t.Errorf("%q: error %v, want one with %q", test.target, err, test.bad)
		}
	}
	if _, err := Open(t.Context(), "nonsense"); !errors.Is(err, ErrBadTarget) {
		t.Errorf("open = %v", err)
	}
}
