package export

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"
)

// Decimal is the mark of a fraction in a CSV file.
type Decimal string

// The marks. With a comma, semicolons are between the cells, and the file begins with
// the mark of UTF-8, by which Excel knows it.
const (
	Point Decimal = "point"
	Comma Decimal = "comma"
)

// Table writes CSV.
type Table struct {
	out     *csv.Writer
	decimal Decimal
	err     error
}

// NewTable begins a table.
func NewTable(w io.Writer, decimal Decimal) *Table {
	t := &Table{out: csv.NewWriter(w), decimal: decimal}
	if decimal == Comma {
		t.out.Comma = ';'
		_, t.err = io.WriteString(w, "\ufeff")
	}
	return t
}

// Row writes a row of texts and numbers. A number that is none is empty, as nil is, and
// a text that a spreadsheet would compute begins with an apostrophe.
func (t *Table) Row(cells ...any) error {
	row := make([]string, len(cells))
	for k, c := range cells {
		switch v := c.(type) {
		case string:
			row[k] = cell(v)
		case int:
			row[k] = strconv.Itoa(v)
		case int64:
			row[k] = strconv.FormatInt(v, 10)
		case uint64:
			row[k] = strconv.FormatUint(v, 10)
		case float64:
			row[k] = t.number(v)
		case *float64:
			if v != nil {
				row[k] = t.number(*v)
			}
		}
	}
	if t.err == nil {
		t.err = t.out.Write(row)
	}
	return t.err
}

// End writes what is left of the table.
func (t *Table) End() error {
	if t.out.Flush(); t.err == nil {
		t.err = t.out.Error()
	}
	return t.err
}

func (t *Table) number(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if t.decimal == Comma {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text
}

// cell keeps a spreadsheet from taking text for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// texts are the cells of a head.
func texts(names []string) (cells []any) {
	for _, n := range names {
		cells = append(cells, n)
	}
	return cells
}
