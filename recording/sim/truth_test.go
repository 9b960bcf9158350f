package sim_test

import (
	"math"
	"testing"

	"posefuse/recording"
	"posefuse/recording/sim"
)

// TestTruthFrame checks axes and signs of the written ground truth: x right in
// the image, which is the person's left, y down, z away from the camera.
func TestTruthFrame(t *testing.T) {
	p := sim.CleanTruth(sim.NewProcedural(1, recording.Key{Subject: 1, Activity: 12}, sim.MotionOptions{Clean: true}), 0)
	if p[4][0] <= 0 || p[1][0] >= 0 {
		t.Errorf("left hip at x %.3f, right at %.3f: want positive and negative", p[4][0], p[1][0])
	}
	if !(p[10][1] < p[0][1] && p[0][1] < p[3][1]) {
		t.Errorf("y of head %.2f, pelvis %.2f, ankle %.2f: want increasing", p[10][1], p[0][1], p[3][1])
	}
	if math.Abs(p[0][1]) > 0.15 || math.Abs(p[0][2]-3.1) > 0.1 {
		t.Errorf("pelvis at %.3f: want about camera height, 3.1 m away", p[0])
	}
	if p[9][2] >= p[8][2] {
		t.Errorf("nose at z %.3f, thorax %.3f: the person must face the camera", p[9][2], p[8][2])
	}
	got := sim.CameraFromRoom(sim.Skeleton{0: {1, 0.5, 3}})
	if want := [3]float64{1, 0.4, 3}; got[0] != want {
		t.Errorf("joint at %v, want %v", got[0], want)
	}
}

func TestLabelNoise(t *testing.T) {
	var motions []sim.Motion
	for subject := 1; subject <= 40; subject++ {
		motions = append(motions, sim.NewProcedural(2, recording.Key{Subject: subject, Activity: 13}, sim.MotionOptions{}))
	}
	spread := func(noise float64) (bias, frame float64) {
		var nb, nf float64
		for _, m := range motions {
			l := sim.NewLabels(2, m, noise)
			const frames = 30
			var sum, sum2 [17][3]float64
			for i := range frames {
				got, clean := l.Frame(i), sim.CleanTruth(m, i)
				for j := range got {
					for k := range got[j] {
						d := got[j][k] - clean[j][k]
						sum[j][k] += d
						sum2[j][k] += d * d
					}
				}
			}
			for j := range sum {
				for k := range sum[j] {
					mean := sum[j][k] / frames
					within := (sum2[j][k] - frames*mean*mean) / (frames - 1)
					bias += mean*mean - within/frames
					frame += within
					nb++
					nf++
				}
			}
		}
		return math.Sqrt(max(0, bias/nb)), math.Sqrt(frame / nf)
	}
	for _, noise := range []float64{0.5, 1} {
		bias, frame := spread(noise)
		if math.Abs(bias-0.012*noise) > 0.0008*noise || math.Abs(frame-0.012*noise) > 0.0003*noise {
			t.Errorf("noise %v: bias %.4f m and frame noise %.4f m, want %.4f", noise, bias, frame, 0.012*noise)
		}
	}
	if bias, frame := spread(0); bias != 0 || frame > 1e-15 {
		t.Errorf("noise 0: bias %g, frame %g", bias, frame)
	}

	// Frame k alone equals frame k in the sequence.
	l := sim.NewLabels(2, motions[0], 1)
	want := l.Frame(7)
	for i := 20; i > 0; i-- {
		l.Frame(i)
	}
	if l.Frame(7) != want || sim.NewLabels(2, motions[0], 1).Frame(7) != want {
		t.Error("frame 7 depends on what was drawn before")
	}
}
