package exercise

// Somebody who sits is not squatting: a squat keeps the trunk's middle over
// the feet, or the person falls; on a chair it rests behind them.
const (
	seatBehindM = 0.15 // of the trunk's middle behind the ankles
	seatKneeDeg = 50.0 // both knees are bent more
	seatS       = 2.0  // that long: sitting, not touching the chair
)

// seat says whether the person sits.
type seat struct {
	sinceNS  int64 // when the person was first seen so, 0 if not
	seated   bool
	standing bool // stood before
}

// look takes a smoothed pose and reports whether the person has just sat down
// after standing.
func (s *seat) look(b body, ns int64) (satDown bool) {
	sits, ok := b.sits()
	switch {
	case !ok:
		return false
	case !sits:
		s.sinceNS, s.seated, s.standing = 0, false, true
		return false
	case s.sinceNS == 0:
		s.sinceNS = ns
	}
	if s.seated || float64(ns-s.sinceNS) < seatS*1e9 {
		return false
	}
	s.seated = true
	satDown = s.standing
	s.standing = false
	return satDown
}

// sits reports whether the person is where only a chair holds them, ok false
// if that cannot be told.
func (b body) sits() (sits, ok bool) {
	f, ok := b.forward()
	l, ok1 := b.kneeFlexion(Left)
	r, ok2 := b.kneeFlexion(Right)
	if !ok || !ok1 || !ok2 {
		return false, false
	}
	if min(l, r) < seatKneeDeg {
		return false, true
	}
	feet := b.s.at(jLAnkle).add(b.s.at(jRAnkle)).scale(0.5)
	trunk := b.s.at(jPelvis).add(b.s.at(jThorax)).scale(0.5)
	return feet.sub(trunk).dot(f) > seatBehindM, true
}

// ofLegs reports whether a repetition of the exercise moves legs or pelvis, so
// that it cannot be one of somebody who sits.
func (d *Definition) ofLegs() bool {
	for _, c := range d.signals() {
		switch c.Name {
		case "elbowFlexion", "shoulderElevation", "armPlane", "armExtension", "wristDistance",
			"trunkLean", "trunkSide", "trunkTwist", "shoulderTilt", "elevationDifference":
		default:
			return true
		}
	}
	return false
}
