package exercise

import (
	"math"
	"slices"

	"posefuse/message"
)

// anglesOf names every angle of a body that its joints allow, degrees.
func anglesOf(b body, take func(name string, deg float64)) {
	for name, q := range quantities {
		if q.unit != "deg" {
			continue
		}
		if !q.sided {
			if v, ok := q.value(b, Left); ok {
				take(name, v)
			}
			continue
		}
		for suffix, side := range map[string]Side{"Left": Left, "Right": Right} {
			if v, ok := q.value(b, side); ok {
				take(name+suffix, v)
			}
		}
	}
}

// Angles gives every angle of a pose that its joints allow, degrees, by the names of
// docs/angles.md with Left or Right behind those of a limb. Nothing is smoothed, and
// nothing about the person is taken as known. It is nil for a pose without joints.
func Angles(p *message.Pose) map[string]float64 {
	s, ok := FromPose(p, 0)
	if !ok {
		return nil
	}
	angles := map[string]float64{}
	anglesOf(body{&s, new(calibration)}, func(name string, v float64) {
		if !math.IsNaN(v) {
			angles[name] = v
		}
	})
	return angles
}

// AngleNames are the names that Angles may give, in order.
func AngleNames() (names []string) {
	for name, q := range quantities {
		switch {
		case q.unit != "deg":
		case q.sided:
			names = append(names, name+"Left", name+"Right")
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
