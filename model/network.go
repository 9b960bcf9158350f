package model

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"posefuse/model/nn"
	"posefuse/model/safetensors"
	"posefuse/sensors/modality"
)

// Network owns the parameters and running statistics of one model. It holds
// no activations: a Trainer or a Runtime does the work on it.
type Network struct {
	Config Config

	building *sync.Mutex // held while layers take their tensors from the store
	store    *nn.Store[float32]
	owner    map[string]int // modality of each tensor, -1 for the head
	weights  *weightSet     // of a frozen network, else nil
	quant    *Quantization  // of the checkpoint it was loaded from, or nil
	closed   atomic.Bool
}

// Parameter is one trainable tensor of a network. Value and Grad alias the
// network's memory; those of a frozen network must not be written, and have no
// Grad.
type Parameter struct {
	Name     string
	Shape    []int
	Value    []float32
	Grad     []float32 // of the last backward pass
	Modality int       // R, L, M or W; -1 for the fusion head
	// NoGrad marks a parameter that exists for the count's sake and never
	// receives a gradient: an optimiser must leave it alone.
	NoGrad bool
}

// Buffer is a running statistic of a network, saved with it but not trained.
type Buffer struct {
	Name  string
	Shape []int
	Value []float32
}

// New returns a network with the initial weights of the seed.
func New(cfg Config, seed uint64) (*Network, error) {
	if _, err := planLayout(cfg); err != nil {
		return nil, fmt.Errorf("model configuration: %w", err)
	}
	return build(cfg, nn.NewStore[float32](seed))
}

// build returns a network whose tensors the store makes.
func build(cfg Config, store *nn.Store[float32]) (*Network, error) {
	inst, err := newInstance(cfg, store, &nn.Context{})
	if err != nil {
		return nil, fmt.Errorf("model configuration: %w", err)
	}
	return &Network{Config: cfg, building: new(sync.Mutex), store: store, owner: owners(inst)}, nil
}

// owners returns the modality of each parameter, -1 for the head's.
func owners(inst *instance[float32]) map[string]int {
	owner := map[string]int{}
	for m, e := range inst.encoders {
		if e == nil {
			continue
		}
		for _, s := range e.steps {
			for _, t := range s.params {
				owner[t.Name] = m
			}
		}
	}
	for _, t := range inst.headParams {
		owner[t.Name] = -1
	}
	return owner
}

// planLayout returns the tensors of a configuration without making them. It
// refuses configurations that are not legal or too large for this build.
func planLayout(cfg Config) (*layout, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &layout{}
	s := nn.NewFilledStore(true, func(t *nn.Tensor[float32]) []float32 {
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		l.bytes += 4 * int64(n)
		if !t.IsBuffer() {
			l.parameters += n
		}
		l.tensors = append(l.tensors, namedTensor{name: t.Name, shape: t.Shape})
		return nil
	})
	if _, err := newInstance(cfg, s, &nn.Context{}); err != nil {
		return nil, err
	}
	if l.bytes > safetensors.MaxBytes {
		return nil, fmt.Errorf("%d parameters take %d bytes, more than the %d this build allows: make the widest encoder narrower", l.parameters, l.bytes, safetensors.MaxBytes)
	}
	return l, nil
}

// Parameters returns all parameters in a fixed order.
func (n *Network) Parameters() []*Parameter {
	var out []*Parameter
	for _, t := range n.store.All {
		if !t.IsBuffer() {
			out = append(out, &Parameter{
				Name: t.Name, Shape: t.Shape, Value: t.Value, Grad: t.Grad, Modality: n.owner[t.Name], NoGrad: t.Unused,
			})
		}
	}
	return out
}

// Buffers returns the running statistics in a fixed order.
func (n *Network) Buffers() []*Buffer {
	var out []*Buffer
	for _, t := range n.store.All {
		if t.IsBuffer() {
			out = append(out, &Buffer{t.Name, t.Shape, t.Value})
		}
	}
	return out
}

// NumParameters returns the number of trainable values.
func (n *Network) NumParameters() int {
	sum := 0
	for _, t := range n.store.All {
		if !t.IsBuffer() {
			sum += len(t.Value)
		}
	}
	return sum
}

