package label

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/motionfile"
)

// person is a body whose joints move on sines of their own, so that no two
// moments of a minute are alike.
type person [numJoints][3][3]struct{ amplitude, hz, phase float64 }

func newPerson(seed uint64) (p person) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for j := range p {
		for k := range p[j] {
			for w := range p[j][k] {
				s := &p[j][k][w]
				s.amplitude, s.hz, s.phase = 0.08*rng.Float64(), 0.05+0.6*rng.Float64(), 2*math.Pi*rng.Float64()
			}
		}
	}
	return p
}

// standing is a body of usual size: h36m17, y down.
var standing = recording.Pose{
	{0, 0, 3}, {-0.13, 0, 3}, {-0.13, 0.45, 3}, {-0.13, 0.88, 3}, {0.13, 0, 3}, {0.13, 0.45, 3}, {0.13, 0.88, 3}, {0, -0.25, 3}, {0, -0.5, 3}, {0, -0.6, 3},
	{0, -0.72, 3}, {0.17, -0.48, 3}, {0.2, -0.2, 3}, {0.2, 0.05, 3}, {-0.17, -0.48, 3}, {-0.2, -0.2, 3}, {-0.2, 0.05, 3},
}

func (p *person) at(s float64) (out recording.Pose) {
	for j := range out {
		for k := range out[j] {
			out[j][k] = standing[j][k]
			for _, w := range p[j][k] {
				out[j][k] += w.amplitude * math.Sin(2*math.Pi*w.hz*s+w.phase)
			}
		}
	}
	return out
}

// track samples a person from a time on; noise is a standard deviation, metres.
func (p *person) track(t testing.TB, fromS, lengthS, rateHz, noise float64, turned bool) *Track {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, uint64(1000*fromS)))
	var times []float64
	var poses []recording.Pose
	for i := range int(lengthS * rateHz) {
		s := float64(i) / rateHz
		pose := p.at(fromS + s)
		for j := range pose {
			if turned { // another frame: the room's, say
				pose[j] = [3]float64{pose[j][2] - 1, -pose[j][0] + 2, -pose[j][1]}
			}
			for k := range pose[j] {
				pose[j][k] += noise * rng.NormFloat64()
			}
		}
		times, poses = append(times, s), append(poses, pose)
	}
	out, err := New(Camera, times, poses)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAlignment: labels of another rate, frame, begin and length are found, in
// spite of the error of the poses that they are compared with.
func TestAlignment(t *testing.T) {
	p := newPerson(1)
	for _, c := range []struct {
		name                       string
		rateHz, fromS, lengthS     float64
		noise                      float64
		turned                     bool
		refFrom, refLength, margin float64
	}{
		{"the same clock", 10, 5, 30, 0, false, 5, 30, 0.005},
		{"started earlier, at 100 Hz", 100, 2.37, 40, 0, true, 5, 30, 0.02},
		{"started later and longer", 120, 9.91, 60, 0.002, true, 5, 40, 0.02},
		{"a fifth of it, at 25 Hz", 25, 20.3, 10, 0, true, 5, 50, 0.03},
		{"rough poses", 50, 3.21, 40, 0, true, 5, 30, 0.05},
	} {
		ref := p.track(t, c.refFrom, c.refLength, 10, 0.05, false)
		labels := p.track(t, c.fromS, c.lengthS, c.rateHz, c.noise, c.turned)
		fit, err := Align(ref, labels)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if want := c.refFrom - c.fromS; math.Abs(fit.OffsetS-want) > c.margin || fit.ResidualMM < 10 || fit.ResidualMM > 150 || fit.OverlapS < leastOverlapS {
			t.Errorf("%s: %v, want %+.3f s", c.name, fit, want)
		}
	}
}

