package exercise_test

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// performance is a set of one movement by one real person, as a stream at 10 Hz
// with a known number of repetitions.
type performance struct {
	source   string // "uiprmd" or "mars"
	subject  string
	movement string
	label    string // "correct", "incorrect" or ""
	activity string // of MM-Fi, the nearest; "" if there is none
	reps     int    // -1: not known
	poses    stream
}

// How repetitions that were recorded one by one are joined to a set.
const (
	blendPoses    = 3  // 0.3 s from the end of one to the start of the next
	standBefore   = 30 // 3 s of standing in the first pose
	standAfter    = 60 // 6 s in the last
	recordedEvery = 2  // of 20 poses a second
)

// uiprmdSets joins the repetitions of every UI-PRMD recording to sets.
func uiprmdSets(t testing.TB) (sets []performance) {
	t.Helper()
	rows := indexRows(t, testenv.Shared(t, "motion", "index.csv"))
	for i := 0; i < len(rows); {
		j := i
		for j < len(rows) && rows[j][0] == rows[i][0] && rows[j][3] == rows[i][3] {
			j++
		}
		if rows[i][1] == "uiprmd" {
			sets = append(sets, joined(t, rows[i:j]))
		}
		i = j
	}
	return sets
}

// joined is one person's repetitions of one movement, one after the other.
func joined(t testing.TB, rows [][]string) performance {
	t.Helper()
	row := rows[0]
	p := performance{source: row[1], subject: row[2], movement: row[3], label: row[4], activity: row[9], reps: len(rows)}
	if strings.HasPrefix(p.movement, "sit to stand") || strings.Contains(p.movement, "leg raise") || strings.Contains(p.movement, "scaption") {
		p.activity = "" // near to an activity, but not it
	}
	all := loadPoses(t, filepath.Join(testenv.Shared(t, "motion"), row[0]))
	away := share(principal(all))
	for i, row := range rows {
		first, err1 := strconv.Atoi(row[7])
		count, err2 := strconv.Atoi(row[8])
		if err1 != nil || err2 != nil {
			t.Fatalf("index.csv: row %v", row)
		}
		if d := away[first+count-1] - away[first]; (i == 0 || i == len(rows)-1) && math.Abs(d) > 0.5 {
			p.reps-- // the recording begins or ends in mid-movement
			continue
		}
		var rep stream
		for i := first; i < first+count; i += recordedEvery {
			rep = append(rep, all[i])
		}
		p.poses = join(p.poses, rep)
	}
	p.poses = stood(p.poses)
	return p
}

// join appends a repetition: its pelvis goes on where the last one's was,
// and the poses between are blended.
func join(s, rep stream) stream {
	if len(s) == 0 {
		return append(s, rep...)
	}
	last := s[len(s)-1]
	dx, dz := last[0][0]-rep[0][0][0], last[0][2]-rep[0][0][2]
	for i := range rep {
		for j := range rep[i] {
			rep[i][j][0] += dx
			rep[i][j][2] += dz
		}
	}
	for k := range blendPoses {
		w := float64(k+1) / (blendPoses + 1)
		var p recording.Pose
		for j := range p {
			for c := range 3 {
				p[j][c] = (1-w)*last[j][c] + w*rep[0][j][c]
			}
		}
		s = append(s, p)
	}
	return append(s, rep...)
}

// stood adds standing before and after.
func stood(s stream) stream {
	out := make(stream, 0, len(s)+standBefore+standAfter)
	for range standBefore {
		out = append(out, s[0])
	}
	out = append(out, s...)
	for range standAfter {
		out = append(out, s[len(s)-1])
	}
	return out
}

// marsJoints are the Kinect joints of MARS for the 17 (SOURCES.md).
var marsJoints = [17]int{0, 16, 17, 18, 12, 13, 14, 1, 20, 2, 3, 4, 5, 6, 8, 9, 10}

