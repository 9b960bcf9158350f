package experiment

import (
	"fmt"
	"math"
	"strings"
)

// table is a Markdown table in the making.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
	}
	line(rule)
	for _, r := range t.rows {
		for i, c := range r {
			r[i] = strings.ReplaceAll(c, "|", "\\|")
		}
		line(r)
	}
	b.WriteByte('\n')
	return b.String()
}

func (i Interval) text(digits int) string {
	switch {
	case i.N == 0 || math.IsNaN(i.Mean):
		return "–"
	case i.N == 1:
		return fmt.Sprintf("%.*f", digits, i.Mean)
	}
	return fmt.Sprintf("%.*f ± %.*f", digits, i.Mean, digits, (i.High-i.Low)/2)
}

// signed writes a difference with both of its ends.
func (i Interval) signed(digits int) string {
	if i.N < 2 {
		return fmt.Sprintf("%+.*f", digits, i.Mean)
	}
	return fmt.Sprintf("%+.*f [%+.*f, %+.*f]", digits, i.Mean, digits, i.Low, digits, i.High)
}

func (c *Comparison) cells() []string {
	if c == nil {
		return []string{"–", "–", "–", "–", "–"}
	}
	overSeeds := c.OverSeeds.signed(2)
	if c.OverSeeds.N == 1 {
		overSeeds += " (1 seed)"
	}
	p := "–"
	if c.Crossed.N > 1 {
		p = fmt.Sprintf("%.3f", c.PHolm)
	}
	return []string{overSeeds, c.OverSubjects.signed(2), c.Crossed.signed(2), p, c.Verdict}
}

// count writes a number with its noun in the singular or plural.
func count(n int, one string, many ...string) string {
	if n == 1 {
		return "1 " + one
	}
	if len(many) > 0 {
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}
