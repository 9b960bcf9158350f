package nn

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Graph joins fused layers into a Gorgonia expression graph: every layer is
// one operation whose inputs are its activations and its parameters, and whose
// symbolic derivative is one operation per input. The first of these to run
// computes all gradients of the layer at once, straight into the parameters'
// Grad slices. Shapes are static: one graph per batch size.
type Graph[T Float] struct {
	Batch int

	g      *G.ExprGraph
	params map[*Tensor[T]]*G.Node
	order  []*G.Node
	vm     G.VM

	again             bool      // only the backward pass runs, see RunBackward
	lossAt            time.Time // end of the last forward pass
	forward, backward time.Duration
}

// Node is a value of a Graph.
type Node = G.Node

// NewGraph returns an empty graph.
func NewGraph[T Float](batch int) *Graph[T] {
	return &Graph[T]{Batch: batch, g: G.NewGraph(), params: map[*Tensor[T]]*G.Node{}}
}

// Input adds an input whose values are read from data (batch x width) at every
// run.
func (g *Graph[T]) Input(name string, data []T) *Node {
	shape := tensor.Shape{g.Batch, len(data) / g.Batch}
	return G.NewTensor(g.g, dtype[T](), 2, G.WithName(name), G.WithShape(shape...), G.WithValue(wrap(data, shape)))
}

func dtype[T Float]() tensor.Dtype {
	var z T
	if _, ok := any(z).(float64); ok {
		return tensor.Float64
	}
	return tensor.Float32
}

func wrap[T Float](data []T, shape tensor.Shape) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

func (g *Graph[T]) param(t *Tensor[T]) *Node {
	n := g.params[t]
	if n == nil {
		shape := paramShape(t)
		n = G.NewTensor(g.g, dtype[T](), 2, G.WithName(t.Name), G.WithShape(shape...), G.WithValue(wrap(t.Value, shape)))
		g.params[t] = n
		g.order = append(g.order, n)
	}
	return n
}

// paramShape folds a parameter's shape to a matrix.
func paramShape[T Float](t *Tensor[T]) tensor.Shape {
	return tensor.Shape{t.Shape[0], len(t.Value) / t.Shape[0]}
}

// Block adds a block; params are the parameters it reads. input tells whether
// x needs a gradient.
func (g *Graph[T]) Block(name string, b Block[T], params []*Tensor[T], x *Node, needGrad bool) (*Node, error) {
	width := 1
	for _, d := range b.OutShape() {
		width *= d
	}
	grads := make([][]T, 1)
	return g.apply(&layerOp[T]{name: name, batch: g.Batch, width: width,
		forward:  func(in [][]T) []T { return b.Forward(in[0], g.Batch) },
		backward: func(dy []T) [][]T { grads[0] = b.Backward(dy); return grads },
		acts:     []bool{needGrad}}, params, x)
}

// Head adds a fusion head on the features.
func (g *Graph[T]) Head(name string, h Head[T], params []*Tensor[T], out int, features ...*Node) (*Node, error) {
	acts := make([]bool, len(features))
	for i := range acts {
		acts[i] = true
	}
	return g.apply(&layerOp[T]{name: name, batch: g.Batch, width: out,
		forward:  func(in [][]T) []T { return h.Forward(in, g.Batch) },
		backward: h.Backward, acts: acts}, params, features...)
}

// Loss adds the training loss.
func (g *Graph[T]) Loss(l *MPJPE[T], pred, target *Node) (*Node, error) {
	out := make([]T, 1)
	grads := make([][]T, 2)
	return g.apply(&layerOp[T]{name: "mpjpe", batch: g.Batch, scalar: true,
		forward: func(in [][]T) []T {
			out[0] = l.Forward(in[0], in[1], g.Batch)
			g.lossAt = time.Now()
			return out
		},
		backward: func(dy []T) [][]T { grads[0] = l.Backward(dy[0]); return grads },
		acts:     []bool{true, false}}, nil, pred, target)
}

// BranchedLoss adds a fusion head and its loss on several coalitions of the
// features; params are the head's.
func (g *Graph[T]) BranchedLoss(name string, l *BranchedLoss[T], params []*Tensor[T], target *Node, features ...*Node) (*Node, error) {
	out := make([]T, 1)
	n := len(features)
	acts := make([]bool, n+1)
	for i := range features {
		acts[i] = true
	}
	return g.apply(&layerOp[T]{name: name, batch: g.Batch, scalar: true, always: true,
		forward: func(in [][]T) []T {
			out[0] = l.Forward(in[:n], in[n], g.Batch)
			g.lossAt = time.Now()
			return out
		},
		backward: func(dy []T) [][]T { return l.Backward(dy[0]) }, acts: acts}, params, append(append([]*Node(nil), features...), target)...)
}

