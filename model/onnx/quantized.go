package onnx

import (
	"fmt"
	"math"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// int8Scales returns the input scales of the convolutions that the options want
// in int8, nil in float32.
func int8Scales(net *model.Network, mask modality.Set, opt Options) (model.InputScales, error) {
	switch opt.lower() {
	case "":
		return nil, nil
	case model.Int8:
	default:
		return nil, fmt.Errorf("onnx export: precision %q: use %s or %s", opt.Precision, model.Float32, model.Int8)
	}
	if !mask.Has(modality.CSI) {
		return nil, fmt.Errorf("onnx export: precision %s concerns the csi encoder, which modalities %s leave out: export in %s", model.Int8, mask, model.Float32)
	}
	scales := opt.InputScales
	if q := net.Quantization(); scales == nil && q != nil {
		scales = q.InputScales
	}
	if len(scales) == 0 {
		return nil, fmt.Errorf("onnx export: %w", &model.NotCalibratedError{Precision: model.Int8})
	}
	return scales, nil
}

// scale returns the input scale of a convolution and keeps the first that is
// missing or no scale.
func (w *weights) scale(conv string) float32 {
	const least, most = 1e-20, 1e20 // those of a card
	v := w.int8[conv]
	if !(v >= least && v <= most) && w.err == nil {
		w.err = fmt.Errorf("onnx export: convolution %q has input scale %v, want one from %g to %g: run posefuse models quantize --mode int8 again", conv, v, least, most)
	}
	return v
}

// levels is what a uint8 distinguishes beside zero.
const levels = 255

// activation is how a tensor of activations is stored in eight bits: value =
// scale · (stored − zero).
type activation struct {
	scale float32
	zero  uint8
}

// interval is a range of values.
type interval struct{ lo, hi float64 }

// activation returns the storage that reaches over the interval; zero is exact.
func (r interval) activation() activation {
	lo, hi := min(r.lo, 0), max(r.hi, 0)
	scale := (hi - lo) / levels
	if !(scale > 1e-20) {
		scale = 1
	}
	return activation{float32(scale), uint8(min(levels, math.Round(-lo/scale)))}
}

func (r interval) and(s interval) interval { return interval{max(r.lo, s.lo), min(r.hi, s.hi)} }

// expected is where a convolution's outputs lie by the statistics of its batch
// normalisation: so many standard deviations from the mean.
func (n *normed) expected() interval {
	const deviations = 5
	var r interval
	for i, m := range n.mean {
		d := deviations * math.Abs(float64(n.deviation[i]))
		r.lo, r.hi = min(r.lo, float64(m)-d), max(r.hi, float64(m)+d)
	}
	return r
}

// quantize rounds to eight bits and back, which a runtime takes as the border
// of integer arithmetic.
func (g *graph) quantize(x value, a activation) value {
	scale, zero := g.scalar("scale", a.scale), constant(g, "zero", []uint8{a.zero})
	return g.op("DequantizeLinear", []value{g.op("QuantizeLinear", []value{x, scale, zero}), scale, zero})
}

// int8Conv is conv with weights of eight bits, a scale per output channel, and a
// bias of whole steps. x is quantized with the scale inScale.
func (g *graph) int8Conv(x value, inScale float32, l linear, in, kernel, stride int) value {
	q, scale, bias := roundWeights(l, inScale)
	step := make([]float32, l.out)
	for o, s := range scale {
		step[o] = s * inScale
	}
	axis := attrInt("axis", 0)
	w := g.op("DequantizeLinear", []value{constant(g, "weight", q, l.out, in, kernel, kernel), g.floats("scale", scale, l.out), constant(g, "zero", make([]int8, l.out), l.out)}, axis)
	b := g.op("DequantizeLinear", []value{constant(g, "bias", bias, l.out), g.floats("step", step, l.out), constant(g, "zero", make([]int32, l.out), l.out)}, axis)
	return g.convolve([]value{x, w, b}, kernel, stride)
}

// roundWeights rounds a layer as the daemon does: each output's largest weight
// is 127 steps. The bias is counted in steps of the sums; where they are so
// small that it would not fit they grow.
func roundWeights(l linear, inScale float32) (q []int8, scale []float32, bias []int32) {
	const most = 1 << 30
	k := len(l.weight) / l.out
	q, scale, bias = make([]int8, len(l.weight)), make([]float32, l.out), make([]int32, l.out)
	for o := range l.out {
		row := l.weight[o*k : (o+1)*k]
		var top float64
		for _, v := range row {
			top = max(top, math.Abs(v))
		}
		s := max(top/127, math.Abs(l.bias[o])/float64(inScale)/most, 1e-30/float64(inScale), 1e-30)
		scale[o] = float32(s)
		for i, v := range row {
			q[o*k+i] = int8(math.RoundToEven(v / s))
		}
		bias[o] = int32(math.RoundToEven(l.bias[o] / (s * float64(inScale))))
	}
	return q, scale, bias
}

// int8Trunk writes the basic blocks with convolutions in int8. Between blocks a
// runtime is fast only in eight bits, so what a block adds up is rounded, too,
// where the daemon keeps float32.
func (g *graph) int8Trunk(x value, w *weights, blocks []trunkBlock) value {
	for i, b := range blocks {
		g.scope = b.scope()
		first, second := w.scale(b.name+".conv1"), w.scale(b.name+".conv2")
		x = g.quantize(x, activation{scale: first})
		y := g.relu(g.int8Conv(x, first, b.first.linear, b.in, 3, b.stride))
		y = g.int8Conv(g.quantize(y, activation{scale: second}), second, b.second.linear, b.out, 3, 1)
		top := math.Inf(1) // of the sum: what the next block can read
		if i+1 < len(blocks) {
			top = levels * float64(w.scale(blocks[i+1].name+".conv1"))
		}
		of := b.second.expected()
		if b.short == nil {
			y = g.quantize(y, of.and(termOf(top, interval{0, levels * float64(first)})).activation())
			x = g.relu(g.add(y, x))
			continue
		}
		short := b.short.expected()
		y = g.quantize(y, of.and(termOf(top, short)).activation())
		id := g.quantize(g.int8Conv(x, first, b.short.linear, b.in, 1, b.stride), short.and(termOf(top, of)).activation())
		x = g.relu(g.add(y, id))
	}
	return x
}

// termOf is where one term of a sum makes a difference, if the sum counts from 0
// to top and the other term lies in an interval.
func termOf(top float64, other interval) interval { return interval{-other.hi, top - other.lo} }
