package skeleton

import (
	"math"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"

	"posefuse/sensors/modality"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// standing is somebody of about 1.75 m, feet apart, y upwards.
var standing = Pose{
	Pelvis: {0, 0.95, 3}, RightHip: {0.12, 0.93, 3}, RightKnee: {0.14, 0.51, 2.98}, RightAnkle: {0.15, 0.09, 3},
	LeftHip: {-0.12, 0.93, 3}, LeftKnee: {-0.14, 0.51, 2.98}, LeftAnkle: {-0.15, 0.09, 3},
	Spine: {0, 1.18, 3}, Thorax: {0, 1.43, 3}, Nose: {0, 1.57, 2.95}, Head: {0, 1.70, 3},
	LeftShoulder: {-0.18, 1.40, 3}, LeftElbow: {-0.22, 1.12, 3}, LeftWrist: {-0.23, 0.88, 2.95},
	RightShoulder: {0.18, 1.40, 3}, RightElbow: {0.22, 1.12, 3}, RightWrist: {0.23, 0.88, 2.95},
}

// noisy returns a pose with normal errors of a standard deviation per axis.
func noisy(r *rand.Rand, p Pose, sdM float64) Pose {
	for j := range p {
		for k := range p[j] {
			p[j][k] += sdM * r.NormFloat64()
		}
	}
	return p
}

// shifted returns a pose moved as a whole.
func shifted(p Pose, by vec) Pose {
	for j := range p {
		p[j] = add(p[j], by)
	}
	return p
}

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 1)) }

const tickNS = 100_000_000

// farthest is the largest distance between the joints of two poses, metres.
func farthest(a, b *Pose) (m float64) {
	for j := range a {
		m = max(m, norm(sub(a[j], b[j])))
	}
	return m
}

func lengthsDiffer(a, b Lengths) (m float64) {
	for i := range a {
		m = max(m, math.Abs(a[i]-b[i]))
	}
	return m
}

const all = modality.All