// TestLabelsThatDoNotFit: another recording, another rate than told, a movement
// that repeats for ever, nobody who moves, too little in common.
func TestLabelsThatDoNotFit(t *testing.T) {
	p, other := newPerson(1), newPerson(2)
	ref := p.track(t, 0, 40, 10, 0.05, false)
	wrongRate := p.track(t, 0, 40, 50, 0, false)
	for i := range wrongRate.TimesS {
		wrongRate.TimesS[i] *= 1.5
	}
	var squats person
	for j := 7; j < numJoints; j++ {
		squats[j][1][0] = struct{ amplitude, hz, phase float64 }{0.3, 0.5, 0}
	}
	still := person{}
	for name, c := range map[string]struct {
		ref, labels *Track
		want        string
	}{
		"another recording": {ref, other.track(t, 0, 40, 50, 0, false), "do not move as the session"},
		"another rate":      {ref, wrongRate, "the right rate"},
		"repetitions":       {squats.track(t, 0, 40, 10, 0, false), squats.track(t, 3, 40, 50, 0, false), "begin a recording with a movement that comes once"},
		"nobody moves":      {still.track(t, 0, 40, 10, 0, false), ref, "do not move"},
		"too short":         {ref, p.track(t, 0, 5, 50, 0, false), "at least 8 s"},
	} {
		if fit, err := Align(c.ref, c.labels); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", name, fit, err, c.want)
		}
	}
}

// TestBetweenPoses: a pose between two others lies on the line between them, and
// outside there is none.
func TestBetweenPoses(t *testing.T) {
	p := newPerson(4)
	track := p.track(t, 0, 4, 10, 0, false)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.Float64Range(-1, 5).Draw(t, "s")
		pose, ok := track.At(s)
		last := track.TimesS[len(track.TimesS)-1]
		if ok != (s >= 0 && s <= last) {
			t.Fatalf("at %g s of %g: %v", s, last, ok)
		}
		if !ok {
			return
		}
		i := min(int(s*10), len(track.Poses)-2)
		for j := range pose {
			for k, v := range pose[j] {
				a, b := track.Poses[i][j][k], track.Poses[i+1][j][k]
				if v < min(a, b)-1e-6 || v > max(a, b)+1e-6 {
					t.Fatalf("joint %d at %g s: %g is not between %g and %g", j, s, v, a, b)
				}
			}
		}
	})
}

func table(p *person, edit func(line int, row []string) []string) []byte {
	var b bytes.Buffer
	head := []string{"seq", "capture_ns", "frame"}
	for j := range numJoints {
		head = append(head, fmt.Sprintf("joint%d_x_m", j), fmt.Sprintf("joint%d_y_m", j), fmt.Sprintf("joint%d_z_m", j))
	}
	rows := [][]string{head}
	for i := range 30 {
		row := []string{fmt.Sprint(i), fmt.Sprint(int64(7e9) + int64(i)*100_000_000), "room"}
		pose := p.at(float64(i) / 10)
		for j := range pose {
			for _, v := range pose[j] {
				row = append(row, fmt.Sprint(v))
			}
		}
		rows = append(rows, row)
	}
	for i, r := range rows {
		if edit != nil {
			r = edit(i, r)
		}
		if r != nil {
			b.WriteString(strings.Join(r, ",") + "\n")
		}
	}
	return b.Bytes()
}

