package sentinel

import "strings"

// match tells whether s matches a pattern as PSUBSCRIBE has them: ? and * are any
// one and any number of bytes, [a-c] and [^a-c] one of a set or not, \ takes the
// next byte as it is. It takes time in proportion to the product of the lengths
// at most, whatever the pattern.
func match(pattern, s string) bool {
	// Where to go on if what follows the last * does not match here.
	retry, from := "", -1
	p, i := pattern, 0
	for i < len(s) {
		if strings.HasPrefix(p, "*") {
			p = p[1:]
			retry, from = p, i
			continue
		}
		if n, ok := matchOne(p, s[i]); ok {
			p = p[n:]
			i++
			continue
		}
		if from < 0 {
			return false
		}
		from++
		p, i = retry, from
	}
	return strings.Trim(p, "*") == ""
}

// matchOne matches c with the first element of a pattern, which has n bytes.
func matchOne(p string, c byte) (n int, ok bool) {
	switch {
	case p == "":
		return 0, false
	case p[0] == '?':
		return 1, true
	case p[0] == '[':
		return matchSet(p, c)
	case p[0] == '\\' && len(p) > 1:
		return 2, p[1] == c
	}
	return 1, p[0] == c
}

// matchSet matches c with a set, which may end with the pattern.
func matchSet(p string, c byte) (n int, ok bool) {
	n = 1
	not := strings.HasPrefix(p[n:], "^")
	if not {
		n++
	}
	for n < len(p) && p[n] != ']' {
		if p[n] == '\\' && n+1 < len(p) {
			n++
		}
		low, high := p[n], p[n]
		if n+2 < len(p) && p[n+1] == '-' {
			high = p[n+2]
			n += 2
		}
		if low > high {
			low, high = high, low
		}
		ok = ok || low <= c && c <= high
		n++
	}
	return min(n+1, len(p)), ok != not
}
