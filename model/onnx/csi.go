package onnx

import (
	"fmt"
	"math"
	"strings"

	"posefuse/model"
)

// csi writes the MetaFi++ encoder. The antennas share the trunk, so they are
// the images of one batch.
func (g *graph) csi(out, x value, w *weights, c model.CSIConfig) {
	const name, antennas = "csi", model.CSIAntennas
	g.scope = name + "/resize"
	x = g.reshape(x, -1, 1, model.CSISubcarriers, model.CSIPackets)
	rows := resizeMatrix(model.CSISubcarriers, c.Height)
	cols := resizeMatrix(model.CSIPackets, c.Width)
	x = g.op("MatMul", []value{x, g.floats("columns", transposed(cols, c.Width, model.CSIPackets), model.CSIPackets, c.Width)})
	x = g.op("MatMul", []value{g.floats("rows", rows, c.Height, model.CSISubcarriers), x})

	g.scope = name + "/stem"
	x = g.relu(g.conv(x, w.unit(name+".conv1", name+".bn1", 1, c.Base, 3).linear, 1, 3, 1))
	blocks := trunkBlocks(w, name, c)
	if w.int8 != nil {
		x = g.int8Trunk(x, w, blocks)
	} else {
		x = g.trunk(x, blocks)
	}
	h, wd := c.Height, c.Width
	for _, b := range blocks {
		h, wd = (h-1)/b.stride+1, (wd-1)/b.stride+1
	}
	ch := blocks[len(blocks)-1].out
	g.scope = name + "/tokens"
	tokens := h * wd * antennas
	x = g.reshape(x, -1, antennas, int64(ch), int64(h), int64(wd))
	x = g.reshape(g.transpose(x, 0, 3, 1, 4, 2), -1, int64(tokens), int64(ch))
	x = g.positions(x, w, name, tokens, ch)
	x = g.channelTransformer(x, w, name+".transformer", tokens, ch, c.Heads, c.MLP*ch)
	g.scope = name + "/projection"
	g.project(out, g.reshape(x, -1, int64(ch)), w, name+".projection", tokens, ch, model.FeatureDim)
}

// trunkBlock is a basic block of the trunk. Its input is shared by the first
// convolution and the shortcut, which is nil where the input is added as it is.
type trunkBlock struct {
	name            string // of its parameters
	in, out, stride int
	first, second   normed
	short           *normed
}

func trunkBlocks(w *weights, name string, c model.CSIConfig) []trunkBlock {
	var out []trunkBlock
	ch := c.Base
	for i, blocks := range c.Blocks {
		co := c.Base << i
		for j := range blocks {
			b := trunkBlock{name: fmt.Sprintf("%s.layer%d.%d", name, i+1, j), in: ch, out: co, stride: 1}
			if i > 0 && j == 0 {
				b.stride = 2
			}
			b.first = w.unit(b.name+".conv1", b.name+".bn1", ch, co, 3)
			b.second = w.unit(b.name+".conv2", b.name+".bn2", co, co, 3)
			if b.stride != 1 || ch != co {
				short := w.unit(b.name+".downsample.0", b.name+".downsample.1", ch, co, 1)
				b.short = &short
			}
			out = append(out, b)
			ch = co
		}
	}
	return out
}

// scope is that of the block's nodes.
func (b *trunkBlock) scope() string { return strings.ReplaceAll(b.name, ".", "/") }

// trunk writes the basic blocks in float32.
func (g *graph) trunk(x value, blocks []trunkBlock) value {
	for _, b := range blocks {
		g.scope = b.scope()
		id := x
		if b.short != nil {
			id = g.conv(x, b.short.linear, b.in, 1, b.stride)
		}
		y := g.relu(g.conv(x, b.first.linear, b.in, 3, b.stride))
		y = g.conv(y, b.second.linear, b.out, 3, 1)
		x = g.relu(g.add(y, id))
	}
	return x
}

// positions applies the batch normalisation of the joined antennas and adds
// the position embedding: one product and one sum.
func (g *graph) positions(x value, w *weights, name string, tokens, c int) value {
	bn := w.norm(name+".bn", c)
	pos := widen(w.get(name+".position_embedding", 1, tokens, c))
	for i := range pos {
		pos[i] += bn.shift[i%c]
	}
	x = g.mul(x, g.floats("scale", narrow(bn.scale), c))
	return g.add(x, g.floats("position", narrow(pos), tokens, c))
}

