package recording

import (
	"fmt"
	"math"
)

// Fault is what is wrong with a ground-truth pose.
type Fault string

// The faults of a pose; NoFault is none.
const (
	NoFault      Fault = ""
	ZeroPose     Fault = "zero truth"
	PoseNoNumber Fault = "not a number"
	Millimetres  Fault = "wrong unit"
	OddPose      Fault = "implausible"
)

// Bounds of a pose that a person in front of the sensors may have, metres.
const (
	smallestBodyM = 0.3 // largest extent
	largestBodyM  = 3.5
	farthestM     = 20 // joint from the camera
)

// FarPointM is how far a point of a room's sensor may be, metres.
const FarPointM = 100

// CheckPose says what is wrong with a ground-truth pose in metres.
func CheckPose(p *Pose) (Fault, string) {
	if *p == (Pose{}) {
		return ZeroPose, "all joints are zero: the annotation failed"
	}
	size, far := extent(p)
	switch {
	case math.IsNaN(size) || math.IsInf(far, 0):
		return PoseNoNumber, "a joint is no number"
	case size > 1000*smallestBodyM && size < 1000*largestBodyM:
		return Millimetres, fmt.Sprintf("the body is %.4g m large: looks like millimetres, write metres", size)
	case size < smallestBodyM || size > largestBodyM:
		return OddPose, fmt.Sprintf("the body is %.3g m large", size)
	case far > farthestM:
		return OddPose, fmt.Sprintf("a joint is %.3g m from the camera", far)
	}
	return NoFault, ""
}

// extent returns the longest side of the box around a pose and its farthest
// coordinate.
func extent(p *Pose) (size, far float64) {
	for k := range 3 {
		lo, hi := math.Inf(1), math.Inf(-1)
		for j := range p {
			v := p[j][k]
			lo, hi, far = math.Min(lo, v), math.Max(hi, v), math.Max(far, math.Abs(v))
		}
		size = math.Max(size, hi-lo)
	}
	return size, far
}

// OddPoints counts the rows of a cloud that are dropped, since a value is no
// number, and those that no sensor of a room gives: farther than FarPointM.
func OddPoints(cloud []float64, columns int) (dropped, far int) {
	for i := 0; i+columns <= len(cloud); i += columns {
		var sum, reach float64
		for _, v := range cloud[i : i+columns] {
			sum += v - v // NaN where v is no number
		}
		for _, v := range cloud[i : i+3] {
			reach = math.Max(reach, math.Abs(v))
		}
		if sum != 0 {
			dropped++
		} else if reach > FarPointM {
			far++
		}
	}
	return dropped, far
}
