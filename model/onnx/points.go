package onnx

import (
	"bytes"
	"fmt"
	"math"

	"posefuse/model"
)

// sharedPlanes is how many channel groups share one attention weight.
const sharedPlanes = 8

// cloud is one resolution of the point clouds of a batch.
type cloud struct {
	n      int
	pos    value // [batch·n, 3]
	dist   value // [batch, n, n] squared distances
	self   value // [batch, n, k] nearest neighbours, indices within the cloud
	k      int
	chosen bool // in the order of farthest-point sampling
}

// batching turns indices within a cloud into rows of the whole batch.
type batching struct {
	dim     dimension
	samples value // [batch] 0, 1, 2 …; empty for a batch of one
}

// points writes a point transformer encoder. x is [batch, points, dim]; the
// first three of a point's values are its position.
//
// Sampling is done once. The points that farthest-point sampling chooses from
// points in the order of an earlier sampling are the first ones, so every
// later level is the beginning of the one before it, and the neighbours of its
// points are rows that are there already.
func (g *graph) points(out, x value, w *weights, name string, c model.PointsConfig, dim, batch int) {
	g.scope = name + "/cloud"
	b := g.batching(x, batch)
	level := cloud{n: c.Points, pos: x}
	if dim > 3 {
		level.pos = g.slice(x, 2, 0, 3)
	}
	level.dist = g.distances(level.pos)
	level.pos = g.reshape(level.pos, -1, 3)
	feat := g.reshape(x, -1, int64(dim))
	cin := dim
	for i, planes := range c.Planes {
		stage := fmt.Sprintf("%s.stages.%d", name, i)
		g.scope = fmt.Sprintf("%s/stage%d/down", name, i)
		down := w.lin(stage+".down.linear", cin+downInputs(c.Strides[i]), planes, false).then(w.norm(stage+".down.bn", planes))
		if c.Strides[i] == 1 {
			feat = g.relu(g.gemm(feat, down))
		} else {
			level, feat = g.transitionDown(level, feat, down, b, c.Strides[i], c.Neighbours[i])
		}
		g.scope = fmt.Sprintf("%s/stage%d/neighbours", name, i)
		if k := min(c.Neighbours[i], level.n); level.self == "" || k != level.k {
			level.k, level.self = k, g.nearest(level.dist, k)
		}
		g.scope = fmt.Sprintf("%s/stage%d/block", name, i)
		feat = g.pointBlock(level, feat, w, stage+".block", b, planes)
		cin = planes
	}
	g.scope = name + "/projection"
	g.project(out, feat, w, name+".projection", level.n, cin, model.FeatureDim)
}

// downInputs is how many position values a transition reads beside features.
func downInputs(stride int) int {
	if stride == 1 {
		return 0
	}
	return 3
}

func (g *graph) batching(x value, batch int) batching {
	b := batching{dim: batchDim(batch)[0]}
	switch batch {
	case 1:
	case 0:
		n := g.op("Gather", []value{g.op("Shape", []value{x}), g.index(0)}, attrInt("axis", 0))
		b.samples = g.op("Range", []value{g.index(0), n, g.index(1)})
	default:
		v := make([]int64, batch)
		for i := range v {
			v[i] = int64(i)
		}
		b.samples = g.vector(v...)
	}
	return b
}

// rows turns indices [batch, …] within clouds of n points into row numbers of
// the same shape.
func (g *graph) rows(index value, b batching, n int, shape ...int64) value {
	if b.samples == "" {
		return index
	}
	offset := g.mul(b.samples, g.index(int64(n)))
	return g.add(index, g.reshape(offset, append([]int64{-1}, shape...)...))
}

// distances returns the squared distances of all pairs, [batch, n, n], added
// up in the order x, y, z as package nn does: other roundings would choose
// other neighbours.
func (g *graph) distances(pos value) value {
	p := g.opN("Split", 3, []value{pos}, attrInt("axis", 2))
	q := g.opN("Split", 3, []value{g.transpose(pos, 0, 2, 1)}, attrInt("axis", 1))
	var sum value
	for i := range p {
		d := g.sub(p[i], q[i])
		if d = g.mul(d, d); i == 0 {
			sum = d
		} else {
			sum = g.add(sum, d)
		}
	}
	return sum
}

