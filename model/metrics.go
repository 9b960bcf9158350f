package model

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// MPJPE returns the mean distance of the joints of two poses (rows of x, y, z),
// in their unit, without any alignment.
func MPJPE[P, G float32 | float64](pred []P, truth []G) float64 {
	n := len(truth) / 3
	var sum float64
	for j := range n {
		var s float64
		for k := 3 * j; k < 3*j+3; k++ {
			d := float64(pred[k]) - float64(truth[k])
			s += d * d
		}
		sum += math.Sqrt(s)
	}
	return sum / float64(n)
}

// PelvisMPJPE is MPJPE after both poses are moved so that their first joint,
// the pelvis, is the origin: the error of the posture, not of the place.
func PelvisMPJPE[P, G float32 | float64](pred []P, truth []G) float64 {
	n := len(truth) / 3
	var sum float64
	for j := 1; j < n; j++ {
		var s float64
		for k := range 3 {
			d := float64(pred[3*j+k]) - float64(pred[k]) - float64(truth[3*j+k]) + float64(truth[k])
			s += d * d
		}
		sum += math.Sqrt(s)
	}
	return sum / float64(n)
}

// PAMPJPE returns the mean distance of the joints after the best similarity
// transform of pred onto truth (model.md 1.7). If either pose is a single
// point, every joint of the aligned one is the centre of truth.
func PAMPJPE[P, G float32 | float64](pred []P, truth []G) float64 {
	a := align(pred, truth)
	return MPJPE(a.pose, truth)
}

// alignment is a similarity transform, aligned = scale·pred·T + c, and its
// result.
type alignment struct {
	scale    float64
	singular [3]float64
	rotation [3][3]float64 // T, row vectors
	c        [3]float64
	pose     []float64
}

func align[P, G float32 | float64](pred []P, truth []G) alignment {
	n := len(truth) / 3
	x, mx, nx := centre(truth)
	y, my, ny := centre(pred)
	out := alignment{pose: make([]float64, 3*n), c: mx}
	for i := range out.pose {
		out.pose[i] = mx[i%3]
	}
	if nx == 0 || ny == 0 || math.IsNaN(nx+ny) {
		return out
	}
	a := mat.NewDense(3, 3, nil)
	for r := range 3 {
		for c := range 3 {
			var s float64
			for j := range n {
				s += x[3*j+r] * y[3*j+c]
			}
			a.Set(r, c, s/(nx*ny))
		}
	}
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDFull) {
		return out
	}
	var u, v, t mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	svd.Values(out.singular[:])
	t.Mul(&v, u.T())
	if mat.Det(&t) < 0 {
		for r := range 3 {
			v.Set(r, 2, -v.At(r, 2))
		}
		out.singular[2] = -out.singular[2]
		t.Mul(&v, u.T())
	}
	out.scale = (out.singular[0] + out.singular[1] + out.singular[2]) * nx / ny
	for r := range 3 {
		for c := range 3 {
			out.rotation[r][c] = t.At(r, c)
			out.c[c] -= out.scale * my[r] * t.At(r, c)
		}
	}
	for j := range n {
		for c := range 3 {
			var s float64
			for r := range 3 {
				s += y[3*j+r] * out.rotation[r][c]
			}
			out.pose[3*j+c] = out.scale*s + mx[c]
		}
	}
	return out
}

// centre returns the points without their mean, the mean, and the Frobenius norm.
func centre[T float32 | float64](p []T) (x []float64, mean [3]float64, norm float64) {
	n := len(p) / 3
	for i, v := range p {
		mean[i%3] += float64(v) / float64(n)
	}
	x = make([]float64, len(p))
	for i, v := range p {
		x[i] = float64(v) - mean[i%3]
		norm += x[i] * x[i]
	}
	return x, mean, math.Sqrt(norm)
}
