package calibration

import (
	"errors"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"posefuse/frame"
)

// errNoFloor is why a LiDAR cannot be levelled.
var errNoFloor = errors.New("the LiDAR sees no floor: aim it so that some square metres of floor are in sight, and correct room_from_lidar if it is far off")

const (
	floorSlackM   = 0.7  // that the floor may be above or below where it is thought
	floorTiltRad  = 0.35 // that the LiDAR's thought tilt may be wrong
	floorInlierM  = 0.03
	floorReachM   = 8.0
	minFloorShare = 0.03 // of the points
)

// levelled returns levelFromLiDAR: z up, zero on the floor below the LiDAR, y
// where the LiDAR looks. rough is what is thought of roomFromLiDAR.
func levelled(xyz []float32, rough frame.Transform) (frame.Transform, error) {
	var near []vec
	for i := 0; i+2 < len(xyz); i += 3 {
		p := vec{float64(xyz[i]), float64(xyz[i+1]), float64(xyz[i+2])}
		q := rough.Apply(p)
		if math.Abs(q[2]) < floorSlackM+math.Tan(floorTiltRad)*0.3 && dot(p, p) < floorReachM*floorReachM && dot(p, p) > 0.01 {
			near = append(near, p)
		}
	}
	up := vec{rough.R[2][0], rough.R[2][1], rough.R[2][2]} // in the LiDAR's frame
	normal, height, ok := mostOnPlane(near, up)
	if !ok || float64(onPlane(near, normal, height)) < minFloorShare*float64(len(xyz)/3) {
		return frame.Transform{}, errNoFloor
	}
	for range 4 {
		normal, height = fitPlane(near, normal, height)
	}
	forward := vec{1, 0, 0}
	if math.Abs(normal[0]) > 0.9 {
		forward = vec{0, 0, 1} // it looks straight up or down
	}
	forward = add(forward, normal, -dot(forward, normal))
	l := math.Sqrt(dot(forward, forward))
	forward = vec{forward[0] / l, forward[1] / l, forward[2] / l}
	right := cross(forward, normal)
	t := frame.Transform{T: vec{0, 0, height}}
	for k := range 3 {
		t.R[0][k], t.R[1][k], t.R[2][k] = right[k], forward[k], normal[k]
	}
	return t, nil
}

// mostOnPlane returns the plane with the most points among those whose normal is
// near up: normal . p = -height, the height of the origin above it.
func mostOnPlane(points []vec, up vec) (normal vec, height float64, ok bool) {
	if len(points) < 100 {
		return normal, 0, false
	}
	r := rand.New(rand.NewPCG(1, 2))
	some := points
	if step := len(points) / 2000; step > 1 {
		some = nil
		for i := 0; i < len(points); i += step {
			some = append(some, points[i])
		}
	}
	best := 0
	// Of what is about as high as the floor a tenth may lie on it, so that one
	// guess in a thousand has three points there; most others are too steep.
	for range 20_000 {
		a, b, c := points[r.IntN(len(points))], points[r.IntN(len(points))], points[r.IntN(len(points))]
		n := cross(add(b, a, -1), add(c, a, -1))
		l := math.Sqrt(dot(n, n))
		if l < 0.05 {
			continue // nearly on a line
		}
		n = vec{n[0] / l, n[1] / l, n[2] / l}
		if dot(n, up) < 0 {
			n = vec{-n[0], -n[1], -n[2]}
		}
		if dot(n, up) < math.Cos(floorTiltRad) {
			continue
		}
		h := -dot(n, a)
		if on := onPlane(some, n, h); on > best {
			best, normal, height, ok = on, n, h, true
		}
	}
	return normal, height, ok
}

func onPlane(points []vec, normal vec, height float64) (n int) {
	for _, p := range points {
		if math.Abs(dot(normal, p)+height) < floorInlierM {
			n++
		}
	}
	return n
}

// fitPlane returns the least-squares plane of the points on one.
func fitPlane(points []vec, normal vec, height float64) (vec, float64) {
	var mean vec
	var on []vec
	for _, p := range points {
		if math.Abs(dot(normal, p)+height) < floorInlierM {
			on = append(on, p)
			mean = add(mean, p, 1)
		}
	}
	for k := range mean {
		mean[k] /= float64(len(on))
	}
	cov := mat.NewSymDense(3, nil)
	for _, p := range on {
		d := add(p, mean, -1)
		for i := range 3 {
			for j := i; j < 3; j++ {
				cov.SetSym(i, j, cov.At(i, j)+d[i]*d[j])
			}
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(cov, true) {
		return normal, height
	}
	var v mat.Dense
	eig.VectorsTo(&v)
	n := vec{v.At(0, 0), v.At(1, 0), v.At(2, 0)} // of the smallest value
	if dot(n, normal) < 0 {
		n = vec{-n[0], -n[1], -n[2]}
	}
	return n, -dot(n, mean)
}
