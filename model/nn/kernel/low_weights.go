package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// LowWeights are the weights and the bias of a LowConv in its format. They do
// not change, so several convolutions may share them.
type LowWeights struct {
	format       LowFormat
	cin, cout, k int
	w            []byte    // [panel][tap][channels of a step][32 outputs][step], each panel with zeros up to whole steps of AMX
	scale, bias  []float32 // per output channel, filled up to whole panels; scale in Int8 only
	start        []int32   // the same, in Int8 only: 128 times the sum of the channel's weights
	rows         lowRowPacking
}

func newLowWeights(f LowFormat, cin, cout, k int) *LowWeights {
	per := lowStep / f.size()
	depth := (k*k*((cin+per-1)/per)*lowStep + lowDepth - 1) / lowDepth * lowDepth
	panels := (cout + lowLanes - 1) / lowLanes
	return &LowWeights{format: f, cin: cin, cout: cout, k: k, w: alignedBytes(panels * depth * lowLanes),
		scale: make([]float32, panels*lowLanes), bias: make([]float32, panels*lowLanes), start: make([]int32, panels*lowLanes)}
}

// NewLowRows returns weights of a linear layer that SetRows fills, to multiply
// two matrices of which neither stays the same.
func NewLowRows(f LowFormat, in, out int) *LowWeights {
	if f == Int8 {
		panic("kernel: rows of int8 have no sign, and weights need one")
	}
	p := newLowWeights(f, in, out, 1)
	p.rows.to = p
	return p
}

// SetRows makes the rows of a matrix of NewLowMatrix the weights of the outputs.
func (p *LowWeights) SetRows(m *LowImage) {
	if m.Format != p.format || m.H != p.cout || m.C != p.cin || m.border != 0 || p.rows.to == nil {
		panic(fmt.Sprintf("kernel: a %s matrix %dx%d given as %s weights %d-%d", m.Format, m.H, m.C, p.format, p.cin, p.cout))
	}
	p.rows.from = m
	Do(len(p.scale)/lowLanes, 1, &p.rows)
	p.rows.from = nil
}

// lowRowPacking turns the rows of a matrix into weights, as a Task of panels:
// the bytes of a step stay together, so that it transposes words of four.
type lowRowPacking struct {
	from *LowImage
	to   *LowWeights
}

// Run packs panels lo..hi-1.
func (r *lowRowPacking) Run(lo, hi int) {
	words := func(b []byte) []float32 { return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/lowStep) }
	src, k := words(r.from.data), r.from.bytes/lowStep
	for i := lo; i < hi; i++ {
		first := i * lowLanes
		transposePanel(active.tiles, words(r.to.panel(i)), lowLanes, src[first*k:], k, min(lowLanes, r.to.cout-first), k)
	}
}

// PackLow rounds [cout, k, k, cin] weights to a format. In Int8 each output
// channel gets a scale of its own, its largest magnitude over 127. The bias
// stays float32; nil is zero.
func PackLow(f LowFormat, cin, cout, k int, weight, bias []float32) *LowWeights {
	taps, per := k*k, lowStep/f.size()
	steps := (cin + per - 1) / per
	p := newLowWeights(f, cin, cout, k)
	copy(p.bias, bias)
	for o := range cout {
		row := weight[o*taps*cin : (o+1)*taps*cin]
		var inv float32
		if f == Int8 {
			var top float32
			for _, v := range row {
				top = max(top, v, -v)
			}
			if inv = 127 / top; inv > math.MaxFloat32 {
				inv = 0 // all weights are zero, or as good as
			}
			p.scale[o] = top / 127
		}
		dst := p.panel(o / lowLanes)[o%lowLanes*lowStep:]
		for t := range taps {
			for i, v := range row[t*cin : (t+1)*cin] {
				at := (t*steps+i/per)*lowRowSize + i%per*f.size()
				if f == Int8 {
					q := int8(math.RoundToEven(float64(v * inv)))
					dst[at] = byte(q)
					p.start[o] += 128 * int32(q)
					continue
				}
				b := BFloat16Bits(v)
				dst[at], dst[at+1] = byte(b), byte(b>>8)
			}
		}
	}
	return p
}

// panel returns the weights of 32 output channels.
func (p *LowWeights) panel(i int) []byte { return p.panels(i, 1) }

// panels returns the weights of some panels.
func (p *LowWeights) panels(first, n int) []byte {
	size := len(p.w) / (len(p.scale) / lowLanes)
	return p.w[first*size : (first+n)*size]
}
