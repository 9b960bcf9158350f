package keypoint

import (
	"math"

	"posefuse/model/nn/kernel"
)

// Feature maps are row-major [height, width, channels], as the graph's.

// activation bounds the values of a layer.
type activation struct{ low, high float32 }

var (
	linear = activation{float32(math.Inf(-1)), float32(math.Inf(1))}
	relu   = activation{0, float32(math.Inf(1))}
	relu6  = activation{0, 6}
)

// pointwise is a 1 x 1 convolution: a product of every cell's features with one
// matrix.
type pointwise struct {
	in, out  int
	weights  kernel.PackedB[float32]
	epilogue kernel.Epilogue[float32]
}

func newPointwise(w *weights, name string, in int, act activation) *pointwise {
	m := w.matrix(name+".weight", in, 0)
	p := &pointwise{in: in, out: len(m) / in}
	p.weights.PackB(false, in, p.out, m, p.out)
	p.epilogue = kernel.Epilogue[float32]{Bias: w.vector(name+".bias", p.out), ReLU: act.low == 0}
	if act == relu6 {
		p.epilogue.Cap = act.high
	}
	return p
}

// apply computes n cells; add, if not nil, is added to the result.
func (p *pointwise) apply(n int, x, y, add []float32) {
	e := p.epilogue
	e.Add, e.LdAdd = add, p.out
	kernel.GemmPackedAlone(n, x, p.in, &p.weights, 0, y, p.out, e)
}

// depthwise is a 3 x 3 convolution of each channel for itself.
type depthwise struct {
	stride  int
	filters kernel.PackedDepthwise
	act     activation
}

// newDepthwise makes one for maps of the given width. It has a bias if the
// file has.
func newDepthwise(w *weights, name string, channels, width, stride int, act activation) *depthwise {
	d := &depthwise{stride: stride, act: act}
	var bias []float32
	if w.has(name + ".bias") {
		bias = w.vector(name+".bias", channels)
	}
	d.filters.Pack(channels, width, stride, w.matrix(name+".weight", 9, channels), bias)
	return d
}

// under returns the three image rows under output row o of a map of h rows, nil
// for those outside. at gives a row.
func (d *depthwise) under(o, h int, at func(row int) []float32) (rows [3][]float32) {
	first := o - 1
	if d.stride == 2 {
		first = 2 * o // the padding is behind
	}
	for k := range rows {
		if r := first + k; r >= 0 && r < h {
			rows[k] = at(r)
		}
	}
	return rows
}

// stage is what makes the input rows of a residual block's depthwise layer.
type stage interface {
	// rows computes rows lo to hi-1 of its map, one behind the other.
	rows(lo, hi int, y []float32)
}

// expand is the stage of most blocks: a pointwise layer over the block's input.
type expand struct {
	layer *pointwise
	width int
	x     []float32
}

// rows implements stage.
func (e *expand) rows(lo, hi int, y []float32) {
	e.layer.apply((hi-lo)*e.width, e.x[lo*e.width*e.layer.in:], y, nil)
}

// residual is MobileNetV2's inverted residual block: expand, depthwise, project,
// and the input added where the shapes agree. It works band by band of output
// rows, so that what is between the layers stays in the cache.
type residual struct {
	expand  stage
	depth   *depthwise
	project *pointwise
	h, w    int // of the expanded map
	band    int // output rows at a time
	add     []float32
	y       []float32 // the block's output

	ring  []float32 // expanded rows; row r lies at r % slots
	slots int
	mid   []float32 // a band behind the depthwise layer
}

// bandBytes is about how much the bands of a block take; half of a small
// second-level cache.
const bandBytes = 256 << 10

// newResidual joins the layers of a block whose expanded map is h x w.
func newResidual(e stage, depth *depthwise, project *pointwise, h, w int, add []float32) *residual {
	b := &residual{expand: e, depth: depth, project: project, h: h, w: w, add: add}
	row := w * depth.filters.C
	out := h / depth.stride
	b.band = max(bandBytes/(4*row)-2, 2*depth.stride) / depth.stride
	b.band = min(b.band, out)
	b.slots = min(depth.stride*b.band+2, h)
	b.ring = make([]float32, b.slots*row)
	b.mid = make([]float32, b.band*w/depth.stride*depth.filters.C)
	b.y = make([]float32, out*(w/depth.stride)*project.out)
	return b
}

func (b *residual) run() {
	c := b.depth.filters.C
	row, wo, out := b.w*c, b.w/b.depth.stride, b.h/b.depth.stride
	at := func(r int) []float32 { return b.ring[r%b.slots*row:][:row] }
	have := 0 // expanded rows so far
	for o := 0; o < out; o += b.band {
		n := min(b.band, out-o)
		need := min(b.depth.stride*(o+n-1)+1+b.depth.stride, b.h)
		for have < need { // in one piece, or two around the ring's end
			slot := have % b.slots
			k := min(need-have, b.slots-slot)
			b.expand.rows(have, have+k, b.ring[slot*row:])
			have += k
		}
		for i := range n {
			rows := b.depth.under(o+i, b.h, at)
			b.depth.filters.Row(wo, &rows, b.mid[i*wo*c:], b.depth.act.low, b.depth.act.high)
		}
		from := o * wo * b.project.out
		var add []float32
		if b.add != nil {
			add = b.add[from:]
		}
		b.project.apply(n*wo, b.mid, b.y[from:], add)
	}
}

// separable is a depthwise layer and a pointwise one behind it, band by band.
type separable struct {
	depth   *depthwise
	project *pointwise
	h, w    int
	x       []float32
	mid, y  []float32
}

func newSeparable(depth *depthwise, project *pointwise, h, w int, x []float32) *separable {
	return &separable{depth: depth, project: project, h: h, w: w, x: x,
		mid: make([]float32, w*project.in), y: make([]float32, h*w*project.out)}
}

func (s *separable) run() {
	row := s.w * s.project.in
	at := func(r int) []float32 { return s.x[r*row:][:row] }
	for o := range s.h {
		rows := s.depth.under(o, s.h, at)
		s.depth.filters.Row(s.w, &rows, s.mid, s.depth.act.low, s.depth.act.high)
		s.project.apply(s.w, s.mid, s.y[o*s.w*s.project.out:], nil)
	}
}

// addUpsampled adds x [h, w, c], doubled by bilinear interpolation with half
// pixel centres, to y [2*h, 2*w, c]. row has room for w*c values.
func addUpsampled(h, w, c int, x, y, row []float32) {
	for oy := range 2 * h {
		near, far := x[oy/2*w*c:][:w*c], x[neighbour(oy, h)*w*c:][:w*c]
		for i := range row[:w*c] {
			row[i] = 0.75*near[i] + 0.25*far[i]
		}
		out := y[oy*2*w*c:][:2*w*c]
		for ox := range 2 * w {
			a, b, to := row[ox/2*c:][:c], row[neighbour(ox, w)*c:][:c], out[ox*c:][:c]
			for i := range to {
				to[i] += 0.75*a[i] + 0.25*b[i]
			}
		}
	}
}

// neighbour returns the second of the two places that a doubled map's place o
// lies between, the first being o/2; at the border they are one.
func neighbour(o, n int) int {
	if o%2 == 0 {
		return max(o/2-1, 0)
	}
	return min(o/2+1, n-1)
}
