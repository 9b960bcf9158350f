package train

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"posefuse/model"
	"posefuse/replay/mmfi"
)

// Score is the error of one model, coalition or baseline on a set of frames.
type Score struct {
	Frames    int     `json:"frames"`
	MPJPEMM   float64 `json:"mpjpe_mm"`
	PAMPJPEMM float64 `json:"pa_mpjpe_mm"`
}

type scoreSum struct {
	n         int
	mpjpe, pa float64
}

func (s *scoreSum) add(mpjpe, pa float64) { s.n++; s.mpjpe += mpjpe; s.pa += pa }

func (s scoreSum) score() Score {
	n := math.Max(float64(s.n), 1)
	return Score{s.n, 1000 * s.mpjpe / n, 1000 * s.pa / n}
}

// Report is the outcome of an evaluation. Every figure is in millimetres
// against the ground truth as written in the data set.
type Report struct {
	Data       string           `json:"data"` // what the data is; says "simulated" where it is
	Window     model.Window     `json:"window"`
	Coalitions map[string]Score `json:"coalitions"` // by letters, e.g. "RLMW"
	Activities map[string]Score `json:"activities"` // the full coalition, by activity, e.g. "A12"
	// Baselines that use no sensor: the mean training pose, and with oracle
	// knowledge the mean pose of the frame's own activity or subject.
	Baselines  map[string]Score `json:"baselines"`
	EmptyRadar int              `json:"frames_without_radar_points"`
	EmptyLiDAR int              `json:"frames_without_lidar_points"`
}

// Evaluate runs net on every sample of data for each coalition. The mean
// training pose for the baselines comes from train, or from data itself if
// train is nil. visit, if not nil, gets every pose of the full coalition.
func Evaluate(ctx context.Context, net *model.Network, data, train *Data, coalitions []model.Mask, describe string, visit func(mmfi.ClipKey, int, *[model.OutputDim]float32)) (*Report, error) {
	rep := &Report{Data: describe, Window: data.window, Coalitions: map[string]Score{}, Activities: map[string]Score{}}
	run, err := model.NewRuntime(net)
	if err != nil {
		return nil, err
	}
	const size = 32
	batch, poses := data.NewBatch(size), make([]float32, size*model.OutputDim)
	full := net.Config.Mask()
	if !slices.Contains(coalitions, full) {
		coalitions = append([]model.Mask{full}, coalitions...)
	}
	sums := make([]scoreSum, len(coalitions))
	byActivity := map[int]*scoreSum{}
	for at := 0; at < len(data.Samples); at += size {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(size, len(data.Samples)-at)
		for row := range size {
			data.Fill(batch, row, data.Samples[at+min(row, n-1)])
		}
		if err := run.InferBatch(batch, size, poses); err != nil {
			return nil, err
		}
		for k, mask := range coalitions {
			if err := run.Coalition(mask, size, poses); err != nil {
				return nil, err
			}
			for row := range n {
				ref := data.Samples[at+row]
				c, pose := data.Clips[ref.Clip], poses[row*model.OutputDim:(row+1)*model.OutputDim]
				truth := c.Truth[ref.Row*model.OutputDim : (ref.Row+1)*model.OutputDim]
				e, pa := model.MPJPE(pose, truth), model.PAMPJPE(pose, truth)
				sums[k].add(e, pa)
				if mask != full {
					continue
				}
				s := byActivity[c.Key.Activity]
				if s == nil {
					s = &scoreSum{}
					byActivity[c.Key.Activity] = s
				}
				s.add(e, pa)
				if visit != nil {
					visit(c.Key, c.Frames[ref.Row], (*[model.OutputDim]float32)(pose))
				}
			}
		}
	}
	for k, mask := range coalitions {
		rep.Coalitions[mask.String()] = sums[k].score()
	}
	for a, s := range byActivity {
		rep.Activities[fmt.Sprintf("A%02d", a)] = s.score()
	}
	for _, c := range data.Clips {
		rep.EmptyRadar += c.EmptyRadar
		rep.EmptyLiDAR += c.EmptyLiDAR
	}
	if train == nil {
		train = data
	}
	rep.Baselines = baselines(data, train)
	if train == data {
		rep.Baselines[OwnMeanPose] = rep.Baselines[MeanPose]
		delete(rep.Baselines, MeanPose)
	}
	return rep, nil
}

// MeanPose is the report's name of the baseline that uses no sensor and no label.
const MeanPose = "mean training pose"

// OwnMeanPose stands in its place when no training data was given: the mean
// pose of the evaluated frames themselves, which knows a little too much.
const OwnMeanPose = "mean pose of these frames"

// baselines scores the poses that need no sensor: the mean pose of the
// training data, and the oracles' mean pose per activity and per subject.
func baselines(data, train *Data) map[string]Score {
	all := meanPoses(train, func(mmfi.ClipKey) int { return 0 })
	kinds := []struct {
		name string
		from *Data
		key  func(mmfi.ClipKey) int
	}{
		{MeanPose, train, func(mmfi.ClipKey) int { return 0 }},
		{"mean pose per activity (oracle)", train, func(k mmfi.ClipKey) int { return k.Activity }},
		{"mean pose per subject (oracle)", data, func(k mmfi.ClipKey) int { return k.Subject }},
	}
	out := map[string]Score{}
	for _, kind := range kinds {
		means := meanPoses(kind.from, kind.key)
		var s scoreSum
		for _, c := range data.Clips {
			mean, ok := means[kind.key(c.Key)]
			if !ok {
				mean = all[0]
			}
			for r := range c.Frames {
				truth := c.Truth[r*model.OutputDim : (r+1)*model.OutputDim]
				s.add(model.MPJPE(mean, truth), model.PAMPJPE(mean, truth))
			}
		}
		out[kind.name] = s.score()
	}
	return out
}

func meanPoses(d *Data, key func(mmfi.ClipKey) int) map[int][]float32 {
	sums, counts := map[int][]float64{}, map[int]int{}
	for _, c := range d.Clips {
		k := key(c.Key)
		if sums[k] == nil {
			sums[k] = make([]float64, model.OutputDim)
		}
		for i, v := range c.Truth {
			sums[k][i%model.OutputDim] += float64(v)
		}
		counts[k] += len(c.Frames)
	}
	out := map[int][]float32{}
	for _, k := range slices.Sorted(maps.Keys(sums)) {
		out[k] = make([]float32, model.OutputDim)
		for i, v := range sums[k] {
			out[k][i] = float32(v / float64(max(counts[k], 1)))
		}
	}
	return out
}
