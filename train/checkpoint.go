package train

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"posefuse/model"
)

// Errors of trainings with a checkpoint folder.
var (
	// ErrCheckpointExists keeps a new training from replacing another one.
	ErrCheckpointExists = errors.New("holds the checkpoint of a training")
	// ErrFinished says that there is nothing left to resume: FinishCheckpoint
	// was called.
	ErrFinished = errors.New("the training has finished")
)

// CheckpointError is a checkpoint that could not be written. The one of Epoch
// is still whole, and training can be resumed from it.
type CheckpointError struct {
	Dir   string
	Epoch int // of the last whole checkpoint; 0 is the start
	Bytes int64
	Err   error
}

func (e *CheckpointError) Error() string {
	return fmt.Sprintf("checkpoint: %v: the checkpoint of epoch %d in %s is whole; see that %d MiB are free there", e.Err, e.Epoch, e.Dir, e.Bytes>>20+1)
}

func (e *CheckpointError) Unwrap() error { return e.Err }

// ResumeInfo tells from where a training goes on.
type ResumeInfo struct {
	Epoch   int // epochs done
	Elapsed time.Duration
	LR      float64     // start of the schedule in force
	History []EpochInfo // of the epochs done
}

// CheckStart reports options that contradict what the checkpoint folder holds,
// as Run would, but before any data is loaded: a checkpoint that is not to be
// resumed, or a training that has finished.
func (o Options) CheckStart() error {
	if o.Checkpoint == "" {
		if o.Resume {
			return errors.New("resume: no checkpoint folder is given")
		}
		return nil
	}
	exists, err := checkpointIn(o.Checkpoint)
	if err != nil || !exists {
		return err
	}
	if !o.Resume {
		return fmt.Errorf("%s %w", filepath.Dir(o.Checkpoint), ErrCheckpointExists)
	}
	st, _, err := (&folder{dir: o.Checkpoint}).read(stateFile)
	if err == nil && st.Finished {
		return fmt.Errorf("%s: %w, epoch %d was the last", o.Checkpoint, ErrFinished, st.Epoch)
	}
	return nil // Run says what else there is to say
}

// FinishCheckpoint ends the training whose checkpoints are in dir: the tensors
// go, which only resuming needs, and a small state stays that tells what was
// trained. Call it when the weights are safe elsewhere. A kill in the middle
// leaves a finished training with files that are of no use; calling it again
// takes them away.
func FinishCheckpoint(dir string) error {
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	defer f.close()
	if f.now, f.raw, err = f.read(stateFile); err != nil {
		return fmt.Errorf("finish the training: %w", err)
	}
	if err := f.finish(); err != nil {
		return fmt.Errorf("finish the training: %w", err)
	}
	return nil
}

// openCheckpoint starts or resumes the session from the checkpoint folder.
func (s *Session) openCheckpoint() error {
	o := s.opt
	if err := o.CheckStart(); err != nil || o.Checkpoint == "" {
		return err
	}
	print, err := s.fingerprint()
	if err != nil {
		return err
	}
	s.print = print
	if s.folder, err = openFolder(o.Checkpoint); err != nil {
		return err
	}
	// Again, now that nobody else can write there.
	if err = o.CheckStart(); err != nil {
		return err
	}
	exists, err := checkpointIn(o.Checkpoint)
	if err != nil {
		return err
	}
	if exists {
		return s.resume()
	}
	return s.saveCheckpoint() // a disk without room shows now, not after the first epoch
}

// resume takes the newest whole state of the folder.
func (s *Session) resume() error {
	var first error
	for _, name := range []string{stateFile, beforeFile} {
		st, raw, err := s.folder.read(name)
		if err == nil {
			if err = s.checkFingerprint(st); err != nil {
				return err // a whole state of another training
			}
			err = s.take(st)
		}
		if err != nil {
			if first == nil || !errors.Is(err, fs.ErrNotExist) {
				first = errors.Join(first, err)
			}
			continue
		}
		if first != nil {
			s.warn("the last checkpoint cannot be used, training goes on from the one before, of epoch %d: %v", st.Epoch, first)
		}
		s.folder.now, s.folder.raw = st, raw
		if name == stateFile {
			s.folder.then, _, _ = s.folder.read(beforeFile) // only tells which files to keep
		}
		s.folder.sweep() // what a killed process left
		if st.Kernels != model.CPUPath() {
			s.warn("the epochs so far ran on the CPU path %s, this is %s: the weights will differ in rounding from an undisturbed training", st.Kernels, model.CPUPath())
		}
		if s.opt.Resumed != nil {
			s.opt.Resumed(ResumeInfo{Epoch: st.Epoch, Elapsed: s.earlier, LR: s.opt.LR, History: st.History})
		}
		return s.writeCurve(s.history...)
	}
	return fmt.Errorf("resume from %s: %w: no whole checkpoint is left; remove the folder and train anew", s.opt.Checkpoint, first)
}

// take makes the session what it was when st was saved.
func (s *Session) take(st *state) error {
	read := func(f tensorFile, into []model.Tensor) error {
		return model.ReadTensors(filepath.Join(s.opt.Checkpoint, f.Name), f.SHA256, into)
	}
	if st.Best != nil {
		best := newBest(s.Net)
		if err := read(st.Best.Tensors, best.tensors(s.Net)); err != nil {
			return err
		}
		best.Epoch, best.ValMM = st.Best.Epoch, st.Best.ValMM
		*s.opt.Best = *best
	}
	// The last of the files, so that a damaged one leaves nothing half taken.
	if err := read(st.Tensors, s.tensors()); err != nil {
		return err
	}
	if s.opt.Method != nil {
		if err := s.opt.Method.Resume(st.Method); err != nil {
			return fmt.Errorf("state of method %s: %w", s.opt.Method.Descriptor().Name, err)
		}
	}
	s.Epoch, s.Count, s.adam.Count = st.Epoch, st.Count, st.AdamSteps
	s.earlier, s.history = time.Duration(st.ElapsedNS), st.History
	s.opt.LR = st.LR
	if s.opt.ResumeLR > 0 {
		s.opt.LR = s.opt.ResumeLR
	}
	return s.reps.spread()
}