func (g *Graph[T]) apply(op *layerOp[T], params []*Tensor[T], in ...*Node) (*Node, error) {
	op.id, op.again = opIDs.Add(1), &g.again
	op.in = make([][]T, len(in))
	nodes := append([]*Node(nil), in...)
	for _, n := range in {
		op.shapes = append(op.shapes, n.Shape())
	}
	for _, t := range params {
		if t.Unused || t.Grad == nil {
			continue
		}
		op.params = append(op.params, t)
		nodes = append(nodes, g.param(t))
	}
	n, err := G.ApplyOp(op, nodes...)
	if err != nil {
		return nil, fmt.Errorf("graph operation %s: %w", op.name, err)
	}
	return n, nil
}

// Compile differentiates loss with respect to every parameter and makes the
// machine that runs the graph.
func (g *Graph[T]) Compile(loss *Node) error {
	if _, err := G.Grad(loss, g.order...); err != nil {
		return fmt.Errorf("differentiate the graph: %w", err)
	}
	prog, locs, err := G.Compile(g.g)
	if err != nil {
		return fmt.Errorf("compile the graph: %w", err)
	}
	g.vm = G.NewTapeMachine(g.g, G.WithPrecompiled(prog, locs))
	// Gorgonia's finalizer, there for CUDA, would keep the machine and every
	// buffer of the graph for ever, since they refer to each other.
	runtime.SetFinalizer(g.vm, nil)
	return nil
}

// Run executes forward and backward pass once.
func (g *Graph[T]) Run() error {
	begin := time.Now()
	g.lossAt = begin
	g.vm.Reset()
	err := g.vm.RunAll()
	g.forward, g.backward = g.lossAt.Sub(begin), time.Since(g.lossAt)
	return err
}

// RunBackward repeats the backward pass on the activations of the last Run. Of
// the forward pass only a BranchedLoss runs again, with its present weights.
func (g *Graph[T]) RunBackward() error {
	g.again = true
	defer func() { g.again = false }()
	g.vm.Reset()
	return g.vm.RunAll()
}

// Times returns how long the two passes of the last Run took.
func (g *Graph[T]) Times() (forward, backward time.Duration) { return g.forward, g.backward }

// Close releases the machine.
func (g *Graph[T]) Close() error { return g.vm.Close() }

// Value returns the values of a node after Run.
func Value[T Float](n *Node) ([]T, error) {
	switch v := n.Value().(type) {
	case tensor.Tensor:
		if d, ok := v.Data().([]T); ok {
			return d, nil
		}
	case G.Scalar:
		switch s := v.Data().(type) {
		case float32:
			return []T{T(s)}, nil
		case float64:
			return []T{T(s)}, nil
		}
	}
	return nil, fmt.Errorf("graph node %s has no value", n.Name())
}

var opIDs atomic.Uint64

// layerOp is the forward operation of one layer.
type layerOp[T Float] struct {
	id           uint64
	name         string
	batch, width int
	scalar       bool
	always       bool  // runs in RunBackward, too
	again        *bool // the graph's
	forward      func(in [][]T) []T
	backward     func(dy []T) [][]T
	acts         []bool // per activation input: needs a gradient
	shapes       []tensor.Shape
	params       []*Tensor[T]

	in     [][]T
	out    G.Value
	outMem []T
	runs   uint64 // forward passes so far
	done   uint64 // forward pass whose gradients are computed
	grads  [][]T
	one    [1]T
}

func (o *layerOp[T]) Arity() int { return len(o.acts) + len(o.params) }

func (o *layerOp[T]) Type() hm.Type {
	m := G.TensorType{Dims: 2, Of: dtype[T]()}
	ts := make([]hm.Type, o.Arity()+1)
	for i := range ts {
		ts[i] = m
	}
	if o.scalar {
		ts[len(ts)-1] = dtype[T]()
	}
	return hm.NewFnType(ts...)
}

func (o *layerOp[T]) InferShape(...G.DimSizer) (tensor.Shape, error) {
	if o.scalar {
		return tensor.ScalarShape(), nil
	}
	return tensor.Shape{o.batch, o.width}, nil
}

// values returns the memory of a Gorgonia value.
func values[T Float](v G.Value) ([]T, error) {
	t, ok := v.(tensor.Tensor)
	if !ok {
		return nil, fmt.Errorf("input is a %T, want a tensor", v)
	}
	d, ok := t.Data().([]T)
	if !ok {
		return nil, fmt.Errorf("input holds %v, want %v", t.Dtype(), dtype[T]())
	}
	return d, nil
}

