package onnx

import (
	"fmt"
	"math"

	"posefuse/model"
	"posefuse/sensors/modality"
)

const encoderLayerEps = 1e-5

// fusion is what the fusion head gets: the features of the modalities that are
// written, and which of the network's modalities those are.
type fusion struct {
	features []value
	all      modality.Set // of the network
	written  modality.Set
}

// slots is the number of features the head was trained on.
func (f fusion) slots() int { return len(f.all.String()) }

// head writes the fusion head, whose result is the pose. Modalities that are
// not written count as zero features.
func (g *graph) head(kind string, f fusion, w *weights) error {
	g.scope = "head"
	switch kind {
	case model.ConcatHead:
		g.gemmTo(PoseOutput, g.joined(f), f.present(w.lin("head.fc", f.slots()*model.FeatureDim, model.OutputDim, true)))
	case model.MLPHead:
		g.mlpHead(f, w)
	case model.AttentionHead:
		g.attentionHead(f, w)
	case model.PrecisionHead:
		g.precisionHead(PoseOutput, f, w)
	case model.ReprojectionHead:
		g.reprojectionHead(f, w)
	default:
		return fmt.Errorf("onnx export: head %q: this build exports %s, %s, %s, %s and %s", kind, model.ConcatHead, model.MLPHead, model.AttentionHead, model.PrecisionHead, model.ReprojectionHead)
	}
	return nil
}

// joined lays the features side by side.
func (g *graph) joined(f fusion) value {
	if len(f.features) == 1 {
		return f.features[0]
	}
	return g.op("Concat", f.features, attrInt("axis", 1))
}

// present keeps the columns of a layer on all features that read written ones.
func (f fusion) present(full linear) linear {
	l := linear{out: full.out, bias: full.bias}
	n := f.slots()
	for o := range full.out {
		slot := 0
		for m := range modality.Count {
			if !f.all.Has(m) {
				continue
			}
			if f.written.Has(m) {
				at := (o*n + slot) * model.FeatureDim
				l.weight = append(l.weight, full.weight[at:at+model.FeatureDim]...)
			}
			slot++
		}
	}
	return l
}

// mlpHead writes linear layers with rectifiers between them.
func (g *graph) mlpHead(f fusion, w *weights) {
	var layers []linear
	for in := f.slots() * model.FeatureDim; ; {
		name := fmt.Sprintf("head.mlp.%d", 2*len(layers))
		t, ok := w.byName[name+".weight"]
		if !ok {
			break
		}
		out := t.shape[0]
		layers = append(layers, w.lin(name, in, out, true))
		in = out
	}
	if len(layers) == 0 {
		w.lin("head.mlp.0", f.slots()*model.FeatureDim, model.OutputDim, true) // keeps the error
		return
	}
	layers[0] = f.present(layers[0])
	x, last := g.joined(f), len(layers)-1
	for _, l := range layers[:last] {
		x = g.relu(g.gemm(x, l))
	}
	g.gemmTo(PoseOutput, x, layers[last])
}

// precisionHead writes to the value to, or to a value of its own, the mean, weighted by
// precision, of what the modalities and the constant say.
func (g *graph) precisionHead(to value, f fusion, w *weights) value {
	const out = model.OutputDim
	prior := make([]float32, out)
	for i, log := range w.get("head.prior", 1, out) {
		prior[i] = float32(math.Exp(float64(log)))
	}
	total := g.floats("prior", prior, out)
	var sum value
	slot, next := 0, 0
	for m := range modality.Count {
		if !f.all.Has(m) {
			continue
		}
		if f.written.Has(m) {
			said := g.gemm(f.features[next], w.lin(fmt.Sprintf("head.%d", slot), model.FeatureDim, 2*out, true))
			next++
			log := g.op("Clip", []value{g.slice(said, 1, out, 2*out), g.scalar("least", -model.MaxLogPrecision), g.scalar("most", model.MaxLogPrecision)})
			weight := g.op("Exp", []value{log})
			part := g.mul(weight, g.slice(said, 1, 0, out))
			if total = g.add(weight, total); sum == "" {
				sum = part
			} else {
				sum = g.add(sum, part)
			}
		}
		slot++
	}
	mean := g.op("Div", []value{sum, total})
	if to == "" {
		to = value(g.name("Add"))
	}
	return g.opTo(to, "Add", []value{mean, g.floats("bias", w.get("head.bias", out), out)})
}

// attentionHead writes transformer encoder layers on one token per modality of
// the network; those that are not written are tokens of zeros.
func (g *graph) attentionHead(f fusion, w *weights) {
	const c = model.FeatureDim
	n, next := f.slots(), 0
	var tokens []value
	for m := range modality.Count {
		switch {
		case f.written.Has(m):
			tokens = append(tokens, f.features[next])
			next++
		case f.all.Has(m):
			tokens = append(tokens, g.op("ConstantOfShape", []value{g.op("Shape", []value{f.features[0]})}))
		}
	}
	x := tokens[0]
	if n > 1 {
		x = g.op("Concat", tokens, attrInt("axis", 1))
	}
	x = g.reshape(x, -1, c)
	for i := 0; ; i++ {
		name := fmt.Sprintf("head.layers.%d", i)
		t, ok := w.byName[name+".linear1.weight"]
		if !ok {
			break
		}
		g.scope = fmt.Sprintf("head/layer%d", i)
		x = g.encoderLayer(x, w, name, n, t.shape[0])
	}
	g.scope = "head"
	if n > 1 {
		x = g.op("ReduceMean", []value{g.reshape(x, -1, int64(n), c)}, attrInts("axes", 1), attrInt("keepdims", 0))
	}
	g.gemmTo(PoseOutput, x, w.lin("head.fc", c, model.OutputDim, true))
}

// encoderLayer writes a transformer encoder layer with the norms after the
// sums. x is [batch·tokens, 256].
func (g *graph) encoderLayer(x value, w *weights, name string, tokens, hidden int) value {
	const c, heads = model.FeatureDim, model.AttentionHeads
	in := w.lin(name+".self_attn.in_proj", c, 3*c, true)
	scale := 1 / math.Sqrt(c/heads)
	for i := range c { // the rows of the queries
		in.bias[i] *= scale
		for j := range c {
			in.weight[i*c+j] *= scale
		}
	}
	qkv := g.reshape(g.gemm(x, in), -1, int64(tokens), 3, heads, c/heads)
	part := g.opN("Split", 3, []value{g.transpose(qkv, 2, 0, 3, 1, 4)}, attrInt("axis", 0))
	s := g.op("MatMul", []value{part[0], g.transpose(part[1], 0, 1, 2, 4, 3)})
	s = g.op("Softmax", []value{s}, attrInt("axis", -1))
	y := g.transpose(g.op("MatMul", []value{s, part[2]}), 0, 1, 3, 2, 4)
	y = g.gemm(g.reshape(y, -1, c), w.lin(name+".self_attn.out_proj", c, c, true))
	x = g.layerNorm(g.add(x, y), w, name+".norm1", c, encoderLayerEps)
	y = g.relu(g.gemm(x, w.lin(name+".linear1", c, hidden, true)))
	y = g.gemm(y, w.lin(name+".linear2", hidden, c, true))
	return g.layerNorm(g.add(x, y), w, name+".norm2", c, encoderLayerEps)
}
