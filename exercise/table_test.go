package exercise_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

var update = flag.Bool("update", false, "write the measured table into docs/exercise-accuracy.md")

// tableRow sums up the sets of one movement in one mode.
type tableRow struct {
	sets, reps, counted, exact, within int // told
	free, others                       int // recognised
	faulty                             int // sets with a fault, but for tempo
}

// join adds another row's counts.
func (r *tableRow) join(o tableRow) {
	r.sets, r.reps, r.counted, r.exact = r.sets+o.sets, r.reps+o.reps, r.counted+o.counted, r.exact+o.exact
	r.within, r.free, r.others, r.faulty = r.within+o.within, r.free+o.free, r.others+o.others, r.faulty+o.faulty
}

// rowOf is the row of one set.
func rowOf(t *testing.T, p performance, s stream) (r tableRow) {
	r.sets = 1
	r.reps = max(p.reps, 0)
	if p.activity != "" {
		told := feed(t, s, 100, "RLMW", p.activity)
		n := told.count(p.activity)
		r.counted += n
		switch n - p.reps {
		case 0:
			r.exact++
			r.within++
		case 1, -1:
			r.within++
		}
		if slices.ContainsFunc(told.summaries, faulty) {
			r.faulty++
		}
	}
	for activity, n := range feed(t, s, 100, "RLMW").all() {
		if activity == p.activity {
			r.free += n
		} else {
			r.others += n
		}
	}
	return r
}

func (r *tableRow) cells(known bool) string {
	pc := func(n, of int) string { return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(max(of, 1))) }
	if !known {
		return fmt.Sprintf("%d | %d | – | – | – | – | %d | –", r.sets, r.reps, r.others)
	}
	return fmt.Sprintf("%d | %d | %d | %s | %s | %s | %d | %d", r.sets, r.reps, r.counted, pc(r.exact, r.sets), pc(r.within, r.sets),
		pc(r.free, r.reps), r.others, r.faulty)
}

// TestCountingTable measures counting on real movement of people and holds the
// table in the documentation to it: go test ./exercise -run CountingTable -update
func TestCountingTable(t *testing.T) {
	testenv.NoRace(t, "nothing here runs at once, and it takes minutes with the race detector")
	rows := map[string]*tableRow{}
	var order []string
	known := map[string]bool{}
	sums := map[string]*tableRow{} // of sets with an exercise
	for i, p := range append(uiprmdSets(t), marsSets(t)...) {
		for _, mm := range []float64{0, 40} {
			s := p.poses
			if mm > 0 {
				s = noisy(s, uint64(i), mm)
			}
			name := p.activity
			if name == "" {
				name = "none"
			}
			key := fmt.Sprintf("%s | %s, %s | %s | %.0f", name, strings.TrimPrefix(p.movement, "standing "), p.source, p.label, mm)
			if rows[key] == nil {
				rows[key] = new(tableRow)
				order = append(order, key)
				known[key] = p.activity != ""
			}
			row := rowOf(t, p, s)
			rows[key].join(row)
			if p.activity != "" {
				sum := fmt.Sprintf("%s, %.0f mm", p.label, mm)
				if sums[sum] == nil {
					sums[sum] = new(tableRow)
				}
				sums[sum].join(row)
			}
		}
	}
	slices.Sort(order)
	var b strings.Builder
	fmt.Fprintln(&b, "| exercise | movement | performance | noise mm | sets | repetitions | told: counted | exact | within one | recognised: right | as others | sets with a fault |")
	fmt.Fprintln(&b, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, k := range order {
		fmt.Fprintf(&b, "| %s | %s |\n", k, rows[k].cells(known[k]))
	}
	holdTable(t, "real movement", b.String())
	for _, want := range []struct {
		sum                                string
		exact, within, free, leastF, mostF int // percent
	}{
		{"correct, 0 mm", 99, 100, 95, 0, 5},
		{"correct, 40 mm", 85, 95, 95, 0, 5},
		{"incorrect, 0 mm", 60, 90, 85, 85, 100},
		{"incorrect, 40 mm", 60, 90, 85, 85, 100},
	} {
		r := sums[want.sum]
		t.Logf("%s: %+v", want.sum, *r)
		if 100*r.exact < want.exact*r.sets || 100*r.within < want.within*r.sets || 100*r.free < want.free*r.reps ||
			100*r.faulty < want.leastF*r.sets || 100*r.faulty > want.mostF*r.sets {
			t.Errorf("%s: %+v, want %+v", want.sum, *r, want)
		}
	}
}

// holdTable compares the part of the documentation between two marks with what
// was measured, or writes it.
func holdTable(t *testing.T, mark, table string) {
	t.Helper()
	path := filepath.Join(testenv.Root(), "docs", "exercise-accuracy.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from, to := "<!-- "+mark+" -->\n", "<!-- end -->\n"
	head, rest, ok1 := strings.Cut(string(text), from)
	old, tail, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		t.Fatalf("%s: no marks %q and %q", path, from, to)
	}
	switch {
	case old == table:
	case *update:
		if err := os.WriteFile(path, []byte(head+from+table+to+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s says otherwise; write it with: go test ./exercise -run CountingTable -update\n%s", path, table)
	}
}
