package ring

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Files as Encode writes them: they come back byte for byte.
var goodFiles = []string{
	"{\"v\":1, \"algo\":\"hrw\", \"parts\":131072, \"copies\":1,\n \"nodes\":{}}\n",
	"{\"v\":1, \"algo\":\"hrw\", \"parts\":1000, \"copies\":3, \"spread\":\"zone\",\n \"nodes\":{\n" +
		"  \"n1\":{\"addr\":\"10.0.0.1:11211\"},\n" +
		"  \"n2\":{\"addr\":\"10.0.0.2:11211\", \"weight\":1.5, \"zone\":\"a\", \"state\":\"draining\"},\n" +
		"  \"n3\":{\"ref\":\"/redis/G2/master\", \"weight\":0.001, \"state\":\"down\"},\n" +
		"  \"the <fourth>\":{\"addr\":\"\", \"weight\":1000, \"state\":\"joining\"}}}\n",
	"{\"v\":1, \"algo\":\"md5\", \"points\":100, \"copies\":2,\n \"nodes\":{\n  \"node1\":{\"addr\":\"a\"}}}\n",
	"{\"v\":1, \"algo\":\"slots\", \"parts\":16, \"copies\":1,\n \"nodes\":{},\n \"slots\":{}}\n",
	"{\"v\":1, \"algo\":\"slots\", \"parts\":16, \"copies\":1,\n \"nodes\":{\n  \"a\":{\"addr\":\"1\"},\n  \"b\":{\"addr\":\"2\", \"state\":\"joining\"}},\n" +
		" \"slots\":{\n  \"a\":\"0-10,12,14-15\",\n  \"b\":\"11,13\"},\n \"next\":{\n  \"b\":\"0,2-3\"}}\n",
}

