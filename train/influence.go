package train

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// Disturbance is what a data set says was wrong with one frame.
type Disturbance struct {
	Kind   string        // "" for nothing
	Sensor modality.Kind // modality.Count if it is none of them alone
	Absent bool          // the sensor sends nothing: the frame is left out
}

// InfluenceReport says how well the figures that the daemon publishes
// without ground truth (model.Influence) agree with it. All frames have
// every modality of the network present, unless a field says otherwise.
type InfluenceReport struct {
	Data     string  `json:"data"` // what the data is; says "simulated" where it is
	Frames   int     `json:"frames"`
	Subjects int     `json:"subjects"`
	MPJPEMM  float64 `json:"mpjpe_mm"`
	// Spreads holds the rank correlations by definition, in the order of
	// model.SpreadDefinitions.
	Spreads []SpreadAgreement `json:"spreads"`
	// JointAlone is Spreads' Joint for a spread that knows only which joint it
	// is of: the joint's mean error over these frames.
	JointAlone Interval `json:"joint_alone"`
	// AboveUnusual is the published definition's Frame less that of
	// model.UnusualPose, over the same draws of subjects: what disagreement says
	// beyond how unusual the pose is.
	AboveUnusual Interval `json:"above_unusual"`
	// InfluenceMM is the median influence by letter, of undisturbed frames.
	InfluenceMM map[string]float64 `json:"influence_mm"`
	// Naming says how often influence points at a disturbed sensor.
	Naming []Naming `json:"naming"`
}

// SpreadAgreement is the Spearman rank correlation between one definition of
// spread_mm and the true error, with intervals over subjects.
type SpreadAgreement struct {
	Name      string `json:"name"`
	Published bool   `json:"published"`
	// Frame compares the means over the joints, over frames.
	Frame Interval `json:"frame"`
	// Joint compares over frames and joints together.
	Joint Interval `json:"joint"`
	// WithinJoint compares over the frames of each joint; the mean of the 17.
	WithinJoint Interval `json:"within_joint"`
	// AnyCoalition is Frame where each frame has a coalition of its own: one
	// of those of at least two modalities, in turn.
	AnyCoalition Interval `json:"any_coalition"`
	// WorstMM is the MPJPE of the tenth of the frames with the largest spread.
	WorstMM float64 `json:"worst_tenth_mpjpe_mm"`
}

// influenceTable is what is known about each frame.
type influenceTable struct {
	subject []int32 // index of the frame's subject
	errors  []float32
	spreads [][]float32 // per definition, frames x joints
	// Of a coalition of the frame's own, mean over the joints.
	anyError  []float32
	anySpread [][]float32
	influence [][modality.Count]float32
	kind      []string
	sensor    []modality.Kind
	features  [modality.Count][]float32 // frames x FeatureDim
}

// EvaluateInfluence runs net on every sample of data and compares what
// coalitions say of each pose with its error. disturbance, if not nil, tells
// what was wrong with a frame, counted from 0.
func EvaluateInfluence(ctx context.Context, net *model.Network, data *Data, describe string, disturbance func(recording.Key, int) Disturbance) (*InfluenceReport, error) {
	full := net.Config.Mask()
	if full&(full-1) == 0 {
		return nil, fmt.Errorf("contribution: the network has one modality, %s; it takes two or more", full)
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		return nil, err
	}
	defer func() { _ = run.Close() }() // gives memory back only
	t := &influenceTable{spreads: make([][]float32, len(model.SpreadDefinitions)), anySpread: make([][]float32, len(model.SpreadDefinitions))}
	subjects, err := t.collect(ctx, run, data, disturbance)
	if err != nil {
		return nil, err
	}
	if len(t.subject) == 0 {
		return nil, errors.New("contribution: every frame has an absent sensor")
	}
	rep := &InfluenceReport{Data: describe, Frames: len(t.subject), Subjects: subjects}
	t.agree(rep)
	if err := t.name(ctx, rep, run); err != nil {
		return nil, err
	}
	return rep, nil
}

// several returns the coalitions of at least two of the modalities of full.
func several(full modality.Set) []modality.Set {
	var out []modality.Set
	for s := full; s != 0; s = (s - 1) & full {
		if s&(s-1) != 0 {
			out = append(out, s)
		}
	}
	return out
}

// collect fills the table and returns the number of subjects.
func (t *influenceTable) collect(ctx context.Context, run *model.Runtime, data *Data, disturbance func(recording.Key, int) Disturbance) (int, error) {
	const size = 32
	full := run.Network().Config.Mask()
	owns := several(full)
	batch, poses := data.NewBatch(size), make([]float32, size*model.OutputDim)
	var byMask [1 << modality.Count][]float32
	var coalitions []modality.Set
	for s := range full + 1 {
		if s&^full == 0 {
			coalitions, byMask[s] = append(coalitions, s), make([]float32, size*model.OutputDim)
		}
	}
	subjects := map[int]int32{}
	for at := 0; at < len(data.Samples); at += size {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(size, len(data.Samples)-at)
		for row := range size {
			data.Fill(batch, row, data.Samples[at+min(row, n-1)])
		}
		if err := run.InferBatch(batch, size, poses); err != nil {
			return 0, err
		}
		for _, s := range coalitions {
			if err := run.Coalition(s, size, byMask[s]); err != nil {
				return 0, err
			}
		}
		features := run.Features()
		for row := range n {
			ref := data.Samples[at+row]
			clip := data.Clips[ref.Clip]
			d := Disturbance{Sensor: modality.Count}
			if disturbance != nil {
				d = disturbance(clip.Key, clip.Frames[ref.Row])
			}
			if d.Absent {
				continue
			}
			if _, known := subjects[clip.Key.Subject]; !known {
				subjects[clip.Key.Subject] = int32(len(subjects))
			}
			pose := func(s modality.Set) []float32 { return byMask[s][row*model.OutputDim : (row+1)*model.OutputDim] }
			t.add(full, owns[len(t.subject)%len(owns)], pose, clip.Truth[ref.Row*model.OutputDim:(ref.Row+1)*model.OutputDim])
			t.subject = append(t.subject, subjects[clip.Key.Subject])
			t.kind, t.sensor = append(t.kind, d.Kind), append(t.sensor, d.Sensor)
			for m := range full.Kinds() {
				t.features[m] = append(t.features[m], features[m][row*model.FeatureDim:(row+1)*model.FeatureDim]...)
			}
		}
	}
	return len(subjects), nil
}

