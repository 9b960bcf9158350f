package person

import "math"

const (
	// A body moves less than this between two sets of keypoints, sideways: what
	// is farther away is somebody else, whom the detector took for once.
	stepM   = 0.15
	stepMPS = 2.0
	// believeNS is how long the camera may look at somebody whom no other sensor
	// takes for the person before it is believed. The finder goes over to them
	// after five seconds if there is anybody.
	believeNS = 6_000_000_000
	// Who was out of sight for less than a second and is found again nearby is
	// the same as before.
	sameM  = 0.4
	sameNS = 1_000_000_000
)

// ownSets tells the person's sets of keypoints from somebody else's.
type ownSets struct {
	sinceNS   int64      // of the first set of the person where they stand now; 0 is none
	anew      bool       // the next own set is that first one
	atNS      int64      // of the newest own set; 0 is none to compare with
	xM        float64    // of its trunk's middle, across the line of sight
	placeM    [2]float64 // of the person then
	foreignNS int64      // since when sets have been somebody else's; 0 is not
}

// found notes that the person has been found at a place, anew or somewhere else.
func (o *ownSets) found(atNS int64, placeM [2]float64) {
	o.anew = o.anew || o.atNS == 0 || atNS-o.atNS > sameNS || distance2(placeM, o.placeM) > sameM*sameM
	o.atNS = 0 // seen from another place, it has another x
}

// take reports whether a set is the person's: xM is where it has the trunk, placeM
// where the person is, and elsewhere says that these two do not go together.
func (o *ownSets) take(atNS int64, xM float64, placeM [2]float64, elsewhere bool) bool {
	switch {
	case !elsewhere:
		o.foreignNS = 0
	case o.foreignNS == 0:
		o.foreignNS = atNS
		return false
	case atNS-o.foreignNS < believeNS:
		return false
	}
	if o.atNS != 0 {
		sinceNS, moved := max(atNS-o.atNS, 0), math.Abs(xM-o.xM)
		if moved > stepM+stepMPS*float64(sinceNS)/1e9 {
			return false
		}
		o.anew = o.anew || sinceNS > sameNS && moved > sameM
	}
	if o.anew || o.sinceNS == 0 {
		o.sinceNS, o.anew = atNS, false
	}
	o.atNS, o.xM, o.placeM = atNS, xM, placeM
	return true
}

// unusable takes back that a set, which take took, is the first of the person
// where they stand now: too little of them can be seen in it.
func (o *ownSets) unusable(atNS int64) { o.anew = o.anew || o.sinceNS == atNS }

// trunkX returns the middle of the trunk's joints that were seen, in the units of
// at.
func trunkX(at *[NumKeypoints][2]float64, have *[NumKeypoints]bool) (x float64, ok bool) {
	n := 0.0
	for _, j := range trunk {
		if have[j] {
			x += at[j][0]
			n++
		}
	}
	return x / max(n, 1), n > 0
}
