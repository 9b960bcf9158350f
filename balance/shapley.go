package balance

import "fmt"

// MaxModalities bounds the coalitions: 2^n of them are scored.
const MaxModalities = 8

// Shapley returns the contribution of each of n modalities (Eq 1) from the
// value of every coalition, indexed by mask: value holds 2^n numbers, of which
// value[0] is the empty coalition's. The contributions add up to
// value[2^n-1] - value[0].
func Shapley(n int, value []float64) []float64 {
	return AppendShapley(nil, n, value)
}

// AppendShapley appends the contributions to dst; see Shapley.
func AppendShapley(dst []float64, n int, value []float64) []float64 {
	if n < 1 || n > MaxModalities || len(value) != 1<<n {
		panic(fmt.Sprintf("balance: %d coalition values for %d modalities", len(value), n))
	}
	var weight [MaxModalities]float64 // of a coalition of k others: k!(n-k-1)!/n!
	for k := range n {
		w := 1.0 / float64(n)
		for i := 1; i <= k; i++ { // 1 / (n · C(n-1, k))
			w *= float64(i) / float64(n-i)
		}
		weight[k] = w
	}
	for m := range n {
		phi, bit := 0.0, 1<<m
		for s := range value {
			if s&bit == 0 {
				phi += weight[ones(s)] * (value[s|bit] - value[s])
			}
		}
		dst = append(dst, phi)
	}
	return dst
}

func ones(mask int) int {
	n := 0
	for ; mask != 0; mask &= mask - 1 {
		n++
	}
	return n
}

// CoalitionScores returns the profit of every coalition of n modalities for
// any fusion head: predict computes the head's output for the batch with the
// features outside the mask zeroed, dropout off. The encoders are not run
// again. The empty coalition's profit is 0, since its prediction is constant.
// The result is valid until the scorer's next call.
func (s *Scorer[T]) CoalitionScores(n int, y []T, predict func(mask uint8) ([]T, error)) ([]float64, error) {
	if n < 1 || n > MaxModalities {
		return nil, fmt.Errorf("coalitions of %d modalities: want 1 to %d", n, MaxModalities)
	}
	if err := s.SetTarget(y); err != nil {
		return nil, err
	}
	value := growTo(&s.values, 1<<n)
	value[0] = 0
	for mask := 1; mask < 1<<n; mask++ {
		p, err := predict(uint8(mask))
		if err != nil {
			return nil, fmt.Errorf("prediction of coalition %b: %w", mask, err)
		}
		if value[mask], err = s.Score(p); err != nil {
			return nil, err
		}
	}
	return value, nil
}

// LinearCoalitionScores returns the same for a linear head (Eq 3) from the
// partial predictions W^m f^m, one [B, dims] slice per modality: the profit of
// a coalition needs only the covariances of the partial predictions with the
// target and with each other, and does not depend on the bias.
func (s *Scorer[T]) LinearCoalitionScores(y []T, partial [][]T) ([]float64, error) {
	n := len(partial)
	if n < 1 || n > MaxModalities {
		return nil, fmt.Errorf("coalitions of %d modalities: want 1 to %d", n, MaxModalities)
	}
	if err := s.SetTarget(y); err != nil {
		return nil, err
	}
	size := len(y)
	growTo(&s.p, n*size)
	growTo(&s.cov, n*s.dims)
	growTo(&s.gram, n*(n+1)/2*s.dims)
	for m, p := range partial {
		if len(p) != size {
			return nil, fmt.Errorf("partial prediction of modality %d holds %d values, want %d", m, len(p), size)
		}
		s.centre(s.p[m*size:(m+1)*size], p)
	}
	at := 0
	for m := range n {
		pm := s.p[m*size : (m+1)*size]
		s.dot(s.cov[m*s.dims:(m+1)*s.dims], s.y, pm)
		for o := range m + 1 {
			s.dot(s.gram[at:at+s.dims], pm, s.p[o*size:(o+1)*size])
			at += s.dims
		}
	}
	value := growTo(&s.values, 1<<n)
	clear(value)
	for mask := 1; mask < 1<<n; mask++ {
		for d := range s.dims {
			value[mask] += s.linearCorrelation(mask, d, n, size)
		}
	}
	return value, nil
}

// linearCorrelation is the correlation of coordinate d for one coalition.
func (s *Scorer[T]) linearCorrelation(mask, d, n, size int) float64 {
	var cov, vp, magnitude float64
	at := d
	for m := range n {
		in := mask>>m&1 == 1
		if in {
			cov += s.cov[m*s.dims+d]
		}
		for o := range m + 1 {
			if in && mask>>o&1 == 1 {
				g := s.gram[at]
				if o != m {
					g *= 2
				}
				vp += g
				magnitude += max(g, -g)
			}
			at += s.dims
		}
	}
	// Partial predictions that nearly cancel leave little but rounding;
	// the sum itself then tells.
	if vp < 1e-4*magnitude {
		cov, vp = 0, 0
		for r := d; r < size; r += s.dims {
			v := 0.0
			for m := range n {
				if mask>>m&1 == 1 {
					v += s.p[m*size+r]
				}
			}
			cov += v * s.y[r]
			vp += v * v
		}
		inv := float64(s.dims) / float64(size)
		cov *= inv
		vp *= inv
	}
	return correlation(cov, s.vy[d], vp)
}
