// Package nn holds the layers of the pose network: fused blocks with forward
// and backward passes on plain slices, and the adapter that makes each block
// an operation of a Gorgonia graph. All activations are row-major with the
// channel last. The layers are generic over float32 (the product) and float64
// (gradient checks).
package nn

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"posefuse/model/nn/kernel"
)

// Float is the element type of the layers.
type Float interface{ float32 | float64 }

// Mode says which statistics batch normalisation uses and whether dropout acts.
type Mode uint8

const (
	// Train normalises with batch statistics, updates the running statistics
	// and applies dropout.
	Train Mode = iota
	// BatchStats normalises with batch statistics, leaves the running ones
	// alone and applies no dropout (the Fisher pass of model.md 4.4).
	BatchStats
	// Eval normalises with the running statistics and applies no dropout.
	Eval
)

// Context is the state all blocks of one instance of a network share.
type Context struct {
	Mode      Mode
	NoDropout bool   // switches dropout off in Train mode
	Seed      uint64 // of dropout
	Step      uint64 // counts training steps, so that each draws other masks

	streams uint64 // dropout streams handed out so far
	trunk   any    // *trunkWork of the image blocks
}

// Kind says what a tensor is, which decides how it starts.
type Kind uint8

// The kinds of tensors and their initial values (model.md 2.5).
const (
	Weight       Kind = iota // uniform in ±1/sqrt(fan_in)
	WeightHe                 // normal, variance 2/fan_out
	WeightXavier             // uniform in ±sqrt(6/(fan_in+fan_out))
	Bias                     // uniform in ±1/sqrt(fan_in)
	BiasTiny                 // normal, deviation 1e-6
	NormWeight               // 1
	NormBias                 // 0
	RunningMean              // 0, a buffer
	RunningVar               // 1, a buffer
	Position                 // 0
	WeightZero               // 0, of a layer that begins without a say
)

// Tensor is a named parameter or a buffer (running statistic).
type Tensor[T Float] struct {
	Name   string
	Shape  []int
	Kind   Kind
	FanIn  int // inputs per output value
	FanOut int
	Value  []T
	Grad   []T  // overwritten by each backward pass; nil for a buffer and in a frozen store
	Unused bool // counted, but never read nor differentiated

	frozen  bool
	derived map[string]any // by layout; of frozen tensors
}

// IsBuffer reports whether the tensor is a running statistic.
func (t *Tensor[T]) IsBuffer() bool { return t.Kind == RunningMean || t.Kind == RunningVar }

// Derived returns what build makes of the tensor in the layout named: of a
// frozen tensor once for all instances on its store, which then share it, else
// anew at every call. Callers of one store take turns, as for building blocks.
func Derived[T Float, V any](t *Tensor[T], layout string, build func() V) V {
	if v, ok := t.derived[layout].(V); ok {
		return v
	}
	v := build()
	if t.frozen {
		if t.derived == nil {
			t.derived = map[string]any{}
		}
		t.derived[layout] = v
	}
	return v
}

// Shared calls f with everything that instances share through Derived.
func (t *Tensor[T]) Shared(f func(v any)) {
	for _, v := range t.derived {
		f(v)
	}
}

// Layouts returns the names of the layouts that instances share.
func (t *Tensor[T]) Layouts() []string { return slices.Sorted(maps.Keys(t.derived)) }

// Forget makes the tensor keep a layout no longer; instances that have it keep
// it. Callers of one store take turns, as for building blocks.
func (t *Tensor[T]) Forget(layout string) { delete(t.derived, layout) }

// Store owns the parameters and buffers of a network. Blocks ask it for
// tensors by name; building the same blocks twice on one store gives two
// instances that share their weights.
type Store[T Float] struct {
	All    []*Tensor[T] // parameters and buffers in order of creation
	byName map[string]*Tensor[T]
	rng    *rand.Rand
	trace  []*Tensor[T]
	values func(*Tensor[T]) []T
	frozen bool
}

// NewStore returns an empty store whose tensors start from seed.
func NewStore[T Float](seed uint64) *Store[T] {
	return &Store[T]{byName: map[string]*Tensor[T]{}, rng: rand.New(rand.NewPCG(seed, 0x706f7365))}
}

