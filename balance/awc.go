package balance

import (
	"fmt"
	"math"
	"strings"
)

// AWCOptions are the constants of the adaptive weight constraint.
type AWCOptions struct {
	AlphaSuperior float64   `json:"alpha_superior"`
	AlphaInferior float64   `json:"alpha_inferior"`
	Window        int       `json:"window"`         // epochs in which the constraint acts, K
	FisherBatches int       `json:"fisher_batches"` // 0 = the whole training set
	PerSample     bool      `json:"per_sample"`     // Fisher of single samples
	Half          bool      `json:"half"`           // the factor 1/2 of Eq 7
	Smoothing     Smoothing `json:"smoothing"`

	// What follows is for experiments that take the constraint apart; the zero value
	// is the method.
	From int      `json:"from,omitempty"` // first epoch in which it acts, 0-based
	Form Form     `json:"form,omitempty"` // of the Fisher information
	Only Encoders `json:"only,omitempty"` // which encoders are held
}

// Form is what the constraint takes for the Fisher information of an encoder.
type Form string

// The forms: the diagonal as measured, its mean for all parameters (the trace stays),
// and its values at other parameters, drawn anew each epoch.
const (
	Diagonal Form = ""
	Mean     Form = "mean"
	Permuted Form = "permuted"
)

// Apply changes a diagonal to the form. draw returns a number from 0 to below n.
func (f Form) Apply(diagonal []float32, draw func(n int) int) {
	switch f {
	case Diagonal:
	case Mean:
		var sum float64
		for _, v := range diagonal {
			sum += float64(v)
		}
		mean := float32(sum / float64(max(len(diagonal), 1)))
		for i := range diagonal {
			diagonal[i] = mean
		}
	case Permuted:
		for i := len(diagonal) - 1; i > 0; i-- {
			j := draw(i + 1)
			diagonal[i], diagonal[j] = diagonal[j], diagonal[i]
		}
	}
}

// Encoders says which encoders a constraint holds: all, one by its letter, or all but
// one, such as "not R".
type Encoders string

// Has reports whether the encoder of a letter is one.
func (e Encoders) Has(letter string) bool {
	if but, all := strings.CutPrefix(string(e), "not "); all {
		return but != letter
	}
	return e == "" || string(e) == letter
}

// BatchFisherAWC returns the paper's best constants (Table 4, Figure 6) with the
// choices of model.md 4.3 and 4.4 where the paper is silent. One of them is none of
// the paper's: the Fisher information of the mean gradient of 32 batches in place of
// that of single samples over all data (Eq 8), up to the batch's size smaller.
func BatchFisherAWC() AWCOptions {
	return AWCOptions{AlphaSuperior: 20000, AlphaInferior: 10000, Window: 20, FisherBatches: 32, Half: true, Smoothing: ByEpochMean}
}

// Alpha returns the coefficient of a modality (Eq 6).
func (o AWCOptions) Alpha(superior uint8, modality int) float64 {
	if superior>>modality&1 == 1 {
		return o.AlphaSuperior
	}
	return o.AlphaInferior
}

// Constraint is what one encoder is held by: where it stood at the epoch's
// start and the Fisher information there.
type Constraint struct {
	Start  []float32 // theta_0
	Fisher []float32 // the diagonal
}

// Anchor takes the encoder's present parameters, given in pieces, as theta_0.
func (c *Constraint) Anchor(parameters ...[]float32) {
	c.Start = c.Start[:0]
	for _, p := range parameters {
		c.Start = append(c.Start, p...)
	}
}

// Pull is what the constraint did in one step.
type Pull struct {
	Loss     float64 // alpha · L_W (Eqs 6 and 7), metres
	Norm     float64 // of the gradient it added
	LossNorm float64 // of the gradient before
}

// Ratio returns how strong the constraint's gradient is beside the loss's.
func (p Pull) Ratio() float64 {
	if p.LossNorm == 0 {
		return 0
	}
	return p.Norm / p.LossNorm
}

// Apply adds the analytic gradient of alpha·L_W, alpha·F⊙(theta - theta_0), to
// the gradients. Value and gradient come in the pieces of Anchor. half is the
// factor 1/2 of Eq 7: without it the gradient doubles.
func (c *Constraint) Apply(alpha float64, half bool, value, gradient [][]float32) (Pull, error) {
	if n := length(value); n != len(c.Start) || length(gradient) != n || len(c.Fisher) != n {
		return Pull{}, fmt.Errorf("weight constraint: %d parameters, %d gradients, %d at the start, %d of the Fisher diagonal: want as many of each",
			n, length(gradient), len(c.Start), len(c.Fisher))
	}
	a := float32(alpha)
	loss := 0.5 * alpha
	if !half {
		a *= 2
		loss = alpha
	}
	var p Pull
	at := 0
	for k, v := range value {
		g := gradient[k]
		start, f := c.Start[at:at+len(v)], c.Fisher[at:at+len(v)]
		g, start, f = g[:len(v)], start[:len(v)], f[:len(v)]
		// Sums of short runs in float32, of runs in float64: exact enough, and fast.
		const run = 256
		for lo := 0; lo < len(v); lo += run {
			hi := min(lo+run, len(v))
			var l, n, before float32
			for i := lo; i < hi; i++ {
				d := v[i] - start[i]
				fd := f[i] * d
				pull := a * fd
				l += fd * d
				n += pull * pull
				before += g[i] * g[i]
				g[i] += pull
			}
			p.Loss += float64(l)
			p.Norm += float64(n)
			p.LossNorm += float64(before)
		}
		at += len(v)
	}
	p.Loss *= loss
	p.Norm, p.LossNorm = math.Sqrt(p.Norm), math.Sqrt(p.LossNorm)
	return p, nil
}
