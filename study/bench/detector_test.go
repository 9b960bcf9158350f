package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model/keypoint"
	"posefuse/recording/sim"
)

// TestNoiseFindsWhatWasPutIn: errors of known size, tails, correlation and
// exchanged sides come out of the statistics.
func TestNoiseFindsWhatWasPutIn(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	const core, rho, far = 0.4, 0.7, 0.02
	var n noise
	var state [17][2]float64
	for frame := range 3000 {
		want := keypoint.Person{Found: true}
		for j := range want.Keypoints {
			want.Keypoints[j] = keypoint.Keypoint{X: 100 + 10*float64(j), Y: 50 + 20*float64(j%5) + 40*float64(j/5), Score: 0.8}
		}
		got := want
		root := math.Sqrt(area(&want))
		for j := range got.Keypoints {
			k := &got.Keypoints[j]
			k.Score = 0.7
			unit := sim.KeypointK[j] * root
			for a, v := range []*float64{&k.X, &k.Y} {
				state[j][a] = rho*state[j][a] + math.Sqrt(1-rho*rho)*rng.NormFloat64()
				*v += unit * core * state[j][a]
			}
			if rng.Float64() < far {
				k.X += 20 * unit
				k.Score = 0.4
			}
		}
		if frame%10 == 0 { // the hips' sides
			got.Keypoints[11], got.Keypoints[12] = got.Keypoints[12], got.Keypoints[11]
			got.Keypoints[11].X, got.Keypoints[12].X = want.Keypoints[12].X, want.Keypoints[11].X
			got.Keypoints[11].Y, got.Keypoints[12].Y = want.Keypoints[12].Y, want.Keypoints[11].Y
		}
		n.add(&got, &want, motion{})
	}
	r := n.row("made up")
	for what, v := range map[string][3]float64{
		"core": {r.Core, core, 0.03}, "beyond 2": {r.Over[0], 0.135 + far, 0.04}, "beyond 8": {r.Over[2], far, 0.015},
		"correlation": {r.Correlation, rho, 0.1}, "inverted": {r.Inverted, 0.1 / 6, 0.006},
		"sure": {r.ScoreSure, 0.7, 1e-9}, "wrong": {r.ScoreWrong, 0.4, 1e-9},
	} {
		if math.Abs(v[0]-v[1]) > v[2] {
			t.Errorf("%s is %.3f, want %.3f", what, v[0], v[1])
		}
	}
	if r.Frames != 3000 || r.Joints != 17*3000 {
		t.Errorf("%d joints of %d frames", r.Joints, r.Frames)
	}
}

// TestDetectorAgainstItself: a model has no error against itself, and a camera
// that moves over a picture adds little.
func TestDetectorAgainstItself(t *testing.T) {
	var out bytes.Buffer
	c := Detector{Files: []string{testenv.OpenCVPicture(t, "messi5.jpg")}, Reference: keypoint.Lightning, Frames: 30, JSON: true}
	if err := c.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var rows []detectorRow
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	if r := rows[0]; r.Core != 0 || r.Frames != 30 || r.Joints < 200 || !(r.Motion > 0.02 && r.Motion < 0.5) {
		t.Errorf("%+v", r)
	}
	c.Files, c.Reference = []string{"/nowhere.png"}, "/nowhere"
	if err := c.Run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("files that are not there: %v", err)
	}
}
