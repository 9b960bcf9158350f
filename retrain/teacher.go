package retrain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"posefuse/model"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// teacherDecay is what an epoch leaves of the teacher's weights; the rest is the
// student's. The teacher is an average over the last ten epochs or so.
const teacherDecay = 0.9

// teacher labels recordings without labels: the exponential moving average of
// the network that is trained, which sees all sensors, while the student is
// trained on every coalition of them.
type teacher struct {
	net  *model.Network
	card model.Card
	data *train.Data
	dir  string
}

// newTeacher labels the data by the serving model and keeps the samples of which
// it is surest: the share whose mean sigma_mm is lowest.
func newTeacher(ctx context.Context, base *model.Network, card model.Card, data *train.Data, share float64, work string) (*teacher, error) {
	known := card.KnownErrors.By()
	if card.KnownErrors == nil || known[base.Config.Mask()] == nil {
		return nil, errors.New("label recordings by the model itself: its card has no known_errors, which say of which poses it is sure: measure them (posefuse eval --card)")
	}
	net, err := base.Clone()
	if err != nil {
		return nil, err
	}
	t := &teacher{net: net, card: card, data: data, dir: filepath.Join(work, "teacher")}
	var sure []float64
	sigma := func(pose *[model.OutputDim]float32, of modality.Set) float64 {
		if known[of] == nil {
			return math.Inf(1)
		}
		var mm [model.NumJoints]float64
		card.KnownErrors.Sigma(known[of], pose, nil, &mm)
		sum := 0.0
		for _, v := range mm {
			sum += v
		}
		return sum / model.NumJoints
	}
	if err = t.label(ctx, func(pose *[model.OutputDim]float32, of modality.Set) bool {
		sure = append(sure, sigma(pose, of))
		return true
	}); err != nil {
		return nil, err
	}
	keep, next := surest(sure, share), 0
	err = t.label(ctx, func(*[model.OutputDim]float32, modality.Set) bool {
		next++
		return keep[next-1]
	})
	if err == nil && len(data.Samples) == 0 {
		err = errors.New("label recordings by the model itself: it is sure of none of their frames")
	}
	return t, err
}

// surest marks the share of the samples with the lowest sigma, the earlier of
// equal ones; none whose sigma is not known.
func surest(sigma []float64, share float64) []bool {
	order := make([]int, len(sigma))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sigma[a], sigma[b]) })
	keep := make([]bool, len(sigma))
	for _, i := range order[:int(share*float64(len(sigma)))] {
		keep[i] = !math.IsInf(sigma[i], 1)
	}
	return keep
}

// label has the teacher label the data.
func (t *teacher) label(ctx context.Context, keep func(*[model.OutputDim]float32, modality.Set) bool) error {
	run, err := model.NewRuntime(t.net)
	if err != nil {
		return err
	}
	defer func() { _ = run.Close() }() // gives memory back only
	if err = t.data.Label(ctx, run, keep); err != nil {
		return fmt.Errorf("label %s: %w", t.data.Describe(), err)
	}
	holdBones(t.data)
	return nil
}

// learn takes the student's weights of an epoch into the average, keeps it for a
// resumed training, and labels anew.
func (t *teacher) learn(ctx context.Context, student *model.Network) error {
	for i, p := range student.Parameters() {
		blend(t.net.Parameters()[i].Value, p.Value)
	}
	for i, b := range student.Buffers() {
		blend(t.net.Buffers()[i].Value, b.Value)
	}
	if _, err := model.SaveCheckpoint(t.dir, t.net, t.card); err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	return t.label(ctx, nil)
}

// resume takes the average that an interrupted training has kept.
func (t *teacher) resume(ctx context.Context) error {
	net, _, err := model.LoadCheckpoint(t.dir)
	if err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	if err = errors.Join(t.net.CopyFrom(net), net.Close()); err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	return t.label(ctx, nil)
}

func blend(into, from []float32) {
	for i, v := range from {
		into[i] = teacherDecay*into[i] + (1-teacherDecay)*v
	}
}