func TestEncode(t *testing.T) {
	for _, text := range goodFiles {
		f, err := Decode([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := f.Encode()
		if err != nil || string(got) != text {
			t.Errorf("%s came back as %s, %v", text, got, err)
		}
		if again, err := f.Clone().Encode(); err != nil || !bytes.Equal(again, got) {
			t.Errorf("a clone is %s, %v", again, err)
		}
	}
}

// What another program may write by hand: order, space and defaults are free.
func TestDecodeDefaults(t *testing.T) {
	f, err := Decode([]byte("\n{\"nodes\" : {\"b\":{}, \"a\":{\"addr\":\"\\u0031\", \"state\":\"up\"}},\t\"v\":1} \n"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := f.Nodes["a"], f.Nodes["b"]
	if f.Algo != HRW || f.Parts != DefaultParts || f.Copies != 1 || a != (Spec{Addr: "1", Weight: One, State: Up}) || b != (Spec{Weight: One, State: Up}) {
		t.Errorf("%+v", f)
	}
}

func TestDecodeErrors(t *testing.T) {
	node := func(members string) string { return `{"v":1,"nodes":{"n":{` + members + `}}}` }
	tests := []struct{ text, want string }{
		{"", "not a JSON object"},
		{"null", "not a JSON object"},
		{"[]", "not a JSON object"},
		{`{"v":1,"nodes":{}`, "not a JSON object"},
		{`{"v":1,"nodes":{}} {}`, "something follows"},
		{`{"v":1,"nodes":{}}x`, "something follows"},
		{"{\"v\":1,\"nodes\":{\"\xff\":{}}}", "not UTF-8"},
		{`{"nodes":{}}`, "version is 0"},
		{`{"v":2,"nodes":{}}`, "version is 2"},
		{`{"v":1}`, "nodes is missing"},
		{`{"v":1,"nodes":[]}`, `"nodes": it is not a JSON object`},
		{`{"v":1,"nodes":{},"nodes":{}}`, `"nodes" stands twice`},
		{`{"v":1,"Nodes":{}}`, "no such member"},
		{`{"v":1,"nodes":{},"extra":1}`, `"extra": there is no such member`},
		{`{"v":1,"nodes":{"a":{},"a":{}}}`, `"a" stands twice`},
		{`{"v":1,"algo":"maglev","nodes":{}}`, `algo "maglev"`},
		{`{"v":1,"algo":"","nodes":{}}`, `"algo": it is not a string`},
		{`{"v":1,"algo":7,"nodes":{}}`, `"algo": it is not a string`},
		{`{"v":1,"parts":131073,"nodes":{}}`, "parts is 131073"},
		{`{"v":1,"parts":0,"nodes":{}}`, `"parts": not a number in range`},
		{`{"v":1,"parts":1e3,"nodes":{}}`, `"parts": not a number in range`},
		{`{"v":1,"parts":-1,"nodes":{}}`, `"parts": not a number in range`},
		{`{"v":1,"parts":99999999999999999999,"nodes":{}}`, `"parts": not a number in range`},
		{`{"v":1,"copies":9,"nodes":{}}`, "copies is 9"},
		{`{"v":1,"points":9,"nodes":{}}`, "points are for md5"},
		{`{"v":1,"algo":"md5","parts":9,"nodes":{}}`, "parts are not for md5"},
		{`{"v":1,"algo":"md5","points":262144,"nodes":{"a":{},"b":{}}}`, "ask for 524288 points"},
		{`{"v":1,"spread":"rack","nodes":{}}`, `spread "rack"`},
		{`{"v":1,"nodes":{"":{}}}`, `node "": a name is`},
		{`{"v":1,"nodes":{"a/b":{}}}`, `node "a/b": a name is`},
		{`{"v":1,"nodes":{"a\u0000":{}}}`, "a name is"},
		{`{"v":1,"nodes":{"` + strings.Repeat("n", 129) + `":{}}}`, "a name is"},
		{node(`"addr":"x","ref":"/y"`), "both addr and ref"},
		{node(`"addr":"` + strings.Repeat("x", 1025) + `"`), "its addr is over 1024"},
		{node(`"ref":"y"`), `ref "y" is not the path`},
		{node(`"ref":"/y/*"`), `is not the path`},
		{node(`"weight":0`), "from 0.001 to 1000"},
		{node(`"weight":1000.001`), "from 0.001 to 1000"},
		{node(`"weight":1.0001`), "from 0.001 to 1000"},
		{node(`"weight":1e1`), "from 0.001 to 1000"},
		{node(`"weight":"1"`), "from 0.001 to 1000"},
		{node(`"weight":-1`), "from 0.001 to 1000"},
		{node(`"state":"gone"`), `state "gone"`},
		{node(`"zone":"a\nb"`), "its zone"},
		{node(`"host":"x"`), `"nodes": "n": "host": there is no such member`},
		{`{"v":1,"nodes":{},"slots":{}}`, "slots and next are for"},
		{`{"v":1,"algo":"slots","parts":16385,"nodes":{}}`, "parts is 16385"},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}}}`, `slot 0 belongs to ""`},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}},"slots":{"a":"0-2"}}`, `slot 3 belongs to ""`},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}},"slots":{"a":"0-4"}}`, `"0-4" is not a slot`},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}},"slots":{"a":"3-0"}}`, `"3-0" is not a slot`},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}},"slots":{"a":"0,,1"}}`, `"" is not a slot`},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}},"slots":{"a":"0-3,3"}}`, "slot 3 stands twice"},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}},"slots":{"b":"0-3"}}`, `belongs to "b", which is no node`},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}},"slots":{"a":"0-3"},"next":{"a":"1"}}`, `cannot go from "a" to "a"`},
		{`{"v":1,"algo":"slots","parts":4,"nodes":{"a":{}},"slots":{"a":"0-3"},"next":{"c":"1"}}`, `cannot go from "a" to "c"`},
		{strings.Repeat(" ", MaxFile+1), "more than 1048576"},
		{`{"v":1,"nodes":{` + manyNodes(MaxNodes+1, `{}`) + `}}`, "more than 1024 nodes"},
		{`{"v":1,"nodes":{` + manyNodes(MaxRefs+1, `{"ref":"/r/%d"}`) + `}}`, "refer to 65 files"},
	}
	for _, tt := range tests {
		_, err := Decode([]byte(tt.text))
		if !errors.Is(err, ErrBadFile) || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 400 {
			t.Errorf("%.100s: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func manyNodes(n int, spec string) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"n%d":%s`, i, strings.ReplaceAll(spec, "%d", fmt.Sprint(i))))
	}
	return strings.Join(list, ",")
}

// The largest ring that the bounds allow is a file that can be written, unless
// addresses are very long.
func TestLargestFile(t *testing.T) {
	f := &File{Algo: Slots, Parts: MaxSlots, Slots: make([]string, MaxSlots), Nodes: map[string]Spec{}}
	for i := range MaxNodes {
		f.Nodes[fmt.Sprintf("node-with-a-long-name-%04d", i)] = Spec{Addr: strings.Repeat("a", 200), Weight: 1500, Zone: "zone", State: Draining}
	}
	names := f.names()
	for i := range f.Slots {
		f.Slots[i] = names[i%len(names)] // no two in a row: the worst case
	}
	data, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(data))
	for _, name := range names {
		f.Nodes[name] = Spec{Addr: strings.Repeat("a", MaxValue)}
	}
	if _, err := f.Encode(); !errors.Is(err, ErrBadFile) || !strings.Contains(err.Error(), "more than 1048576") {
		t.Errorf("too large a file: %v", err)
	}
}

