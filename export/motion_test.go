package export

import (
	"bytes"
	"encoding/csv"
	"math"
	"strconv"
	"strings"
	"testing"

	"posefuse/message"
	"posefuse/recording/motionfile"
	"posefuse/skeleton"
)

// body stands 1 m in front and to the right of the room's origin, the right knee bent
// by the given angle.
func body(bentDeg float64) *[17][3]float64 {
	p := &[17][3]float64{
		skeleton.Pelvis: {1, 2, 0.95}, skeleton.RightHip: {0.87, 2, 0.93}, skeleton.LeftHip: {1.13, 2, 0.93},
		skeleton.RightKnee: {0.87, 2, 0.51}, skeleton.LeftKnee: {1.13, 2, 0.51}, skeleton.RightAnkle: {0.87, 2, 0.09}, skeleton.LeftAnkle: {1.13, 2, 0.09},
		skeleton.Spine: {1, 2, 1.2}, skeleton.Thorax: {1, 2, 1.45}, skeleton.Nose: {1, 1.95, 1.6}, skeleton.Head: {1, 2, 1.72},
		skeleton.LeftShoulder: {1.18, 2, 1.42}, skeleton.LeftElbow: {1.2, 2, 1.13}, skeleton.LeftWrist: {1.21, 2, 0.88},
		skeleton.RightShoulder: {0.82, 2, 1.42}, skeleton.RightElbow: {0.8, 2, 1.13}, skeleton.RightWrist: {0.79, 2, 0.88},
	}
	sin, cos := math.Sincos(bentDeg * math.Pi / 180)
	p[skeleton.RightAnkle] = [3]float64{0.87, 2 + 0.42*sin, 0.51 - 0.42*cos}
	return p
}

