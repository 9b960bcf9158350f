package calibration

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"

	"posefuse/frame"
)

// The lens's parameters in the order of the solver: fx, fy, cx, cy, k1, k2, p1,
// p2, k3.
const lensParams = 9

// bundle is all that is solved for at once: the lens and where the board was in
// each picture.
type bundle struct {
	lens  [lensParams]float64
	free  []int             // of the lens; the others stay
	poses []frame.Transform // cameraFromBoard
	views []View
	use   [][]bool // per view and point: not an outlier
	board Board
}

func (b *bundle) points() (n int) {
	for _, u := range b.use {
		for _, ok := range u {
			if ok {
				n++
			}
		}
	}
	return n
}

// project returns where a point of the camera's frame falls, and its derivatives:
// by the nine parameters of the lens and by the point.
func project(lens *[lensParams]float64, p vec, byLens *[2][lensParams]float64, byPoint *[2]vec) (u, v float64) {
	fx, fy, k1, k2, p1, p2, k3 := lens[0], lens[1], lens[4], lens[5], lens[6], lens[7], lens[8]
	z := 1 / p[2]
	x, y := p[0]*z, p[1]*z
	r2 := x*x + y*y
	radial := 1 + r2*(k1+r2*(k2+r2*k3))
	slope := k1 + r2*(2*k2+r2*3*k3)
	dx := x*radial + 2*p1*x*y + p2*(r2+2*x*x)
	dy := y*radial + p1*(r2+2*y*y) + 2*p2*x*y
	if byLens != nil {
		*byLens = [2][lensParams]float64{
			{dx, 0, 1, 0, fx * x * r2, fx * x * r2 * r2, fx * 2 * x * y, fx * (r2 + 2*x*x), fx * x * r2 * r2 * r2},
			{0, dy, 0, 1, fy * y * r2, fy * y * r2 * r2, fy * (r2 + 2*y*y), fy * 2 * x * y, fy * y * r2 * r2 * r2},
		}
		xx := radial + 2*x*x*slope + 2*p1*y + 6*p2*x
		xy := 2*x*y*slope + 2*p1*x + 2*p2*y
		yy := radial + 2*y*y*slope + 6*p1*y + 2*p2*x
		byPoint[0] = vec{fx * xx * z, fx * xy * z, -fx * (xx*x + xy*y) * z}
		byPoint[1] = vec{fy * xy * z, fy * yy * z, -fy * (xy*x + yy*y) * z}
	}
	return fx*dx + lens[2], fy*dy + lens[3]
}

// onBoard returns a corner's place on the board, metres.
func (b *bundle) onBoard(p *Point) vec {
	return vec{float64(p.Column) * b.board.SquareM, float64(p.Row) * b.board.SquareM, 0}
}

// residual returns by how much a corner is from where it should fall, pixels.
func (b *bundle) residual(view int, p *Point) (du, dv float64) {
	u, v := project(&b.lens, b.poses[view].Apply(b.onBoard(p)), nil, nil)
	return p.X - u, p.Y - v
}

// cost returns the sum of squared residuals, infinite if a board is behind the
// camera.
func (b *bundle) cost() (sum float64) {
	for i := range b.views {
		for k := range b.views[i].Points {
			if !b.use[i][k] {
				continue
			}
			p := &b.views[i].Points[k]
			if q := b.poses[i].Apply(b.onBoard(p)); q[2] <= 0 {
				return math.Inf(1)
			}
			du, dv := b.residual(i, p)
			sum += du*du + dv*dv
		}
	}
	return sum
}

