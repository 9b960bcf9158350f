package train

import (
	"errors"
	"fmt"
	"math"
	"time"

	"posefuse/balance"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// Session is one training in progress, as its Method sees it. Modalities are
// numbered in the order of Encoders.
type Session struct {
	Net      *model.Network
	Data     *Data
	Encoders []encoderTensors
	Epoch    int    // 0-based
	Step     int    // within the epoch
	Steps    int    // of the epoch
	Count    uint64 // optimiser steps since the start
	// Phi are the modalities' contributions to the last batch (Eq 1).
	Phi []float64
	// Extra is filled by a Method's StartEpoch with samples that the epoch is to
	// hold besides the data's.
	Extra []ExtraSample

	opt     Options
	reps    *replicas
	adam    *model.Adam
	order   []ExtraSample  // of the epoch
	present []modality.Set // of the batch
	scored  *batchScore    // nil with one modality
	logged  map[logKey]*mean
	begin   time.Time
	earlier time.Duration // before training was resumed
	history []EpochInfo
	folder  *folder           // nil without checkpoints
	print   map[string]string // see fingerprint
}

// ExtraSample is a sample with the modalities the fusion head gets of it.
type ExtraSample struct {
	Ref     SampleRef
	Present modality.Set
}

// mean is a running mean.
type mean struct {
	sum float64
	n   int
}

func newSession(net *model.Network, data *Data, opt Options) (*Session, error) {
	if err := opt.Check(); err != nil {
		return nil, err
	}
	if opt.Batch > len(data.Samples) {
		return nil, fmt.Errorf("a batch of %d is more than the %d frames there are: use a smaller batch, more clips or a smaller stride", opt.Batch, len(data.Samples))
	}
	if err := data.CheckFits(net.Config); err != nil {
		return nil, err
	}
	if opt.Validation != nil {
		if err := opt.Validation.CheckFits(net.Config); err != nil {
			return nil, fmt.Errorf("validation data: %w", err)
		}
	}
	if err := opt.Augment.Check(net.Config.Mask()); err != nil {
		return nil, err
	}
	if err := opt.Vary.Check(net.Config); err != nil {
		return nil, err
	}
	if opt.MeanStart {
		startAtMeanPose(net, data)
	}
	branched := opt.Method != nil && opt.Method.Descriptor().Needs.Branches
	reps, err := newReplicas(net, data, max(opt.Replicas, 1), opt.Batch, model.TrainerOptions{Seed: opt.Seed, InUse: opt.InUse}, branched)
	if err != nil {
		return nil, err
	}
	s := &Session{Net: net, Data: data, Encoders: encodersOf(net), opt: opt, reps: reps, adam: model.NewAdam(net.Parameters(), opt.WeightDecay),
		present: make([]modality.Set, opt.Batch), logged: map[logKey]*mean{}}
	if len(s.Encoders) > 1 {
		if s.scored, err = newBatchScore(net, reps, opt.Batch); err != nil {
			reps.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Session) close() {
	s.reps.close()
	if s.folder != nil {
		s.folder.close()
	}
}

func (s *Session) elapsed() time.Duration { return s.earlier + time.Since(s.begin) }

// logKey names a value of the epoch's line of the curve.
type logKey struct {
	part logPart
	name string
}

// logPart is the object of the line that a value is in.
type logPart int

const (
	logMethod logPart = iota
	logPhi
	logAlone
)

// Log adds a value to the mean that the epoch's line of the curve gives for
// name, as what the method did.
func (s *Session) Log(name string, value float64) { s.log(logKey{logMethod, name}, value) }

func (s *Session) log(key logKey, value float64) {
	m := s.logged[key]
	if m == nil {
		m = &mean{}
		s.logged[key] = m
	}
	m.sum += value
	m.n++
}

// summary returns the means of what was logged and forgets them. A part of
// which nothing was is nil.
func (s *Session) summary() (phi, alone, method map[string]float64) {
	parts := map[logPart]map[string]float64{}
	for key, m := range s.logged {
		if parts[key.part] == nil {
			parts[key.part] = map[string]float64{}
		}
		parts[key.part][key.name] = m.sum / float64(m.n)
	}
	clear(s.logged)
	return parts[logPhi], parts[logAlone], parts[logMethod]
}

// forwardBackward leaves the mean gradient of samples in the network.
func (s *Session) forwardBackward(samples []ExtraSample, present []modality.Set) (lossM float64, err error) {
	lossM, err = s.reps.forwardBackward(s.Count, func(b *model.Batch, row, k int) {
		s.Data.Fill(b, row, samples[k].Ref)
		if !s.Data.teach(b, row, samples[k].Ref, present[k]) {
			number := s.Count*uint64(len(samples)) + uint64(k)
			s.Data.augment(s.opt.Augment, b, row, s.opt.Seed, number)
			s.Data.vary(s.opt.Vary, b, row, s.opt.Seed, number)
		}
		// Dropout never takes a sample's last sensor.
		if p := b.Present[row] & present[k]; p != 0 || present[k] == 0 {
			b.Present[row] = p
		}
	})
	if errors.Is(err, model.ErrNotFinite) {
		return 0, s.diverged(lossM)
	}
	if err != nil {
		return 0, fmt.Errorf("epoch %d step %d: %w", s.Epoch+1, s.Step+1, err)
	}
	return lossM, nil
}

// fisher estimates the diagonal of the Fisher information of each encoder at
// the present weights (Eq 8): batch statistics, no dropout, the first batches
// of the epoch's order. The gradient of the batch's mean loss is squared, or
// with perSample that of single samples, each of which costs a batch. Zero
// batches stand for all.
func (s *Session) fisher(batches int, perSample bool) ([]*balance.Fisher, error) {
	var out []*balance.Fisher
	for _, e := range s.Encoders {
		out = append(out, balance.NewFisher(e.size()))
	}
	n := len(s.order) / s.opt.Batch
	if batches > 0 {
		n = min(n, batches)
	}
	s.reps.batchStatsOnly(true)
	defer s.reps.batchStatsOnly(false)
	for b := range n {
		samples := s.order[b*s.opt.Batch : (b+1)*s.opt.Batch]
		if !perSample {
			for k := range s.present {
				s.present[k] = samples[k].Present
			}
			if err := s.addFisher(out, samples, 1); err != nil {
				return nil, err
			}
			continue
		}
		// A sample without modalities sends no gradient into the encoders, so
		// what is left is that of the one, over the batch's size.
		for k := range s.present {
			clear(s.present)
			s.present[k] = samples[k].Present
			if err := s.addFisher(out, samples, float32(s.opt.Batch)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (s *Session) addFisher(to []*balance.Fisher, samples []ExtraSample, by float32) error {
	if _, err := s.forwardBackward(samples, s.present); err != nil {
		return err
	}
	for i, e := range s.Encoders {
		for _, g := range e.gradient {
			if by != 1 {
				scale(g, by)
			}
		}
		if err := to[i].Add(e.gradient...); err != nil {
			return fmt.Errorf("%s: %w", e.letter, err)
		}
	}
	return nil
}

// SetLossWeights sets what the next batches minimise: joint times the whole
// network's loss plus each modality's weight times the loss of the network that
// sees it alone. Only a
// method that needs branches may call it.
func (s *Session) SetLossWeights(joint float64, alone []float64) error {
	return s.reps.setLossWeights(joint, alone)
}

// meanError returns the mean joint error on data of one coalition, in
// evaluation mode, metres.
func (s *Session) meanError(data *Data, mask modality.Set) (float64, error) {
	return s.errorOn(data, data.Samples, mask)
}

func (s *Session) errorOn(data *Data, samples []SampleRef, mask modality.Set) (float64, error) {
	sum := 0.0
	err := s.predict(data, samples, []modality.Set{mask}, func(_ int, ref SampleRef, pose []float32) {
		c := data.Clips[ref.Clip]
		sum += model.MPJPE(pose, c.Truth[ref.Row*model.OutputDim:(ref.Row+1)*model.OutputDim])
	})
	return sum / float64(max(len(samples), 1)), err
}

// predict runs the present weights in evaluation mode and visits the pose of
// each sample and coalition; the pose is valid during the visit.
func (s *Session) predict(data *Data, samples []SampleRef, masks []modality.Set, visit func(mask int, ref SampleRef, pose []float32)) error {
	run, err := model.NewRuntime(s.Net)
	if err != nil {
		return err
	}
	const size = 32
	batch, poses := data.NewBatch(size), make([]float32, size*model.OutputDim)
	for at := 0; at < len(samples); at += size {
		n := min(size, len(samples)-at)
		for row := range size {
			data.Fill(batch, row, samples[at+min(row, n-1)])
		}
		if err := run.InferBatch(batch, size, poses); err != nil {
			return err
		}
		for k, mask := range masks {
			if err := run.Coalition(mask, size, poses); err != nil {
				return err
			}
			for row := range n {
				visit(k, samples[at+row], poses[row*model.OutputDim:(row+1)*model.OutputDim])
			}
		}
	}
	return nil
}

// contributionsOf returns the contributions on a random share of the training
// samples, drawn with replacement, in evaluation mode.
func (s *Session) contributionsOf(share float64) ([]float64, error) {
	rng := s.draws("phi", uint64(s.Epoch))
	samples := make([]SampleRef, max(int(share*float64(len(s.Data.Samples))), 2))
	truth := make([]float32, 0, len(samples)*model.OutputDim)
	for i := range samples {
		ref := s.Data.Samples[rng.IntN(len(s.Data.Samples))]
		samples[i] = ref
		truth = append(truth, s.Data.Clips[ref.Clip].Truth[ref.Row*model.OutputDim:(ref.Row+1)*model.OutputDim]...)
	}
	n := len(s.Encoders)
	var masks []modality.Set // of each coalition from 1, of encoders by position
	for c := 1; c < 1<<n; c++ {
		masks = append(masks, s.maskOf(uint8(c)))
	}
	poses := make([][]float32, len(masks))
	if err := s.predict(s.Data, samples, masks, func(k int, _ SampleRef, pose []float32) {
		poses[k] = append(poses[k], pose...)
	}); err != nil {
		return nil, err
	}
	value, err := balance.NewScorer[float32](model.OutputDim).CoalitionScores(n, truth, func(c uint8) ([]float32, error) {
		return poses[c-1], nil
	})
	if err != nil {
		return nil, err
	}
	return balance.Shapley(n, value), nil
}

// maskOf translates a coalition of encoders by position.
func (s *Session) maskOf(coalition uint8) modality.Set {
	var m modality.Set
	for i, e := range s.Encoders {
		if coalition>>i&1 == 1 {
			m |= 1 << e.modality
		}
	}
	return m
}

// scaleHead scales the gradient of the linear head's part of modality i; other
// heads mix the modalities, and theirs is left alone.
func (s *Session) scaleHead(i int, by float32) {
	if s.Net.Config.Head != model.ConcatHead {
		return
	}
	for _, p := range s.Net.Parameters() {
		if p.Modality >= 0 || len(p.Shape) != 2 {
			continue
		}
		width := p.Shape[1]
		for row := range p.Shape[0] {
			scale(p.Grad[row*width+i*model.FeatureDim:row*width+(i+1)*model.FeatureDim], by)
		}
	}
}

// DivergedError ends a training whose loss is not finite.
type DivergedError struct {
	Epoch, Step int // 1-based
	LossM       float64
	// Where is the first part whose output or weights are not finite: a
	// modality's letter, "fusion head" or "targets".
	Where string
	// Checkpoint is the folder with the last good checkpoint, that of
	// CheckpointEpoch, 0 being the start; empty without checkpoints. LR is the
	// learning rate that was in force, without its decay.
	Checkpoint      string
	CheckpointEpoch int
	LR              float64
}

func (e *DivergedError) Error() string {
	what := fmt.Sprintf("epoch %d step %d: the loss is %g or the weights are not finite, first in %s: ", e.Epoch, e.Step, e.LossM, e.Where)
	if e.Checkpoint == "" {
		return what + "use a lower learning rate"
	}
	return fmt.Sprintf("%sthe last good checkpoint, of epoch %d, is in %s", what, e.CheckpointEpoch, e.Checkpoint)
}

// diverged finds out where a loss that is not finite comes from.
func (s *Session) diverged(lossM float64) error {
	e := &DivergedError{Epoch: s.Epoch + 1, Step: s.Step + 1, LossM: lossM, Where: "fusion head"}
	for _, enc := range s.Encoders {
		for _, t := range s.reps.trainers {
			if f := t.Features()[enc.modality]; !finite(f) {
				e.Where = enc.letter
				return e
			}
		}
		for _, v := range enc.value {
			if !finite(v) {
				e.Where = enc.letter
				return e
			}
		}
	}
	for _, b := range s.reps.batches {
		if !finite(b.Target) {
			e.Where = "targets"
		}
	}
	return e
}

func finite(x []float32) bool {
	for _, v := range x {
		if d := float64(v); math.IsNaN(d) || math.IsInf(d, 0) {
			return false
		}
	}
	return true
}