// nearest returns the k nearest of each row, nearest first, ties by lower
// index, as TopK is defined.
func (g *graph) nearest(dist value, k int) value {
	return g.opN("TopK", 2, []value{dist, g.vector(int64(k))}, attrInt("axis", -1), attrInt("largest", 0), attrInt("sorted", 1))[1]
}

// farthest returns the indices [batch, m] of m points by farthest-point
// sampling from point 0, the first of equals. The loop takes one row of the
// distances per step.
func (g *graph) farthest(dist value, b batching, n, m int) value {
	flat := g.reshape(dist, -1, int64(n))
	far := g.floats("infinite", infinite(n), 1, n)
	start := g.vector(0)
	var offset value
	if b.samples != "" {
		count := g.op("Shape", []value{b.samples})
		far = g.op("Expand", []value{far, g.op("Concat", []value{count, g.vector(int64(n))}, attrInt("axis", 0))})
		start = g.op("Expand", []value{start, count})
		offset = g.mul(b.samples, g.index(int64(n)))
	}
	body := &graph{count: g.count, scope: g.scope + "/loop", ints: map[string]value{}}
	body.input(body.name("iteration"), elementInt64, nil)
	going := body.input(body.name("condition"), elementBool, nil)
	near := body.input(body.name("distance"), elementFloat, []dimension{b.dim, {n: int64(n)}})
	last := body.input(body.name("last"), elementInt64, []dimension{b.dim})
	row := last
	if offset != "" {
		row = body.add(last, offset) // values of the outer graph are visible
	}
	nearer := body.op("Min", []value{near, body.gather(flat, row, 0)})
	next := body.op("ArgMax", []value{nearer}, attrInt("axis", 1), attrInt("keepdims", 0))
	body.output(body.op("Identity", []value{going}), elementBool, nil)
	body.output(nearer, elementFloat, []dimension{b.dim, {n: int64(n)}})
	body.output(next, elementInt64, []dimension{b.dim})
	body.output(body.op("Identity", []value{last}), elementInt64, []dimension{b.dim})
	loop := g.opN("Loop", 3, []value{g.index(int64(m)), "", far, start}, attrGraph("body", bytes.Join(body.parts(body.name("body")), nil)))
	return g.transpose(loop[2], 1, 0)
}

func infinite(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.Inf(1))
	}
	return x
}

// transitionDown thins the cloud by stride and gives each point the maximum
// over its neighbours in the denser cloud. The layer on [p_j - p_i, x_j] is
// applied once per point j, the centre's part subtracted afterwards: that, the
// shift and the rectifier grow with their argument, so the maximum comes first.
func (g *graph) transitionDown(from cloud, feat value, l linear, b batching, stride, neighbours int) (cloud, value) {
	to := cloud{n: from.n / stride, chosen: true}
	k := min(neighbours, from.n)
	position := linear{out: l.out, weight: l.columns(0, 3).weight}
	in := len(l.weight) / l.out
	part := g.gemm(from.pos, position)            // [batch·from.n, c]
	u := g.gemmPlus(feat, l.columns(3, in), part) // [batch·from.n, c]
	var near, centre value
	if from.chosen {
		to.pos = g.first(from.pos, from.n, to.n, 3, b)
		centre = g.first(part, from.n, to.n, l.out, b)
		rows := g.slice(from.dist, 1, 0, to.n)
		to.dist = g.slice(rows, 2, 0, to.n)
		if k <= from.k {
			near = g.slice(from.self, 1, 0, to.n)
			if k < from.k {
				near = g.slice(near, 2, 0, k)
			}
		} else {
			near = g.nearest(rows, k)
		}
	} else {
		chosen := g.rows(g.farthest(from.dist, b, from.n, to.n), b, from.n, 1)
		to.pos = g.reshape(g.gather(from.pos, chosen, 0), -1, 3)
		centre = g.reshape(g.gather(part, chosen, 0), -1, int64(l.out))
		near = g.nearest(g.gather(g.reshape(from.dist, -1, int64(from.n)), chosen, 0), k)
		to.dist = g.distances(g.reshape(to.pos, -1, int64(to.n), 3))
	}
	rows := g.reshape(g.rows(near, b, from.n, 1, 1), -1, int64(k))
	top := g.op("ReduceMax", []value{g.gather(u, rows, 0)}, attrInts("axes", 1), attrInt("keepdims", 0))
	centre = g.sub(centre, g.floats("shift", narrow(l.bias), l.out))
	return to, g.relu(g.sub(top, centre))
}

