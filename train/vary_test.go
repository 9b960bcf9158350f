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

// seen is a person drawn at random, three metres ahead, as all sensors see them: a
// LiDAR and a radar point on each joint, and every keypoint where the joint is.
func seen(t *rapid.T, d *Data) *model.Batch {
	b := d.NewBatch(1)
	b.Present[0] = d.cfg.Mask()
	coordinate := rapid.Float32Range(-1, 1)
	for j := range model.NumJoints {
		x, y, z := coordinate.Draw(t, "x"), coordinate.Draw(t, "y"), 3+coordinate.Draw(t, "z")
		copy(b.Target[3*j:], []float32{x, y, z})
		if b.LiDAR != nil {
			copy(b.LiDAR[model.LiDARPointDim*j:], []float32{z, -x, -y})
		}
		if b.Radar != nil {
			copy(b.Radar[model.RadarPointDim*j:], []float32{z, -x, -y, float32(j), float32(2 * j)})
		}
		for at := 0; b.Camera != nil && at < len(b.Camera); at += model.ViewedKeypoints {
			copy(b.Camera[at+2*j:], []float32{x * 2 / 3, y * 2 / 3})
			b.Camera[at+model.KeypointValues+j] = float32(j % 2)
			b.Camera[at+model.KeypointValues+model.NumJoints] = 1.5
		}
	}
	return b
}

// TestVariationKeepsSensorsTogether holds that whatever becomes of a sample, the
// points and keypoints that were at joints are still at joints of its truth: at the
// same or, mirrored, at the other side's.
func TestVariationKeepsSensorsTogether(t *testing.T) {
	cfg := model.Edge().Room()
	points := model.Edge().Room()
	points.Modalities = "LM"
	rapid.Check(t, func(t *rapid.T) {
		d := &Data{cfg: cfg}
		v := &Variation{Mirror: rapid.Bool().Draw(t, "mirror"), LowerM: 0.3, LowerShare: float64(rapid.IntRange(0, 1).Draw(t, "lowered"))}
		if rapid.Bool().Draw(t, "points alone") {
			d.cfg, v.TurnDeg = points, rapid.Float64Range(0, 180).Draw(t, "degrees")
		}
		b := seen(t, d)
		was := slices.Clone(b.Target)
		d.vary(v, b, 0, rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "number"))
		order := [2][model.NumJoints]int{{}, mirrored}
		for j := range model.NumJoints {
			order[0][j] = j
		}
		off := func(which int) (worst float64) {
			for j, k := range order[which] {
				x, y, z := float64(b.Target[3*k]), float64(b.Target[3*k+1]), float64(b.Target[3*k+2])
				l, r := b.LiDAR[model.LiDARPointDim*j:], b.Radar[model.RadarPointDim*j:]
				worst = max(worst, math.Abs(float64(l[0])-z), math.Abs(float64(l[1])+x), math.Abs(float64(l[2])+y),
					math.Abs(float64(r[0])-z), math.Abs(float64(r[1])+x), math.Abs(float64(r[2])+y))
				if r[3] != float32(j) || r[4] != float32(2*j) {
					t.Fatalf("the radar's point %d has speed %g and age %g", j, r[3], r[4])
				}
			}
			return worst
		}
		which := 0
		if v.Mirror && off(0) > 1e-4 {
			which = 1
		}
		if d := off(which); d > 1e-4 {
			t.Fatalf("points are %g m off the joints", d)
		}
		for j := range order[which] {
			for at := 0; at < len(b.Camera); at += model.ViewedKeypoints {
				x, y := b.Camera[at+2*j]*3/2, b.Camera[at+2*j+1]*3/2
				if math.Abs(float64(x-b.Target[3*j])) > 1e-4 || math.Abs(float64(y-b.Target[3*j+1])) > 1e-4 {
					t.Fatalf("keypoint %d is at %g, %g, its joint at %v", j, x, y, b.Target[3*j:3*j+3])
				}
				if found, want := b.Camera[at+model.KeypointValues+j], float32(order[which][j]%2); found != want {
					t.Fatalf("keypoint %d is found %g, want %g", j, found, want)
				}
				// The camera stays where it is above the person.
				above := b.Camera[at+model.KeypointValues+model.NumJoints] + b.Target[3*mirroredBy(which, 1)+1]
				if math.Abs(float64(above-1.5-was[3*1+1])) > 1e-4 {
					t.Fatalf("the camera is at another height: %g", above)
				}
			}
		}
		moved := which == 1 || v.TurnDeg > 0
		if csi := b.Present[0].Has(modality.CSI); csi != (!moved && d.cfg.Mask().Has(modality.CSI)) {
			t.Fatalf("mirrored or turned: %t, CSI taken: %t", moved, csi)
		}
		distance := func(p []float32, i, j int) float64 {
			return math.Hypot(math.Hypot(float64(p[3*i]-p[3*j]), float64(p[3*i+1]-p[3*j+1])), float64(p[3*i+2]-p[3*j+2]))
		}
		if got, want := distance(b.Target, mirroredBy(which, 1), mirroredBy(which, 16)), distance(was, 1, 16); math.Abs(got-want) > 1e-4 {
			t.Fatalf("two joints are %g m apart, were %g", got, want)
		}
		if lowered := b.Target[3*mirroredBy(which, 1)+1] != was[3*1+1]; lowered != (v.LowerShare == 1) {
			t.Fatalf("lowered: %t, share %g", lowered, v.LowerShare)
		}
	})
}

