package train

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// Score is the error of one model, coalition or baseline on a set of frames.
type Score struct {
	Frames    int     `json:"frames"`
	MPJPEMM   float64 `json:"mpjpe_mm"`
	PelvisMM  float64 `json:"pelvis_mpjpe_mm"` // both poses moved so that the pelvis is the origin
	PAMPJPEMM float64 `json:"pa_mpjpe_mm"`
}

type scoreSum struct {
	n                 int
	mpjpe, pelvis, pa float64
}

// add counts one pose, metres.
func (s *scoreSum) add(pose, truth []float32) {
	s.n++
	s.mpjpe += model.MPJPE(pose, truth)
	s.pelvis += model.PelvisMPJPE(pose, truth)
	s.pa += model.PAMPJPE(pose, truth)
}

func (s *scoreSum) merge(o scoreSum) {
	s.n += o.n
	s.mpjpe += o.mpjpe
	s.pelvis += o.pelvis
	s.pa += o.pa
}

func (s scoreSum) score() Score {
	n := math.Max(float64(s.n), 1)
	return Score{s.n, 1000 * s.mpjpe / n, 1000 * s.pelvis / n, 1000 * s.pa / n}
}

// Report is the outcome of an evaluation. Every figure is in millimetres
// against the ground truth as written in the data set.
type Report struct {
	About      About            `json:"about"`
	Data       string           `json:"data"` // what the data is; says "simulated" where it is
	Window     model.Window     `json:"window"`
	Coalitions map[string]Score `json:"coalitions"` // by letters, e.g. "RLMW"
	// Details are the other measures of the field, by coalition.
	Details map[string]Detail `json:"details,omitempty"`
	// The full coalition, by activity ("A12"), by subject ("S05") and by both
	// ("S05/A12").
	Activities map[string]Score `json:"activities"`
	Subjects   map[string]Score `json:"subjects"`
	Clips      map[string]Score `json:"clips"`
	// PerClip are the scores of each coalition, by the index of the clip in
	// Data.Clips; a clip of which no frame was evaluated has none.
	PerClip map[string][]Score `json:"-"`
	// Baselines that use no sensor: the mean training pose, and with oracle
	// knowledge the mean pose of the frame's own activity or subject.
	Baselines  map[string]Score `json:"baselines"`
	EmptyRadar int              `json:"frames_without_radar_points"`
	EmptyLiDAR int              `json:"frames_without_lidar_points"`
	// PaddedCamera counts frames whose camera window reaches beyond their clip.
	PaddedCamera int `json:"frames_with_padded_camera_window"`
}

// evaluationBatch is how many frames go through the network at once.
const evaluationBatch = 32

// Poser is what gives poses of batches: a model.Runtime, or a comparison row.
type Poser interface {
	// InferBatch computes n samples with all modalities the poser has; pose
	// takes n x model.OutputDim metres.
	InferBatch(b *model.Batch, n int, pose []float32) error
	// Coalition gives the poses of the last InferBatch's n samples with only
	// the modalities of mask.
	Coalition(mask modality.Set, n int, pose []float32) error
}

// Evaluate runs net on every sample of data for each coalition. The mean
// training pose for the baselines comes from train, or from data itself if
// train is nil. visit, if not nil, gets every pose of the full coalition, of data
// that were loaded with LoadOptions.Movement in the frame of the room's camera.
func Evaluate(ctx context.Context, net *model.Network, data, train *Data, coalitions []modality.Set, describe string, visit func(recording.Key, int, *[model.OutputDim]float32)) (*Report, error) {
	if err := data.CheckFits(net.Config); err != nil {
		return nil, err
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		return nil, err
	}
	defer func() { _ = run.Close() }() // gives memory back only
	return EvaluatePoser(ctx, run, net.Config.Mask(), data, train, coalitions, describe, visit)
}

