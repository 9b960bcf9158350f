package keypoint

import (
	"fmt"

	"posefuse/model/safetensors"
)

// network is MoveNet SinglePose: MobileNetV2, a feature pyramid and the heads of
// CenterNet (Google, TensorFlow Hub google/movenet/singlepose version 4). All its
// memory is there from the start; run allocates nothing and works on the
// caller's thread.
type network struct {
	size  int // side of the input, pixels
	scale float32
	shift float32
	input []uint8 // [size, size, 3] RGB

	blocks   []*residual
	top      *pointwise
	topOut   []float32
	laterals [4]*pointwise // by resolution, finest first
	pyramid  [4][]float32  // their outputs, with what comes from above added
	merges   [3]*separable
	row      []float32 // of addUpsampled

	centre, heatmap  head
	regress, offset  sparseHead
	centreWeight     []float32 // [h, w]: how central a cell is
	distance, toUnit float32   // added to a distance in cells; cells to the unit square
	cells            int       // side of the heads' maps
	found            [4]int    // of centres
}

// strides of MobileNetV2's blocks, and the blocks whose outputs the pyramid
// takes, finest first.
var (
	blockStrides = [17]int{1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1}
	tapped       = [3]int{2, 5, 9}
)

// newNetwork builds a network from a file in memory.
func newNetwork(file []byte) (*network, error) {
	tensors, err := safetensors.Decode(file)
	if err != nil {
		return nil, err
	}
	w := &weights{tensors: tensors}
	// The heads' maps are a quarter of the input; their size tells which model
	// this is.
	centreWeight := w.values("centre.weight")
	n := &network{centreWeight: centreWeight}
	for n.cells*n.cells < len(centreWeight) {
		n.cells++
	}
	if n.cells*n.cells != len(centreWeight) || n.cells%8 != 0 || n.cells < 8 || n.cells > 128 {
		w.fail("tensor %q has %d values, want those of a square of 8 to 128 cells", "centre.weight", len(centreWeight))
		return nil, w.err
	}
	n.size = 4 * n.cells
	n.input = make([]uint8, n.size*n.size*3)
	n.scale, n.shift = w.vector("input.scale", 3)[0], w.vector("input.offset", 1)[0]
	n.distance, n.toUnit = w.vector("distance.offset", 1)[0], w.vector("output.scale", 2)[0]
	n.buildBackbone(w)
	n.buildPyramid(w)
	fine := n.merges[0].y
	c := n.merges[0].project.out
	n.centre = newHead(w, "centre", c, n.cells, fine)
	n.heatmap = newHead(w, "heatmap", c, n.cells, fine)
	n.regress = newSparseHead(w, "regress", c, n.cells, fine)
	n.offset = newSparseHead(w, "offset", c, n.cells, fine)
	if w.err != nil {
		return nil, w.err
	}
	if n.centre.out.out != 1 || n.heatmap.out.out != numKeypoints || n.regress.out.out != 2*numKeypoints || n.offset.out.out != 2*numKeypoints {
		return nil, fmt.Errorf("heads of %d, %d, %d and %d channels, want 1, 17, 34 and 34", n.centre.out.out, n.heatmap.out.out, n.regress.out.out, n.offset.out.out)
	}
	return n, nil
}

func (n *network) buildBackbone(w *weights) {
	side := n.size / 2
	first := newStem(w, n.input, n.size, n.scale, n.shift)
	var before *residual
	channels := first.layer.out
	for i, stride := range blockStrides {
		name := fmt.Sprintf("block.%d.", i)
		var e stage = first
		hidden := channels
		if i > 0 {
			layer := newPointwise(w, name+"expand", channels, relu6)
			e, hidden = &expand{layer: layer, width: side, x: before.y}, layer.out
		}
		depth := newDepthwise(w, name+"depthwise", hidden, side, stride, relu6)
		project := newPointwise(w, name+"project", hidden, linear)
		var add []float32
		if i > 0 && stride == 1 && project.out == channels {
			add = before.y
		}
		before = newResidual(e, depth, project, side, side, add)
		n.blocks = append(n.blocks, before)
		channels, side = project.out, side/stride
	}
	n.top = newPointwise(w, "top", channels, relu6)
	n.topOut = make([]float32, side*side*n.top.out)
}

func (n *network) buildPyramid(w *weights) {
	side := n.cells
	widest := 0
	for i, from := range tapped {
		b := n.blocks[from]
		n.laterals[i] = newPointwise(w, fmt.Sprintf("lateral.%d", i), b.project.out, linear)
		n.pyramid[i] = make([]float32, side*side*n.laterals[i].out)
		widest = max(widest, side*n.laterals[i].out)
		side /= 2
	}
	n.laterals[3] = newPointwise(w, "lateral.3", n.top.out, linear)
	n.pyramid[3] = make([]float32, side*side*n.laterals[3].out)
	n.row = make([]float32, max(widest, side*n.laterals[3].out))
	for i := 2; i >= 0; i-- {
		side *= 2
		name, c := fmt.Sprintf("merge.%d.", i), n.laterals[i].out
		depth := newDepthwise(w, name+"depthwise", c, side, 1, linear)
		n.merges[i] = newSeparable(depth, newPointwise(w, name+"project", c, relu), side, side, n.pyramid[i])
		above := n.laterals[3].out
		if i < 2 {
			above = n.merges[i+1].project.out
		}
		if above != c {
			w.fail("level %d of the pyramid has %d channels, the one above %d", i, c, above)
		}
	}
}

