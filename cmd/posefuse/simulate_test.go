package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
)

// swingBVH is a person of .bvh, centimetres, who swings the left arm 60 degrees
// up and down in three seconds; nothing else moves.
func swingBVH() string {
	var b strings.Builder
	end := strings.Repeat("}\n", 4)
	b.WriteString("HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\n")
	for _, side := range []struct {
		name string
		x    int
	}{{"Left", 1}, {"Right", -1}} {
		fmt.Fprintf(&b, "JOINT %[1]sHip\n{\nOFFSET %[2]d -5 0\nJOINT %[1]sKnee\n{\nOFFSET 0 -42 0\nJOINT %[1]sAnkle\n{\nOFFSET 0 -42 0\nEnd Site\n{\nOFFSET 0 -7 14\n%[3]s",
			side.name, 10*side.x, end)
	}
	b.WriteString("JOINT Chest\n{\nOFFSET 0 20 0\n")
	for _, side := range []struct {
		name, channels string
		x              int
	}{{"Left", "CHANNELS 1 Zrotation\n", 1}, {"Right", "", -1}} {
		fmt.Fprintf(&b, "JOINT %[1]sShoulder\n{\nOFFSET %[2]d 28 0\n%[4]sJOINT %[1]sElbow\n{\nOFFSET %[3]d 0 0\nJOINT %[1]sWrist\n{\nOFFSET %[3]d 0 0\nEnd Site\n{\nOFFSET 0 0 0\n%[5]s",
			side.name, 18*side.x, 28*side.x, side.channels, end)
	}
	b.WriteString("JOINT Neck\n{\nOFFSET 0 30 0\nJOINT Head\n{\nOFFSET 0 12 2\nEnd Site\n{\nOFFSET 0 18 0\n" + end + "}\n")
	const frames, rate = 61, 20
	fmt.Fprintf(&b, "MOTION\nFrames: %d\nFrame Time: %v\n", frames, 1.0/rate)
	for i := range frames {
		fmt.Fprintf(&b, "0 96 0 %.4f\n", 60*math.Sin(2*math.Pi*float64(i)/(frames-1)))
	}
	return b.String()
}

// TestSimulateBVH writes clips that a folder of .bvh files moves.
func TestSimulateBVH(t *testing.T) {
	motion, out := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(motion, "anna_A13.bvh"), []byte(swingBVH()))
	posefuse(t, "simulate", "--mocap", motion, "--out", out, "--subjects", "1", "--activities", "12,13", "--frames", "100")
	if m, err := os.ReadFile(filepath.Join(out, "SIMULATED.json")); err != nil || !strings.Contains(string(m), `"mocap anna_A13.bvh"`) || !strings.Contains(string(m), `"procedural"`) {
		t.Errorf("%v: the manifest does not say which clip is moved by what:\n%.3000s", err, m)
	}

	f, err := os.Open(filepath.Join(out, "E01/S01/A13", sim.CleanTruthName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	truth, err := mmfi.ReadNPY(f)
	if err != nil {
		t.Fatal(err)
	}
	joints := truth.Float32()
	// How far the wrist is above the shoulder, degrees; y is down.
	raised := func(frame, shoulder, wrist int) float64 {
		var arm [3]float64
		for k := range arm {
			arm[k] = float64(joints[(frame*17+wrist)*3+k] - joints[(frame*17+shoulder)*3+k])
		}
		return math.Atan2(-arm[1], math.Hypot(arm[0], arm[2])) * 180 / math.Pi
	}
	lowest, highest, crossings := 0.0, 0.0, 0
	for i := range 100 {
		left, right := raised(i, 11, 13), raised(i, 14, 16)
		lowest, highest = min(lowest, left), max(highest, left)
		if i > 0 && (left > 0) != (raised(i-1, 11, 13) > 0) {
			crossings++
		}
		if math.Abs(right) > 1 {
			t.Errorf("frame %d: the resting arm is raised by %.1f degrees", i, right)
		}
	}
	if math.Abs(lowest+60) > 1.5 || math.Abs(highest-60) > 1.5 {
		t.Errorf("the arm swings between %.1f and %.1f degrees, recorded -60 and 60", lowest, highest)
	}
	// Ten seconds at up to 20 % other speed, with short blends between.
	if crossings < 4 || crossings > 10 {
		t.Errorf("the arm passes the level %d times in ten seconds, want about 7", crossings)
	}
}
