package label

import (
	"errors"

	"gonum.org/v1/gonum/mat"

	"posefuse/frame"
	"posefuse/recording"
)

// Place moves labels of a frame of their own to where the reference's poses are, by
// the rigid motion that brings all joints of all common times nearest. What the
// reference errs in every pose alike, the labels err then, too; how the body is bent
// is theirs.
func (t *Track) Place(reference *Track, fit Fit) error {
	var from, to [][3]float64
	for i, s := range reference.TimesS {
		if p, ok := t.At(s + fit.OffsetS); ok {
			from, to = append(from, p[:]...), append(to, reference.Poses[i][:]...)
		}
	}
	motion, err := nearest(from, to)
	if err != nil {
		return err
	}
	for i := range t.Poses {
		t.Poses[i] = moved(&t.Poses[i], &motion)
	}
	return nil
}

func moved(p *recording.Pose, by *frame.Transform) (out recording.Pose) {
	for j, v := range p {
		out[j] = by.Apply(v)
	}
	return out
}

// nearest is the rigid motion that brings points nearest to others, by the singular
// values of their covariance (Kabsch 1976).
func nearest(from, to [][3]float64) (t frame.Transform, err error) {
	if len(from) == 0 {
		return t, errors.New("labels and session have no time in common")
	}
	a, b := mean(from), mean(to)
	cov := mat.NewDense(3, 3, nil)
	for i := range from {
		for r := range 3 {
			for c := range 3 {
				cov.Set(r, c, cov.At(r, c)+(to[i][r]-b[r])*(from[i][c]-a[c]))
			}
		}
	}
	var svd mat.SVD
	if !svd.Factorize(cov, mat.SVDFull) {
		return t, errors.New("the labels cannot be brought to the session's poses")
	}
	var u, v, rot mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	rot.Mul(&u, v.T())
	if mat.Det(&rot) < 0 { // a mirror: turn the weakest axis
		for r := range 3 {
			u.Set(r, 2, -u.At(r, 2))
		}
		rot.Mul(&u, v.T())
	}
	for r := range 3 {
		for c := range 3 {
			t.R[r][c] = rot.At(r, c)
		}
	}
	turned := t.Apply(a)
	for k := range 3 {
		t.T[k] = b[k] - turned[k]
	}
	return t, nil
}

func mean(p [][3]float64) (m [3]float64) {
	for _, v := range p {
		for k := range m {
			m[k] += v[k] / float64(len(p))
		}
	}
	return m
}
