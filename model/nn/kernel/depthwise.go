package kernel

import "fmt"

// depthwiseFunc computes one row of n outputs of c channels, clamped between
// low and high. rows are the image's rows under the filter; with stride 2 they
// have 2*n columns.
type depthwiseFunc func(n, c int, rows *[3]*float32, w, y *float32, low, high float32)

// depthwise holds the kernels of depthwise convolution of one CPU path; with
// lanes 0 the portable code runs.
type depthwise struct {
	lanes         int
	masked        bool // channels need not fill whole vectors
	every, second depthwiseFunc
}

// PackedDepthwise holds the filters of a depthwise 3 x 3 convolution, laid out
// for the CPU path that was active when Pack filled it: for each vector of
// channels nine vectors of weights, row by row, and one of biases. It is used
// by one goroutine at a time.
type PackedDepthwise struct {
	C int // channels

	stride int
	data   []float32
	lanes  int       // channels in a vector; 0: portable, data is [10, C]
	zero   []float32 // a row of the image outside it
	at     [3]*float32
}

// Pack fills p with weights [9, c] (row by row) and biases [c], nil for none, for
// images of at most width columns. The stride is 1 or 2.
func (p *PackedDepthwise) Pack(c, width, stride int, weights, bias []float32) {
	if stride != 1 && stride != 2 || c < 1 || len(weights) != 9*c || bias != nil && len(bias) != c {
		panic(fmt.Sprintf("kernel: depthwise filters of %d channels and stride %d with %d weights and %d biases", c, stride, len(weights), len(bias)))
	}
	k := &active.depth
	*p = PackedDepthwise{C: c, stride: stride, lanes: k.lanes, zero: make([]float32, c*width)}
	if !k.masked && k.lanes > 0 && c%k.lanes != 0 {
		p.lanes = 0
	}
	block := p.lanes
	if block == 0 {
		block = c
	}
	p.data = make([]float32, (c+block-1)/block*10*block)
	for i := range c {
		at := p.data[i/block*10*block+i%block:]
		for t := range 9 {
			at[t*block] = weights[t*c+i]
		}
		if bias != nil {
			at[9*block] = bias[i]
		}
	}
}

// Row computes one row of the convolution, padded with zeros as TensorFlow's
// SAME pads: rows are the three image rows under the filter, nil where outside,
// each of Stride*n columns of C channels; y has n columns. What is below low
// becomes low, what is above high becomes high.
func (p *PackedDepthwise) Row(n int, rows *[3][]float32, y []float32, low, high float32) {
	if n == 0 {
		return
	}
	size := p.stride * n * p.C
	_ = y[n*p.C-1]
	for i, r := range rows {
		if r == nil {
			r = p.zero
		}
		_ = r[size-1]
		p.at[i] = &r[0]
	}
	if p.lanes == 0 {
		p.portable(n, rows, y, low, high)
		return
	}
	if p.lanes != active.depth.lanes {
		panic("kernel: filters packed for another CPU path")
	}
	f := active.depth.every
	if p.stride == 2 {
		f = active.depth.second
	}
	f(n, p.C, &p.at, &p.data[0], &y[0], low, high)
}

// portable is Row in plain Go.
func (p *PackedDepthwise) portable(n int, rows *[3][]float32, y []float32, low, high float32) {
	c := p.C
	first := -1 // column under the left tap of output 0
	if p.stride == 2 {
		first = 0
	}
	for o := range n {
		out := y[o*c:][:c]
		copy(out, p.data[9*c:])
		for r, row := range rows {
			if row == nil {
				continue
			}
			for t := range 3 {
				x := o*p.stride + first + t
				if x < 0 || x >= n*p.stride {
					continue
				}
				in, w := row[x*c:][:c], p.data[(3*r+t)*c:][:c]
				for i, v := range in {
					out[i] += v * w[i]
				}
			}
		}
		for i, v := range out {
			out[i] = min(max(v, low), high)
		}
	}
}
