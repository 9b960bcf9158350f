package train

import (
	"context"
	"slices"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// AnyDisturbance stands for all disturbances of single sensors that the data
// set tells of.
const AnyDisturbance = "any of these"

// The disturbances that EvaluateInfluence makes itself, in the features of
// one sensor of undisturbed frames.
const (
	// OtherPerson gives a sensor what it measured of another frame, of another
	// subject where there are several.
	OtherPerson = "another person's data"
	// NoSignal gives a sensor the mean of its features: it says nothing.
	NoSignal = "mean feature, no signal"
)

// Naming says how often a sensor is named by its influence when it is
// disturbed, and when nothing is.
type Naming struct {
	Disturbance string `json:"disturbance"`
	Sensor      string `json:"sensor"` // its letter; of AnyDisturbance all letters
	Frames      int    `json:"frames"`
	// Largest is the share of the frames in which the disturbed sensor has the
	// largest influence_mm.
	Largest Interval `json:"largest"`
	// Relative is the same for influence_mm divided by the sensor's median
	// over undisturbed frames.
	Relative Interval `json:"relative"`
	// Least is the share in which it is the smallest by that measure.
	Least Interval `json:"least"`
	// The shares in which the sensor is named though nothing is disturbed.
	LargestUndisturbed  float64 `json:"largest_undisturbed"`
	RelativeUndisturbed float64 `json:"relative_undisturbed"`
	LeastUndisturbed    float64 `json:"least_undisturbed"`
	// MedianMM is the sensor's median influence under the disturbance.
	MedianMM float64 `json:"median_influence_mm"`
}

// namer decides which sensor an influence points at.
type namer struct {
	mask   modality.Set
	median [modality.Count]float32
}

// largest returns the sensor with the largest influence; relative and least
// those whose influence is the largest and smallest compared with its median.
func (n *namer) largest(v [modality.Count]float32) modality.Kind {
	return n.best(func(a, b modality.Kind) bool { return v[a] > v[b] })
}

func (n *namer) relative(v [modality.Count]float32) modality.Kind {
	return n.best(func(a, b modality.Kind) bool { return v[a]*n.median[b] > v[b]*n.median[a] })
}

func (n *namer) least(v [modality.Count]float32) modality.Kind {
	return n.best(func(a, b modality.Kind) bool { return v[a]*n.median[b] < v[b]*n.median[a] })
}

func (n *namer) best(more func(a, b modality.Kind) bool) modality.Kind {
	best := modality.Count
	for m := range n.mask.Kinds() {
		if best == modality.Count || more(m, best) {
			best = m
		}
	}
	return best
}

// name fills the report's medians and Naming.
func (t *influenceTable) name(ctx context.Context, rep *InfluenceReport, run *model.Runtime) error {
	n := &namer{mask: run.Network().Config.Mask()}
	var calm []int // undisturbed frames
	for i, k := range t.kind {
		if k == "" {
			calm = append(calm, i)
		}
	}
	rep.InfluenceMM = map[string]float64{}
	if len(calm) == 0 {
		return nil // nothing to compare with
	}
	var largest, relative, least [modality.Count]float64
	for m := range modality.Count {
		if n.mask.Has(m) {
			own := make([]float32, len(calm))
			for k, i := range calm {
				own[k] = t.influence[i][m]
			}
			n.median[m] = median(own)
			rep.InfluenceMM[m.Letter()] = float64(n.median[m])
		}
	}
	for _, i := range calm {
		largest[n.largest(t.influence[i])] += 1 / float64(len(calm))
		relative[n.relative(t.influence[i])] += 1 / float64(len(calm))
		least[n.least(t.influence[i])] += 1 / float64(len(calm))
	}
	// row tells how often sensor(k) is named in frames[k], whose influences are
	// influence[k].
	row := func(disturbance, letters string, frames []int, influence [][modality.Count]float32, sensor func(k int) modality.Kind) {
		share := func(name func([modality.Count]float32) modality.Kind) Interval {
			return bootstrap(rep.Subjects, 1, func(weight []float64) float64 {
				var sum, total float64
				for k, i := range frames {
					w := weight[t.subject[i]]
					total += w
					if name(influence[k]) == sensor(k) {
						sum += w
					}
				}
				return sum / total
			})
		}
		r := Naming{Disturbance: disturbance, Sensor: letters, Frames: len(frames),
			Largest: share(n.largest), Relative: share(n.relative), Least: share(n.least)}
		own := make([]float32, len(frames))
		for k := range frames {
			m := sensor(k)
			own[k] = influence[k][m]
			r.LargestUndisturbed += largest[m] / float64(len(frames))
			r.RelativeUndisturbed += relative[m] / float64(len(frames))
			r.LeastUndisturbed += least[m] / float64(len(frames))
		}
		r.MedianMM = float64(median(own))
		rep.Naming = append(rep.Naming, r)
	}
	simulated := func(disturbance, letters string, wanted func(i int) bool) {
		var frames []int
		var influence [][modality.Count]float32
		for i, k := range t.kind {
			if k != "" && n.mask.Has(t.sensor[i]) && wanted(i) {
				frames, influence = append(frames, i), append(influence, t.influence[i])
			}
		}
		if len(frames) > 0 {
			row(disturbance, letters, frames, influence, func(k int) modality.Kind { return t.sensor[frames[k]] })
		}
	}
	for _, kind := range t.kinds() {
		for m := range modality.Count {
			simulated(kind, m.Letter(), func(i int) bool { return t.kind[i] == kind && t.sensor[i] == m })
		}
	}
	simulated(AnyDisturbance, n.mask.String(), func(int) bool { return true })
	for _, kind := range []string{OtherPerson, NoSignal} {
		for m := range modality.Count {
			if !n.mask.Has(m) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			influence, err := t.disturb(run, kind, m, calm)
			if err != nil {
				return err
			}
			row(kind, m.Letter(), calm, influence, func(int) modality.Kind { return m })
		}
	}
	return nil
}

// median sorts v.
func median(v []float32) float32 {
	slices.Sort(v)
	return v[len(v)/2]
}

// disturb returns the influences in frames after the features of sensor m were
// replaced.
func (t *influenceTable) disturb(run *model.Runtime, kind string, m modality.Kind, frames []int) ([][modality.Count]float32, error) {
	const width = model.FeatureDim
	full := run.Network().Config.Mask()
	var mean [width]float32
	for _, i := range frames {
		for k, v := range t.features[m][i*width : (i+1)*width] {
			mean[k] += v / float32(len(frames))
		}
	}
	var features [modality.Count][]float32
	for k, i := range frames {
		for o := range modality.Count {
			if !full.Has(o) {
				continue
			}
			f := t.features[o][i*width : (i+1)*width]
			switch {
			case o != m:
			case kind == NoSignal:
				f = mean[:]
			default:
				other := t.other(frames, k)
				f = t.features[o][other*width : (other+1)*width]
			}
			features[o] = append(features[o], f...)
		}
	}
	all, err := fuse(run, full, &features, len(frames))
	if err != nil {
		return nil, err
	}
	out := make([][modality.Count]float32, len(frames))
	for o := range modality.Count {
		if !full.Has(o) {
			continue
		}
		without, err := fuse(run, full&^(1<<o), &features, len(frames))
		if err != nil {
			return nil, err
		}
		for k := range out {
			at := k * model.OutputDim
			out[k][o] = float32(model.InfluenceMM(all[at:at+model.OutputDim], without[at:at+model.OutputDim]))
		}
	}
	return out, nil
}

// fuse returns the poses of a coalition of n frames' features, made in batches
// that an attention head has memory for.
func fuse(run *model.Runtime, mask modality.Set, features *[modality.Count][]float32, n int) ([]float32, error) {
	poses := make([]float32, n*model.OutputDim)
	for lo := 0; lo < n; lo += 64 {
		hi := min(lo+64, n)
		var part [modality.Count][]float32
		for m, f := range features {
			if f != nil {
				part[m] = f[lo*model.FeatureDim : hi*model.FeatureDim]
			}
		}
		if err := run.Fuse(mask, &part, hi-lo, poses[lo*model.OutputDim:hi*model.OutputDim]); err != nil {
			return nil, err
		}
	}
	return poses, nil
}

// other returns a frame of another subject than the k-th of frames, the one
// half of all frames further on or the next such; any other frame if there is
// one subject only.
func (t *influenceTable) other(frames []int, k int) int {
	start := k + len(frames)/2
	for d := range frames {
		if i := frames[(start+d)%len(frames)]; t.subject[i] != t.subject[frames[k]] {
			return i
		}
	}
	return frames[start%len(frames)]
}
