package sim

import (
	"math"
	"testing"

	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

func TestCameraProjectsWithoutNoise(t *testing.T) {
	c := newTestClip(t, "clean", still(), nil)
	var f recording.Frame
	if err := c.FrameOf(0, modality.Of(modality.Camera), &f); err != nil {
		t.Fatal(err)
	}
	sk := uprightPerson()
	for j := 5; j < numKeypoints; j++ {
		p := sk[cocoFromH36M[j]]
		u, v := 605*p[0]/p[2]+320, 605*(0.9-p[1])/p[2]+240
		if math.Abs(f.RGB[j][0]-u) > 1e-9 || math.Abs(f.RGB[j][1]-v) > 1e-9 {
			t.Errorf("key point %d at %v, want (%g, %g)", j, f.RGB[j], u, v)
		}
	}
	// The person faces the camera: left is image right, the nose is between
	// the eyes and these above it.
	nose, leftEye, rightEye, leftEar := f.RGB[0], f.RGB[1], f.RGB[2], f.RGB[3]
	if !(leftEye[0] > nose[0] && rightEye[0] < nose[0] && leftEye[1] < nose[1] && leftEar[0] > leftEye[0]) {
		t.Errorf("face: nose %v, eyes %v %v, left ear %v", nose, leftEye, rightEye, leftEar)
	}
}

func TestHidden(t *testing.T) {
	sub := Subject{HeightM: 1.7, Girth: 1}
	hiddenOf := func(sk Skeleton, occluder *box) (h [numKeypoints]bool) {
		var vel Skeleton
		bodies := make([]Body, 1)
		bodies[0].Set(&sub, &sk, &vel)
		kp := keypoints3D(&sub, &sk)
		for j := range h {
			h[j] = hidden(Vec{0, cameraHeightM, 0}, kp[j], j, 0, bodies, occluder)
		}
		return h
	}
	front := hiddenOf(uprightPerson(), nil)
	if front != [numKeypoints]bool{} {
		t.Errorf("standing in front of the camera: hidden %v, want none", front)
	}
	behind := uprightPerson()
	behind[13] = Vec{0, 1.3, 3.45} // left wrist behind the chest
	if h := hiddenOf(behind, nil); !h[9] || h[10] {
		t.Errorf("left wrist behind the back: hidden %v", h)
	}
	for severity, want := range map[int][2]bool{1: {true, false}, 2: {true, true}} {
		occluder := occluderBox(severity)
		h := hiddenOf(uprightPerson(), &occluder)
		if got := [2]bool{h[13], h[11]}; got != want {
			t.Errorf("occluder %d: left knee, hip hidden %v, want %v", severity, got, want)
		}
	}
	half := occluderBox(3)
	if h := hiddenOf(uprightPerson(), &half); !h[5] || h[6] {
		t.Errorf("half the body: left, right shoulder hidden %v, %v", h[5], h[6])
	}
}

// Mean error about 5 px, 99 % about 37 px (simulator.md 5).
func TestCameraErrorStatistics(t *testing.T) {
	var errs []float64
	var noisy, exact recording.Frame
	for s := 1; s <= 40; s += 4 {
		for a := 1; a <= 27; a += 4 {
			m := NewProcedural(3, recording.Key{Subject: s, Activity: a}, MotionOptions{})
			c, clean := newTestClip(t, "mmfi", m, nil), newTestClip(t, "clean", m, nil)
			for i := 0; i < 297; i += 9 {
				if err := c.FrameOf(i, modality.Of(modality.Camera), &noisy); err != nil {
					t.Fatal(err)
				}
				if err := clean.FrameOf(i, modality.Of(modality.Camera), &exact); err != nil {
					t.Fatal(err)
				}
				for j := range noisy.RGB {
					errs = append(errs, math.Hypot(noisy.RGB[j][0]-exact.RGB[j][0], noisy.RGB[j][1]-exact.RGB[j][1]))
				}
			}
		}
	}
	if m := mean(errs); m < 4 || m > 7 {
		t.Errorf("mean error %.2f px, want about 5", m)
	}
	wantQuantiles(t, "error in pixels", errs, map[float64][2]float64{0.99: {25, 45}})
}

// The core error is correlated by 0.6 from frame to frame, with unit variance.
func TestCoreNoise(t *testing.T) {
	c := newTestClip(t, "mmfi", still(), nil)
	var now, next, later []float64
	var a, b, d [numKeypoints][2]float64
	for i := 0; i < 3000; i += 3 {
		c.coreNoise(i, &a)
		c.coreNoise(i+1, &b)
		c.coreNoise(i+2, &d)
		for j := range a {
			now, next, later = append(now, a[j][0]), append(next, b[j][0]), append(later, d[j][0])
		}
	}
	if r := correlation(now, next); math.Abs(r-0.6) > 0.02 {
		t.Errorf("correlation after one frame %.3f, want 0.6", r)
	}
	if r := correlation(now, later); math.Abs(r-0.36) > 0.03 {
		t.Errorf("correlation after two frames %.3f, want 0.36", r)
	}
	if s := deviation(now); math.Abs(s-1) > 0.03 {
		t.Errorf("standard deviation %.3f, want 1", s)
	}
}

// Scores fall with the error but do not reveal it.
func TestKeypointScores(t *testing.T) {
	c, clean := newTestClip(t, "mmfi", asymmetric(), nil), newTestClip(t, "clean", asymmetric(), nil)
	var errs, scores []float64
	for i := range 300 {
		var k, exact sensors.Keypoints
		if ok, err := c.Keypoints(i, &k); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if _, err := clean.Keypoints(i, &exact); err != nil {
			t.Fatal(err)
		}
		if k.Width != 640 || k.Height != 480 {
			t.Fatalf("image %d x %d", k.Width, k.Height)
		}
		for j := range k.XY {
			if k.Score[j] <= 0 || k.Score[j] >= 1 {
				t.Fatalf("score %g", k.Score[j])
			}
			errs = append(errs, math.Hypot(k.XY[j][0]-exact.XY[j][0], k.XY[j][1]-exact.XY[j][1])/KeypointK[j])
			scores = append(scores, k.Score[j])
		}
	}
	if r := correlation(errs, scores); r > -0.4 || r < -0.99 {
		t.Errorf("correlation of error and score %.2f", r)
	}
}
