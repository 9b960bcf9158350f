package sim

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"posefuse/recording"
)

// bvhStyle is how a program names the joints of a skeleton.
type bvhStyle struct {
	hips, spine, neck, head          string
	clavicle, shoulder, elbow, wrist string // with %s for the side
	hip, knee, ankle                 string
	left, right                      string
	unit                             float64 // units per metre
	zUp                              bool
	toes                             bool
	order                            string
}

var bvhStyles = map[string]bvhStyle{
	"cmu": {
		hips: "Hips", spine: "Spine", neck: "Neck", head: "Head", clavicle: "%sShoulder", shoulder: "%sArm",
		elbow: "%sForeArm", wrist: "%sHand", hip: "%sUpLeg", knee: "%sLeg", ankle: "%sFoot",
		left: "Left", right: "Right", unit: 0.45 / 0.0254, toes: true, order: "Zrotation Yrotation Xrotation",
	},
	"mixamo": {
		hips: "mixamorig:Hips", spine: "mixamorig:Spine", neck: "mixamorig:Neck", head: "mixamorig:Head",
		clavicle: "mixamorig:%sShoulder", shoulder: "mixamorig:%sArm", elbow: "mixamorig:%sForeArm",
		wrist: "mixamorig:%sHand", hip: "mixamorig:%sUpLeg", knee: "mixamorig:%sLeg", ankle: "mixamorig:%sFoot",
		left: "Left", right: "Right", unit: 100, toes: true, order: "Xrotation Yrotation Zrotation",
	},
	"biovision": {
		hips: "Hips", spine: "Chest", neck: "Neck", head: "Head", clavicle: "%sCollar", shoulder: "%sShoulder",
		elbow: "%sElbow", wrist: "%sWrist", hip: "%sHip", knee: "%sKnee", ankle: "%sAnkle",
		left: "Left", right: "Right", unit: 1 / 0.0254, order: "Zrotation Xrotation Yrotation",
	},
	"suffix, z up": {
		hips: "pelvis", spine: "spine", neck: "neck", head: "head", clavicle: "clavicle.%s", shoulder: "upper_arm.%s",
		elbow: "forearm.%s", wrist: "hand.%s", hip: "thigh.%s", knee: "shin.%s", ankle: "foot.%s",
		left: "L", right: "R", unit: 1, zUp: true, order: "Zrotation Yrotation Xrotation",
	},
}

