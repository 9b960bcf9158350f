package calibration

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"

	"posefuse/frame"
)

// vec is a point or direction.
type vec = [3]float64

// homography maps the board's plane to pixels, from at least four corners: the
// direct linear transform on normalised coordinates (Hartley).
func homography(points []Point, square float64) (h [3][3]float64, err error) {
	n := len(points)
	board, pixel := make([][2]float64, n), make([][2]float64, n)
	for i, p := range points {
		board[i] = [2]float64{float64(p.Column) * square, float64(p.Row) * square}
		pixel[i] = [2]float64{p.X, p.Y}
	}
	tb, tp := normalise(board), normalise(pixel)
	a := mat.NewDense(2*n, 9, nil)
	for i := range n {
		x, y, u, v := board[i][0], board[i][1], pixel[i][0], pixel[i][1]
		a.SetRow(2*i, []float64{x, y, 1, 0, 0, 0, -u * x, -u * y, -u})
		a.SetRow(2*i+1, []float64{0, 0, 0, x, y, 1, -v * x, -v * y, -v})
	}
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDFullV) {
		return h, errors.New("no homography")
	}
	var v mat.Dense
	svd.VTo(&v)
	m := mat.NewDense(3, 3, nil)
	for i := range 9 {
		m.Set(i/3, i%3, v.At(i, 8))
	}
	// Back from the normalised coordinates: tp^-1 m tb.
	m.Mul(m, mat.NewDense(3, 3, []float64{tb[0], 0, -tb[0] * tb[1], 0, tb[0], -tb[0] * tb[2], 0, 0, 1}))
	var out mat.Dense
	out.Mul(mat.NewDense(3, 3, []float64{1 / tp[0], 0, tp[1], 0, 1 / tp[0], tp[2], 0, 0, 1}), m)
	for i := range 9 {
		h[i/3][i%3] = out.At(i/3, i%3)
	}
	return h, nil
}

// normalise moves points to mean 0 and mean distance sqrt 2; it returns the scale
// and the mean.
func normalise(p [][2]float64) (t [3]float64) {
	for _, q := range p {
		t[1], t[2] = t[1]+q[0]/float64(len(p)), t[2]+q[1]/float64(len(p))
	}
	mean := 0.0
	for _, q := range p {
		mean += math.Hypot(q[0]-t[1], q[1]-t[2]) / float64(len(p))
	}
	t[0] = math.Sqrt2 / mean
	for i := range p {
		p[i] = [2]float64{t[0] * (p[i][0] - t[1]), t[0] * (p[i][1] - t[2])}
	}
	return t
}

// firstLens returns fx and fy to begin with: the principal point taken for the
// picture's middle, each homography's first two columns are images of directions
// at right angles and of equal length (Zhang 2000), which is linear in 1/fx² and
// 1/fy². ok is false where the views do not say it, as with parallel ones.
func firstLens(hs [][3][3]float64, width, height int) (c frame.Intrinsics, ok bool) {
	c = frame.Intrinsics{WidthPx: float64(width), HeightPx: float64(height), CxPx: float64(width-1) / 2, CyPx: float64(height-1) / 2}
	a, b := mat.NewDense(2*len(hs), 2, nil), mat.NewVecDense(2*len(hs), nil)
	for i, h := range hs {
		var p, q vec
		for k := range 3 {
			p[k], q[k] = h[k][0], h[k][1]
		}
		for _, v := range []*vec{&p, &q} {
			v[0], v[1] = v[0]-c.CxPx*v[2], v[1]-c.CyPx*v[2]
		}
		// All rows weigh alike, whatever the homography's scale.
		l := 1 / math.Sqrt(dot(p, p)*dot(q, q))
		s, d := add(p, q, 1), add(p, q, -1)
		a.SetRow(2*i, []float64{l * p[0] * q[0], l * p[1] * q[1]})
		b.SetVec(2*i, -l*p[2]*q[2])
		a.SetRow(2*i+1, []float64{l * s[0] * d[0], l * s[1] * d[1]})
		b.SetVec(2*i+1, -l*s[2]*d[2])
	}
	var x mat.VecDense
	if x.SolveVec(a, b) != nil || !(x.AtVec(0) > 0) || !(x.AtVec(1) > 0) {
		return c, false
	}
	c.FxPx, c.FyPx = math.Sqrt(1/x.AtVec(0)), math.Sqrt(1/x.AtVec(1))
	return c, c.FxPx > 0.1*c.WidthPx && c.FxPx < 20*c.WidthPx && c.FyPx > 0.1*c.WidthPx && c.FyPx < 20*c.WidthPx
}

func dot(a, b vec) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func add(a, b vec, k float64) vec { return vec{a[0] + k*b[0], a[1] + k*b[1], a[2] + k*b[2]} }

func cross(a, b vec) vec {
	return vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// firstPose returns cameraFromBoard, metres, of a homography.
func firstPose(h [3][3]float64, c *frame.Intrinsics) frame.Transform {
	var col [3]vec
	for k := range col {
		w := h[2][k]
		col[k] = vec{(h[0][k] - c.CxPx*w) / c.FxPx, (h[1][k] - c.CyPx*w) / c.FyPx, w}
	}
	scale := 2 / (math.Sqrt(dot(col[0], col[0])) + math.Sqrt(dot(col[1], col[1])))
	if col[2][2] < 0 {
		scale = -scale // the board is in front of the camera
	}
	m := mat.NewDense(3, 3, nil)
	third := cross(col[0], col[1])
	for i := range 3 {
		m.Set(i, 0, scale*col[0][i])
		m.Set(i, 1, scale*col[1][i])
		m.Set(i, 2, scale*scale*third[i])
	}
	var t frame.Transform
	t.R = nearestRotation(m)
	for i := range 3 {
		t.T[i] = scale * col[2][i]
	}
	return t
}

// nearestRotation returns the rotation nearest to a matrix.
func nearestRotation(m *mat.Dense) (r [3][3]float64) {
	var svd mat.SVD
	if !svd.Factorize(m, mat.SVDFull) {
		return [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	}
	var u, v, uv mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	if mat.Det(&u)*mat.Det(&v) < 0 {
		for i := range 3 {
			u.Set(i, 2, -u.At(i, 2))
		}
	}
	uv.Mul(&u, v.T())
	for i := range 3 {
		for j := range 3 {
			r[i][j] = uv.At(i, j)
		}
	}
	return r
}

// turned returns the rotation by the vector w (its length the angle), after r.
func turned(r [3][3]float64, w vec) (out [3][3]float64) {
	angle := math.Sqrt(dot(w, w))
	if angle < 1e-12 {
		return r
	}
	k := vec{w[0] / angle, w[1] / angle, w[2] / angle}
	sin, cos := math.Sincos(angle)
	for j := range 3 {
		v := vec{r[0][j], r[1][j], r[2][j]}
		c, d := cross(k, v), dot(k, v)*(1-cos)
		for i := range 3 {
			out[i][j] = v[i]*cos + c[i]*sin + k[i]*d
		}
	}
	return out
}
