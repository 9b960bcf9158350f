package model

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"posefuse/model/nn"
	"posefuse/model/nn/kernel"
	"posefuse/sensors/modality"
)

// Output is what the network says about one sample.
type Output struct {
	Coalition   modality.Set                        // modalities that took part: present and known to the network
	Pose        [OutputDim]float32                  // 17 x 3, metres, camera frame (x right, y down, z forward)
	Features    [modality.Count][FeatureDim]float32 // zero for absent modalities
	EncoderTime [modality.Count]time.Duration       // from start to end of each encoder, which may run side by side; 0 for absent modalities
	HeadTime    time.Duration                       // of the fusion head
}

// Runtime runs a network for inference: batch normalisation folded into the
// weights, work buffers kept, no allocation per call after the first of its
// size. It is not safe for concurrent use, but for Encode of different
// modalities; several runtimes may share one network. The network's weights must not change while a runtime works.
type Runtime struct {
	net   *Network
	mask  modality.Set
	inst  *instance[float32]
	feats [modality.Count][]float32
	zero  []float32
	in    [][]float32
	gates [modality.Count][]float32
	// staged is what Encode left for Finish, an entry per modality, so that
	// concurrent Encode calls write apart.
	staged    [modality.Count]stagedFeature
	closed    atomic.Bool
	whole     encoding       // of Infer
	stream    *CameraStream  // nil: every window is computed as a whole
	pass      *coalitionPass // of Influence; nil before its first call
	precision Precision
}

// stagedFeature is the feature of a sample's modality; it belongs to the
// encoder and lives until the next Encode.
type stagedFeature struct {
	feature []float32 // FeatureDim values, nil if not encoded
	took    time.Duration
}

// NewRuntime prepares a network for inference. Runtimes of one network may be
// made and used side by side as long as nobody trains it.
func NewRuntime(n *Network) (*Runtime, error) { return NewRuntimeWith(n, RuntimeOptions{}) }

// NewRuntimeWith is NewRuntime with options.
func NewRuntimeWith(n *Network, opt RuntimeOptions) (*Runtime, error) {
	if n.closed.Load() || n.weights != nil && !n.weights.retain() {
		return nil, errors.New("the network was closed")
	}
	r, err := newRuntime(n, opt)
	if n.weights == nil {
		return r, err
	}
	if err != nil {
		return nil, errors.Join(err, n.weights.drop())
	}
	n.weights.file.release() // folding read it for the last time
	return r, nil
}

func newRuntime(n *Network, opt RuntimeOptions) (*Runtime, error) {
	n.building.Lock()
	defer n.building.Unlock()
	inst, err := newInstance(n.Config, n.store, &nn.Context{Mode: nn.Eval})
	if err != nil {
		return nil, err
	}
	precision, err := inst.lower(n, opt)
	if err != nil {
		return nil, err
	}
	r := &Runtime{net: n, mask: n.Config.Mask(), inst: inst, in: make([][]float32, len(inst.slots)), precision: precision}
	r.whole.r = r
	if n.weights == nil {
		r.fold()
		return r, nil
	}
	if err := n.weights.file.populate(); err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	if err := guarded(func() error { r.fold(); return nil }); err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	return r, nil
}

// Close gives back what the runtime holds of a frozen network; it must not be
// used after. Closing again does nothing.
func (r *Runtime) Close() error {
	if r.net.weights == nil || r.closed.Swap(true) {
		return nil
	}
	return r.net.weights.drop()
}

// Network returns the network the runtime works for.
func (r *Runtime) Network() *Network { return r.net }

// Refresh takes over the network's current weights and running statistics; it
// must follow every change of them. Those of a frozen network do not change.
func (r *Runtime) Refresh() {
	if !r.net.Frozen() {
		r.fold()
	}
}

func (r *Runtime) fold() {
	for _, m := range r.inst.slots {
		r.inst.encoders[m].fold()
	}
	if h, ok := r.inst.head.(interface{ Fold() }); ok {
		h.Fold()
	}
	if r.stream != nil {
		r.stream.Forget()
	}
}

func modalityInput(in *Input, m modality.Kind) []float32 {
	switch m {
	case modality.Camera:
		return in.Camera
	case modality.LiDAR:
		return in.LiDAR
	case modality.Radar:
		return in.Radar
	case modality.CSI:
		return in.CSI
	}
	return nil
}