// Clone returns a copy with memory of its own, which can be trained.
func (n *Network) Clone() (*Network, error) {
	return build(n.Config, nn.NewFilledStore(false, func(t *nn.Tensor[float32]) []float32 {
		return append([]float32(nil), n.store.Lookup(t.Name).Value...)
	}))
}

// Frozen reports whether the weights are mapped from a checkpoint and can only
// be read.
func (n *Network) Frozen() bool { return n.weights != nil }

// Close gives back what a frozen network holds: its weights' mapping ends with
// the last network and runtime of that file. The network must not be used
// after. Closing again does nothing; other networks need no Close.
func (n *Network) Close() error {
	if n.weights == nil || n.closed.Swap(true) {
		return nil
	}
	return n.weights.drop()
}

// CopyFrom takes over all parameters and running statistics of a network of
// the same configuration.
func (n *Network) CopyFrom(src *Network) error {
	if n.Frozen() {
		return errFrozen
	}
	if len(n.store.All) != len(src.store.All) {
		return fmt.Errorf("copy weights: the networks have %d and %d tensors", len(src.store.All), len(n.store.All))
	}
	for i, t := range n.store.All {
		s := src.store.All[i]
		if s.Name != t.Name || len(s.Value) != len(t.Value) {
			return fmt.Errorf("copy weights: tensor %s %v does not fit %s %v", s.Name, s.Shape, t.Name, t.Shape)
		}
	}
	for i, t := range n.store.All {
		copy(t.Value, src.store.All[i].Value)
	}
	return nil
}

var errFrozen = errors.New("the network is read-only, its weights are mapped from a checkpoint: work on a Clone")

// step is one fused block of an encoder and the parameters it reads.
type step[T nn.Float] struct {
	name   string
	block  nn.Block[T]
	params []*nn.Tensor[T]
}

// encoder is the chain of blocks from a modality's input to its feature.
type encoder[T nn.Float] struct {
	in    int // input values per sample
	steps []step[T]
	proj  *nn.Projection[T]
}

// instance is one set of blocks with work buffers, on a store's weights.
type instance[T nn.Float] struct {
	ctx        *nn.Context
	encoders   [modality.Count]*encoder[T]
	slots      []modality.Kind // modality of each of the head's inputs
	head       nn.Head[T]
	headParams []*nn.Tensor[T]
}

func newInstance[T nn.Float](cfg Config, s *nn.Store[T], ctx *nn.Context) (*instance[T], error) {
	inst := &instance[T]{ctx: ctx}
	mask := cfg.Mask()
	build := [modality.Count]func(*encoderBuilder[T]) error{
		modality.Camera: func(b *encoderBuilder[T]) error {
			return b.camera(cfg.Camera, cfg.KeypointFrame(), cfg.Carried(modality.Camera))
		},
		modality.LiDAR: func(b *encoderBuilder[T]) error { return b.points(cfg.LiDAR, LiDARPointDim) },
		modality.Radar: func(b *encoderBuilder[T]) error { return b.points(cfg.Radar, RadarPointDim) },
		modality.CSI:   func(b *encoderBuilder[T]) error { return b.csi(cfg.CSI) },
	}
	for m := range modality.Count {
		if !mask.Has(m) {
			continue
		}
		b := &encoderBuilder[T]{s: s, ctx: ctx, name: m.String(), e: &encoder[T]{}}
		if err := build[m](b); err != nil {
			return nil, fmt.Errorf("%s: %w", m.String(), err)
		}
		inst.encoders[m] = b.e
		inst.slots = append(inst.slots, m)
	}
	inst.headParams = s.Collect(func() {
		inst.head = newHead(cfg.Head, s, ctx, mask)
	})
	return inst, nil
}

// encoderBuilder collects the blocks of one encoder.
type encoderBuilder[T nn.Float] struct {
	s    *nn.Store[T]
	ctx  *nn.Context
	name string
	e    *encoder[T]
}

func (b *encoderBuilder[T]) add(name string, build func() (nn.Block[T], error)) error {
	var blk nn.Block[T]
	var err error
	all := b.s.Collect(func() { blk, err = build() })
	if err != nil {
		return err
	}
	var params []*nn.Tensor[T]
	for _, t := range all {
		if !t.IsBuffer() {
			params = append(params, t)
		}
	}
	b.e.steps = append(b.e.steps, step[T]{name, blk, params})
	return nil
}

