package nn

import (
	"math"
	"math/rand/v2"
	"testing"
)

// oneKeypoint is a head of n features of 8 values and two joints, the second of which
// one keypoint shows. The person stands 3 m ahead, the origin is 1 m over the floor.
func oneKeypoint(n int) ReprojectionConfig {
	return ReprojectionConfig{N: n, Width: 8, Out: 6, Camera: 0, Keypoints: 1, Pairs: [][2]int{{0, 1}},
		PersonM: 3, HeightM: 1, PerM: 2. / 3, FarOffM: 0.6, Scale: 3, Hidden: []int{7, 5}}
}

// seenAt is a camera's feature of five samples: three random values, then the
// keypoint, whether it was found, and the camera's height and distance.
func seenAt() []float64 {
	f := randomValues(40)
	for s, view := range [][5]float64{
		{0.1, -0.2, 1, 1.4, 3.5},
		{-0.1, 0.1, 1, 0.8, 2},
		{0.2, 0.1, 0, 1, 3},  // not found
		{0.9, 0.9, 1, 1, 3},  // too far off to be true
		{0.2, -0.1, 1, 1, 0}, // no place
	} {
		copy(f[8*s+3:], view[:])
	}
	return f
}

// near brings the pose of a head that has just been made to where the keypoints are.
func near(h *ReprojectionHead[float64]) {
	copy(h.base.bias.Value, []float64{0.1, 0, 3, 0.1, 0.05, 3.1})
	for _, l := range h.base.layers {
		for i := range l.Weight.Value {
			l.Weight.Value[i] *= 0.1
		}
	}
}

func TestReprojectionHeadGradients(t *testing.T) {
	f := [][]float64{seenAt(), randomValues(41)[:40], randomValues(42)[:40]}
	var head *ReprojectionHead[float64]
	checkHeadOn(t, f, 3, func(s *Store[float64], _ *Context) Head[float64] {
		head = NewReprojectionHead(s, "h", oneKeypoint(3))
		near(head)
		rng := rand.New(rand.NewPCG(1, 2))
		for _, l := range head.correction.layers {
			for i := range l.Weight.Value {
				l.Weight.Value[i] += 0.3 * rng.NormFloat64()
			}
		}
		return head
	})
	for s, want := range []float64{1, 1, 0, 0, 0} {
		if got := head.x[s*head.Inputs()+6+2]; got != want {
			t.Errorf("sample %d: keypoint used: %v, want %v", s, got, want)
		}
	}
}

// A joint on its keypoint's line of sight has no offset, wherever the camera is; one
// beside it has how far.
func TestReprojectionHeadReadsLinesOfSight(t *testing.T) {
	const cameraM, distanceM = 1.6, 3.7 // height; from the person
	h := NewReprojectionHead(NewStore[float64](1), "h", oneKeypoint(1))
	pose := []float64{0, 0, 3, 0.4, -0.3, 3.2}
	// The camera's place is (0, 1 - cameraM, 3 - distanceM), y down.
	camera := [3]float64{0, 1 - cameraM, 3 - distanceM}
	toPlane := distanceM / (pose[5] - camera[2])
	x, y := camera[0]+toPlane*(pose[3]-camera[0]), camera[1]+toPlane*(pose[4]-camera[1])
	for _, c := range []struct{ right, down float64 }{{0, 0}, {0.1, 0}, {0, -0.2}} {
		// The keypoint is that far beside the joint where the joint is.
		f := []float64{1, 0, 0, (x + toPlane*c.right) * 2 / 3, (y + toPlane*c.down) * 2 / 3, 1, cameraM, distanceM}
		h.features, h.b = [][]float64{f}, 1
		row := make([]float64, h.Inputs())
		grow(&h.slope, 2)
		h.read(0, pose, allFeatures, row)
		for i, want := range []float64{c.right * h.Scale, c.down * h.Scale, 1} {
			if math.Abs(row[6+i]-want) > 1e-12 {
				t.Errorf("offset %+v: value %d is %v, want %v", c, i, row[6+i], want)
			}
		}
	}
}

// A new head gives the pose of the PrecisionHead in it, with any sensors.
func TestReprojectionHeadBeginsWithoutASay(t *testing.T) {
	s := NewStore[float64](3)
	h := NewReprojectionHead(s, "h", oneKeypoint(2))
	near(h)
	for _, f := range [][][]float64{{seenAt(), randomValues(40)}, {make([]float64, 40), randomValues(40)}} {
		got := append([]float64(nil), h.Forward(f, 5)...)
		for i, want := range h.base.Forward(f, 5) {
			if got[i] != want {
				t.Fatalf("value %d: %v, want %v", i, got[i], want)
			}
		}
	}
}
