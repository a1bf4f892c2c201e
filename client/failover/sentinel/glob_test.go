package sentinel

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	yes := [][2]string{
		{"", ""}, {"*", ""}, {"**", "x"}, {"*", "+switch-master"}, {"+switch-master", "+switch-master"}, {"+sw*", "+switch-master"},
		{"[-+]sdown", "+sdown"}, {"[-+]sdown", "-sdown"}, {"?sdown", "+sdown"}, {"*down*", "+odown"}, {"*a*b*c", "xaxbxc"}, {"[a-c]", "b"},
		{"[c-a]", "b"}, {"[^a-c]", "d"}, {`\*`, "*"}, {`[\]]`, "]"}, {"[abc", "c"}, {`a\`, `a\`}, {"*ab", "aab"}, {"[^]", "x"},
	}
	for _, c := range yes {
		if !match(c[0], c[1]) {
			t.Errorf("%q does not match %q", c[0], c[1])
		}
	}
	no := [][2]string{
		{"", "x"}, {"x", ""}, {"?", ""}, {"+sw", "+switch-master"}, {"switch-master", "+switch-master"}, {"[-+]sdown", "*sdown"},
		{"[^a-c]", "b"}, {`\*`, "x"}, {"*a*b*c", "xaxcxb"}, {"[]", "x"}, {"[", "x"}, {"a[", "a"}, {`\`, "x"},
	}
	for _, c := range no {
		if match(c[0], c[1]) {
			t.Errorf("%q matches %q", c[0], c[1])
		}
	}
	// Exponential in a matcher that tries all ways.
	if match(strings.Repeat("a*", 1000)+"b", strings.Repeat("a", 4000)) {
		t.Error("there is no b")
	}
}
