package exercise

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// TestAnglesAreDocumented: docs/angles.md has every signal with its unit and
// its error, and no other.
func TestAnglesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "angles.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*\\| (\\w+), ([0-9.]+) \\|$").FindAllStringSubmatch(string(text), -1)
	said := map[string]string{}
	for _, r := range rows {
		said[r[1]] = r[2] + " " + r[3]
	}
	for name, q := range quantities {
		unit := q.unit
		if unit == "" {
			unit = "share"
		}
		if want := fmt.Sprintf("%s %v", unit, q.margin); said[name] != want {
			t.Errorf("docs/angles.md: %s is %q, want %q", name, said[name], want)
		}
		delete(said, name)
	}
	for name := range said {
		t.Errorf("docs/angles.md: %s is no signal", name)
	}
}

// exerciseTable is what docs/exercises.md says of the built-in definitions.
func exerciseTable(defs []*Definition) string {
	var b strings.Builder
	b.WriteString("| exercise | a full repetition | range of motion | seconds, usual | faults |\n| --- | --- | --- | --- | --- |\n")
	for _, d := range defs {
		var faults []string
		for _, r := range d.Rules {
			limit, word := r.Above, "over"
			if limit == nil {
				limit, word = r.Below, "under"
			}
			faults = append(faults, fmt.Sprintf("`%s` %s %s", r.Key, word, quantityText(*limit, r.unit())))
		}
		fmt.Fprintf(&b, "| %s %s | %s %s | %s | %v (%v to %v) | %s |\n", d.Activity, d.Name, d.Count.Name, quantityText(d.Count.Target, d.Count.unit()),
			d.Range.Name, d.TempoS.Median, d.TempoS.P10, d.TempoS.P90, strings.Join(faults, ", "))
	}
	return b.String()
}

// TestExercisesAreDocumented: the therapist's page says what the definitions do.
func TestExercisesAreDocumented(t *testing.T) {
	defs, err := Definitions()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "exercises.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- exercises -->\n")
	got, _, ok := strings.Cut(rest, "<!-- end -->")
	if want := exerciseTable(defs); !ok || got != want {
		t.Errorf("docs/exercises.md: the table between the marks must be:\n%s", want)
	}
}
