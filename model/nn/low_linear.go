package nn

import "posefuse/model/nn/kernel"

// lowLinear computes a linear layer for inference in low precision: rounding
// its input first.
type lowLinear struct {
	conv *kernel.LowConv
	in   *kernel.LowImage
	rows int // of one pass
	x    []float32
	setF func(lo, hi int)
}

func newLowLinear(f kernel.LowFormat, rows, in, out int) *lowLinear {
	l := &lowLinear{conv: kernel.NewLowLinear(f, rows, in, out), in: kernel.NewLowMatrix(f, rows, in), rows: rows}
	l.setF = l.setRange
	return l
}

func (l *lowLinear) forward(x, y []float32, rows int) {
	in, out := l.conv.Cin, l.conv.Cout
	for at := 0; at < rows; at += l.rows {
		l.x = x[at*in : (at+l.rows)*in]
		split(l.rows, 2*in, l.setF)
		l.conv.Apply(l.in, kernel.LowOutput{Float: y[at*out:]})
	}
}

func (l *lowLinear) setRange(lo, hi int) { l.in.SetLines(l.x, 1, lo, hi) }

// lower makes the layer compute in a format whose numbers have a sign, rows
// rows at a time; its fold then takes over the parameters.
func (l *Linear[T]) lower(f kernel.LowFormat, rows int) {
	l.low = newLowLinear(f, rows, l.In, l.Out)
}

func (l *Linear[T]) foldLow() {
	c := l.low.conv
	c.SetWeights(Derived(l.Weight, lowLayout("linear", c.Format), func() *kernel.LowWeights {
		w, _ := any(l.Weight.Value).([]float32)
		var bias []float32
		if l.Bias != nil {
			bias, _ = any(l.Bias.Value).([]float32)
		}
		return kernel.PackLow(c.Format, l.In, l.Out, 1, w, bias)
	}), 1)
}
