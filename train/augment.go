package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Augment varies radar samples while a network trains, so that a few
// recordings go further. It never touches evaluation. The zero value changes
// nothing.
//
// The radar's axes are x to its right, y away from it and z up, as MARS has
// them, and the truth's are those of a camera in its place: x right, y down,
// z away. It serves networks of the radar alone, see Check: which way the other
// sensors look is not known here.
type Augment struct {
	// RotateDeg turns point cloud and pose together about the radar's vertical
	// axis by a random angle of at most this.
	RotateDeg float64
	// ShiftM moves both by a normal deviate of this standard deviation, in
	// metres, to the side and away, and by half of it up.
	ShiftM float64
	// Mirror swaps left and right in half of the samples. MirrorX is where the
	// truth's mirror plane stands, metres to the right of the radar: where
	// radar and reference camera do not stand in one place, the points' mean
	// and the joints' mean of x differ by it.
	Mirror  bool
	MirrorX float64
	// DropPoints replaces a random share of the points, up to this, by others
	// of the same cloud, as if the radar had not seen them.
	DropPoints float64
	// JitterM moves each point by a normal deviate of this standard deviation,
	// metres, in each axis.
	JitterM float64
}

// Check reports values that make no sense, and networks of other sensors.
func (a *Augment) Check(mask modality.Set) error {
	if a == nil || *a == (Augment{}) {
		return nil
	}
	switch {
	case mask != 1<<modality.Radar:
		return fmt.Errorf("augmentation turns radar points and poses only, the network has modalities %s: train without it, or with modality M alone", mask)
	case !(a.RotateDeg >= 0 && a.RotateDeg <= 180):
		return fmt.Errorf("augmentation: rotation by %g degrees: want 0 to 180", a.RotateDeg)
	case !(a.ShiftM >= 0 && a.ShiftM <= 10), !(a.JitterM >= 0 && a.JitterM <= 10):
		return fmt.Errorf("augmentation: shift %g m, jitter %g m: want 0 to 10", a.ShiftM, a.JitterM)
	case !(a.DropPoints >= 0 && a.DropPoints < 1):
		return fmt.Errorf("augmentation: share %g of points to drop: want 0 up to below 1", a.DropPoints)
	case !(math.Abs(a.MirrorX) <= 10):
		return fmt.Errorf("augmentation: mirror plane at %g m: want -10 to 10", a.MirrorX)
	case a.MirrorX != 0 && !a.Mirror:
		return errors.New("augmentation: a mirror plane is given, but nothing is mirrored")
	}
	return nil
}

// mirrored lists for each of the 17 joints the one on the body's other side.
var mirrored = [model.NumJoints]int{0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13}

// augmentStream separates the random numbers of augmentation from others of
// the same seed.
const augmentStream = 0x6175676d656e74

// Apply varies one sample: points are rows of model.RadarPointDim, pose is
// model.OutputDim values. What it does depends on seed and number alone, which
// the caller counts through the training, so that neither the threads nor the
// replicas change the outcome.
func (a *Augment) Apply(points, pose []float32, seed, number uint64) {
	if a == nil || *a == (Augment{}) {
		return
	}
	var rng deviates
	rng.Seed(seed^augmentStream, number)
	const dim = model.RadarPointDim
	if a.Mirror && rng.Uint64()&1 == 0 {
		mirror(points, pose, float32(a.MirrorX))
	}
	if a.RotateDeg > 0 {
		sin, cos := math.Sincos((2*rng.uniform() - 1) * a.RotateDeg * math.Pi / 180)
		s, c := float32(sin), float32(cos)
		for i := 0; i+dim <= len(points); i += dim {
			points[i], points[i+1] = c*points[i]-s*points[i+1], s*points[i]+c*points[i+1]
		}
		for i := 0; i+3 <= len(pose); i += 3 {
			pose[i], pose[i+2] = c*pose[i]-s*pose[i+2], s*pose[i]+c*pose[i+2]
		}
	}
	if a.ShiftM > 0 {
		right, away, up := float32(rng.normal()*a.ShiftM), float32(rng.normal()*a.ShiftM), float32(rng.normal()*a.ShiftM/2)
		for i := 0; i+dim <= len(points); i += dim {
			points[i], points[i+1], points[i+2] = points[i]+right, points[i+1]+away, points[i+2]+up
		}
		for i := 0; i+3 <= len(pose); i += 3 {
			pose[i], pose[i+1], pose[i+2] = pose[i]+right, pose[i+1]-up, pose[i+2]+away
		}
	}
	if a.JitterM > 0 {
		jitter(points, dim, a.JitterM, &rng)
	}
	if a.DropPoints > 0 {
		dropPoints(points, dim, a.DropPoints, &rng)
	}
}

// jitter moves each of points, rows of dim values, by normal deviates of the
// standard deviation sdM.
func jitter(points []float32, dim int, sdM float64, rng *deviates) {
	for i := 0; i+dim <= len(points); i += dim {
		for k := range 3 {
			points[i+k] += float32(rng.normal() * sdM)
		}
	}
}

// dropPoints replaces a random share of points, up to most, by others.
func dropPoints(points []float32, dim int, most float64, rng *deviates) {
	n := len(points) / dim
	if n < 2 {
		return
	}
	share := rng.uniform() * most
	for i := range n {
		if rng.uniform() < share {
			from := int(rng.uniform() * float64(n))
			copy(points[i*dim:(i+1)*dim], points[from*dim:(from+1)*dim])
		}
	}
}

// deviates draws random numbers without the interface of rand.Rand, through
// which the generator would be allocated for every sample.
type deviates struct {
	rand.PCG
	spare float64 // the second of the last pair of normal ones
	kept  bool
}

// uniform returns a number from 0 up to below 1.
func (d *deviates) uniform() float64 { return float64(d.Uint64()>>11) / (1 << 53) }

// normal returns a standard normal deviate by the polar method (Marsaglia and
// Bray 1964), which makes two of a logarithm.
func (d *deviates) normal() float64 {
	if d.kept {
		d.kept = false
		return d.spare
	}
	for {
		x, y := 2*d.uniform()-1, 2*d.uniform()-1
		if r := x*x + y*y; r > 0 && r < 1 {
			r = math.Sqrt(-2 * math.Log(r) / r)
			d.spare, d.kept = y*r, true
			return x * r
		}
	}
}

// augment applies a to a row that Fill has filled.
func (d *Data) augment(a *Augment, b *model.Batch, row int, seed, number uint64) {
	if a == nil {
		return
	}
	n := d.cfg.Radar.Points * model.RadarPointDim
	a.Apply(b.Radar[row*n:(row+1)*n], b.Target[row*model.OutputDim:(row+1)*model.OutputDim], seed, number)
}

// mirror swaps left and right of a cloud about the radar and of a pose about
// the plane x. The Doppler velocity points at the radar and stays.
func mirror(points, pose []float32, x float32) {
	for i := 0; i+model.RadarPointDim <= len(points); i += model.RadarPointDim {
		points[i] = -points[i]
	}
	mirrorPose(pose, x)
}

// mirrorPose swaps left and right of a pose about the plane x.
func mirrorPose(pose []float32, x float32) {
	var from [model.OutputDim]float32
	copy(from[:], pose)
	for j, other := range mirrored {
		pose[3*j], pose[3*j+1], pose[3*j+2] = 2*x-from[3*other], from[3*other+1], from[3*other+2]
	}
}