func mirroredBy(which, j int) int {
	if which == 1 {
		return mirrored[j]
	}
	return j
}

// TestVariationIsRepeatable holds that a sample's variation depends on the seed and
// its number alone, that half of the samples are mirrored, that keypoints and points
// move by what was asked for and that a cloud of nothing stays one.
func TestVariationIsRepeatable(t *testing.T) {
	d := &Data{cfg: model.Edge().Room()}
	v := UsualVariation(d.cfg.Mask())
	v.LowerShare = 0
	run := func(seed, number uint64) *model.Batch {
		b := d.NewBatch(1)
		b.Present[0] = d.cfg.Mask()
		for i := range b.LiDAR {
			b.LiDAR[i] = float32(i % 7)
		}
		b.Target[0] = 1
		d.vary(v, b, 0, seed, number)
		return b
	}
	one, again := run(1, 7), run(1, 7)
	if !slices.Equal(one.LiDAR, again.LiDAR) || !slices.Equal(one.Camera, again.Camera) || !slices.Equal(one.Target, again.Target) {
		t.Error("the same sample came out differently")
	}
	if slices.Equal(one.LiDAR, run(1, 8).LiDAR) || slices.Equal(one.LiDAR, run(2, 7).LiDAR) {
		t.Error("another sample or seed came out the same")
	}
	var sum, n float64
	turned := 0
	for number := range uint64(400) {
		b := run(3, number)
		if b.Target[0] < 0 {
			turned++
		}
		if slices.ContainsFunc(b.Radar, func(x float32) bool { return x != 0 }) {
			t.Fatal("a radar without points has some")
		}
		for at := 0; at < len(b.Camera); at += model.ViewedKeypoints {
			for _, x := range b.Camera[at : at+model.KeypointValues] {
				sum, n = sum+float64(x)*float64(x), n+1
			}
		}
	}
	if turned < 150 || turned > 250 {
		t.Errorf("%d of 400 samples are mirrored", turned)
	}
	if got, want := math.Sqrt(sum/n), 0.01*math.Sqrt2*2/3; math.Abs(got/want-1) > 0.05 {
		t.Errorf("keypoints move by %g, want %g", got, want)
	}
}

func TestVariationThatCannotWork(t *testing.T) {
	room, radar := model.Edge().Room(), model.Edge().Room()
	radar.Modalities = "M"
	for want, c := range map[string]struct {
		v   Variation
		cfg model.Config
	}{
		"recipe is paper":    {Variation{Mirror: true}, model.Edge()},
		"270 degrees":        {Variation{TurnDeg: 270}, radar},
		"without the camera": {Variation{TurnDeg: 10}, room},
		"keypoints by -1 m":  {Variation{KeypointM: -1}, room},
		"points by NaN m":    {Variation{JitterM: math.NaN()}, room},
		"share 1 of points":  {Variation{DropPoints: 1}, room},
		"lower by 2 m":       {Variation{LowerM: 2}, room},
		"share -1 of":        {Variation{LowerShare: -1}, room},
	} {
		if err := c.v.Check(c.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", c.v, err, want)
		}
	}
	if err := UsualVariation(room.Mask()).Check(room); err != nil {
		t.Error(err)
	}
	if err := UsualVariation(radar.Mask()).Check(radar); err != nil {
		t.Error(err)
	}
}

func TestVariationAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	d := &Data{cfg: model.Edge().Room()}
	v, b := UsualVariation(d.cfg.Mask()), d.NewBatch(1)
	b.Present[0] = d.cfg.Mask()
	b.LiDAR[0] = 1
	number := uint64(0)
	if n := testing.AllocsPerRun(20, func() { d.vary(v, b, 0, 1, number); number++ }); n != 0 {
		t.Errorf("%g allocations a sample", n)
	}
}