// Infer computes the pose of one sample, its encoders side by side. Modalities
// that the network does not have are ignored; without any left the pose is the
// head's bias, which means nothing, and Coalition is empty.
func (r *Runtime) Infer(in *Input, out *Output) error {
	r.Begin()
	t := &r.whole
	t.in = in
	kernel.Each(len(r.inst.slots), t)
	t.in = nil
	for _, err := range t.errs[:len(r.inst.slots)] {
		if err != nil {
			out.Coalition = 0
			return err
		}
	}
	return r.Finish(in.Present, out)
}

// encoding is the kernel's task of all encoders of a sample, side by side: the
// last modality, WiFi with its trunk, first, and the small ones beside it.
type encoding struct {
	r    *Runtime
	in   *Input
	errs [modality.Count]error
}

func (e *encoding) Run(lo, hi int) {
	for i := lo; i < hi; i++ {
		m := e.r.inst.slots[len(e.r.inst.slots)-1-i]
		e.errs[i] = nil
		if e.in.Present.Has(m) {
			e.errs[i] = e.r.Encode(m, modalityInput(e.in, m))
		}
	}
}

// Begin starts a sample whose modalities come one by one: no modality counts
// as encoded any more.
func (r *Runtime) Begin() { r.staged = [modality.Count]stagedFeature{} }

// Encode computes the feature of modality m from its prepared input, laid out
// as in Input. Different modalities may be encoded at the same time, each by
// one goroutine; encoding one again replaces its feature. A modality that the
// network does not have is ignored.
func (r *Runtime) Encode(m modality.Kind, x []float32) error {
	if m >= modality.Count || !r.mask.Has(m) {
		return nil
	}
	e := r.inst.encoders[m]
	r.staged[m] = stagedFeature{}
	if len(x) != e.in {
		return fmt.Errorf("inference: %s input holds %d values, want %d", m.String(), len(x), e.in)
	}
	start := time.Now()
	var f []float32
	if m == modality.Camera && r.stream != nil {
		f = r.stream.feature(x)
	} else {
		e.proj.Gate = nil
		f = e.forward(x, 1)
	}
	r.staged[m] = stagedFeature{f, time.Since(start)}
	return nil
}

// Finish runs the fusion head on the features of the modalities in present
// that were encoded since Begin; the others are absent. The result equals
// Infer's to the bit, whatever the order of the Encode calls, all of which
// must have returned. It may be called again with another set.
func (r *Runtime) Finish(present modality.Set, out *Output) error {
	out.Coalition = 0
	out.EncoderTime = [modality.Count]time.Duration{}
	r.zeros(1)
	for i, m := range r.inst.slots {
		s := &r.staged[m]
		r.in[i] = r.zero
		if !present.Has(m) || s.feature == nil {
			clear(out.Features[m][:])
			continue
		}
		out.Coalition |= 1 << m
		copy(out.Features[m][:], s.feature)
		r.in[i] = s.feature
		out.EncoderTime[m] = s.took
	}
	start := time.Now()
	copy(out.Pose[:], r.inst.head.Forward(r.in, 1))
	out.HeadTime = time.Since(start)
	return nil
}

func (r *Runtime) zeros(b int) {
	if len(r.zero) < b*FeatureDim {
		r.zero = make([]float32, b*FeatureDim)
	}
}

// InferBatch computes n samples at once, as evaluation needs it: b.Target is
// not read, b.Present works as in training. pose takes n x OutputDim metres.
func (r *Runtime) InferBatch(b *Batch, n int, pose []float32) error {
	if len(pose) != n*OutputDim {
		return fmt.Errorf("inference: pose holds %d values, want %d for %d samples", len(pose), n*OutputDim, n)
	}
	if b.Present != nil && len(b.Present) != n {
		return fmt.Errorf("inference: presence given for %d samples, want %d", len(b.Present), n)
	}
	for i, m := range r.inst.slots {
		e := r.inst.encoders[m]
		x := b.input(m)
		if len(x) != n*e.in {
			return fmt.Errorf("inference: %s holds %d values, want %d for %d samples", m.String(), len(x), n*e.in, n)
		}
		if cap(r.gates[m]) < n {
			r.gates[m] = make([]float32, n)
		}
		e.proj.Gate = r.gates[m][:n]
		setGates(e.proj.Gate, b.Present, m)
		r.in[i] = e.forward(x, n)
		r.feats[m] = r.in[i]
	}
	copy(pose, r.inst.head.Forward(r.in, n))
	return nil
}

func setGates[T nn.Float](gate []T, present []modality.Set, m modality.Kind) {
	for s := range gate {
		gate[s] = 1
		if present != nil && !present[s].Has(m) {
			gate[s] = 0
		}
	}
}

// Features returns the features of the last InferBatch, one row per sample,
// nil for modalities the network does not have; valid until the next call.
func (r *Runtime) Features() [modality.Count][]float32 { return r.feats }
