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

// toldRow is the row of one set whose exercise is known.
func toldRow(t *testing.T, p performance, s stream) tableRow {
	told := feed(t, s, 100, "RLMW", p.activity)
	r := tableRow{sets: 1, reps: p.reps, counted: told.count(p.activity)}
	switch r.counted - p.reps {
	case 0:
		r.exact, r.within = 1, 1
	case 1, -1:
		r.within = 1
	}
	if slices.ContainsFunc(told.summaries, faulty) {
		r.faulty = 1
	}
	return r
}

// rowOf is the row of one set.
func rowOf(t *testing.T, p performance, s stream) (r tableRow) {
	r.sets, r.reps = 1, max(p.reps, 0)
	if p.activity != "" {
		r = toldRow(t, p, s)
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
		{"correct, 40 mm", 97, 99, 95, 0, 5},
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

// TestNoiseDraws measures told counting over many draws of the noise: what one
// draw shows may be luck.
func TestNoiseDraws(t *testing.T) {
	testenv.Slow(t)
	testenv.NoRace(t, "nothing here runs at once, and it takes minutes with the race detector")
	const draws = 20
	sums, least := map[string]tableRow{}, map[string]int{}
	sets := append(uiprmdSets(t), marsSets(t)...)
	for draw := range uint64(draws) {
		exact := map[string]int{}
		for i, p := range sets {
			if p.activity == "" {
				continue
			}
			r := toldRow(t, p, noisy(p.poses, uint64(i)+1000*draw, 40))
			exact[p.label] += r.exact
			sum := sums[p.label]
			sum.join(r)
			sums[p.label] = sum
		}
		for label, n := range exact {
			if old, ok := least[label]; !ok || n < old {
				least[label] = n
			}
		}
	}
	var b strings.Builder
	fmt.Fprintln(&b, "| performance | draws of the noise | sets | exact | the worst draw | within one | sets with a fault |")
	fmt.Fprintln(&b, "| --- | --- | --- | --- | --- | --- | --- |")
	for _, label := range []string{"correct", "incorrect"} {
		r := sums[label]
		of := func(n, all int) float64 { return 100 * float64(n) / float64(all) }
		fmt.Fprintf(&b, "| %s | %d | %d | %.1f %% | %.1f %% | %.1f %% | %.1f %% |\n", label, draws, r.sets/draws,
			of(r.exact, r.sets), of(least[label]*draws, r.sets), of(r.within, r.sets), of(r.faulty, r.sets))
		t.Logf("%s: %+v, worst draw %d exact", label, r, least[label])
	}
	holdTable(t, "draws of the noise", b.String())
	if r := sums["correct"]; 100*r.exact < 99*r.sets || 100*r.faulty > 5*r.sets {
		t.Errorf("correct: %+v, want 99 %% exact and at most 5 %% with a fault", r)
	}
	if r := sums["incorrect"]; 100*r.faulty < 85*r.sets {
		t.Errorf("incorrect: %+v, want a fault in 85 %%", r)
	}
}
