package report

import (
	"bytes"
	"encoding/xml"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// canvas is SVG as it is written. Elements and attribute names are this
// package's own; attribute values and text are escaped, so that whatever a name
// holds, the result is one well-formed document.
type canvas struct {
	b    bytes.Buffer
	open []string // elements that are to be closed
}

// begin opens an element; attrs are names and values in turn.
func (c *canvas) begin(name string, attrs ...string) {
	c.tag(name, attrs)
	c.b.WriteByte('>')
	c.open = append(c.open, name)
}

// end closes the element that was opened last.
func (c *canvas) end() {
	last := len(c.open) - 1
	c.b.WriteString("</" + c.open[last] + ">\n")
	c.open = c.open[:last]
}

// leaf is an element without content.
func (c *canvas) leaf(name string, attrs ...string) {
	c.tag(name, attrs)
	c.b.WriteString("/>\n")
}

// text is an element that holds text alone.
func (c *canvas) text(name, text string, attrs ...string) {
	c.begin(name, attrs...)
	c.b.WriteString(escape(text))
	c.end()
}

func (c *canvas) tag(name string, attrs []string) {
	c.b.WriteString("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		c.b.WriteString(" " + attrs[i] + `="` + escape(attrs[i+1]) + `"`)
	}
}

// escape makes s safe in text and in attributes. Control characters, which XML
// cannot hold, become the replacement character.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
	var b strings.Builder
	// A strings.Builder takes everything.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// num is a coordinate, to a tenth of a unit.
func num(f float64) string {
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}

// path builds the data of a path.
type path struct{ b strings.Builder }

func (p *path) move(x, y float64) { p.b.WriteString("M" + num(x) + " " + num(y)) }
func (p *path) line(x, y float64) { p.b.WriteString("L" + num(x) + " " + num(y)) }
func (p *path) shut()             { p.b.WriteString("Z") }
func (p *path) empty() bool       { return p.b.Len() == 0 }
func (p *path) data() string      { return p.b.String() }
