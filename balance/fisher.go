package balance

import "fmt"

// Fisher estimates the diagonal of the empirical Fisher information (Eq 8) by
// squared gradients. What one Add takes decides the granularity: the gradient
// of a batch's mean loss (what InfoReg accumulates and AWC's coefficients were
// tuned to), or of single samples (Eq 8 to the letter).
type Fisher struct {
	sum []float32
	n   int
}

// NewFisher returns an estimate for n parameters.
func NewFisher(n int) *Fisher { return &Fisher{sum: make([]float32, n)} }

// Reset forgets all gradients.
func (f *Fisher) Reset() {
	clear(f.sum)
	f.n = 0
}

// Add takes one gradient, given as the pieces that together make up the
// parameters, in the same order each time.
func (f *Fisher) Add(gradient ...[]float32) error {
	at := 0
	for _, g := range gradient {
		if at+len(g) > len(f.sum) {
			break
		}
		sum := f.sum[at : at+len(g)]
		for i, v := range g {
			sum[i] += v * v
		}
		at += len(g)
	}
	if total := length(gradient); total != len(f.sum) {
		return fmt.Errorf("fisher: gradient of %d values, want %d", total, len(f.sum))
	}
	f.n++
	return nil
}

func length(parts [][]float32) int {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// Diagonal divides the sum by the number of gradients and returns it; the
// slice is the estimate's own and Add must not follow before Reset.
func (f *Fisher) Diagonal() []float32 {
	if f.n > 1 {
		inv := 1 / float32(f.n)
		for i := range f.sum {
			f.sum[i] *= inv
		}
	}
	f.n = min(f.n, 1)
	return f.sum
}

// Trace returns the sum of the diagonal so far.
func (f *Fisher) Trace() float64 {
	sum := 0.0
	for _, v := range f.sum {
		sum += float64(v)
	}
	return sum / float64(max(f.n, 1))
}