// channelTransformer is one layer whose attention runs across channels
// (model.md 2.4). x is [batch, tokens, c].
func (g *graph) channelTransformer(x value, w *weights, name string, tokens, c, heads, mlp int) value {
	g.scope = "csi/transformer/attention"
	y := g.layerNorm(x, w, name+".attention_norm", c, layerNormEps)
	matmul := func(x value, l linear) value {
		k := len(l.weight) / l.out
		return g.op("MatMul", []value{x, g.floats("weight", transposed(narrow(l.weight), l.out, k), k, l.out)})
	}
	one, zero := g.floats("one", ones(heads), heads), g.floats("zero", make([]float32, heads), heads)
	head := func(kind string, h int, scale float64) linear {
		l := w.lin(fmt.Sprintf("%s.channel_attn.%s.%d", name, kind, h), c, c, false)
		for i := range l.weight {
			l.weight[i] *= scale
		}
		return l
	}
	var maps, values []value
	for h := range heads {
		q := g.transpose(matmul(y, head("query", h, 1/math.Sqrt(float64(c)))), 0, 2, 1)
		k := matmul(y, head("key", h, 1))
		s := g.op("MatMul", []value{q, k})
		maps = append(maps, g.reshape(s, -1, 1, int64(c), int64(c)))
		// The mean over the heads is a factor of the values.
		values = append(values, g.reshape(matmul(y, head("value", h, 1/float64(heads))), -1, 1, int64(tokens), int64(c)))
	}
	s, v := maps[0], values[0]
	if heads > 1 {
		s = g.op("Concat", maps, attrInt("axis", 1))
		v = g.op("Concat", values, attrInt("axis", 1))
	}
	s = g.op("InstanceNormalization", []value{s, one, zero}, attrFloat("epsilon", instanceNormEps))
	s = g.op("Softmax", []value{s}, attrInt("axis", -1))
	ctx := g.op("MatMul", []value{v, g.transpose(s, 0, 1, 3, 2)})
	ctx = g.op("ReduceSum", []value{ctx, g.vector(1)}, attrInt("keepdims", 0))
	x = g.add(matmul(ctx, w.lin(name+".channel_attn.out", c, c, false)), x)

	g.scope = "csi/transformer/mlp"
	z := g.layerNorm(x, w, name+".ffn_norm", c, layerNormEps)
	f1, f2 := w.lin(name+".ffn.fc1", c, mlp, true), w.lin(name+".ffn.fc2", mlp, c, true)
	z = g.add(matmul(z, f1), g.floats("bias", narrow(f1.bias), mlp))
	z = g.add(matmul(g.gelu(z), f2), g.floats("bias", narrow(f2.bias), c))
	return g.layerNorm(g.add(z, x), w, name+".encoder_norm", c, layerNormEps)
}

// gelu is the exact unit x·½·(1 + erf(x/√2)), in the form that runtimes
// recognise.
func (g *graph) gelu(x value) value {
	e := g.op("Erf", []value{g.op("Div", []value{x, g.scalar("sqrt2", math.Sqrt2)})})
	return g.mul(g.mul(x, g.add(e, g.scalar("one", 1))), g.scalar("half", 0.5))
}

func ones(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 1
	}
	return x
}

func transposed(x []float32, rows, cols int) []float32 {
	y := make([]float32, len(x))
	for r := range rows {
		for c := range cols {
			y[c*rows+r] = x[r*cols+c]
		}
	}
	return y
}

// resizeMatrix is a bilinear resize along one axis as a matrix [out, in]:
// half-pixel centres, clamped edges.
func resizeMatrix(in, out int) []float32 {
	m := make([]float32, out*in)
	for i := range out {
		s := max((float64(i)+0.5)*float64(in)/float64(out)-0.5, 0)
		a := min(int(s), in-1)
		b := min(a+1, in-1)
		f := float32(s - float64(a))
		m[i*in+a] += 1 - f
		m[i*in+b] += f
	}
	return m
}
