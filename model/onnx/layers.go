package onnx

import (
	"fmt"
	"math"

	"posefuse/model"
)

const (
	batchNormEps    = 1e-5
	layerNormEps    = 1e-6
	instanceNormEps = 1e-5
)

// tensor is one parameter or running statistic of the network.
type tensor struct {
	shape []int
	value []float32
}

// weights gives the tensors of a network by name and keeps the first miss.
type weights struct {
	byName map[string]tensor
	int8   model.InputScales // of the convolutions that compute in int8; nil in float32
	err    error
}

func (w *weights) get(name string, shape ...int) []float32 {
	n := 1
	for _, d := range shape {
		n *= d
	}
	t, ok := w.byName[name]
	if ok && fmt.Sprint(t.shape) == fmt.Sprint(shape) {
		return t.value
	}
	if w.err == nil {
		w.err = fmt.Errorf("onnx export: the network has no tensor %q of shape %v, but %v", name, shape, t.shape)
	}
	return make([]float32, n)
}

// affine is a batch normalisation with its running statistics as one scale and
// shift per channel.
type affine struct{ scale, shift []float64 }

func (w *weights) norm(name string, c int) affine {
	weight, bias := w.get(name+".weight", c), w.get(name+".bias", c)
	mean, variance := w.get(name+".running_mean", c), w.get(name+".running_var", c)
	a := affine{make([]float64, c), make([]float64, c)}
	for i := range c {
		a.scale[i] = float64(weight[i]) / math.Sqrt(float64(variance[i])+batchNormEps)
		a.shift[i] = float64(bias[i]) - float64(mean[i])*a.scale[i]
	}
	return a
}

// linear is a weight [out, in], or a kernel whose first extent is out, and a
// bias, in float64 so that folding rounds once.
type linear struct {
	out    int
	weight []float64
	bias   []float64 // nil without
}

func newLinear(out int, weight, bias []float32) linear {
	l := linear{out: out, weight: widen(weight)}
	if bias != nil {
		l.bias = widen(bias)
	}
	return l
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// then returns the layer followed by a per-channel scale and shift.
func (l linear) then(a affine) linear {
	f := linear{out: l.out, weight: make([]float64, len(l.weight)), bias: make([]float64, l.out)}
	k := len(l.weight) / l.out
	for o := range l.out {
		for i := range k {
			f.weight[o*k+i] = l.weight[o*k+i] * a.scale[o]
		}
		f.bias[o] = a.shift[o]
		if l.bias != nil {
			f.bias[o] += l.bias[o] * a.scale[o]
		}
	}
	return f
}

// normed is a layer with the batch normalisation behind it folded in, and what
// the normalisation made of the data it was trained on: a mean and a standard
// deviation per output.
type normed struct {
	linear
	mean, deviation []float32
}

// unit reads a convolution [out, in, k, k] and its batch normalisation.
func (w *weights) unit(conv, norm string, in, out, k int) normed {
	n := normed{linear: newLinear(out, w.get(conv+".weight", out, in, k, k), nil).then(w.norm(norm, out))}
	n.mean, n.deviation = w.get(norm+".bias", out), w.get(norm+".weight", out) // of either sign
	return n
}

// scaleOnly drops the shift, for one of several terms of a sum.
func (a affine) scaleOnly() affine { return affine{a.scale, make([]float64, len(a.shift))} }

// columns returns the part of the layer that reads inputs lo..hi-1.
func (l linear) columns(lo, hi int) linear {
	k := len(l.weight) / l.out
	p := linear{out: l.out, bias: l.bias}
	for o := range l.out {
		p.weight = append(p.weight, l.weight[o*k+lo:o*k+hi]...)
	}
	return p
}

// lin reads the linear layer of the network with that name.
func (w *weights) lin(name string, in, out int, bias bool) linear {
	var b []float32
	if bias {
		b = w.get(name+".bias", out)
	}
	return newLinear(out, w.get(name+".weight", out, in), b)
}

// gemm applies a linear layer to rows, [rows, in] to [rows, out].
func (g *graph) gemm(x value, l linear) value { return g.gemmTo("", x, l) }

func (g *graph) gemmTo(out value, x value, l linear) value {
	in := []value{x, g.floats("weight", narrow(l.weight), l.out, len(l.weight)/l.out)}
	if l.bias != nil {
		in = append(in, g.floats("bias", narrow(l.bias), l.out))
	}
	if out == "" {
		out = value(g.name("Gemm"))
	}
	return g.opTo(out, "Gemm", in, attrInt("transB", 1))
}

// gemmPlus is gemm without the layer's bias, added to rows of the same shape.
func (g *graph) gemmPlus(x value, l linear, rows value) value {
	w := g.floats("weight", narrow(l.weight), l.out, len(l.weight)/l.out)
	return g.op("Gemm", []value{x, w, rows}, attrInt("transB", 1))
}

// conv convolves images [n, in, h, w] with a square kernel, padding kernel/2.
func (g *graph) conv(x value, l linear, in, kernel, stride int) value {
	w := g.floats("weight", narrow(l.weight), l.out, in, kernel, kernel)
	b := g.floats("bias", narrow(l.bias), l.out)
	return g.convolve([]value{x, w, b}, kernel, stride)
}

// convolve adds the node of a convolution of an input by weights and a bias.
func (g *graph) convolve(in []value, kernel, stride int) value {
	k, s, p := int64(kernel), int64(stride), int64(kernel/2)
	return g.op("Conv", in, attrInts("kernel_shape", k, k), attrInts("strides", s, s), attrInts("pads", p, p, p, p))
}

// layerNorm normalises the last axis, of c values.
func (g *graph) layerNorm(x value, w *weights, name string, c int, eps float32) value {
	return g.op("LayerNormalization", []value{x, g.floats("weight", w.get(name+".weight", c), c), g.floats("bias", w.get(name+".bias", c), c)},
		attrInt("axis", -1), attrFloat("epsilon", eps))
}

// project ends an encoder: the mean over positions, two linear layers. x is
// [batch·positions, c]; the result is named.
func (g *graph) project(out value, x value, w *weights, name string, positions, c, width int) value {
	if positions > 1 {
		x = g.reshape(x, -1, int64(positions), int64(c))
		x = g.op("ReduceMean", []value{x}, attrInts("axes", 1), attrInt("keepdims", 0))
	}
	x = g.relu(g.gemm(x, w.lin(name+".0", c, c/2, false)))
	return g.gemmTo(out, x, w.lin(name+".2", c/2, width, false))
}
