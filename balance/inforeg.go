package balance

import "math"

// InfoReg (Huang et al. 2025) is the idea the adaptive weight constraint grew
// from: while the Fisher trace still rises, the parameters of the modality
// that is ahead are held near where they stood at the epoch's start, all alike.
type InfoReg struct {
	Beta   float64 // strength, 0.95 in the source
	Window int     // epochs the trace's growth is taken over, 10 in the source
	Growth float64 // relative growth that ends the prime window, 0.05 in the source

	Trace []float64 // of the epochs so far
}

// PaperInfoReg returns the source's constants.
func PaperInfoReg() *InfoReg { return &InfoReg{Beta: 0.95, Window: 10, Growth: 0.05} }

// EndEpoch takes the Fisher trace of the epoch.
func (r *InfoReg) EndEpoch(trace float64) { r.Trace = append(r.Trace, trace) }

// Prime tells whether the prime learning window is still open: until there are
// enough epochs to tell, and while the trace grows by more than Growth.
func (r *InfoReg) Prime() bool {
	n := len(r.Trace)
	if n <= r.Window {
		return true
	}
	before := r.Trace[n-1-r.Window]
	return before <= 0 || (r.Trace[n-1]-before)/before > r.Growth
}

// Coefficients appends to dst the factor by which each modality is pulled back
// to its start, 0 for those not ahead of the mean.
func (r *InfoReg) Coefficients(dst, score []float64) []float64 {
	mean := 0.0
	for _, s := range score {
		mean += s
	}
	mean /= float64(len(score))
	for _, s := range score {
		beta := 0.0
		if s > mean && r.Prime() {
			beta = r.Beta * math.Exp(s-mean)
		}
		dst = append(dst, beta)
	}
	return dst
}

// Pull adds beta·(value - start) to the gradient.
func (r *InfoReg) Pull(beta float64, value, start, gradient []float32) {
	b := float32(beta)
	for i, v := range value {
		gradient[i] += b * (v - start[i])
	}
}