// saveCheckpoint writes the session as it stands between two epochs.
func (s *Session) saveCheckpoint() error {
	st := &state{Format: stateFormat, Epoch: s.Epoch, Count: s.Count, AdamSteps: s.adam.Count, ElapsedNS: int64(s.elapsed()), LR: s.opt.LR,
		History: s.history, Kernels: model.CPUPath(), Fingerprint: s.print}
	if m := s.opt.Method; m != nil {
		var err error
		if st.Method, err = m.State(); err != nil {
			return fmt.Errorf("checkpoint: state of method %s: %w", m.Descriptor().Name, err)
		}
	}
	var best []model.Tensor
	if b := s.opt.Best; b != nil && b.Epoch > 0 {
		st.Best = &bestState{Epoch: b.Epoch, ValMM: b.ValMM}
		if now := s.folder.now; now != nil && now.Best != nil && now.Best.Epoch == b.Epoch {
			st.Best = now.Best
		}
		best = b.tensors(s.Net)
	}
	tensors := s.tensors()
	if err := s.folder.save(st, tensors, best); err != nil {
		e := &CheckpointError{Dir: s.opt.Checkpoint, Err: err}
		if s.folder.now != nil {
			e.Epoch = s.folder.now.Epoch
		}
		for _, t := range append(tensors, best...) {
			e.Bytes += 4 * int64(len(t.Value))
		}
		return e
	}
	return nil
}

// tensors lists what a checkpoint holds: weights, running statistics and the
// optimiser's moments.
func (s *Session) tensors() []model.Tensor {
	out := networkTensors(s.Net)
	for i, p := range s.adam.Params {
		out = append(out, model.Tensor{Name: "adam.m/" + p.Name, Shape: p.Shape, Value: s.adam.M[i]},
			model.Tensor{Name: "adam.v/" + p.Name, Shape: p.Shape, Value: s.adam.V[i]})
	}
	return out
}

// networkTensors lists a network's weights and running statistics.
func networkTensors(net *model.Network) []model.Tensor {
	var out []model.Tensor
	for _, p := range net.Parameters() {
		out = append(out, model.Tensor{Name: "weights/" + p.Name, Shape: p.Shape, Value: p.Value})
	}
	for _, b := range net.Buffers() {
		out = append(out, model.Tensor{Name: "statistics/" + b.Name, Shape: b.Shape, Value: b.Value})
	}
	return out
}

// weightsFinite reports whether the last step left weights that can be used.
func (s *Session) weightsFinite() bool {
	for _, t := range networkTensors(s.Net) {
		if !finite(t.Value) {
			return false
		}
	}
	return true
}

func (s *Session) warn(format string, args ...any) {
	if s.opt.Warn != nil {
		s.opt.Warn(fmt.Sprintf(format, args...))
	}
}

// withCheckpoint tells a divergence which checkpoint to go back to.
func (s *Session) withCheckpoint(err error) error {
	var d *DivergedError
	if errors.As(err, &d) && s.folder != nil && s.folder.now != nil {
		d.Checkpoint, d.CheckpointEpoch = s.opt.Checkpoint, s.folder.now.Epoch
		d.LR = s.opt.LR
	}
	return err
}

// Best keeps the weights of the epoch with the lowest error on the validation
// data. The zero value is empty.
type Best struct {
	Epoch  int     // 1-based; 0 if no epoch was validated
	ValMM  float64 // mean joint error on the validation data, all modalities
	values [][]float32
}

func newBest(net *model.Network) *Best {
	b := &Best{ValMM: math.Inf(1)}
	for _, t := range networkTensors(net) {
		b.values = append(b.values, make([]float32, len(t.Value)))
	}
	return b
}

// tensors lists the weights kept, under the names of net's.
func (b *Best) tensors(net *model.Network) []model.Tensor {
	out := networkTensors(net)
	for i := range out {
		out[i].Value = b.values[i]
	}
	return out
}

func (b *Best) take(net *model.Network, info EpochInfo) {
	if b.values == nil {
		b.values = newBest(net).values
	}
	for i, t := range networkTensors(net) {
		copy(b.values[i], t.Value)
	}
	b.Epoch, b.ValMM = info.Epoch, info.ValMM
}

// CopyTo gives a network of the trained configuration the weights kept.
func (b *Best) CopyTo(net *model.Network) error {
	if b.Epoch == 0 {
		return errors.New("best epoch: none was validated")
	}
	if net.Frozen() {
		return errors.New("best epoch: the network is read-only: give a Clone")
	}
	into := networkTensors(net)
	if len(into) != len(b.values) {
		return fmt.Errorf("best epoch: %d tensors for a network of %d", len(b.values), len(into))
	}
	for i, t := range into {
		if len(t.Value) != len(b.values[i]) {
			return fmt.Errorf("best epoch: %s: %d values for %d", t.Name, len(b.values[i]), len(t.Value))
		}
	}
	for i, t := range into {
		copy(t.Value, b.values[i])
	}
	return nil
}
