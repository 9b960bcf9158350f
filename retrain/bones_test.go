package retrain

import (
	"math"
	"testing"

	"posefuse/model"
	"posefuse/skeleton"
	"posefuse/train"
)

// TestBonesOfLabels: each person has one body after, near the one before, and the
// pose stays where it was.
func TestBonesOfLabels(t *testing.T) {
	all := simulated(t, "clean", 1, newKeys...)
	d, err := train.Load(t.Context(), all.Data, append(newKeys, judgeKeys...), small(), train.LoadOptions{Window: model.Causal, Stride: 4})
	if err != nil {
		t.Fatal(err)
	}
	before := map[train.SampleRef]skeleton.Pose{}
	for i, ref := range d.Samples { // what a network errs
		row := d.Clips[ref.Clip].Truth[ref.Row*model.OutputDim : (ref.Row+1)*model.OutputDim]
		for k := range row {
			row[k] += 0.03 * float32(math.Sin(float64(7*i+13*k)))
		}
		before[ref] = poseOf(row)
	}
	holdBones(d)
	bodies := map[int]skeleton.Lengths{}
	for _, ref := range d.Samples {
		c := d.Clips[ref.Clip]
		p, b := poseOf(c.Truth[ref.Row*model.OutputDim:(ref.Row+1)*model.OutputDim]), before[ref]
		l := skeleton.LengthsOf(&p)
		if first, known := bodies[c.Key.Subject]; known {
			for k := range l {
				if math.Abs(l[k]-first[k]) > 1e-4 {
					t.Fatalf("person %d, bone %d: %g and %g m", c.Key.Subject, k, first[k], l[k])
				}
			}
		}
		bodies[c.Key.Subject] = l
		for j := range p {
			for k := range p[j] {
				if math.Abs(p[j][k]-b[j][k]) > 0.15 {
					t.Fatalf("joint %d moved from %v to %v", j, b[j], p[j])
				}
			}
		}
	}
	if len(bodies) != 3 {
		t.Errorf("%d bodies", len(bodies))
	}
}