// add appends one frame: its errors and spreads with all modalities, and
// those of the coalition own.
func (t *influenceTable) add(full, own modality.Set, pose func(modality.Set) []float32, truth []float32) {
	all := pose(full)
	for j := range model.NumJoints {
		t.errors = append(t.errors, float32(1000*model.MPJPE(all[3*j:3*j+3], truth[3*j:3*j+3])))
	}
	t.anyError = append(t.anyError, float32(1000*model.MPJPE(pose(own), truth)))
	var spread [model.NumJoints]float64
	for k, d := range model.SpreadDefinitions {
		d.Spread(full, pose, &spread)
		for _, v := range spread {
			t.spreads[k] = append(t.spreads[k], float32(v))
		}
		d.Spread(own, pose, &spread)
		var sum float64
		for _, v := range spread {
			sum += v
		}
		t.anySpread[k] = append(t.anySpread[k], float32(sum/model.NumJoints))
	}
	var influence [modality.Count]float32
	for m := range full.Kinds() {
		influence[m] = float32(model.InfluenceMM(all, pose(full&^modality.Of(m))))
	}
	t.influence = append(t.influence, influence)
}

// joint returns the column of joint j of a frames x joints table.
func joint(x []float32, j int) []float32 {
	out := make([]float32, 0, len(x)/model.NumJoints)
	for i := j; i < len(x); i += model.NumJoints {
		out = append(out, x[i])
	}
	return out
}

// means returns the mean over the joints of each frame.
func means(x []float32) []float32 {
	out := make([]float32, 0, len(x)/model.NumJoints)
	for at := 0; at < len(x); at += model.NumJoints {
		var sum float32
		for _, v := range x[at : at+model.NumJoints] {
			sum += v
		}
		out = append(out, sum/model.NumJoints)
	}
	return out
}

// agree fills the report's rank correlations.
func (t *influenceTable) agree(rep *InfluenceReport) {
	rep.Spreads = make([]SpreadAgreement, len(model.SpreadDefinitions))
	frameErrors := means(t.errors)
	for _, e := range frameErrors {
		rep.MPJPEMM += float64(e) / float64(len(frameErrors))
	}
	jointSubject := make([]int32, 0, len(t.errors))
	for _, s := range t.subject {
		for range model.NumJoints {
			jointSubject = append(jointSubject, s)
		}
	}
	correlate := func(x, y *ranking, subject []int32) Interval {
		return bootstrap(rep.Subjects, 1, func(weight []float64) float64 { return spearman(x, y, subject, weight) })
	}
	frame, joints, anyFrame := newRanking(frameErrors), newRanking(t.errors), newRanking(t.anyError)
	var perJoint [model.NumJoints]*ranking
	alone := make([]float32, len(t.errors))
	for j := range perJoint {
		column := joint(t.errors, j)
		perJoint[j] = newRanking(column)
		var mean float32
		for _, e := range column {
			mean += e / float32(len(column))
		}
		for i := j; i < len(alone); i += model.NumJoints {
			alone[i] = mean
		}
	}
	rep.JointAlone = correlate(newRanking(alone), joints, jointSubject)
	var published, unusual *ranking
	for k, d := range model.SpreadDefinitions {
		s := &rep.Spreads[k]
		frames := means(t.spreads[k])
		*s = SpreadAgreement{Name: d.Name, Published: d == model.PublishedSpread,
			Frame:        correlate(newRanking(frames), frame, t.subject),
			Joint:        correlate(newRanking(t.spreads[k]), joints, jointSubject),
			AnyCoalition: correlate(newRanking(t.anySpread[k]), anyFrame, t.subject),
			WorstMM:      worstTenth(frames, frameErrors)}
		switch d {
		case model.PublishedSpread:
			published = newRanking(frames)
		case model.UnusualPose:
			unusual = newRanking(frames)
		}
		var own [model.NumJoints]*ranking
		for j := range own {
			own[j] = newRanking(joint(t.spreads[k], j))
		}
		s.WithinJoint = bootstrap(rep.Subjects, 1, func(weight []float64) float64 {
			var sum float64
			for j := range own {
				sum += spearman(own[j], perJoint[j], t.subject, weight)
			}
			return sum / model.NumJoints
		})
	}
	rep.AboveUnusual = bootstrap(rep.Subjects, 1, func(weight []float64) float64 {
		return spearman(published, frame, t.subject, weight) - spearman(unusual, frame, t.subject, weight)
	})
}

// worstTenth is the mean error of the tenth of the frames with the largest
// spread.
func worstTenth(spread, err []float32) float64 {
	order := newRanking(spread).order
	worst := order[len(order)-max(1, len(order)/10):]
	var sum float64
	for _, i := range worst {
		sum += float64(err[i])
	}
	return sum / float64(len(worst))
}

// kinds returns the kinds of disturbance of one sensor, sorted.
func (t *influenceTable) kinds() []string {
	seen := map[string]bool{}
	for i, k := range t.kind {
		if k != "" && t.sensor[i] < modality.Count {
			seen[k] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