// NewFilledStore returns an empty store that takes each new tensor's values
// from a function instead of drawing them. Values may be nil where nobody
// reads them. The tensors of a frozen store never change and have no gradients.
func NewFilledStore[T Float](frozen bool, values func(*Tensor[T]) []T) *Store[T] {
	return &Store[T]{byName: map[string]*Tensor[T]{}, values: values, frozen: frozen}
}

// Lookup returns the tensor with the name, or nil.
func (s *Store[T]) Lookup(name string) *Tensor[T] { return s.byName[name] }

// Collect runs build and returns the tensors it asked for, in order.
func (s *Store[T]) Collect(build func()) []*Tensor[T] {
	s.trace = nil
	build()
	t := s.trace
	s.trace = nil
	return t
}

// Tensor returns the named tensor and creates it on first use. fanIn and
// fanOut only steer the initial values. Asking for the same name with another
// shape is a programming error and panics.
func (s *Store[T]) Tensor(name string, kind Kind, fanIn, fanOut int, shape ...int) *Tensor[T] {
	t := s.byName[name]
	if t == nil {
		n := 1
		for _, d := range shape {
			n *= d
		}
		t = &Tensor[T]{Name: name, Shape: shape, Kind: kind, FanIn: fanIn, FanOut: fanOut, frozen: s.frozen}
		if !t.IsBuffer() && !s.frozen {
			t.Grad = make([]T, n)
		}
		if s.values != nil {
			t.Value = s.values(t)
		} else {
			t.Value = make([]T, n)
			s.initialise(t)
		}
		s.byName[name] = t
		s.All = append(s.All, t)
	}
	if fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
		panic(fmt.Sprintf("nn: tensor %s asked for as %v, is %v", name, shape, t.Shape))
	}
	s.trace = append(s.trace, t)
	return t
}

func (s *Store[T]) initialise(t *Tensor[T]) {
	var draw func() float64
	switch t.Kind {
	case Weight, Bias:
		a := 1 / math.Sqrt(float64(t.FanIn))
		draw = func() float64 { return a * (2*s.rng.Float64() - 1) }
	case WeightXavier:
		a := math.Sqrt(6 / float64(t.FanIn+t.FanOut))
		draw = func() float64 { return a * (2*s.rng.Float64() - 1) }
	case WeightHe:
		a := math.Sqrt(2 / float64(t.FanOut))
		draw = func() float64 { return a * s.rng.NormFloat64() }
	case BiasTiny:
		draw = func() float64 { return 1e-6 * s.rng.NormFloat64() }
	case NormWeight, RunningVar:
		draw = func() float64 { return 1 }
	case NormBias, RunningMean, Position, WeightZero:
		return
	}
	for i := range t.Value {
		t.Value[i] = T(draw())
	}
}

// Block is one fused part of a network with one input and one output, batch
// first. Forward keeps what Backward needs; the returned slices belong to the
// block and live until its next call.
type Block[T Float] interface {
	// Forward computes the output for b samples.
	Forward(x []T, b int) []T
	// Backward takes the gradient of the last Forward's output, overwrites the
	// gradients of the block's parameters and returns the gradient of the
	// input, or nil if the block was built as the first of its chain. It may
	// overwrite dy. It may be called again, in the same Context.Step, with
	// another dy.
	Backward(dy []T) []T
	// Fold prepares Eval: it packs weights with batch normalisation folded in.
	// Later changes of the parameters are seen only after another Fold.
	Fold()
	// OutShape returns the output's shape without the batch.
	OutShape() []int
}

func grow[T Float](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	*s = (*s)[:n]
	return *s
}

// split runs f over 0..n, on the worker threads if the work (about one unit
// per arithmetic operation) pays for waking them.
func split(n, work int, f func(lo, hi int)) {
	if n < 2 || n*work < 1<<15 {
		f(0, n)
		return
	}
	kernel.Parallel(n, f)
}

// chunkRows is how many rows of c values one partial sum covers: fixed, so
// that sums do not depend on the number of threads.
func chunkRows(c int) int { return max(1, min(512, 8192/c)) }

func sqrtT[T Float](x T) T { return T(math.Sqrt(float64(x))) }

func itoa(i int) string { return strconv.Itoa(i) }
