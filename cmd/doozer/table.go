package main

import (
	"bufio"
	"strings"
	"unicode/utf8"
)

// column is the head of a table's column.
type column struct {
	name  string
	right bool // numbers: aligned to the right
}

// Columns are counted in characters, not in bytes or in cells of a terminal: names
// in wide scripts are not aligned, which costs nothing but looks.

// table writes rows in aligned columns, two spaces apart. It holds at most
// tableRows rows; widths never shrink from one block to the next.
type table struct {
	out    *bufio.Writer
	cols   []column
	widths []int
	rows   [][]string
}

// newTable begins a table. With head the names of the columns are its first
// row.
func newTable(out *bufio.Writer, head bool, cols ...column) *table {
	t := &table{out: out, cols: cols, widths: make([]int, len(cols))}
	if head {
		names := make([]string, len(cols))
		for i, c := range cols {
			names[i] = c.name
		}
		t.add(names...)
	}
	return t
}

// add takes one cell a column. Text of others goes through plain first: see
// output.go.
func (t *table) add(cells ...string) error {
	for i, cell := range cells {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
	t.rows = append(t.rows, cells)
	if len(t.rows) < tableRows {
		return nil
	}
	return t.flush()
}

// flush writes the rows held so far, without spaces at the end of a line.
func (t *table) flush() error {
	var line strings.Builder
	for _, row := range t.rows {
		line.Reset()
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell))
			if t.cols[i].right {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		if _, err := t.out.WriteString(strings.TrimRight(line.String(), " ") + "\n"); err != nil {
			return err
		}
	}
	t.rows = t.rows[:0]
	return nil
}
