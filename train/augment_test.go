package train

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// cloudOn returns a pose drawn at random and a cloud of one point on each of
// its joints, in the radar's axes.
func cloudOn(t *rapid.T) (points, pose []float32) {
	coordinate := rapid.Float32Range(-2, 2)
	pose, points = make([]float32, model.OutputDim), make([]float32, model.NumJoints*model.RadarPointDim)
	for j := range model.NumJoints {
		x, y, z := coordinate.Draw(t, "x"), coordinate.Draw(t, "y"), 3+coordinate.Draw(t, "z")
		pose[3*j], pose[3*j+1], pose[3*j+2] = x, y, z
		copy(points[j*model.RadarPointDim:], []float32{x, z, -y, float32(j), float32(2 * j)})
	}
	return points, pose
}

// TestAugmentationMovesPointsAndPoseAlike holds that points that lie on joints
// still do, that the body keeps its size and that nothing else of a point
// changes.
func TestAugmentationMovesPointsAndPoseAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Augment{RotateDeg: rapid.Float64Range(0, 180).Draw(t, "degrees"), ShiftM: rapid.Float64Range(0, 1).Draw(t, "metres"), Mirror: rapid.Bool().Draw(t, "mirror")}
		points, pose := cloudOn(t)
		before := slices.Clone(pose)
		a.Apply(points, pose, rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "number"))
		order := [2][model.NumJoints]int{{}, mirrored}
		for j := range model.NumJoints {
			order[0][j] = j
		}
		which := 0
		for j := range model.NumJoints { // the cloud's points keep their rows, the joints change sides
			row := points[j*model.RadarPointDim:][:model.RadarPointDim]
			if row[3] != float32(j) || row[4] != float32(2*j) {
				t.Fatalf("point %d has become %v", j, row)
			}
			at := func(k int) float64 {
				k = order[k][j]
				return math.Abs(float64(row[0]-pose[3*k])) + math.Abs(float64(row[1]-pose[3*k+2])) + math.Abs(float64(row[2]+pose[3*k+1]))
			}
			if a.Mirror && which == 0 && at(0) > 1e-4 {
				which = 1
			}
			if d := at(which); d > 1e-4 {
				t.Fatalf("point %d is %g m off its joint", j, d)
			}
		}
		side := func(p []float32, j, k int) float64 {
			return math.Hypot(math.Hypot(float64(p[3*j]-p[3*k]), float64(p[3*j+1]-p[3*k+1])), float64(p[3*j+2]-p[3*k+2]))
		}
		if got, want := side(pose, order[which][1], order[which][16]), side(before, 1, 16); math.Abs(got-want) > 1e-4 {
			t.Fatalf("two joints are %g m apart, were %g", got, want)
		}
	})
}

func TestMirrorPlane(t *testing.T) {
	points, pose := make([]float32, model.RadarPointDim), make([]float32, model.OutputDim)
	points[0], pose[3*1], pose[3*4] = 0.5, 0.6, 0.2 // right and left hip
	mirror(points, pose, 0.1)
	if points[0] != -0.5 || math.Abs(float64(pose[3*4]+0.4)) > 1e-6 || math.Abs(float64(pose[3*1])) > 1e-6 {
		t.Errorf("point at %g, right hip at %g, left hip at %g; want -0.5, 0 and -0.4", points[0], pose[3*1], pose[3*4])
	}
	mirror(points, pose, 0.1)
	if math.Abs(float64(pose[3*1]-0.6)) > 1e-6 {
		t.Errorf("mirrored twice the right hip is at %g, was at 0.6", pose[3*1])
	}
}

func TestAugmentationIsRepeatable(t *testing.T) {
	a := Augment{DropPoints: 0.5, JitterM: 0.01}
	run := func(seed, number uint64) []float32 {
		points, pose := make([]float32, 64*model.RadarPointDim), make([]float32, model.OutputDim)
		for i := range points {
			points[i] = float32(i)
		}
		a.Apply(points, pose, seed, number)
		for i, v := range pose {
			if v != 0 {
				t.Fatalf("pose value %d moved to %g", i, v)
			}
		}
		return points
	}
	one := run(1, 7)
	if !slices.Equal(one, run(1, 7)) {
		t.Error("the same sample came out differently")
	}
	if slices.Equal(one, run(1, 8)) || slices.Equal(one, run(2, 7)) {
		t.Error("another sample or seed came out the same")
	}
	var none *Augment
	points := []float32{1, 2, 3, 4, 5}
	none.Apply(points, nil, 1, 1)
	(&Augment{}).Apply(points, nil, 1, 1)
	if !slices.Equal(points, []float32{1, 2, 3, 4, 5}) {
		t.Errorf("no augmentation gave %v", points)
	}
}

func TestAugmentationThatCannotWork(t *testing.T) {
	const radar = modality.Set(1 << modality.Radar)
	for want, a := range map[string]Augment{
		"270 degrees":   {RotateDeg: 270},
		"shift NaN":     {ShiftM: math.NaN()},
		"share 1":       {DropPoints: 1},
		"jitter -1":     {JitterM: -1},
		"plane at 11 m": {Mirror: true, MirrorX: 11},
		"nothing is":    {MirrorX: 1},
	} {
		if err := a.Check(radar); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
	a := &Augment{ShiftM: 0.1}
	if err := a.Check(radar); err != nil {
		t.Error(err)
	}
	if err := a.Check(modality.All); err == nil || !strings.Contains(err.Error(), "modalities RLMW") {
		t.Errorf("a network with a camera: %v", err)
	}
	if err := (*Augment)(nil).Check(modality.All); err != nil {
		t.Error(err)
	}
}

func TestDeviatesAreStandard(t *testing.T) {
	var d deviates
	d.Seed(1, 2)
	const n = 200000
	var mean, square, uniform, tail float64
	for range n {
		x, u := d.normal(), d.uniform()
		if !(u >= 0 && u < 1) || math.IsNaN(x) || math.IsInf(x, 0) {
			t.Fatalf("deviates %g and %g", u, x)
		}
		mean, square, uniform = mean+x/n, square+x*x/n, uniform+u/n
		if x > 1.96 {
			tail += 1.0 / n
		}
	}
	// Six standard errors.
	if math.Abs(mean) > 0.0135 || math.Abs(square-1) > 0.019 || math.Abs(uniform-0.5) > 0.004 || math.Abs(tail-0.025) > 0.0021 {
		t.Errorf("mean %.4f, mean square %.4f, mean of uniform %.4f, %.4f above 1.96", mean, square, uniform, tail)
	}
}

func TestAugmentationAllocatesNothing(t *testing.T) {
	a := &Augment{RotateDeg: 5, ShiftM: 0.1, Mirror: true, DropPoints: 0.3, JitterM: 0.01}
	points, pose := make([]float32, 64*model.RadarPointDim), make([]float32, model.OutputDim)
	if n := testenv.AllocsPerRun(100, func() { a.Apply(points, pose, 1, 2) }); n != 0 {
		t.Errorf("%g allocations per sample", n)
	}
}