// moved is a second of poses at 10 Hz whose right knee bends from 0 to 90 degrees;
// gap leaves poses without joints, lost a joint out.
func moved(t *testing.T, frame string, gap map[int]bool, lost int) *Motion {
	t.Helper()
	m := new(Motion)
	for i := range 11 {
		p := &message.Pose{Frame: frame, CaptureNS: int64(7e9) + int64(i)*1e8, JointsM: body(9 * float64(i))}
		if lost >= 0 {
			p.JointsM[lost] = [3]float64{math.NaN(), math.NaN(), math.NaN()}
		}
		if gap[i] {
			p.JointsM = nil
		}
		if err := m.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func written(t *testing.T, m *Motion, format string, rateHz float64) (text []byte, told string) {
	t.Helper()
	var b bytes.Buffer
	list, err := m.Write(&b, format, "walk."+format, rateHz)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.Bytes(), strings.Join(list, "\n")
}

// TestMarkers: TRC and C3D have metres, y up, an even rate, nothing missing, and say
// what was filled.
func TestMarkers(t *testing.T) {
	for _, format := range []string{"trc", "c3d"} {
		for _, c := range []struct {
			gap    map[int]bool
			lost   int
			rateHz float64
			names  int
			frames int
			told   []string
		}{
			{nil, -1, 0, 17, 11, nil},
			{nil, -1, 100, 17, 101, nil},
			{map[int]bool{3: true, 4: true}, -1, 0, 17, 11, []string{"2 of 11 frames are filled", "the longest gap is 0.3 s"}},
			{map[int]bool{0: true, 10: true}, -1, 0, 17, 9, nil},
			{nil, skeleton.LeftWrist, 0, 16, 11, []string{"never seen are left out: LWrist"}},
		} {
			text, told := written(t, moved(t, "room", c.gap, c.lost), format, c.rateHz)
			m, err := motionfile.Read(bytes.NewReader(text))
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			if len(m.Names) != c.names || len(m.Points) != c.frames || len(m.Gaps) != 0 || m.Units != "m" {
				t.Errorf("%s, %+v: %d names, %d frames, gaps %v, %s", format, c, len(m.Names), len(m.Points), m.Gaps, m.Units)
			}
			if (told == "") != (c.told == nil) {
				t.Errorf("%s, %+v: told %q", format, c, told)
			}
			for _, want := range c.told {
				if !strings.Contains(told, want) {
					t.Errorf("%s: told %q, want %q", format, told, want)
				}
			}
			if head := m.Points[0][m.Marker("Head")]; math.Abs(head[0]-2) > 1e-5 || math.Abs(head[1]-1.72) > 1e-5 || math.Abs(head[2]-1) > 1e-5 {
				t.Errorf("%s: the head is at %v", format, head)
			}
		}
	}
	if _, told := written(t, moved(t, "camera", nil, -1), "trc", 0); !strings.Contains(told, "camera's frame") {
		t.Errorf("of the camera's frame: %q", told)
	}
}

// TestAngleFiles: the knee's angle is in the MOT file and in the table, without a hole
// in the first, with one in the second.
func TestAngleFiles(t *testing.T) {
	m := moved(t, "room", map[int]bool{5: true}, -1)
	text, _ := written(t, m, "mot", 0)
	head, rest, ok := strings.Cut(string(text), "endheader\n")
	lines := strings.Split(strings.TrimSpace(rest), "\n")
	if !ok || !strings.Contains(head, "nRows=11\n") || !strings.Contains(head, "inDegrees=yes\n") || len(lines) != 12 {
		t.Fatalf("%s", text)
	}
	names := strings.Split(lines[0], "\t")
	if !strings.Contains(head, "nColumns="+strconv.Itoa(len(names))+"\n") {
		t.Errorf("%d columns: %s", len(names), head)
	}
	knee := -1
	for k, n := range names {
		if n == "kneeFlexionRight" {
			knee = k
		}
	}
	for i, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		v, err := strconv.ParseFloat(cells[knee], 64)
		if err != nil || len(cells) != len(names) || math.Abs(v-9*float64(i)) > 0.3 {
			t.Errorf("row %d: %s degrees, want %d: %v", i, cells[knee], 9*i, err)
		}
	}
	text, _ = written(t, m, "angles", 0)
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 12 || rows[0][0] != "time_s" {
		t.Fatalf("%v: %s", err, text)
	}
	for k, n := range rows[0] {
		if n == "kneeFlexionRight_deg" && (rows[11][k] != "90" || rows[6][k] != "" || rows[6][0] != "0.5") {
			t.Errorf("knee %q, in the gap %q", rows[11][k], rows[6][k])
		}
	}
}

// TestBVHNeedsAllJoints: it says which one is missing, and what to do.
func TestBVHNeedsAllJoints(t *testing.T) {
	text, _ := written(t, moved(t, "room", nil, -1), "bvh", 0)
	if !bytes.HasPrefix(text, []byte("HIERARCHY\nROOT Hip\n")) || bytes.Contains(text, []byte("NaN")) || !bytes.Contains(text, []byte("Frames: 11\n")) {
		t.Errorf("%.300s", text)
	}
	if _, err := moved(t, "room", nil, skeleton.Nose).Write(new(bytes.Buffer), "bvh", "x", 0); err == nil || !strings.Contains(err.Error(), "Nose was never seen; export trc") {
		t.Errorf("error %v", err)
	}
	for _, format := range Formats {
		if _, err := new(Motion).Write(new(bytes.Buffer), format, "x", 0); err == nil || !strings.Contains(err.Error(), "no poses") {
			t.Errorf("%s of nothing: %v", format, err)
		}
	}
	nobody := new(Motion)
	for i := range 3 {
		if err := nobody.Add(&message.Pose{CaptureNS: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nobody.Write(new(bytes.Buffer), "trc", "x", 0); err == nil || !strings.Contains(err.Error(), "nobody was seen") {
		t.Errorf("error %v", err)
	}
}

// TestMotionLeavesOut: what goes back in time or changes its frame is told.
func TestMotionLeavesOut(t *testing.T) {
	m := moved(t, "room", nil, -1)
	for _, p := range []message.Pose{{Frame: "room", CaptureNS: 1}, {Frame: "camera", CaptureNS: 1e12}} {
		if err := m.Add(&p); err != nil {
			t.Fatal(err)
		}
	}
	if _, told := written(t, m, "trc", 0); !strings.Contains(told, "2 poses are left out") {
		t.Errorf("told %q", told)
	}
}
