package train

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// Run trains net on data. It ends after the last epoch, when the time limit is
// reached (at an epoch's end or within it) or when ctx ends. With the same
// options, data and network, and without limits in time, it leaves the same
// weights bit for bit, also when it is interrupted in any way and resumed, see
// Options.Checkpoint. A loss that is not finite ends it with a DivergedError.
func Run(ctx context.Context, net *model.Network, data *Data, opt Options) error {
	s, err := newSession(net, data, opt)
	if err != nil {
		return err
	}
	defer s.close()
	s.begin = time.Now() // the first checkpoint asks for the elapsed time
	if err = s.openCheckpoint(); err != nil {
		return err
	}
	if opt.Start != nil {
		info, err := s.reps.memory()
		if err != nil {
			return err
		}
		opt.Start(info)
	}
	s.begin = time.Now() // opening is no training
	for s.Epoch < opt.Epochs {
		whole, err := s.epoch(ctx)
		if err != nil || !whole {
			return s.withCheckpoint(err)
		}
	}
	return nil
}

// epoch trains one epoch and reports whether it was a whole one; without one
// step done it reports nothing to the curve.
func (s *Session) epoch(ctx context.Context) (whole bool, err error) {
	opt := s.opt
	rng := s.shuffle()
	if opt.Method != nil {
		if err = opt.Method.StartEpoch(s); err != nil {
			return false, fmt.Errorf("epoch %d: %w", s.Epoch+1, err)
		}
		s.addExtra(rng)
	}
	s.Steps = len(s.order) / opt.Batch
	begin, sum, done := time.Now(), 0.0, 0
	for s.Step = 0; s.Step < s.Steps; s.Step++ {
		if err = ctx.Err(); err != nil {
			return false, err
		}
		elapsed := s.elapsed()
		if opt.TimeLimit > 0 && elapsed >= opt.TimeLimit {
			break
		}
		share := opt.share(s.Epoch, s.Step, s.Steps, elapsed)
		lossM, batchErr := s.batch(rng)
		if batchErr != nil {
			return false, batchErr
		}
		s.adam.Step(opt.rate(share, s.Epoch))
		if err = s.reps.spread(); err != nil {
			return false, err
		}
		sum += lossM
		done++
		s.Count++
		if opt.Step != nil {
			opt.Step(StepInfo{
				Epoch: s.Epoch + 1, Step: s.Step + 1, StepsPerEpoch: s.Steps, LossMM: lossM * 1000,
				Elapsed: s.elapsed(), Share: opt.share(s.Epoch, s.Step+1, s.Steps, s.elapsed()),
			})
		}
	}
	if done == 0 {
		return false, nil
	}
	if !s.weightsFinite() {
		return false, s.diverged(sum / float64(done))
	}
	if opt.Method != nil {
		if err = opt.Method.EndEpoch(s); err != nil {
			return false, fmt.Errorf("epoch %d: %w", s.Epoch+1, err)
		}
	}
	info := EpochInfo{Epoch: s.Epoch + 1, LossMM: 1000 * sum / float64(done), LR: opt.rate(opt.share(s.Epoch, done, s.Steps, s.elapsed()), s.Epoch),
		SamplesPS: float64(done*opt.Batch) / time.Since(begin).Seconds()}
	info.Shapley, info.Alone, info.Method = s.summary()
	if opt.Validation != nil {
		valM, err := s.meanError(opt.Validation, s.Net.Config.Mask())
		if err != nil {
			return false, err
		}
		info.ValMM = 1000 * valM
	}
	info.ElapsedS = s.elapsed().Seconds()
	s.Epoch++
	if err := s.endEpoch(info); err != nil {
		return false, err
	}
	return done == s.Steps, nil
}

// endEpoch remembers the epoch: in the curve, with the caller and on the disk.
func (s *Session) endEpoch(info EpochInfo) error {
	s.history = append(s.history, info)
	if b := s.opt.Best; b != nil && s.opt.Validation != nil && (b.Epoch == 0 || info.ValMM < b.ValMM) {
		b.take(s.Net, info)
	}
	if err := s.writeCurve(info); err != nil {
		return err
	}
	if s.opt.AfterEpoch != nil {
		if err := s.opt.AfterEpoch(info); err != nil {
			return err
		}
	}
	if s.folder == nil {
		return nil
	}
	return s.saveCheckpoint()
}

// writeCurve writes lines of the curve.
func (s *Session) writeCurve(lines ...EpochInfo) error {
	return writeCurve(s.opt.Curve, lines...)
}

// writeCurve writes lines to a curve, which may be nil.
func writeCurve(to io.Writer, lines ...EpochInfo) error {
	if to == nil {
		return nil
	}
	var b bytes.Buffer
	for _, info := range lines {
		if err := json.NewEncoder(&b).Encode(info); err != nil {
			return fmt.Errorf("write training curve: %w", err)
		}
	}
	if _, err := to.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write training curve: %w", err)
	}
	return nil
}

// batch runs one batch forward and backward, with what the method does to the
// gradients.
func (s *Session) batch(rng *rand.Rand) (lossM float64, err error) {
	first := s.Step * s.opt.Batch
	full := s.Net.Config.Mask()
	for k := range s.present {
		s.present[k] = s.order[first+k].Present & dropModalities(rng, full, s.opt.Dropout)
		if s.present[k] == 0 {
			s.present[k] = s.order[first+k].Present
		}
	}
	lossM, err = s.forwardBackward(s.order[first:first+s.opt.Batch], s.present)
	if err != nil {
		return 0, err
	}
	if err = s.contribution(); err != nil {
		return 0, err
	}
	if s.opt.Method != nil {
		if err = s.opt.Method.AfterBackward(s); err != nil {
			return 0, fmt.Errorf("epoch %d step %d: %w", s.Epoch+1, s.Step+1, err)
		}
	}
	return lossM, nil
}

// shuffle orders the epoch's samples. The generator it returns draws what else
// the epoch needs; both depend on the seed and the epoch alone, so that
// training can go on at any epoch.
func (s *Session) shuffle() *rand.Rand {
	rng := rand.New(rand.NewPCG(s.opt.Seed, word("rain")+uint64(s.Epoch)<<32))
	s.Extra, s.order = s.Extra[:0], s.order[:0]
	full := s.Net.Config.Mask()
	for _, ref := range s.Data.Samples {
		s.order = append(s.order, ExtraSample{ref, full})
	}
	rng.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
	return rng
}

// addExtra mixes the method's samples in among the epoch's.
func (s *Session) addExtra(rng *rand.Rand) {
	if len(s.Extra) == 0 {
		return
	}
	s.order = append(s.order, s.Extra...)
	rng.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
}

// startAtMeanPose sets the head's bias to the mean training pose, so that the
// first epochs need not learn how far away people stand.
func startAtMeanPose(net *model.Network, data *Data) {
	mean := meanPoses(data, func(recording.Key) int { return 0 })[0]
	for _, p := range net.Parameters() {
		if p.Modality < 0 && len(p.Shape) == 1 && len(p.Value) == len(mean) {
			copy(p.Value, mean)
			return // a head may have more such tensors, of corrections
		}
	}
}

// dropModalities replaces the coalition, with probability p, by a random
// non-empty one of its subsets, so that one model serves every coalition live.
func dropModalities(rng *rand.Rand, full modality.Set, p float64) modality.Set {
	if p == 0 || rng.Float64() >= p {
		return full
	}
	for {
		if m := modality.Set(rng.IntN(int(modality.All)+1)) & full; m != 0 {
			return m
		}
	}
}
