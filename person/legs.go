package person

import "math"

// legs guesses knees and ankles that the camera does not see: feet stand on the
// floor below the hips, knees bend towards the camera. Lengths are metres where
// the arrangement has the person.
type legs struct {
	trunkM, hipM float64 // hips to shoulders; the hips' height; what they are at most
	atNS         int64   // when they were measured
}

// ground is how lengths become the network's units.
type ground struct {
	cameraM   float64 // height of the arrangement's camera
	distanceM float64
	perM      float64 // at that distance
}

// on returns where a point is seen: right of the camera, above the floor and
// beyond the person's place.
func (g *ground) on(rightM, heightM, backM float64) [2]float64 {
	f := g.perM * g.distanceM / max(g.distanceM+backM, 0.5)
	return [2]float64{f * rightM, f * (g.cameraM - heightM)}
}

// Legs are at least and at most so many trunks long, hip to ankle.
const (
	minLegTrunks = 1.6
	maxLegTrunks = 1.9
)

// measure learns from a trunk that was seen: both ends in the network's units.
func (l *legs) measure(atNS int64, g *ground, hips, shoulders [2]float64) {
	dtS := stepS(l.atNS, atNS)
	follow(&l.trunkM, dtS, math.Hypot(hips[0]-shoulders[0], hips[1]-shoulders[1])/g.perM)
	follow(&l.hipM, dtS, g.cameraM-hips[1]/g.perM)
	l.atNS = atNS
}

// follow lets a measure rise fast and fall slowly: who bends shortens only their
// picture.
func follow(m *float64, dtS, now float64) {
	switch {
	case *m == 0:
		*m = now
	case now > *m:
		*m += followed(0.1, dtS) * (now - *m)
	default:
		*m += followed(0.003, dtS) * (now - *m)
	}
}

// lengthM is that of a leg, hip to ankle.
func (l *legs) lengthM() float64 {
	return min(max(l.hipM-ankleM, minLegTrunks*l.trunkM), maxLegTrunks*l.trunkM)
}

// whole returns knee and ankle of a leg of which only the hip is known.
func (l *legs) whole(g *ground, hip [2]float64) (knee, ankle [2]float64) {
	length := l.lengthM()
	rightM, hipM := hip[0]/g.perM, g.cameraM-hip[1]/g.perM
	footM := max(ankleM, hipM-length)
	// The knee is half way, and in front by what the leg is too long for that.
	bendM := math.Sqrt(max(length*length-(hipM-footM)*(hipM-footM), 0)) / 2
	return g.on(rightM, (hipM+footM)/2, -bendM), g.on(rightM, footM, 0)
}

// ankle returns that of a leg whose knee is known: it hangs below it, to the floor
// at most.
func (l *legs) ankle(g *ground, knee [2]float64) [2]float64 {
	kneeM := g.cameraM - knee[1]/g.perM
	return [2]float64{knee[0], g.perM * (g.cameraM - max(ankleM, kneeM-l.lengthM()/2))}
}