// project ends the encoder: mean over positions and the projection, whose last
// values carry as many of the input.
func (b *encoderBuilder[T]) project(positions, c, carry int) error {
	return b.add("projection", func() (nn.Block[T], error) {
		b.e.proj = nn.NewProjection(b.s, b.name+".projection", positions, c, FeatureDim, carry)
		return b.e.proj, nil
	})
}

func (b *encoderBuilder[T]) camera(c CameraConfig, perFrame, carry int) error {
	frames := CameraWindow
	b.e.in = frames * perFrame
	var stem *nn.TemporalStem[T]
	if err := b.add("expand", func() (nn.Block[T], error) {
		stem = nn.NewTemporalStem(b.s, b.ctx, b.name, frames, perFrame, c.Channels, c.Widths[0], c.Dropout)
		return stem, nil
	}); err != nil {
		return err
	}
	frames /= c.Widths[0]
	for i, w := range c.Widths[1:] {
		n := frames
		if err := b.add(fmt.Sprintf("block%d", i), func() (nn.Block[T], error) {
			return nn.NewTemporalBlock(b.s, b.ctx, b.name, i, n, c.Channels, w, c.Dropout), nil
		}); err != nil {
			return err
		}
		frames /= w
	}
	if err := b.project(frames, c.Channels, carry); err != nil {
		return err
	}
	b.e.proj.Carried = stem.Newest
	return nil
}

func (b *encoderBuilder[T]) points(c PointsConfig, dim int) error {
	b.e.in = c.Points * dim
	geo := nn.NewPyramid[T](c.Points, c.Strides, c.Neighbours)
	cin := dim
	for i, planes := range c.Planes {
		name := fmt.Sprintf("%s.stages.%d", b.name, i)
		in := cin
		if err := b.add(fmt.Sprintf("down%d", i), func() (nn.Block[T], error) {
			return nn.NewTransitionDown(b.s, b.ctx, name+".down", geo, i, in, planes, i == 0), nil
		}); err != nil {
			return err
		}
		if err := b.add(fmt.Sprintf("block%d", i), func() (nn.Block[T], error) {
			return nn.NewPointBlock(b.s, b.ctx, name+".block", geo, i, planes)
		}); err != nil {
			return err
		}
		cin = planes
	}
	return b.project(geo.Levels[len(geo.Levels)-1].N, cin, 0)
}

func (b *encoderBuilder[T]) csi(c CSIConfig) error {
	b.e.in = CSIValues
	h, w := c.Height, c.Width
	if err := b.add("stem", func() (nn.Block[T], error) {
		return nn.NewImageStem(b.s, b.ctx, b.name, CSIAntennas, CSISubcarriers, CSIPackets, h, w, c.Base), nil
	}); err != nil {
		return err
	}
	ch := c.Base
	for i, blocks := range c.Blocks {
		out := c.Base << i
		for j := range blocks {
			stride := 1
			if i > 0 && j == 0 {
				stride = 2
			}
			in, ih, iw := ch, h, w
			if err := b.add(fmt.Sprintf("layer%d.%d", i+1, j), func() (nn.Block[T], error) {
				name := fmt.Sprintf("%s.layer%d.%d", b.name, i+1, j)
				return nn.NewBasicBlock(b.s, b.ctx, name, CSIAntennas, in, out, stride, ih, iw), nil
			}); err != nil {
				return err
			}
			h, w, ch = (h-1)/stride+1, (w-1)/stride+1, out
		}
	}
	if err := b.add("join", func() (nn.Block[T], error) {
		return nn.NewTokenJoin(b.s, b.ctx, b.name, CSIAntennas, h, w, ch, c.Dropout), nil
	}); err != nil {
		return err
	}
	tokens := CSIAntennas * h * w
	if err := b.add("transformer", func() (nn.Block[T], error) {
		return nn.NewChannelTransformer(b.s, b.ctx, b.name+".transformer", tokens, ch, c.Heads, c.MLP*ch, c.Dropout), nil
	}); err != nil {
		return err
	}
	return b.project(tokens, ch, 0)
}

// forward runs the encoder's blocks directly.
func (e *encoder[T]) forward(x []T, b int) []T {
	for i := range e.steps {
		x = e.steps[i].block.Forward(x, b)
	}
	return x
}

func (e *encoder[T]) fold() {
	for i := range e.steps {
		e.steps[i].block.Fold()
	}
}
