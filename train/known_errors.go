package train

import (
	"context"
	"math"
	"slices"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// MeasureErrors measures how far off the poses of net are for each coalition of
// its modalities, on data of people that it was not trained on; describe says what
// that is. The coverage told is cross-fitted: half of the people are covered by
// what the other half's errors gave, and the other way round.
func MeasureErrors(ctx context.Context, net *model.Network, data *Data, describe string) (*model.KnownErrors, error) {
	if err := data.CheckFits(net.Config); err != nil {
		return nil, err
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		return nil, err
	}
	defer func() { _ = run.Close() }() // gives memory back only
	full := net.Config.Mask()
	var all []*errorSample
	for s := range full + 1 {
		if s != 0 && s&^full == 0 {
			all = append(all, &errorSample{of: s})
		}
	}
	k := &model.KnownErrors{Data: describe, Frames: len(data.Samples), Coalitions: map[string]*model.CoalitionErrors{}}
	if k.People, err = collectErrors(ctx, run, data, all, &k.RestM); err != nil {
		return nil, err
	}
	for _, e := range all {
		c := e.fit(func(int32) bool { return true })
		c.Coverage = e.coverage()
		k.Coalitions[e.of.String()] = c
	}
	return k, nil
}

// errorSample holds the errors of one coalition, a row of model.NumJoints per
// frame, millimetres.
type errorSample struct {
	of      modality.Set
	subject []int32   // per frame: index of the person
	errors  []float32 // distance to the truth
	far     []float32 // distance to the pose without any sensor
	spreads []float32 // spread; zero for a single modality
}

// collectErrors fills the samples of the coalitions, sets rest to the pose without
// any sensor and returns the number of people.
func collectErrors(ctx context.Context, run *model.Runtime, data *Data, all []*errorSample, rest *[model.OutputDim]float32) (people int, err error) {
	batch, poses := data.NewBatch(evaluationBatch), make([]float32, evaluationBatch*model.OutputDim)
	var byMask [1 << modality.Count][]float32
	for s := range byMask {
		byMask[s] = make([]float32, evaluationBatch*model.OutputDim)
	}
	subjects := map[int]int32{}
	for at := 0; at < len(data.Samples); at += evaluationBatch {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(evaluationBatch, len(data.Samples)-at)
		for row := range evaluationBatch {
			data.Fill(batch, row, data.Samples[at+min(row, n-1)])
		}
		if err := run.InferBatch(batch, evaluationBatch, poses); err != nil {
			return 0, err
		}
		if err := run.Coalition(0, evaluationBatch, byMask[0]); err != nil {
			return 0, err
		}
		copy(rest[:], byMask[0])
		for _, e := range all {
			if err := run.Coalition(e.of, evaluationBatch, byMask[e.of]); err != nil {
				return 0, err
			}
		}
		for row := range n {
			ref := data.Samples[at+row]
			clip := data.Clips[ref.Clip]
			subject, known := subjects[clip.Key.Subject]
			if !known {
				subject = int32(len(subjects))
				subjects[clip.Key.Subject] = subject
			}
			truth := clip.Truth[ref.Row*model.OutputDim : (ref.Row+1)*model.OutputDim]
			pose := func(s modality.Set) []float32 { return byMask[s][row*model.OutputDim : (row+1)*model.OutputDim] }
			for _, e := range all {
				e.add(subject, pose, truth, rest[:])
			}
		}
	}
	return len(subjects), nil
}

func (e *errorSample) add(subject int32, pose func(modality.Set) []float32, truth, rest []float32) {
	e.subject = append(e.subject, subject)
	own := pose(e.of)
	for j := range model.NumJoints {
		e.errors = append(e.errors, float32(1000*model.MPJPE(own[3*j:3*j+3], truth[3*j:3*j+3])))
		e.far = append(e.far, float32(1000*model.MPJPE(own[3*j:3*j+3], rest[3*j:3*j+3])))
	}
	var spread [model.NumJoints]float64
	if e.of&(e.of-1) != 0 {
		model.PublishedSpread.Spread(e.of, pose, &spread)
	}
	for _, v := range spread {
		e.spreads = append(e.spreads, float32(v))
	}
}

// scaleShares divide the joints by how unusual what can be seen of them is.
var scaleShares = []float64{0.1, 0.25, 0.5, 0.75, 0.9, 0.97}

// fit takes sigma of the frames of the people that take says.
func (e *errorSample) fit(take func(subject int32) bool) *model.CoalitionErrors {
	c := &model.CoalitionErrors{}
	var relative, far, spread [model.NumJoints][]float64 // per joint, of the frames taken
	total, n := 0.0, 0
	for i, s := range e.subject {
		if !take(s) {
			continue
		}
		for j := range model.NumJoints {
			at := i*model.NumJoints + j
			relative[j] = append(relative[j], float64(e.errors[at]))
			far[j], spread[j] = append(far[j], float64(e.far[at])), append(spread[j], float64(e.spreads[at]))
			total += float64(e.errors[at])
			n++
		}
	}
	c.MPJPEMM = total / math.Max(float64(n), 1)
	for j, r := range relative {
		c.SigmaMM[j] = sigmaOf(slices.Clone(r))
		for i := range r {
			r[i] /= c.SigmaMM[j]
		}
	}
	fitScale(&c.ByDistance, &far, &relative)
	fitScale(&c.BySpread, &spread, &relative)
	c.RadiiSigma = map[string]float64{}
	whole := slices.Sorted(slices.Values(slices.Concat(relative[:]...)))
	for _, l := range model.CoverageLevels {
		c.RadiiSigma[l.Name] = math.Round(1000*quantile(whole, l.Share)) / 1000
	}
	return c
}

// fitScale fits how the errors grow with what is seen of a joint and divides them by it.
func fitScale(s *model.ErrorScale, seen, relative *[model.NumJoints][]float64) {
	var ratios []float64
	for j, x := range seen {
		s.UsualMM[j] = quantile(slices.Sorted(slices.Values(x)), 0.5)
		for _, v := range x {
			if s.UsualMM[j] > 0 {
				ratios = append(ratios, v/s.UsualMM[j])
			}
		}
	}
	if len(ratios) == 0 {
		return
	}
	slices.Sort(ratios)
	for _, share := range scaleShares {
		s.Bounds = append(s.Bounds, quantile(ratios, share))
	}
	bins := make([][]float64, len(s.Bounds)+1)
	s.Factors = make([]float64, len(bins))
	for i := range s.Factors { // so that Factor says which bin it is
		s.Factors[i] = float64(i)
	}
	for j, x := range seen {
		for i, v := range x {
			if s.UsualMM[j] > 0 {
				b := int(s.Factor(j, v))
				bins[b] = append(bins[b], relative[j][i])
			}
		}
	}
	for i, b := range bins {
		s.Factors[i] = sigmaOf(b)
	}
	for j, x := range seen {
		for i, v := range x {
			relative[j][i] /= s.Factor(j, v)
		}
	}
}

// coverage is the share of the errors within the radii of model.CoverageLevels,
// each person's by the sigma of the other half of the people.
func (e *errorSample) coverage() map[string]float64 {
	var within [len(model.CoverageLevels)]int
	n := 0
	for half := range int32(2) {
		c := e.fit(func(s int32) bool { return s%2 != half })
		for i, s := range e.subject {
			if s%2 != half {
				continue
			}
			for j := range model.NumJoints {
				at := i*model.NumJoints + j
				sigma := c.SigmaMM[j] * c.ByDistance.Factor(j, float64(e.far[at])) * c.BySpread.Factor(j, float64(e.spreads[at]))
				n++
				for k, l := range model.CoverageLevels {
					if float64(e.errors[at]) <= c.RadiiSigma[l.Name]*sigma {
						within[k]++
					}
				}
			}
		}
	}
	out := map[string]float64{}
	for k, l := range model.CoverageLevels {
		out[l.Name] = math.Round(1e4*float64(within[k])/math.Max(float64(n), 1)) / 1e4
	}
	return out
}

// sigmaOf returns the standard deviation per axis whose normal radii come closest to
// covering the shares of model.CoverageLevels of the errors, by the largest
// difference; it sorts them. An error that hardly occurs, in a heavy tail, moves it
// as little as it moves a share.
func sigmaOf(errors []float64) float64 {
	const least = 1e-3 // no sensor is better, and none may divide by zero
	if len(errors) == 0 {
		return 1
	}
	slices.Sort(errors)
	low, high := math.Inf(1), 0.0
	for _, l := range model.CoverageLevels {
		s := quantile(errors, l.Share) / l.Sigmas
		low, high = min(low, s), max(high, s)
	}
	low = max(low, least)
	best, bestOff := low, math.Inf(1)
	const steps = 64
	for i := range steps + 1 {
		s := low * math.Pow(max(high, low)/low, float64(i)/steps)
		off := 0.0
		for _, l := range model.CoverageLevels {
			at, _ := slices.BinarySearch(errors, math.Nextafter(l.Sigmas*s, math.Inf(1)))
			off = max(off, math.Abs(float64(at)/float64(len(errors))-l.Share))
		}
		if off < bestOff {
			best, bestOff = s, off
		}
	}
	return best
}

// quantile returns the value below which the share of sorted values lies.
func quantile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
