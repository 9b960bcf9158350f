package exercise_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
)

// take is the correct or incorrect repetitions of one subject, one after
// the other, at 10 Hz, the person 3.1 m before a camera 0.9 m high.
type take struct {
	file    string
	reps    int
	poses   stream
	borders []int // first pose of each repetition
}

// recordings loads all repetitions of one UI-PRMD movement, e.g. "m01".
func recordings(t testing.TB, movement, label string) (list []take) {
	t.Helper()
	dir := testenv.Shared(t, "motion")
	f, err := os.Open(filepath.Join(dir, "index.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		file := row[0]
		if !strings.Contains(file, "_"+movement+"_") || row[4] != label {
			continue
		}
		if len(list) == 0 || list[len(list)-1].file != file {
			list = append(list, take{file: file})
		}
		r := &list[len(list)-1]
		first, err1 := strconv.Atoi(row[7])
		count, err2 := strconv.Atoi(row[8])
		if err1 != nil || err2 != nil || row[6] != "20" {
			t.Fatalf("index.csv: row %v", row)
		}
		all := loadPoses(t, filepath.Join(dir, file))
		r.reps++
		r.borders = append(r.borders, len(r.poses))
		for i := first; i < first+count; i += 2 {
			r.poses = append(r.poses, all[i])
		}
	}
	if len(list) == 0 {
		t.Fatalf("index.csv names no %s repetitions of %s", label, movement)
	}
	return list
}

var loaded = map[string]stream{}

func loadPoses(t testing.TB, path string) stream {
	t.Helper()
	if s, ok := loaded[path]; ok {
		return s
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := mmfi.ReadNPY(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	s, data := make(stream, a.Shape[0]), a.Float64()
	for i := range s {
		for j := range 17 {
			for k, place := range [3]float64{0, 0.9, 3.1} {
				s[i][j][k] = data[(i*17+j)*3+k] + place
			}
		}
	}
	loaded[path] = s
	return s
}

// TestRealSquats: at least 95 % of the repetitions of real people's correct
// squats, and no repetition counted twice.
func TestRealSquats(t *testing.T) {
	counted, truth := 0, 0
	for _, r := range recordings(t, "m01", "correct") {
		n := feed(t, r.poses, 100, "", "A12").count("A12")
		auto := feed(t, r.poses, 100, "")
		t.Logf("%s: %d of %d, recognised %v", r.file, n, r.reps, auto.all())
		if n > r.reps || r.reps-n > 1 {
			t.Errorf("%s: %d repetitions, truth %d", r.file, n, r.reps)
		}
		if len(auto.all()) != 1 || auto.count("A12") != n {
			t.Errorf("%s: recognised as %v", r.file, auto.all())
		}
		counted, truth = counted+min(n, r.reps), truth+r.reps
	}
	share := float64(counted) / float64(truth)
	t.Logf("real squats: %d of %d repetitions (%.1f %%)", counted, truth, 100*share)
	if share < 0.95 {
		t.Errorf("%.1f %% of the true count, want at least 95 %%", 100*share)
	}
}

// TestRealFaults: over six people, acted mistakes raise more faults than
// correct squats do, and the summary's ranges tell them apart.
func TestRealFaults(t *testing.T) {
	faults := map[string]map[string]int{}
	for _, label := range []string{"correct", "incorrect"} {
		faults[label] = map[string]int{}
		for _, r := range recordings(t, "m01", label) {
			got := feed(t, r.poses, 100, "", "A12")
			n := 0
			for _, s := range got.summaries {
				n += s.Repetitions
				for _, f := range s.Faults {
					faults[label][f.Key]++
					faults[label]["all"]++
				}
			}
			t.Logf("%s: %d of %d repetitions", r.file, n, r.reps)
		}
		t.Logf("%s squats, faults by rule over six people: %v", label, faults[label])
	}
	if faults["incorrect"]["all"] <= faults["correct"]["all"] {
		t.Errorf("faults %v", faults)
	}
}

// TestNoise: the sensitivity of counts and ranges to pose noise. The bound is
// the accuracy exercises.md 3 asks for on fused estimates: mean absolute count
// error at most 0.5, within one repetition in 90 % of sets, at 40 mm and less.
func TestNoise(t *testing.T) {
	t.Log("exercise  noise mm  sets  mean |count error|  within one  mean |range error| deg")
	var table []string
	for _, mm := range []float64{0, 20, 40, 60} {
		var errAll, withinAll, sets float64
		for _, a := range append(activities, 0) {
			var errSum, within, rangeErr, n float64
			check := func(s stream, seed uint64, want int, activity string) {
				clean := feed(t, s, 100, "", activity)
				r := feed(t, noisy(s, seed, mm), 100, "RLMW", activity)
				d := r.count(activity) - want
				errSum += max(float64(d), -float64(d))
				if d >= -1 && d <= 1 {
					within++
				}
				if len(r.summaries) > 0 && len(clean.summaries) > 0 {
					e := r.summaries[0].RangeDeg.Median - clean.summaries[0].RangeDeg.Median
					rangeErr += max(e, -e)
				}
				n++
			}
			label := name(a)
			if a == 0 {
				label = "real squats"
				for i, r := range recordings(t, "m01", "correct") {
					check(r.poses, uint64(i), r.reps, "A12")
				}
			} else {
				for seed := range uint64(10) {
					_, s := set(seed+100, a, 8, sim.MotionOptions{})
					check(s, seed, 8, label)
				}
			}
			table = append(table, fmt.Sprintf("%-12s %4.0f %6.0f %8.2f %14.0f %% %10.1f", label, mm, n, errSum/n, 100*within/n, rangeErr/n))
			errAll, withinAll, sets = errAll+errSum, withinAll+within, sets+n
		}
		table = append(table, fmt.Sprintf("%-12s %4.0f %6.0f %8.2f %14.0f %%", "all", mm, sets, errAll/sets, 100*withinAll/sets))
		if mm <= 40 && (errAll/sets > 0.5 || withinAll/sets < 0.9) {
			t.Errorf("%v mm: mean count error %.2f, within one in %.0f %%", mm, errAll/sets, 100*withinAll/sets)
		}
	}
	for _, line := range table {
		t.Log(line)
	}
}