// first takes the first m of every n rows of c values.
func (g *graph) first(x value, n, m, c int, b batching) value {
	if b.samples == "" {
		return g.slice(x, 0, 0, m)
	}
	x = g.slice(g.reshape(x, -1, int64(n), int64(c)), 1, 0, m)
	return g.reshape(x, -1, int64(c))
}

// pointBlock is vector attention over the nearest neighbours (model.md 2.2).
// Normalisations become part of the linear layers before them: that of the
// attention weights scales q, κ and the position encoding alike; that of the
// output scales values and encoding, and its shift passes through the weighted
// mean, whose weights add up to one.
func (g *graph) pointBlock(l cloud, x value, w *weights, name string, b batching, c int) value {
	cs := c / sharedPlanes
	lin := func(n string, in, out int, bias bool) linear { return w.lin(name+"."+n, in, out, bias) }
	y := g.relu(g.gemm(x, lin("linear1", c, c, false).then(w.norm(name+".bn1", c))))
	weigh, result := w.norm(name+".attn.bn_w1", c), w.norm(name+".bn2", c)
	encode := lin("attn.p2", 3, c, true)

	rows := g.rows(l.self, b, l.n, 1, 1)
	flat := g.reshape(rows, -1)
	rel := g.sub(g.gather(g.reshape(l.pos, -1, 3), g.reshape(rows, -1, int64(l.k)), 0), g.reshape(l.pos, -1, 1, 3))
	r := g.relu(g.gemm(g.reshape(rel, -1, 3), lin("attn.p1", 3, 3, true).then(w.norm(name+".attn.bn_p", 3))))

	// The encoding's bias and the shift move into the gathered terms.
	we := encode.then(weigh)
	key := lin("attn.k", c, c, true).then(weigh.scaleOnly())
	addTo(key.bias, we.bias)
	att := g.gemmPlus(r, we, g.gather(g.gemm(y, key), flat, 0))
	query := g.reshape(g.gemm(y, lin("attn.q", c, c, true).then(weigh.scaleOnly())), -1, 1, int64(c))
	att = g.relu(g.sub(g.reshape(att, -1, int64(l.k), int64(c)), query))
	att = g.relu(g.gemm(g.reshape(att, -1, int64(c)), lin("attn.w1", c, cs, true).then(w.norm(name+".attn.bn_w2", cs))))
	att = g.gemm(att, lin("attn.w2", cs, cs, true))
	att = g.op("Softmax", []value{g.reshape(att, -1, int64(l.k), int64(cs))}, attrInt("axis", 1))

	ve := encode.then(result.scaleOnly())
	v := lin("attn.v", c, c, true).then(result)
	addTo(v.bias, ve.bias)
	val := g.gemmPlus(r, ve, g.gather(g.gemm(y, v), flat, 0))
	// A product with ones and zeros repeats the weights for the groups; to
	// broadcast over rows as short as these takes runtimes several times longer.
	all := g.gemm(g.reshape(att, -1, int64(cs)), repeat(cs, c))
	o := g.op("ReduceSum", []value{g.reshape(g.mul(val, all), -1, int64(l.k), int64(c)), g.vector(1)}, attrInt("keepdims", 0))
	o = g.relu(o)
	o = g.gemm(o, lin("linear3", c, c, false).then(w.norm(name+".bn3", c)))
	return g.relu(g.add(o, x))
}

// repeat is the layer that repeats n inputs until there are c.
func repeat(n, c int) linear {
	l := linear{out: c, weight: make([]float64, c*n)}
	for o := range c {
		l.weight[o*n+o%n] = 1
	}
	return l
}

func addTo(x, y []float64) {
	for i, v := range y {
		x[i] += v
	}
}
