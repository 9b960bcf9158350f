package model

import (
	"errors"
	"fmt"
	"time"

	_ "go4.org/unsafe/assume-no-moving-gc" // gorgonia needs a version that accepts this Go

	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// Batch is what one training step reads. Slices of modalities the network does
// not have are ignored. All are sample-major and contiguous.
type Batch struct {
	Camera []float32 // B x Config.CameraValues
	LiDAR  []float32 // B x Config.LiDAR.Points x 3
	Radar  []float32 // B x Config.Radar.Points x 5
	CSI    []float32 // B x CSIValues
	Target []float32 // B x OutputDim, metres, camera frame
	// Present says per sample which modalities the fusion head gets; the
	// features of the others are zero. The encoders see all inputs, so batch
	// statistics do not depend on it. Nil means all.
	Present []modality.Set
}

func (b *Batch) input(m modality.Kind) []float32 {
	return [modality.Count][]float32{b.Camera, b.LiDAR, b.Radar, b.CSI}[m]
}

// TrainerOptions configures a Trainer.
type TrainerOptions struct {
	Seed      uint64 // of dropout
	NoDropout bool
	// InUse computes as the network does in use: batch normalisation with its running
	// statistics, which stay as they are, and no dropout. It is for weights that are
	// trained already.
	InUse bool
	// Branches are coalitions of the network's modalities whose losses join
	// that of the whole network, see SetBranchWeights. Nil means none.
	Branches []modality.Set
}

// Trainer computes losses and gradients of a network for batches of one size,
// by a Gorgonia graph. It is not safe for concurrent use.
type Trainer struct {
	trainGraph[float32]
	net *Network
}

// NewTrainer builds the graph of n for batches of the given size.
func NewTrainer(n *Network, batch int, opt TrainerOptions) (*Trainer, error) {
	if n.Frozen() {
		return nil, fmt.Errorf("trainer: %w", errFrozen)
	}
	t := &Trainer{net: n}
	n.building.Lock()
	defer n.building.Unlock()
	if err := t.build(n.Config, n.store, batch, opt); err != nil {
		return nil, err
	}
	return t, nil
}

// trainGraph is the graph of one network, its loss and its inputs.
type trainGraph[T nn.Float] struct {
	batch  int
	inUse  bool
	inst   *instance[T]
	graph  *nn.Graph[T]
	inputs [modality.Count][]T
	target []T
	gates  [modality.Count][]T
	feats  [modality.Count]*nn.Node
	pose   *nn.Node // nil with branches
	loss   *nn.Node

	branched *nn.BranchedLoss[T]  // nil without branches; its first is the whole network
	lossM    float64              // of the last step
	losses   []float64            // per branch, for branchLosses
	weights  []T                  // per branch, kept during backward
	idle     [modality.Count]bool // encoders that rested in the last step
	ranMode  nn.Mode              // of the last step
	ranStep  uint64

	stepped bool // forwardBackward has run
}

func (t *trainGraph[T]) build(cfg Config, store *nn.Store[T], batch int, opt TrainerOptions) error {
	if batch < 2 {
		return fmt.Errorf("batch size %d: batch normalisation needs at least 2 samples", batch)
	}
	t.inUse = opt.InUse
	ctx := &nn.Context{Mode: t.mode(), Seed: opt.Seed, NoDropout: opt.NoDropout}
	var err error
	if t.inst, err = newInstance(cfg, store, ctx); err != nil {
		return err
	}
	t.batch = batch
	t.graph = nn.NewGraph[T](batch)
	var heads []*nn.Node
	for _, m := range t.inst.slots {
		e := t.inst.encoders[m]
		t.gates[m] = make([]T, batch)
		e.proj.Gate = t.gates[m]
		t.inputs[m] = make([]T, batch*e.in)
		x := t.graph.Input(m.String(), t.inputs[m])
		for i, s := range e.steps {
			block := s.block
			if opt.Branches != nil {
				block = &idleBlock[T]{Block: block, idle: &t.idle[m], params: s.params, first: i == 0}
			}
			if x, err = t.graph.Block(m.String()+"."+s.name, block, s.params, x, i > 0); err != nil {
				return err
			}
		}
		t.feats[m] = x
		heads = append(heads, x)
	}
	t.target = make([]T, batch*OutputDim)
	target := t.graph.Input("target", t.target)
	if opt.Branches != nil {
		if err = t.branch(cfg, opt.Branches, target, heads); err != nil {
			return err
		}
		return t.graph.Compile(t.loss)
	}
	if t.pose, err = t.graph.Head("head", t.inst.head, t.inst.headParams, OutputDim, heads...); err != nil {
		return err
	}
	if t.loss, err = t.graph.Loss(&nn.MPJPE[T]{Joints: NumJoints}, t.pose, target); err != nil {
		return err
	}
	return t.graph.Compile(t.loss)
}

// SetBatchStatsOnly switches between plain training and the mode of the Fisher
// pass: batch statistics without updating the running ones, no dropout. With
// TrainerOptions.InUse both are as in use.
func (t *Trainer) SetBatchStatsOnly(on bool) {
	t.inst.ctx.Mode = t.mode()
	if on && !t.inUse {
		t.inst.ctx.Mode = nn.BatchStats
	}
}

// mode is that of training steps.
func (t *trainGraph[T]) mode() nn.Mode {
	if t.inUse {
		return nn.Eval
	}
	return nn.Train
}

// SetStep numbers the next batch. Dropout draws the same masks for the same
// seed and number; without it batches are numbered from 0.
func (t *Trainer) SetStep(n uint64) { t.inst.ctx.Step = n }

// ErrNotFinite is returned by ForwardBackward when the loss is NaN or infinite.
var ErrNotFinite = errors.New("loss is not finite")

// ForwardBackward runs one batch in training mode and leaves the gradients in
// the network's parameters. It returns the mean distance of joints, metres;
// with branches the weighted sum of their losses.
func (t *Trainer) ForwardBackward(b *Batch) (lossM float64, err error) { return t.forwardBackward(b) }

func (t *trainGraph[T]) forwardBackward(b *Batch) (lossM float64, err error) {
	if b.Present != nil && len(b.Present) != t.batch {
		return 0, fmt.Errorf("batch: presence given for %d samples, want %d", len(b.Present), t.batch)
	}
	for _, m := range t.inst.slots {
		x := b.input(m)
		if len(x) != len(t.inputs[m]) {
			return 0, fmt.Errorf("batch: %s holds %d values, want %d for %d samples", m.String(), len(x), len(t.inputs[m]), t.batch)
		}
		convert(t.inputs[m], x)
		setGates(t.gates[m], b.Present, m)
	}
	if len(b.Target) != len(t.target) {
		return 0, fmt.Errorf("batch: target holds %d values, want %d for %d samples", len(b.Target), len(t.target), t.batch)
	}
	convert(t.target, b.Target)
	t.keepSamples(b.Present)
	t.rest()
	if err = t.graph.Run(); err != nil {
		return 0, fmt.Errorf("training step: %w", err)
	}
	t.stepped, t.ranMode, t.ranStep = true, t.inst.ctx.Mode, t.inst.ctx.Step
	t.inst.ctx.Step++
	l, err := nn.Value[T](t.loss)
	if err != nil {
		return 0, err
	}
	lossM = float64(l[0])
	t.lossM = lossM
	if !finite(lossM) {
		return lossM, ErrNotFinite
	}
	return lossM, nil
}

// convert copies src to dst, which is as long.
func convert[D, S nn.Float](dst []D, src []S) {
	for i, v := range src {
		dst[i] = D(v)
	}
}

// Features returns per modality the B x FeatureDim features the head saw in
// the last ForwardBackward, nil for modalities the network does not have. They
// are valid until the next one.
func (t *Trainer) Features() [modality.Count][]float32 {
	var f [modality.Count][]float32
	for m, n := range t.feats {
		if n == nil {
			continue
		}
		if v, err := nn.Value[float32](n); err == nil {
			f[m] = v
		}
	}
	return f
}

// Predictions returns the B x OutputDim poses of the last ForwardBackward,
// metres, valid until the next one.
func (t *Trainer) Predictions() []float32 {
	if t.branched != nil {
		return t.branched.Branches[0].Pose
	}
	v, err := nn.Value[float32](t.pose)
	if err != nil {
		return nil
	}
	return v
}

// PassTimes returns how long the forward and the backward pass of the last
// ForwardBackward took. With branches the head's backward passes count as
// forward, since they run there.
func (t *Trainer) PassTimes() (forward, backward time.Duration) { return t.graph.Times() }

// Close releases the graph.
func (t *Trainer) Close() error { return t.graph.Close() }