// normal returns JᵀJ and Jᵀr of the free parameters: of the lens, then six for
// each view, a turn in the camera's frame and a move.
func (b *bundle) normal() (*mat.SymDense, *mat.VecDense) {
	nl := len(b.free)
	n := nl + 6*len(b.views)
	a, g := mat.NewSymDense(n, nil), mat.NewVecDense(n, nil)
	at := make([]int, nl+6)
	for k := range nl {
		at[k] = k
	}
	row := make([]float64, nl+6)
	for i := range b.views {
		for k := range 6 {
			at[nl+k] = nl + 6*i + k
		}
		t := &b.poses[i]
		for k := range b.views[i].Points {
			if !b.use[i][k] {
				continue
			}
			p := &b.views[i].Points[k]
			at3 := t.Apply(b.onBoard(p))
			turning := add(at3, t.T, -1) // what a small turn moves
			var byLens [2][lensParams]float64
			var byPoint [2]vec
			u, v := project(&b.lens, at3, &byLens, &byPoint)
			for axis, r := range [2]float64{p.X - u, p.Y - v} {
				for j, f := range b.free {
					row[j] = byLens[axis][f]
				}
				// d(w x q)/dw . g = q x g
				w := cross(turning, byPoint[axis])
				copy(row[nl:], w[:])
				copy(row[nl+3:], byPoint[axis][:])
				for j, x := range row {
					g.SetVec(at[j], g.AtVec(at[j])+x*r)
					for l := j; l < len(row); l++ {
						a.SetSym(at[j], at[l], a.At(at[j], at[l])+x*row[l])
					}
				}
			}
		}
	}
	return a, g
}

// moved returns the bundle after a step.
func (b *bundle) moved(step *mat.VecDense) *bundle {
	to := *b
	for k, f := range b.free {
		to.lens[f] += step.AtVec(k)
	}
	to.poses = make([]frame.Transform, len(b.poses))
	for i, t := range b.poses {
		at := len(b.free) + 6*i
		to.poses[i] = frame.Transform{
			R: turned(t.R, vec{step.AtVec(at), step.AtVec(at + 1), step.AtVec(at + 2)}),
			T: vec{t.T[0] + step.AtVec(at+3), t.T[1] + step.AtVec(at+4), t.T[2] + step.AtVec(at+5)},
		}
	}
	return &to
}

var errNotDetermined = errors.New("the views do not determine the lens")

// solve minimises the residuals by Levenberg and Marquardt's method and returns
// the solution.
func (b *bundle) solve() (*bundle, error) {
	cost, damping := b.cost(), 1e-3
	if math.IsInf(cost, 0) || math.IsNaN(cost) {
		return nil, errNotDetermined
	}
	for range 100 {
		a, g := b.normal()
		improved := false
		for !improved && damping < 1e12 {
			damped := mat.NewSymDense(a.SymmetricDim(), nil)
			damped.CopySym(a)
			for i := range a.SymmetricDim() {
				damped.SetSym(i, i, a.At(i, i)*(1+damping)+1e-12)
			}
			var chol mat.Cholesky
			var step mat.VecDense
			if chol.Factorize(damped) && chol.SolveVecTo(&step, g) == nil {
				if to := b.moved(&step); to.cost() < cost {
					gain := cost - to.cost()
					b, improved = to, true
					cost = to.cost()
					damping = max(damping/10, 1e-12)
					if gain < 1e-10*cost {
						return b, nil
					}
				}
			}
			if !improved {
				damping *= 10
			}
		}
		if !improved {
			return b, nil // nothing makes it better
		}
	}
	return b, nil
}

// deviations returns the standard deviations of the lens's parameters, and of a
// corner per axis in pixels: what the residuals say of the corners' errors, taken
// to be independent.
func (b *bundle) deviations() (lens [lensParams]float64, corner float64, err error) {
	a, _ := b.normal()
	n, m := 2*b.points(), a.SymmetricDim()
	if n <= m {
		return lens, 0, errNotDetermined
	}
	variance := b.cost() / float64(n-m)
	var chol mat.Cholesky
	if !chol.Factorize(a) {
		return lens, 0, errNotDetermined
	}
	var inverse mat.SymDense
	if err := chol.InverseTo(&inverse); err != nil {
		return lens, 0, errNotDetermined
	}
	for k, f := range b.free {
		lens[f] = math.Sqrt(variance * inverse.At(k, k))
	}
	return lens, math.Sqrt(variance), nil
}