// Do runs the layer on its own buffers; the machine's registers only point to
// them.
func (o *layerOp[T]) Do(inputs ...G.Value) (G.Value, error) {
	if *o.again && !o.always && o.out != nil {
		o.runs++
		return o.out, nil
	}
	for i := range o.acts {
		d, err := values[T](inputs[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		o.in[i] = d
	}
	out := o.forward(o.in)
	o.runs++
	if o.scalar {
		if v, ok := any(out[0]).(float64); ok {
			return G.NewF64(v), nil
		}
		return G.NewF32(float32(out[0])), nil
	}
	if o.out == nil || &o.outMem[0] != &out[0] {
		o.outMem = out
		o.out = wrap(out, tensor.Shape{o.batch, o.width})
	}
	return o.out, nil
}

func (o *layerOp[T]) ReturnsPtr() bool     { return true }
func (o *layerOp[T]) CallsExtern() bool    { return false }
func (o *layerOp[T]) OverwritesInput() int { return -1 }
func (o *layerOp[T]) String() string       { return fmt.Sprintf("%s#%d", o.name, o.id) }
func (o *layerOp[T]) WriteHash(h hash.Hash) {
	_ = binary.Write(h, binary.LittleEndian, o.id)
}
func (o *layerOp[T]) Hashcode() uint32 { return hashOf(o.WriteHash) }

func hashOf(write func(hash.Hash)) uint32 {
	h := fnv.New32a()
	write(h)
	return h.Sum32()
}

// DiffWRT implements SDOp: every parameter and the marked activations.
func (o *layerOp[T]) DiffWRT(inputs int) []bool {
	d := make([]bool, inputs)
	for i := range d {
		d[i] = i >= len(o.acts) || o.acts[i]
	}
	return d
}

// SymDiff implements SDOp.
func (o *layerOp[T]) SymDiff(inputs G.Nodes, output, grad *G.Node) (G.Nodes, error) {
	out := make(G.Nodes, len(inputs))
	for i, need := range o.DiffWRT(len(inputs)) {
		if !need {
			continue
		}
		n, err := G.ApplyOp(&gradOp[T]{layer: o, input: i}, output, grad)
		if err != nil {
			return nil, fmt.Errorf("gradient of %s, input %d: %w", o.name, i, err)
		}
		out[i] = n
	}
	return out, nil
}

// gradOp is the gradient of a layer with respect to one of its inputs.
type gradOp[T Float] struct {
	layer *layerOp[T]
	input int

	out G.Value
	mem []T
}

func (o *gradOp[T]) Arity() int { return 2 }

func (o *gradOp[T]) Type() hm.Type {
	m := G.TensorType{Dims: 2, Of: dtype[T]()}
	if o.layer.scalar {
		return hm.NewFnType(dtype[T](), dtype[T](), m)
	}
	return hm.NewFnType(m, m, m)
}

func (o *gradOp[T]) InferShape(...G.DimSizer) (tensor.Shape, error) { return o.shape(), nil }

func (o *gradOp[T]) shape() tensor.Shape {
	if p := o.input - len(o.layer.acts); p >= 0 {
		return paramShape(o.layer.params[p])
	}
	return o.layer.shapes[o.input]
}

// Do computes all gradients of the layer if this forward pass has none yet.
func (o *gradOp[T]) Do(inputs ...G.Value) (G.Value, error) {
	l := o.layer
	if l.done != l.runs {
		dy := l.one[:]
		if l.scalar {
			switch v := inputs[1].Data().(type) {
			case float32:
				dy[0] = T(v)
			case float64:
				dy[0] = T(v)
			}
		} else {
			var err error
			if dy, err = values[T](inputs[1]); err != nil {
				return nil, fmt.Errorf("gradient of %s: %w", l.name, err)
			}
		}
		l.grads = l.backward(dy)
		l.done = l.runs
	}
	var mem []T
	if p := o.input - len(l.acts); p >= 0 {
		mem = l.params[p].Grad
	} else {
		mem = l.grads[o.input]
	}
	if o.out == nil || &o.mem[0] != &mem[0] {
		o.mem = mem
		o.out = wrap(mem, o.shape())
	}
	return o.out, nil
}

func (o *gradOp[T]) ReturnsPtr() bool     { return true }
func (o *gradOp[T]) CallsExtern() bool    { return false }
func (o *gradOp[T]) OverwritesInput() int { return -1 }
func (o *gradOp[T]) String() string       { return fmt.Sprintf("d%s/%d", o.layer, o.input) }
func (o *gradOp[T]) WriteHash(h hash.Hash) {
	_ = binary.Write(h, binary.LittleEndian, o.layer.id)
	_ = binary.Write(h, binary.LittleEndian, int64(o.input))
}
func (o *gradOp[T]) Hashcode() uint32 { return hashOf(o.WriteHash) }