// bvhFile writes a person in T-pose of known size; each frame is one rotation
// of the left shoulder about the file's z axis, degrees. The person stands at
// x = 5 m, turned by yaw about the vertical.
func bvhFile(s bvhStyle, yaw float64, shoulderDeg []float64) string {
	var b strings.Builder
	var channels int
	shoulderChannel := -1
	offset := func(x, y, z float64) {
		if s.zUp {
			y, z = -z, y
		}
		fmt.Fprintf(&b, "OFFSET %.6f %.6f %.6f\r\n", x*s.unit, y*s.unit, z*s.unit)
	}
	open := func(kind, name string, x, y, z float64) {
		fmt.Fprintf(&b, "%s %s\r\n{\r\n", kind, name)
		offset(x, y, z)
		if kind == "ROOT" {
			fmt.Fprintf(&b, "CHANNELS 6 Xposition Yposition Zposition %s\r\n", s.order)
			channels += 6
			return
		}
		fmt.Fprintf(&b, "CHANNELS 3 %s\r\n", s.order)
		channels += 3
	}
	end := func(x, y, z float64) {
		b.WriteString("End Site\r\n{\r\n")
		offset(x, y, z)
		b.WriteString("}\r\n")
	}
	shut := func(n int) { b.WriteString(strings.Repeat("}\r\n", n)) }
	side := func(pattern, name string) string { return fmt.Sprintf(pattern, name) }

	b.WriteString("HIERARCHY\r\n")
	open("ROOT", s.hips, 0, 0, 0)
	for _, leg := range []struct {
		name string
		x    float64
	}{{s.left, 0.1}, {s.right, -0.1}} {
		open("JOINT", side(s.hip, leg.name), leg.x, -0.05, 0)
		open("JOINT", side(s.knee, leg.name), 0, -0.42, 0)
		open("JOINT", side(s.ankle, leg.name), 0, -0.42, 0)
		if s.toes {
			end(0, -0.07, 0.14)
		} else {
			end(0, 0, 0)
		}
		shut(3)
	}
	open("JOINT", s.spine, 0, 0.2, 0)
	open("JOINT", s.neck, 0, 0.3, 0)
	open("JOINT", s.head, 0, 0.12, 0.02)
	end(0, 0.18, 0)
	shut(2)
	for _, arm := range []struct {
		name string
		sign float64
	}{{s.left, 1}, {s.right, -1}} {
		open("JOINT", side(s.clavicle, arm.name), 0.03*arm.sign, 0.28, 0)
		open("JOINT", side(s.shoulder, arm.name), 0.15*arm.sign, 0, 0)
		if arm.sign > 0 {
			shoulderChannel = channels - 3
		}
		open("JOINT", side(s.elbow, arm.name), 0.3*arm.sign, 0, 0)
		open("JOINT", side(s.wrist, arm.name), 0.25*arm.sign, 0, 0)
		end(0.1*arm.sign, 0, 0)
		shut(4)
	}
	shut(2)
	fmt.Fprintf(&b, "MOTION\r\nFrames: %d\r\nFrame Time: 0.05\r\n", len(shoulderDeg))
	up, turnUp := 1, "Yrotation"
	turnArm := "Zrotation"
	sign := 1.0
	if s.zUp {
		up, turnUp, turnArm, sign = 2, "Zrotation", "Yrotation", -1
	}
	axes := strings.Fields(s.order)
	for _, deg := range shoulderDeg {
		frame := make([]float64, channels)
		frame[0] = 5 * s.unit
		frame[up] = 0.96 * s.unit
		for i, axis := range axes {
			if axis == turnUp {
				frame[3+i] = yaw
			}
			if axis == turnArm {
				frame[shoulderChannel+i] = sign * deg
			}
		}
		for _, v := range frame {
			fmt.Fprintf(&b, "%.6f ", v)
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

func TestBVHStyles(t *testing.T) {
	for name, style := range bvhStyles {
		for _, yaw := range []float64{0, 70, -160} {
			t.Run(fmt.Sprintf("%s turned by %v", name, yaw), func(t *testing.T) {
				b, err := LoadBVH(strings.NewReader(bvhFile(style, yaw, []float64{0, 90, -90})))
				if err != nil {
					t.Fatal(err)
				}
				if b.Frames() != 3 {
					t.Fatalf("%d frames, want 3", b.Frames())
				}
				m, err := b.mapping()
				if err != nil {
					t.Fatal(err)
				}
				if unit, ok := guessUnit(b.skeleton(b.positions(0), &m)); !ok || math.Abs(unit*style.unit-1) > 1e-6 {
					t.Errorf("unit %v m, want %v", unit, 1/style.unit)
				}
				take, err := b.Take(Take{Subject: "x"})
				if err != nil {
					t.Fatal(err)
				}
				if take.FPS != 20 {
					t.Errorf("%v frames a second, want 20", take.FPS)
				}
				// In every style the person is the same: 0.07 to 0.08 m from
				// ankle to sole, x to the left, facing -z.
				ankle := 0.08
				if style.toes {
					ankle = 0.07
				}
				hip := ankle + 0.84
				shoulder := hip + 0.05 + 0.2 + 0.28
				for frame, wrist := range []Vec{{0.73, shoulder, 0}, {0.18, shoulder + 0.55, 0}, {0.18, shoulder - 0.55, 0}} {
					sk := take.raw(frame)
					for j, want := range map[int]Vec{
						0: {0, hip, 0}, 1: {-0.1, hip, 0}, 3: {-0.1, ankle, 0}, 4: {0.1, hip, 0}, 5: {0.1, ankle + 0.42, 0},
						8: {0, hip + 0.05 + 0.5, 0}, 9: {0, hip + 0.67, -0.02}, 10: {0, hip + 0.85, -0.02},
						11: {0.18, shoulder, 0}, 13: wrist, 14: {-0.18, shoulder, 0}, 16: {-0.73, shoulder, 0},
					} {
						if d := vecLength(vecSub(sk[j], want)); d > 1e-4 {
							t.Errorf("frame %d: joint %d at %.3f, want %.3f", frame, j, sk[j], want)
						}
					}
				}
			})
		}
	}
}

// TestBVHRotationOrder compares a chain of three rotations with the product of
// their matrices, in the order of the channels.
func TestBVHRotationOrder(t *testing.T) {
	const file = `HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS 3 %s JOINT b { OFFSET 1 2 3 End Site { OFFSET 0 0 0 } } }
MOTION Frames: 1 Frame Time: 0.01 30 40 50`
	sin := func(d float64) float64 { return math.Sin(d * math.Pi / 180) }
	cos := func(d float64) float64 { return math.Cos(d * math.Pi / 180) }
	about := map[byte]func(v Vec, d float64) Vec{
		'X': func(v Vec, d float64) Vec {
			return Vec{v[0], v[1]*cos(d) - v[2]*sin(d), v[1]*sin(d) + v[2]*cos(d)}
		},
		'Y': func(v Vec, d float64) Vec {
			return Vec{v[0]*cos(d) + v[2]*sin(d), v[1], v[2]*cos(d) - v[0]*sin(d)}
		},
		'Z': func(v Vec, d float64) Vec {
			return Vec{v[0]*cos(d) - v[1]*sin(d), v[0]*sin(d) + v[1]*cos(d), v[2]}
		},
	}
	for _, order := range []string{"XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"} {
		var names []string
		for i := range order {
			names = append(names, order[i:i+1]+"rotation")
		}
		b, err := LoadBVH(strings.NewReader(fmt.Sprintf(file, strings.Join(names, " "))))
		if err != nil {
			t.Fatal(err)
		}
		want := Vec{1, 2, 3}
		for i := 2; i >= 0; i-- { // the last channel turns first
			want = about[order[i]](want, []float64{30, 40, 50}[i])
		}
		if got := b.positions(0)[1]; vecLength(vecSub(got, want)) > 1e-12 {
			t.Errorf("%s: %v, want %v", order, got, want)
		}
	}
}

func TestBVHMotion(t *testing.T) {
	var swing []float64
	for i := range 60 {
		swing = append(swing, 60*math.Sin(float64(i)*2*math.Pi/59))
	}
	dir := t.TempDir()
	writeText(t, dir, "anna_A13.bvh", bvhFile(bvhStyles["cmu"], 20, swing))
	l, err := LoadMocap(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := l.Motion(1, recording.Key{Subject: 3, Activity: 13}, MotionOptions{})
	if !ok {
		t.Fatal("no motion")
	}
	if m.Source() != "mocap anna_A13.bvh" || len(m.Repetitions()) != 0 {
		t.Errorf("source %q, %d repetitions", m.Source(), len(m.Repetitions()))
	}
	first := boneLengths(m.At(0))
	lo, hi := math.Inf(1), math.Inf(-1)
	for tS := 0.0; tS < 29; tS += 0.05 {
		sk := m.At(tS)
		for i, l := range boneLengths(sk) {
			if math.Abs(l-first[i]) > 1e-9 {
				t.Fatalf("bone %v changes its length", bones[i])
			}
		}
		lo, hi = min(lo, sk[13][1]-sk[11][1]), max(hi, sk[13][1]-sk[11][1])
	}
	if arm := 0.55 * m.Subject().HeightM / 1.77; lo > -0.8*arm || hi < 0.8*arm {
		t.Errorf("the wrist moves between %.2f and %.2f m of the shoulder", lo, hi)
	}
}

func TestBVHErrors(t *testing.T) {
	const tree = "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n}\n"
	tests := []struct{ name, file, want string }{
		{"empty", "", "line 1: expected HIERARCHY: unexpected EOF"},
		{"not BVH", "PK\x03\x04", "line 1: expected HIERARCHY"},
		{"no name", "HIERARCHY\nROOT\n{", "line 3: joint without a name"},
		{"offset", "HIERARCHY\nROOT a\n{\nOFFSET 0 x 0", `line 4: expected a number, found "x"`},
		{"not a number", "HIERARCHY\nROOT a\n{\nOFFSET 0 NaN 0", `line 4: expected a number, found "NaN"`},
		{"channel", "HIERARCHY\nROOT a\n{\nCHANNELS 1 Wrotation", `line 4: unknown channel "Wrotation"`},
		{"channel count", "HIERARCHY\nROOT a\n{\nCHANNELS 7", "line 4: number of channels"},
		{"channels twice", "HIERARCHY\nROOT a\n{\nCHANNELS 1 Xrotation\nCHANNELS 1 Xrotation", "line 5: joint \"a\" has channels twice"},
		{"open brace", "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n", "line 5: in the hierarchy: unexpected EOF"},
		{"second root", tree + "ROOT b\n", `line 7: expected MOTION, found "ROOT"`},
		{"no channels", "HIERARCHY\nROOT a\n{\n}\nMOTION", "line 4: no joint has a channel"},
		{"frame count", tree + "MOTION\nFrames: -1\n", "line 8: number of frames"},
		{"huge count", tree + "MOTION\nFrames: 99999999999\n", "line 8: number of frames"},
		{"frame time", tree + "MOTION\nFrames: 1\nFrame Time: 0\n", "line 9: frame time"},
		{"cut", tree + "MOTION\nFrames: 3\nFrame Time: 0.1\n1\n2\n", "line 12: frame 3 of 3: expected a number: unexpected EOF"},
		{"too many", tree + "MOTION\nFrames: 1\nFrame Time: 0.1\n1\n2\n", `line 11: "2" after the last of 1 frames`},
		{"long word", strings.Repeat("x", 5000), "line 1: expected HIERARCHY: a word is longer than 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadBVH(strings.NewReader(tt.file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := LoadBVH(strings.NewReader(tree + "MOTION\nFrames: 1\n")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut file gives %v, want io.ErrUnexpectedEOF", err)
	}

	b, err := LoadBVH(strings.NewReader(tree + "MOTION\nFrames: 2\nFrame Time: 0.1\n1 2"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = b.Take(Take{}); err == nil || !strings.Contains(err.Error(), "pelvis, neck, head, right hip") {
		t.Errorf("error %v, want the missing joints", err)
	}
	giant := bvhStyles["mixamo"]
	giant.unit = 4e-5
	if b, err = LoadBVH(strings.NewReader(bvhFile(giant, 0, []float64{0, 0}))); err != nil {
		t.Fatal(err)
	}
	if _, err = b.Take(Take{}); err == nil || !strings.Contains(err.Error(), "write it in metres") {
		t.Errorf("error %v, want a request for the unit", err)
	}
}

func FuzzLoadBVH(f *testing.F) {
	for _, style := range bvhStyles {
		f.Add(bvhFile(style, 30, []float64{0, 10}))
	}
	f.Add("HIERARCHY ROOT a { CHANNELS 1 Xrotation JOINT b { End Site { } } } MOTION Frames: 2 Frame Time: 0.1 1 2")
	f.Add("HIERARCHY ROOT a { OFFSET 1e308 1e308 1e308 CHANNELS 3 Xposition Yposition Zposition } MOTION Frames: 0 Frame Time: 1")
	f.Fuzz(func(t *testing.T, file string) {
		b, err := LoadBVH(strings.NewReader(file))
		if err != nil {
			if !strings.Contains(err.Error(), "line ") {
				t.Errorf("error without a line: %v", err)
			}
			return
		}
		if b.Frames()*b.channels != len(b.values) || b.channels < 1 {
			t.Fatalf("%d frames of %d channels hold %d values", b.Frames(), b.channels, len(b.values))
		}
		for i, j := range b.joints {
			if j.parent >= i {
				t.Fatalf("joint %d comes before its parent %d", i, j.parent)
			}
		}
		take, err := b.Take(Take{Subject: "fuzz", Activity: 12})
		if err != nil {
			return
		}
		if m, ok := NewMocapLibrary(take).Motion(1, recording.Key{Subject: 1, Activity: 12}, MotionOptions{Frames: 20, Uncounted: true}); ok {
			for _, v := range m.At(0.7) {
				if math.IsNaN(v[0] + v[1] + v[2]) {
					t.Fatalf("joint at %v", v)
				}
			}
		}
	})
}
