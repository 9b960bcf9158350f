package person

import "posefuse/sensors/modality"

// evidence is what speaks for somebody, from nothing to everything.
type evidence int

const (
	nothing evidence = iota
	shape            // of a person, which has not moved and which no camera has judged
	assumed          // the camera sees somebody whose distance nobody knows
	judged           // the camera takes it for a person, it has not moved
	moved            // it has moved, no camera has taken it for a person
	certain          // both
	numEvidence
)

// presence holds the share of the ticks with somebody among those with the
// evidence, by whether the camera took part: rooms of all kinds, simulated, as many
// empty as not, each count raised by one (docs/person.md). Furniture, clutter of
// the radar and ghosts of the camera stand in them.
var presence = [numEvidence][2]float64{ // without, with camera
	nothing: {0.02, 0.02},
	shape:   {0.43, 0.16},
	assumed: {0.71, 0.71},
	judged:  {0.93, 0.93},
	moved:   {0.985, 0.82},
	certain: {0.998, 0.998},
}

// Presence returns the probability that somebody is in the region, 0 to 1, of a
// track (found says whether there is one) after a tick with some sensors; guessed
// says that the camera alone sees them, at a distance that nobody knows. It is that
// of rooms which are as often empty as not.
func Presence(t Track, found, guessed bool, took modality.Set) float64 {
	e := nothing
	switch {
	case guessed:
		e = assumed
	case !found:
	case t.Sure >= sureCertain:
		e = certain
	case t.Sure >= sureMoved:
		e = moved
	case t.Sure >= sureJudged:
		e = judged
	default:
		e = shape
	}
	column := 0
	if took.Has(modality.Camera) {
		column = 1
	}
	if e == shape && took == modality.Of(modality.LiDAR) {
		return lidarShape
	}
	return presence[e][column]
}

// lidarShape is that of a person's shape where the LiDAR alone looks: no other
// sensor could have said more, and has not kept silent.
const lidarShape = 0.90

// What a track's Sure is made of.
const (
	sureShape   = 0.3
	sureSeen    = 0.3 // the camera takes it for a person
	sureStirred = 0.4

	// From where on it is what, between the sums.
	sureJudged  = 0.55
	sureMoved   = 0.65
	sureCertain = 0.95
)
