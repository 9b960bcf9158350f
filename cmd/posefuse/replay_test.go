package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"posefuse/message"
)

// TestReplayEqualsEvaluation plays stored clips over the wire into a separate
// daemon and compares its poses with posefuse eval on the same files.
//
// They cannot be equal to the bit: LiDAR points travel as whole millimetres
// (half a millimetre per axis), radar SNR in steps of 0.1 dB, radar points as
// float32. Keypoints and CSI travel exactly. Where the rounding tips a choice
// of the point encoders (farthest point, nearest neighbours), a pose moves by
// some millimetres; in most frames it is tenths.
func TestReplayEqualsEvaluation(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "mmfi")
	posefuse(t, "simulate", "--out", data, "--subjects", "5", "--activities", "12,13", "--frames", "90", "--seed", "3")
	posesFile := filepath.Join(dir, "poses.jsonl")
	posefuse(t, "eval", "--mmfi", data, "--clips", "S05", "--poses", posesFile)

	r := startDaemon(t, "livox")
	natsPoses, mqttPoses := r.subscribeNATS(t), newPoses(t)
	r.subscribeMQTT(t, "posefuse/room1/pose", mqttPoses.add)
	framesFile := filepath.Join(dir, "frames.jsonl")
	posefuse(t, "replay", "--mmfi", data, "--clips", "S05", "--log", framesFile, "--camera", r.camera, "--lidar", r.livox, "--csi", r.csi,
		"--radar-command", r.radarCommand, "--radar-data", r.radarData, "--metadata", r.ousterJ)
	time.Sleep(300 * time.Millisecond) // the last frame's tick

	type frame struct {
		Clip    string    `json:"clip"`
		Frame   int       `json:"frame"`
		Capture time.Time `json:"capture_time"`
	}
	type pose struct {
		Clip   string         `json:"clip"`
		Frame  int            `json:"frame"`
		Joints [17][3]float64 `json:"joints_m"`
	}
	want := map[string][17][3]float64{}
	for _, p := range readLines[pose](t, posesFile) {
		want[fmt.Sprint(p.Clip, p.Frame)] = p.Joints
	}
	if len(want) != 180 {
		t.Fatalf("eval wrote %d poses, want 180", len(want))
	}
	published := natsPoses.snapshot()
	var errorsMM []float64
	unmatched, notFull := 0, map[string]int{}
	for _, f := range readLines[frame](t, framesFile) {
		best, off := -1, 30*time.Millisecond
		for i, p := range published {
			at, err := time.Parse(time.RFC3339Nano, p.CaptureTime)
			if err != nil {
				t.Fatal(err)
			}
			if d := at.Sub(f.Capture).Abs(); d < off {
				best, off = i, d
			}
		}
		if best < 0 {
			unmatched++
			t.Logf("%s frame %d: no pose within 30 ms", f.Clip, f.Frame)
			continue
		}
		if p := published[best]; p.Coalition != "RLMW" || p.JointsM == nil {
			notFull[p.Coalition]++
			t.Logf("%s frame %d: coalition %s, %s", f.Clip, f.Frame, p.Coalition, states(p))
			continue
		} else {
			d := meanDistanceMM(*p.JointsM, want[fmt.Sprint(f.Clip, f.Frame)])
			errorsMM = append(errorsMM, d)
			if d > 2 {
				t.Logf("%s frame %d: %.1f mm, skews %s", f.Clip, f.Frame, d, skews(p))
			}
		}
	}
	if len(errorsMM) == 0 {
		t.Fatal("no published pose matches a frame")
	}
	slices.Sort(errorsMM)
	mean := 0.0
	for _, e := range errorsMM {
		mean += e / float64(len(errorsMM))
	}
	t.Logf("%d of 180 frames compared with all sensors, %d without a pose, other coalitions %v; joint difference mean %.3f mm, median %.3f, 99 %% %.3f, worst %.3f",
		len(errorsMM), unmatched, notFull, mean, errorsMM[len(errorsMM)/2], errorsMM[len(errorsMM)*99/100], errorsMM[len(errorsMM)-1])
	if len(errorsMM) < 160 {
		t.Errorf("only %d of 180 frames have a pose of all four sensors", len(errorsMM))
	}
	if mean > 2 {
		t.Errorf("mean joint difference to posefuse eval is %.3f mm, want at most 2", mean)
	}
	natsPoses.check(t, "NATS")
	mqttPoses.check(t, "MQTT")
	if n, m := len(natsPoses.snapshot()), len(mqttPoses.snapshot()); m < n-2 || m > n+2 {
		t.Errorf("NATS saw %d poses, MQTT %d", n, m)
	}
}

// states lists how each modality took part, e.g. "R late".
func states(p message.Pose) string {
	out := ""
	for _, m := range "RLMW" {
		if v := p.Modalities[string(m)]; !v.Presence {
			out += string(m) + " " + v.State + " "
		}
	}
	return out
}

// skews lists each modality's skew, ms.
func skews(p message.Pose) string {
	out := ""
	for _, m := range "RLMW" {
		if v := p.Modalities[string(m)]; v.SkewMS != nil {
			out += fmt.Sprintf("%c %.1f ", m, *v.SkewMS)
		}
	}
	return out
}

func meanDistanceMM(a, b [17][3]float64) float64 {
	sum := 0.0
	for j := range a {
		sum += math.Sqrt((a[j][0]-b[j][0])*(a[j][0]-b[j][0])+(a[j][1]-b[j][1])*(a[j][1]-b[j][1])+(a[j][2]-b[j][2])*(a[j][2]-b[j][2])) * 1000 / 17
	}
	return sum
}