func TestWeightText(t *testing.T) {
	for text, want := range map[string]Weight{"1": 1000, "0.001": 1, "1000": 1000000, "1.5": 1500, "0.25": 250, "12.050": 12050, "007": 7000} {
		if w, err := ParseWeight(text); w != want || err != nil {
			t.Errorf("%s: %d, %v", text, w, err)
		}
	}
	for _, text := range []string{"", "0", "0.0", "-1", "+1", ".5", "1.", "1.2345", "1001", "1000.001", "1e2", "x", " 1", "99999999999"} {
		if w, err := ParseWeight(text); err == nil {
			t.Errorf("%q is weight %v", text, w)
		}
	}
	for w := Weight(1); w <= 12000; w += 7 {
		if again, err := ParseWeight(w.String()); again != w || err != nil {
			t.Errorf("%d is written %q and read %d, %v", w, w, again, err)
		}
	}
}

// FuzzRingFile: any bytes are refused as a bad file, or are a file that comes back
// from its own text, and a ring in which every key has an owner that may have it.
func FuzzRingFile(f *testing.F) {
	for _, text := range goodFiles {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrBadFile) {
				t.Fatal(err)
			}
			return
		}
		text, err := file.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := Decode(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if second, err := again.Encode(); err != nil || !bytes.Equal(text, second) {
			t.Fatalf("%s came back as %s, %v", text, second, err)
		}
		// The work grows with these; TestLargest... and the benchmarks have more.
		if file.Parts*file.Copies*(1+len(file.Nodes)) > 1<<15 || file.Points > 100 || len(file.Nodes) > 20 {
			return
		}
		for _, s := range file.Nodes {
			if file.Algo == MD5 && s.Weight > 10*One {
				return
			}
		}
		ring, err := New(file, 1)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		checkRing(t, ring)
	})
}

// checkRing holds what is true of every ring.
func checkRing(t *testing.T, r *Ring) {
	t.Helper()
	for _, key := range []string{"", "a", "hello", "user:42", string(make([]byte, 300))} {
		owners := r.Owners(nil, key, MaxNodes)
		owner, other := r.Both(key)
		if len(owners) == 0 && owner != nil || len(owners) > 0 && owner != owners[0] || other != nil && other == owner {
			t.Fatalf("%q belongs to %v and %v, owners are %v", key, owner, other, namesOf(owners))
		}
		seen := map[*Node]bool{}
		for _, n := range owners {
			if n.State == Down || seen[n] {
				t.Fatalf("%q belongs to %v, of %v", key, n, namesOf(owners))
			}
			seen[n] = true
		}
	}
	sum := 0.0
	for _, s := range r.Shares() {
		sum += s.Share
	}
	if sum < 0.999999 && r.Owner("a") != nil || sum > 1.000001 {
		t.Fatalf("the shares add up to %f", sum)
	}
}