func TestFilesOfLabels(t *testing.T) {
	p := newPerson(5)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	track, err := Read(write("a.csv", table(&p, func(i int, r []string) []string {
		if i == 3 { // nobody was seen
			for k := 3; k < len(r); k++ {
				r[k] = ""
			}
		}
		return r
	})), 0)
	if err != nil || track.Frame != Room || len(track.Poses) != 29 || math.Abs(track.TimesS[28]-2.9) > 1e-9 || track.Poses[28] != p.at(2.9) {
		t.Fatalf("%+v, %v", track, err)
	}
	var values []float64
	for i := range 40 {
		pose := p.at(float64(i) / 20)
		for j := range pose {
			values = append(values, pose[j][:]...)
		}
	}
	var b bytes.Buffer
	if err = mmfi.WriteNPY(&b, mmfi.NewFloat64Array(values, 40, numJoints, 3)); err != nil {
		t.Fatal(err)
	}
	npy := b.Bytes()
	track, err = Read(write("a.npy", npy), 20)
	if err != nil || track.Frame != Camera || len(track.Poses) != 40 || math.Abs(track.RateHz()-20) > 1e-9 || track.Poses[7] != p.at(0.35) {
		t.Fatalf("%v", err)
	}
	for name, c := range map[string]struct {
		file string
		b    []byte
		rate float64
		want string
	}{
		"empty":      {"b.csv", nil, 0, "line 1"},
		"no time":    {"b.csv", []byte("seq,joint0_x_m\n"), 0, "time_s or capture_ns"},
		"no joints":  {"b.csv", []byte("time_s,pelvis_x\n1,2\n"), 0, "joint0_x_m"},
		"a word":     {"b.csv", table(&p, func(i int, r []string) []string { r[5] = map[bool]string{true: "x", false: r[5]}[i == 4]; return r }), 0, "line 5"},
		"not finite": {"b.csv", table(&p, func(i int, r []string) []string { r[5] = map[bool]string{true: "NaN", false: r[5]}[i == 4]; return r }), 0, "pose 4, joint 0"},
		"two frames": {"b.csv", table(&p, func(i int, r []string) []string {
			r[2] = map[bool]string{true: "camera", false: r[2]}[i == 4]
			return r
		}), 0, "want one for all"},
		"backwards":      {"b.csv", table(&p, func(i int, r []string) []string { r[1] = map[bool]string{true: "7", false: r[1]}[i == 4]; return r }), 0, "does not come after"},
		"a hole":         {"b.csv", table(&p, func(i int, r []string) []string { return map[bool][]string{true: nil, false: r}[i > 10 && i < 20] }), 0, "cut the file there"},
		"cut":            {"b.npy", npy[:len(npy)-100], 10, "truncated"},
		"no rate":        {"b.npy", npy, 0, "frames a second"},
		"slow":           {"b.npy", npy, 3, "want at least 4"},
		"another ending": {"b.xlsx", npy, 10, ".csv, .npy, .trc or .c3d"},
	} {
		if _, err = Read(write(c.file, c.b), c.rate); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for i := range values {
		values[i] *= 1000
	}
	b.Reset()
	if err = mmfi.WriteNPY(&b, mmfi.NewFloat64Array(values, 40, numJoints, 3)); err != nil {
		t.Fatal(err)
	}
	if _, err = ReadNPY(&b, 10); err == nil || !strings.Contains(err.Error(), "want metres") {
		t.Errorf("millimetres: %v", err)
	}
}

// TestReferenceSystem: TRC and C3D of a system with axes, origin, unit and clock of
// its own come to the session's poses, with the session's error in the place taken
// over and the body as it was measured.
func TestReferenceSystem(t *testing.T) {
	p := newPerson(8)
	ref := p.track(t, 5, 30, 10, 0.03, false)
	m := &motionfile.Motion{Names: motionfile.JointNames[:], RateHz: 50, Units: "mm"}
	for i := range 40 * 50 {
		pose := p.at(3.5 + float64(i)/50)
		var row []motionfile.Point
		for _, v := range pose {
			row = append(row, motionfile.Point{v[2] + 4, -v[0] + 1, -v[1] + 2}) // turned and moved
		}
		m.TimesS, m.Points = append(m.TimesS, float64(i)/50), append(m.Points, row)
	}
	for ext, write := range map[string]func(*bytes.Buffer) error{
		".trc": func(b *bytes.Buffer) error { return motionfile.WriteTRC(b, "a.trc", m) },
		".c3d": func(b *bytes.Buffer) error { return motionfile.WriteC3D(b, m) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "a"+ext)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		track, err := Read(path, 0)
		if err != nil || track.Frame != Own {
			t.Fatalf("%s: %v", ext, err)
		}
		fit, err := Align(ref, track)
		if err != nil || math.Abs(fit.OffsetS-1.5) > 0.02 {
			t.Fatalf("%s: %v, %v, want 1.5 s", ext, fit, err)
		}
		if err = track.Place(ref, fit); err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for i := range 200 {
			s := float64(i) / 10
			got, ok := track.At(s + 1.5)
			want := p.at(5 + s)
			if !ok {
				t.Fatal("a hole")
			}
			for j := range got {
				for k := range got[j] {
					worst = max(worst, math.Abs(got[j][k]-want[j][k]))
				}
			}
		}
		if worst > 0.01 {
			t.Errorf("%s: a joint is %.4f m off", ext, worst)
		}
	}
	some := *m
	some.Names = append([]string{"unknown"}, m.Names[1:]...)
	var b bytes.Buffer
	if err := motionfile.WriteTRC(&b, "a.trc", &some); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMotion(&b); err == nil || !strings.Contains(err.Error(), "Hip") {
		t.Errorf("an unknown marker: %v", err)
	}
}

// FuzzReadCSV: what is read is a track, whatever is in the file.
func FuzzReadCSV(f *testing.F) {
	p := newPerson(6)
	f.Add(table(&p, nil))
	f.Add([]byte("time_s,joint0_x_m\n1,2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		track, err := ReadCSV(bytes.NewReader(b))
		if err != nil {
			return
		}
		if err = track.check(); err != nil {
			t.Errorf("read, but %v", err)
		}
	})
}
