package exercise

import "math"

// pelvis is the pelvis by the mean of its three joints, which move together:
// their errors do not.
func (s *Skeleton) pelvis() vec {
	mean := s.at(jPelvis).add(s.at(jLHip)).add(s.at(jRHip)).scale(1.0 / 3)
	if math.IsNaN(mean[0] + mean[1] + mean[2]) {
		return s.at(jPelvis)
	}
	return mean
}

// pelvisDrop is how far the pelvis is below standing, in leg lengths.
func (b body) pelvisDrop() (float64, bool) {
	if !b.cal.standing {
		return 0, false
	}
	return (b.s.pelvis()[1] - b.cal.neutral.pelvis()[1]) / b.cal.legLengthM(), true
}

func (b body) kneeAnkleRatio() (float64, bool) {
	knees := b.s.at(jRKnee).sub(b.s.at(jLKnee)).norm()
	ankles := b.s.at(jRAnkle).sub(b.s.at(jLAnkle)).norm()
	if ankles < minSegmentM {
		return 0, false
	}
	return knees / ankles, true
}

// ankleLead is how far the ankle of the side is in front of the other one, in
// leg lengths.
func (b body) ankleLead(side Side) (float64, bool) {
	f, ok := b.forward()
	_, _, own := leg(side)
	_, _, other := leg(side.Other())
	return b.s.at(own).sub(b.s.at(other)).dot(f) / b.cal.legLengthM(), ok
}

// ankleLift is how far the ankle of the side is above the other one, in leg
// lengths.
func (b body) ankleLift(side Side) (float64, bool) {
	_, _, own := leg(side)
	_, _, other := leg(side.Other())
	return (b.s[other][1] - b.s[own][1]) / b.cal.legLengthM(), true
}

// pelvisShift is how far the pelvis is to the left of the middle of the ankles, metres.
func (b body) pelvisShift() (float64, bool) {
	l, ok := b.left()
	mid := b.s.at(jLAnkle).add(b.s.at(jRAnkle)).scale(0.5)
	return b.s.pelvis().sub(mid).dot(l), ok
}

// ankleOut is how far the ankles are apart sideways, in leg lengths.
func (b body) ankleOut() (float64, bool) {
	l, ok := b.left()
	return b.s.at(jLAnkle).sub(b.s.at(jRAnkle)).dot(l) / b.cal.legLengthM(), ok
}

// pelvisOut is how far the pelvis is from the middle of the ankles towards the
// side, in leg lengths.
func (b body) pelvisOut(side Side) (float64, bool) {
	v, ok := b.pelvisShift()
	if side == Right {
		v = -v
	}
	return v / b.cal.legLengthM(), ok
}

// pelvisAside is pelvisOut towards either side.
func (b body) pelvisAside() (float64, bool) {
	v, ok := b.pelvisOut(Left)
	return math.Abs(v), ok
}

// ankleHeight is how far the lower ankle is above standing, in leg lengths:
// above 0 both feet are off the floor.
func (b body) ankleHeight() (float64, bool) {
	if !b.cal.standing {
		return 0, false
	}
	l := b.cal.neutral[jLAnkle][1] - b.s[jLAnkle][1]
	r := b.cal.neutral[jRAnkle][1] - b.s[jRAnkle][1]
	return min(l, r) / b.cal.legLengthM(), true
}

// pelvisTravel is how far the pelvis has moved to the side from where the
// person stood, in leg lengths.
func (b body) pelvisTravel(side Side) (float64, bool) {
	l, ok := b.left()
	if side == Right {
		l = l.scale(-1)
	}
	return b.s.pelvis().sub(b.cal.place).dot(l) / b.cal.legLengthM(), ok
}

// stepAngle is the direction from foot to foot: 0 sideways, 90 forwards or
// backwards.
func (b body) stepAngle() (float64, bool) {
	lead, ok1 := b.ankleLead(Left)
	out, ok2 := b.ankleOut()
	return deg(math.Atan2(math.Abs(lead), max(out, 0))), ok1 && ok2
}