// marsSets loads the clips of MARS. Their repetitions are nobody's annotation
// but the cycles of the principal component of the movement. The clips are cut
// out of a running movement: half of them end between the way out and the way
// back, and nobody can say whether that was a repetition. Such a part at
// either end is left out, up to the nearest rest.
func marsSets(t testing.TB) (sets []performance) {
	t.Helper()
	for _, row := range indexRows(t, testenv.Shared(t, "realdata", "mars", "index.csv")) {
		f, err := os.Open(testenv.Shared(t, "realdata", "mars", row[0]+"_joints.npy"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := mmfi.ReadNPY(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		data := a.Float64()
		p := performance{source: "mars", subject: "s" + row[1], movement: row[3], activity: row[4], label: "correct"}
		for i := range a.Shape[0] {
			var pose recording.Pose
			for j, k := range marsJoints {
				at := (i*25 + k) * 3
				pose[j] = [3]float64{data[at], 0.9 - data[at+2] - 0.9, data[at+1]}
			}
			p.poses = append(p.poses, pose)
		}
		p.poses, p.reps = cycles(p.poses)
		sets = append(sets, p)
	}
	return sets
}

func indexRows(t testing.TB, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// cycles counts the cycles of a movement without knowing what it is, and returns
// the poses from rest to rest that hold them. A cycle leaves rest by half of the
// usual way and comes back to within a third of it (docs/exercises.md: an
// attempt under half of the usual repetition is none).
func cycles(s stream) (whole stream, n int) {
	const left, back = 0.5, 0.35
	away := share(principal(s))
	var rests []int // where each stretch of rest is at its lowest
	out := away[0] > left
	if !out {
		rests = append(rests, 0)
	}
	for i, y := range away {
		switch {
		case out && y < back:
			out, rests = false, append(rests, i)
		case !out && y > left:
			out = true
		case !out && y < away[rests[len(rests)-1]]:
			rests[len(rests)-1] = i
		}
	}
	from, to := rests[0], rests[len(rests)-1]
	if !out {
		to = len(s) - 1
	}
	if away[0] <= left {
		from = 0
	}
	return s[from : to+1], len(rests) - 1
}

// share gives values as the share of their usual span, 5 % to 95 % of them.
func share(x []float64) []float64 {
	sorted := slices.Sorted(slices.Values(x))
	lo, hi := sorted[len(sorted)/20], sorted[len(sorted)*19/20]
	for i := range x {
		x[i] = (x[i] - lo) / (hi - lo)
	}
	return x
}

// principal is the first principal component of the pelvis-centred poses and
// the pelvis's height, the mean of three poses at 10 Hz, lowest in rest:
// upright, with hanging arms.
func principal(s stream) []float64 {
	const dims = 51
	rows := make([][dims]float64, len(s))
	var mean [dims]float64
	for i := range s {
		for j := range 17 {
			for k := range 3 {
				v := s[i][j][k] - s[i][0][k]
				if j == 0 && k == 1 {
					v = s[i][0][1]
				}
				rows[i][3*j+k] = v
				mean[3*j+k] += v / float64(len(s))
			}
		}
	}
	var cov [dims][dims]float64
	for i := range rows {
		for a := range dims {
			rows[i][a] -= mean[a]
		}
		for a := range dims {
			for b := range dims {
				cov[a][b] += rows[i][a] * rows[i][b]
			}
		}
	}
	v := [dims]float64{}
	for a := range v {
		v[a] = math.Sin(float64(a + 1))
	}
	for range 200 {
		var w [dims]float64
		norm := 0.0
		for a := range dims {
			for b := range dims {
				w[a] += cov[a][b] * v[b]
			}
			norm += w[a] * w[a]
		}
		for a := range dims {
			v[a] = w[a] / math.Sqrt(norm)
		}
	}
	x, upright := make([]float64, len(rows)), 0.0
	for i := range rows {
		for a := range dims {
			x[i] += rows[i][a] * v[a]
		}
		// y down: the pelvis above the lower foot, and above the wrists
		p := &s[i]
		height := max(p[3][1], p[6][1]) - p[0][1] + (p[13][1]+p[16][1])/2 - p[0][1]
		upright += x[i] * height // the mean of x is 0
	}
	if upright > 0 {
		for i := range x {
			x[i] = -x[i]
		}
	}
	smooth := make([]float64, len(x))
	for i := range x {
		n := 0.0
		for k := max(0, i-1); k <= min(len(x)-1, i+1); k++ {
			smooth[i] += x[k]
			n++
		}
		smooth[i] /= n
	}
	return smooth
}