// run looks at the input. The keypoints are in its unit square, x right and y
// down, of the most central person.
func (n *network) run() [numKeypoints]Keypoint {
	for _, b := range n.blocks {
		b.run()
	}
	last := n.blocks[len(n.blocks)-1].y
	n.top.apply(len(last)/n.top.in, last, n.topOut, nil)
	for i, from := range tapped {
		x := n.blocks[from].y
		n.laterals[i].apply(len(x)/n.laterals[i].in, x, n.pyramid[i], nil)
	}
	n.laterals[3].apply(len(n.topOut)/n.top.out, n.topOut, n.pyramid[3], nil)
	above := n.pyramid[3]
	for i := 2; i >= 0; i-- {
		m := n.merges[i]
		addUpsampled(m.h/2, m.w/2, n.laterals[i].out, above, n.pyramid[i], n.row)
		m.run()
		above = m.y
	}
	n.centre.run()
	n.heatmap.run()
	return n.personAt(n.mostCentral())
}

// stem is the first convolution, 3 x 3 with stride 2 over the picture, as the
// stage of block 0.
type stem struct {
	layer *pointwise // of a patch's 27 values
	input []uint8
	size  int
	table [256]float32 // the value of a pixel
	patch []float32    // a row of patches
}

func newStem(w *weights, input []uint8, size int, scale, shift float32) *stem {
	s := &stem{layer: newPointwise(w, "stem", 27, relu6), input: input, size: size, patch: make([]float32, size/2*27)}
	for v := range s.table {
		// Rounded as the graph's two steps.
		scaled := float32(v) * scale
		s.table[v] = scaled - shift
	}
	return s
}

// rows implements stage.
func (s *stem) rows(lo, hi int, y []float32) {
	wide := s.size / 2
	for o := lo; o < hi; o++ {
		for k := range 3 {
			r := 2*o + k
			if r >= s.size { // the padding is behind
				for x := range wide {
					clear(s.patch[x*27+9*k:][:9])
				}
				continue
			}
			in := s.input[r*s.size*3:][:s.size*3]
			for x := range wide - 1 {
				to, from := s.patch[x*27+9*k:][:9], in[6*x:][:9]
				for i := range to {
					to[i] = s.table[from[i]]
				}
			}
			to, from := s.patch[(wide-1)*27+9*k:][:9], in[6*(wide-1):][:6]
			for i, v := range from {
				to[i] = s.table[v]
			}
			clear(to[6:])
		}
		s.layer.apply(wide, s.patch, y[(o-lo)*wide*s.layer.out:], nil)
	}
}

// head is a depthwise layer and two pointwise ones over the finest map.
type head struct {
	hidden *separable
	out    *pointwise
	y      []float32
}

func newHead(w *weights, name string, channels, side int, x []float32) head {
	depth := newDepthwise(w, name+".depthwise", channels, side, 1, linear)
	hidden := newSeparable(depth, newPointwise(w, name+".hidden", channels, relu), side, side, x)
	out := newPointwise(w, name+".out", hidden.project.out, linear)
	return head{hidden, out, make([]float32, side*side*out.out)}
}

func (h *head) run() {
	h.hidden.run()
	h.out.apply(h.hidden.h*h.hidden.w, h.hidden.y, h.y, nil)
}

// sparseHead is a head of which few cells are wanted.
type sparseHead struct {
	filters     []float32 // [9, channels] of the depthwise layer
	hidden, out *pointwise
	side        int
	x           []float32
	mid, top, y []float32
}

func newSparseHead(w *weights, name string, channels, side int, x []float32) sparseHead {
	h := sparseHead{filters: w.matrix(name+".depthwise.weight", 9, channels), side: side, x: x, mid: make([]float32, channels)}
	h.hidden = newPointwise(w, name+".hidden", channels, relu)
	h.out = newPointwise(w, name+".out", h.hidden.out, linear)
	h.top, h.y = make([]float32, h.hidden.out), make([]float32, h.out.out)
	return h
}

// at returns the head's values in one cell, valid until the next call.
func (h *sparseHead) at(row, col int) []float32 {
	c := len(h.mid)
	clear(h.mid)
	for ky := range 3 {
		for kx := range 3 {
			y, x := row+ky-1, col+kx-1
			if y < 0 || x < 0 || y >= h.side || x >= h.side {
				continue
			}
			f, in := h.filters[(3*ky+kx)*c:][:c], h.x[(y*h.side+x)*c:][:c]
			for i := range h.mid {
				h.mid[i] += f[i] * in[i]
			}
		}
	}
	h.hidden.apply(1, h.mid, h.top, nil)
	h.out.apply(1, h.top, h.y, nil)
	return h.y
}
