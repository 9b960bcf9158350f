package calibration

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// least minimises a sum of squares whose residuals are given in units of their
// expected size, so that 1 is usual. Residuals come in groups of two, the two
// axes of one sight: one far beyond the others counts less (Huber), one prior a
// group of its own.
type least struct {
	residuals func(p []float64, r []float64) // fills r
	n         int                            // residuals, even
	weight    []float64                      // of the groups, at the end
}

// huber is the size of a residual from which it counts less than by its square.
const huber = 1.5

// solve begins at p, which it changes, and returns the cost.
func (l *least) solve(p []float64, steps int) float64 {
	r := make([]float64, l.n)
	l.weight = make([]float64, l.n/2)
	damping := 1e-3
	cost := l.cost(p, r)
	for range steps {
		a, g := l.normal(p, r)
		improved := false
		for !improved && damping < 1e10 {
			damped := mat.NewSymDense(len(p), nil)
			damped.CopySym(a)
			for i := range p {
				damped.SetSym(i, i, a.At(i, i)*(1+damping)+1e-9)
			}
			var chol mat.Cholesky
			var step mat.VecDense
			if chol.Factorize(damped) && chol.SolveVecTo(&step, g) == nil {
				to := make([]float64, len(p))
				for i := range p {
					to[i] = p[i] + step.AtVec(i)
				}
				if c := l.cost(to, r); c < cost {
					done := cost-c < 1e-9*cost
					copy(p, to)
					cost, improved = c, true
					damping = max(damping/10, 1e-9)
					if done {
						return cost
					}
				}
			}
			if !improved {
				damping *= 10
			}
		}
		if !improved {
			break
		}
	}
	return l.cost(p, r)
}

// cost returns Huber's, fills r and the weights that make it a sum of squares.
func (l *least) cost(p, r []float64) (sum float64) {
	l.residuals(p, r)
	for i := range l.weight {
		size := math.Hypot(r[2*i], r[2*i+1])
		l.weight[i] = 1
		if size > huber {
			l.weight[i] = huber / size
			sum += huber * (2*size - huber)
			continue
		}
		sum += size * size
	}
	return sum
}

// normal returns JᵀWJ and -JᵀWr at p, by differences.
func (l *least) normal(p, r []float64) (*mat.SymDense, *mat.VecDense) {
	const h = 1e-5
	l.cost(p, r)
	j := mat.NewDense(l.n, len(p), nil)
	at, lo, hi := append([]float64(nil), p...), make([]float64, l.n), make([]float64, l.n)
	for k := range p {
		at[k] = p[k] + h
		l.residuals(at, hi)
		at[k] = p[k] - h
		l.residuals(at, lo)
		at[k] = p[k]
		for i := range lo {
			j.Set(i, k, (hi[i]-lo[i])/(2*h))
		}
	}
	a, g := mat.NewSymDense(len(p), nil), mat.NewVecDense(len(p), nil)
	for i := range r {
		w := l.weight[i/2]
		row := j.RawRowView(i)
		for k, x := range row {
			g.SetVec(k, g.AtVec(k)-w*x*r[i])
			for m := k; m < len(row); m++ {
				a.SetSym(k, m, a.At(k, m)+w*x*row[m])
			}
		}
	}
	return a, g
}

// deviations returns the standard deviations at p, the residuals' own size taken
// for their error and inflate for what makes them alike from one to the next.
func (l *least) deviations(p []float64, inflate float64) ([]float64, bool) {
	r := make([]float64, l.n)
	a, _ := l.normal(p, r)
	sum, n := 0.0, 0.0
	for i := range r {
		sum += l.weight[i/2] * r[i] * r[i]
		n += l.weight[i/2]
	}
	var chol mat.Cholesky
	var inverse mat.SymDense
	if !chol.Factorize(a) || chol.InverseTo(&inverse) != nil || n <= float64(len(p)) {
		return nil, false
	}
	out := make([]float64, len(p))
	for k := range out {
		out[k] = math.Sqrt(inflate * sum / (n - float64(len(p))) * inverse.At(k, k))
	}
	return out, true
}
