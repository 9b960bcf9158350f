package bench

import (
	"encoding/json"
	"fmt"
	"io"
)

func milli(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.2f", ms)
	}
	return fmt.Sprintf("%.1f", ms)
}

// table prints rows as they come, or all as JSON at the end.
type table struct {
	out    io.Writer
	json   bool
	widths []int
	rows   []any
}

func newTable(out io.Writer, asJSON bool, columns ...string) *table {
	t := &table{out: out, json: asJSON, rows: []any{}}
	for i, c := range columns {
		t.widths = append(t.widths, max(len(c), 8))
		if i == 0 {
			t.widths[0] = len(c)
		}
	}
	t.line(columns)
	return t
}

func (t *table) line(cells []string) {
	if t.json {
		return
	}
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t.out, "  ")
		}
		fmt.Fprintf(t.out, "%*s", t.widths[i], c)
	}
	fmt.Fprintln(t.out)
}

func (t *table) add(row any, cells ...string) {
	t.rows = append(t.rows, row)
	t.line(cells)
}

func (t *table) note(format string, args ...any) {
	if !t.json {
		fmt.Fprintf(t.out, format+"\n", args...)
	}
}

func (t *table) end() error {
	if !t.json {
		return nil
	}
	if err := json.NewEncoder(t.out).Encode(t.rows); err != nil {
		return fmt.Errorf("print rows: %w", err)
	}
	return nil
}
