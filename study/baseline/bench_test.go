package baseline

import (
	"testing"

	"posefuse/model"
)

// BenchmarkHPELiStep times a training step of 32 samples without the optimiser.
func BenchmarkHPELiStep(b *testing.B) {
	const n = 32
	net := newHPELi[float32](1)
	csi, dy := make([]float32, n*model.CSIValues), make([]float32, n*model.OutputDim)
	for i := range csi {
		csi[i] = float32(i%97) / 97
	}
	for i := range dy {
		dy[i] = float32(i%7) - 3
	}
	for b.Loop() {
		net.forward(csi, n)
		net.backward(append([]float32(nil), dy...))
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/n, "ms/sample")
}
