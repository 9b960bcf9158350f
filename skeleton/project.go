package skeleton

import "math"

const (
	projections = 6    // Newton steps at most; usual poses need two or three
	closeM      = 2e-5 // lengths that are this near need no further step
	noLengthM   = 1e-3 // a shorter bone has no direction
)

// Project moves the joints of p so that the bones have the given lengths, and moves
// them as little as possible: the sum of the squares of their ways is the least to
// first order. A bone without a direction takes that of
// the bone it hangs on. The lengths hold to a rounding error; a pose that has them
// already is not moved.
//
// Chaining the bones from the pelvis outwards instead gives the same lengths, but
// adds the corrections of all bones before it to a hand's place; see
// docs/body.md for the difference.
func Project(p *Pose, l *Lengths) {
	for range projections {
		if step(p, l) {
			break
		}
	}
	chain(p, l) // what is left is far below a millimetre
}

// step is one step of Newton's method in the plane that the lengths span around p,
// and reports whether the lengths were right already.
func step(p *Pose, l *Lengths) (done bool) {
	var dir [NumBones]vec
	var excess [NumBones]float64
	done = true
	for b, e := range Bones {
		d := sub(p[e.Child], p[e.Parent])
		n := norm(d)
		if n < noLengthM {
			dir[b] = inherited(b, &dir)
			n = dot(d, dir[b])
		} else {
			dir[b] = scale(d, 1/n)
		}
		excess[b] = n - l[b]
		done = done && excess[b] < closeM && excess[b] > -closeM
	}
	if done {
		return true
	}
	tension := solve(&dir, &excess)
	for b, e := range Bones {
		pull := scale(dir[b], tension[b])
		p[e.Child] = sub(p[e.Child], pull)
		p[e.Parent] = add(p[e.Parent], pull)
	}
	return false
}

// inherited is the direction of the bone that b hangs on.
func inherited(b int, dir *[NumBones]vec) vec {
	for before := b - 1; before >= 0; before-- {
		if Bones[before].Child == Bones[b].Parent {
			return dir[before]
		}
	}
	return vec{0, 1, 0}
}

// solve returns the tension of each bone that takes the excess from all of them at
// once. Two bones that share a joint pull on each other; the matrix is that of the
// constraints, symmetric and positive definite, because each joint but the pelvis
// is the child of one bone.
func solve(dir *[NumBones]vec, excess *[NumBones]float64) [NumBones]float64 {
	var a [NumBones][NumBones]float64
	for i, e := range Bones {
		a[i][i] = 2
		for k := range i {
			f := Bones[k]
			along := dot(dir[i], dir[k])
			switch e.Parent {
			case f.Child:
				a[i][k] = -along
			case f.Parent:
				a[i][k] = along
			}
		}
	}
	// Cholesky, in the lower triangle.
	x := *excess
	for i := range a {
		for k := range i + 1 {
			s := a[i][k]
			for m := range k {
				s -= a[i][m] * a[k][m]
			}
			if i == k {
				a[i][i] = math.Sqrt(s)
			} else {
				a[i][k] = s / a[k][k]
			}
		}
		for k := range i {
			x[i] -= a[i][k] * x[k]
		}
		x[i] /= a[i][i]
	}
	for i := NumBones - 1; i >= 0; i-- {
		for k := i + 1; k < NumBones; k++ {
			x[i] -= a[k][i] * x[k]
		}
		x[i] /= a[i][i]
	}
	return x
}

// chain gives the bones their lengths, one after the other from the pelvis on.
func chain(p *Pose, l *Lengths) {
	var dir [NumBones]vec
	was := *p
	for b, e := range Bones {
		d := sub(was[e.Child], was[e.Parent])
		if n := norm(d); n < noLengthM {
			dir[b] = inherited(b, &dir)
		} else {
			dir[b] = scale(d, 1/n)
		}
		p[e.Child] = add(p[e.Parent], scale(dir[b], l[b]))
	}
}