// EvaluatePoser is Evaluate for whatever gives poses; full are the modalities
// it has.
func EvaluatePoser(ctx context.Context, run Poser, full modality.Set, data, train *Data, coalitions []modality.Set, describe string, visit func(recording.Key, int, *[model.OutputDim]float32)) (*Report, error) {
	if !slices.Contains(coalitions, full) {
		coalitions = append([]modality.Set{full}, coalitions...)
	}
	batch, poses := data.NewBatch(evaluationBatch), make([]float32, evaluationBatch*model.OutputDim)
	perClip, details := make([][]scoreSum, len(coalitions)), make([]detailSum, len(coalitions))
	for k := range perClip {
		perClip[k] = make([]scoreSum, len(data.Clips))
	}
	for at := 0; at < len(data.Samples); at += evaluationBatch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(evaluationBatch, len(data.Samples)-at)
		for row := range evaluationBatch {
			data.Fill(batch, row, data.Samples[at+min(row, n-1)])
		}
		if err := run.InferBatch(batch, evaluationBatch, poses); err != nil {
			return nil, err
		}
		for k, mask := range coalitions {
			if err := run.Coalition(mask, evaluationBatch, poses); err != nil {
				return nil, err
			}
			for row := range n {
				ref := data.Samples[at+row]
				c, pose := data.Clips[ref.Clip], poses[row*model.OutputDim:(row+1)*model.OutputDim]
				truth := c.Truth[ref.Row*model.OutputDim : (ref.Row+1)*model.OutputDim]
				perClip[k][ref.Clip].add(pose, truth)
				details[k].add(ref.Clip, c.Frames[ref.Row], pose, truth)
				if mask == full && visit != nil {
					visit(c.Key, c.Frames[ref.Row], c.seenFromCamera(ref.Row, pose))
				}
			}
		}
	}
	rep := &Report{Data: describe, Window: data.window, Coalitions: map[string]Score{}, Details: map[string]Detail{}, PerClip: map[string][]Score{}}
	rep.About.about(data)
	byClip := map[recording.Key]*scoreSum{}
	for i, s := range perClip[slices.Index(coalitions, full)] {
		key := data.Clips[i].Key
		if s.n > 0 && byClip[key] == nil {
			byClip[key] = &scoreSum{}
		}
		if s.n > 0 {
			byClip[key].merge(s)
		}
	}
	var whole scoreSum
	rep.split(byClip, &whole)
	for k, mask := range coalitions {
		var sum scoreSum
		each := make([]Score, len(data.Clips))
		for i, s := range perClip[k] {
			sum.merge(s)
			each[i] = s.score()
		}
		if mask == full { // summed in the order of people and activities
			sum = whole
		}
		rep.Details[mask.String()] = details[k].detail()
		rep.Coalitions[mask.String()], rep.PerClip[mask.String()] = sum.score(), each
	}
	for _, c := range data.Clips {
		rep.EmptyRadar += c.EmptyRadar
		rep.EmptyLiDAR += c.EmptyLiDAR
		rep.PaddedCamera += c.PaddedCamera
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

// split sums the clips by what they have in common, always in the same order,
// and all of them into whole.
func (r *Report) split(byClip map[recording.Key]*scoreSum, whole *scoreSum) {
	r.Activities, r.Subjects, r.Clips = map[string]Score{}, map[string]Score{}, map[string]Score{}
	activities, subjects := map[int]scoreSum{}, map[int]scoreSum{}
	keys := slices.SortedFunc(maps.Keys(byClip), func(a, b recording.Key) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Activity, b.Activity))
	})
	for _, k := range keys {
		s := *byClip[k]
		a, p := activities[k.Activity], subjects[k.Subject]
		a.merge(s)
		p.merge(s)
		whole.merge(s)
		activities[k.Activity], subjects[k.Subject] = a, p
		r.Clips[fmt.Sprintf("S%02d/A%02d", k.Subject, k.Activity)] = s.score()
	}
	for a, s := range activities {
		r.Activities[fmt.Sprintf("A%02d", a)] = s.score()
	}
	for p, s := range subjects {
		r.Subjects[fmt.Sprintf("S%02d", p)] = s.score()
	}
}

// MeanPose is the report's name of the baseline that uses no sensor and no label.
const MeanPose = "mean training pose"

// OwnMeanPose stands in its place when no training data was given: the mean
// pose of the evaluated frames themselves, which knows a little too much.
const OwnMeanPose = "mean pose of these frames"

// ActivityMeanPose and SubjectMeanPose are the baselines that are told the
// frame's activity or subject: the mean training pose of the activity, and the
// mean pose of the evaluated frames of the subject.
const (
	ActivityMeanPose = "mean pose per activity (oracle)"
	SubjectMeanPose  = "mean pose per subject (oracle)"
)

// baselines scores the poses that need no sensor: the mean pose of the
// training data, and the oracles' mean pose per activity and per subject.
func baselines(data, train *Data) map[string]Score {
	all := meanPoses(train, func(recording.Key) int { return 0 })
	kinds := []struct {
		name string
		from *Data
		key  func(recording.Key) int
	}{
		{MeanPose, train, func(recording.Key) int { return 0 }},
		{ActivityMeanPose, train, func(k recording.Key) int { return k.Activity }},
		{SubjectMeanPose, data, func(k recording.Key) int { return k.Subject }},
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
				s.add(mean, c.Truth[r*model.OutputDim:(r+1)*model.OutputDim])
			}
		}
		out[kind.name] = s.score()
	}
	return out
}

func meanPoses(d *Data, key func(recording.Key) int) map[int][]float32 {
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
