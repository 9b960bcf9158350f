package person

import (
	"math"

	"posefuse/sensors/modality"
)

// Track is the person, as far as they are known.
type Track struct {
	PlaceM  [2]float64 // where the body's axis meets the floor: x, y, room frame
	HeightM float64    // top of the body's points in the newest sweep; 0 without a LiDAR
	SinceNS int64      // since when the track lives
	// Sure is 0 to 1: 0.3 for what only has a person's shape, more for what has
	// moved, more again for what the camera takes for a person too.
	Sure float64
	From modality.Set // the sensors that see the person at present
	// Company says that somebody else moves in the region, at CompanyM: x, y, room
	// frame. The LiDAR tells.
	Company  bool
	CompanyM [2]float64
}

// How long a track outlives what its sensors saw of it.
const (
	lidarHoldNS  = 800e6
	hiddenHoldNS = 3e9 // somebody stands between LiDAR and person
	cameraHoldNS = 800e6
	radarHoldNS  = 2e9 // frames without a point are usual
	// What never stirs within stillNS is no person, nor is what is low and has
	// not stirred for lyingNS.
	stillNS = 120e9
	lyingNS = 900e9
	// A place that has been given up, or where a person was lost, is remembered.
	gaveUpNS = 60e9
	lostNS   = 10e9

	settleNS = 2.5e9 // a thing put down is as new as a person who has come

	lowM = 1.1 // no grown person stands or sits lower
	// livelyShare is the share of points where nothing was before above which
	// something moves; noise at the edges of still things reaches a third of it.
	livelyShare = 0.12
	axisM       = 0.08 // from the middle of the visible surface to the body's axis
)

// agreedS is for how long the camera must take a thing for a person, seconds.
const agreedS = 0.45

// usualS is the time between the samples of the usual sensor, in which shares are
// given; mostS is what counts of a pause.
const (
	usualS = 0.1
	mostS  = 0.5
)

// stepS returns the time since a sensor's sample before, seconds: the usual one
// if there was none.
func stepS(beforeNS, atNS int64) float64 {
	if beforeNS == 0 {
		return usualS
	}
	return min(max(float64(atNS-beforeNS)/1e9, 0), mostS)
}

// followed returns the share of the way that something follows in dtS seconds if
// it follows the given share in the usual time, so that slow and fast sensors
// give alike.
func followed(share, dtS float64) float64 { return 1 - math.Pow(1-share, dtS/usualS) }

// state is the track.
type state struct {
	alive   bool
	stirred bool // has moved or is known otherwise to be a person
	sinceNS int64
	seenNS  [modality.Count]int64 // never is 0 or before sinceNS
	sweepNS int64                 // of the newest sweep
	stirNS  int64                 // of the newest sign of life

	core    [2]float64 // middle of the columns taken in this sweep
	carved  bool       // the thing taken was larger than the person
	covered bool       // something stands before a part of the person
	placeM  [2]float64
	velMPS  [2]float64
	topM    float64
	columns float64 // usual area
	lively  float64
	agreedS float64 // for how long the camera has agreed, picture after picture
	sightNS int64   // of the newest picture that did; 0 is none

	slowM, anchorM [2]float64 // place over two seconds; where it was at the last sign of life
	anchorPoints   float64    // how many points the person had there

	rivalNS  int64      // since when the camera has seen the person elsewhere; 0 is never
	hopeM    [2]float64 // where something looked like a person, and when
	hopeNS   int64
	lostAtM  [2]float64
	lostNS   int64
	gaveUpM  [2]float64
	gaveUpNS int64

	company company
}

// born starts a track.
func (s *state) born(atNS int64, placeM [2]float64) {
	*s = state{
		alive: true, sinceNS: atNS, stirNS: atNS, sweepNS: s.sweepNS, placeM: placeM, slowM: placeM, anchorM: placeM, core: placeM,
		lostAtM: s.lostAtM, lostNS: s.lostNS, gaveUpM: s.gaveUpM, gaveUpNS: s.gaveUpNS,
	}
}

// end ends a track.
func (s *state) end(atNS int64, gaveUp bool) {
	s.alive = false
	if gaveUp {
		s.gaveUpM, s.gaveUpNS = s.placeM, atNS
	} else {
		s.lostAtM, s.lostNS = s.placeM, atNS
	}
}

// stir notes a sign of life.
func (s *state) stir(atNS int64) { s.stirred, s.stirNS, s.anchorM = true, atNS, s.slowM }

// agree counts for how long the camera has taken the track for a person: picture
// after picture, so that a detector's error in one of them counts for little.
func (s *state) agree(sightNS int64, agrees bool) {
	switch {
	case !agrees:
		s.agreedS, s.sightNS = 0, 0
		return
	case sightNS == s.sightNS:
		return
	case s.sightNS != 0:
		s.agreedS += min(max(float64(sightNS-s.sightNS)/1e9, 0), mostS)
	default:
		s.agreedS = usualS
	}
	s.sightNS = sightNS
}

// seen reports whether a sensor has seen the person of late.
func (s *state) seen(k modality.Kind, atNS, holdNS int64) bool {
	at := s.seenNS[k]
	return at != 0 && atNS-at <= holdNS && at-atNS <= holdNS
}

// expire ends a track that nobody sees any more or that is no person.
func (f *Finder) expire(atNS int64) {
	s := &f.state
	if !s.alive {
		return
	}
	still := int64(stillNS)
	if s.stirred {
		still = math.MaxInt64
		if s.topM < lowM {
			still = lyingNS
		}
	}
	if s.seenNS[modality.LiDAR] != 0 && atNS-s.stirNS > still {
		s.end(atNS, true)
		return
	}
	if !f.seenBy(atNS) {
		s.end(atNS, false)
	}
}

// seenBy reports whether any sensor holds the track. The LiDAR waits for who
// covers the person to step aside.
func (f *Finder) seenBy(atNS int64) bool {
	s := &f.state
	hold := int64(lidarHoldNS)
	if s.stirred && s.covered {
		hold = hiddenHoldNS
	}
	return s.seen(modality.LiDAR, atNS, hold) || s.seen(modality.Camera, atNS, cameraHoldNS) || s.seen(modality.Radar, atNS, radarHoldNS)
}

// Track returns the person's track at an instant, and false if nobody is there.
func (f *Finder) Track(atNS int64) (Track, bool) {
	s := &f.state
	if !s.alive || !f.seenBy(atNS) {
		return Track{}, false
	}
	t := Track{PlaceM: s.placeM, SinceNS: s.sinceNS, Sure: sureShape}
	for k, hold := range holdsNS {
		if s.seen(modality.Kind(k), atNS, hold) {
			t.From |= modality.Of(modality.Kind(k))
		}
	}
	if t.From.Has(modality.LiDAR) {
		t.HeightM = s.topM
	}
	if s.company.there(atNS) {
		t.Company, t.CompanyM = true, s.company.placeM
	}
	if s.stirred {
		t.Sure += sureStirred
	}
	if s.agreedS > 0 || t.From.Has(modality.Camera) {
		t.Sure += sureSeen
	}
	return t, true
}

// holdsNS holds how long each sensor counts as seeing the person.
var holdsNS = [modality.CSI]int64{modality.Camera: cameraHoldNS, modality.LiDAR: lidarHoldNS, modality.Radar: radarHoldNS}

// measured takes where the sweep's points of the person are: the middle of the
// trunk's visible surface and the top, metres.
func (f *Finder) measured(atNS int64, surfaceM [2]float64, topM float64) {
	s := &f.state
	at := surfaceM
	dx, dy := at[0]-f.lidarAtM[0], at[1]-f.lidarAtM[1]
	if d := math.Hypot(dx, dy); d > axisM {
		at[0] += axisM * dx / d
		at[1] += axisM * dy / d
	}
	first := s.seenNS[modality.LiDAR] == 0
	dt := float64(atNS-s.seenNS[modality.LiDAR]) / 1e9
	switch {
	case first || dt <= 0 || dt > 1:
		s.velMPS = [2]float64{}
		s.placeM = at
	default:
		most, follow := 3*dt, min(6*dt, 1)
		if s.carved || s.covered && dt < 0.3 {
			most = 0.3 * dt // others are in it: do not let them carry the place away
		}
		for k := range 2 {
			move := min(max(follow*(at[k]-s.placeM[k]), -most), most)
			s.placeM[k] += move
			s.velMPS[k] = min(max(s.velMPS[k]+followed(0.3, dt)*(move/dt-s.velMPS[k]), -1.5), 1.5)
		}
		if s.carved || s.covered {
			s.velMPS = [2]float64{}
		}
	}
	if first {
		s.slowM, s.anchorM = at, at
	}
	share := min(max(dt, 0.02), 0.5) / 2
	for k := range 2 {
		s.slowM[k] += share * (at[k] - s.slowM[k])
	}
	points := float64(f.count[Person])
	switch {
	case math.Abs(points-s.anchorPoints) > 0.25*s.anchorPoints:
		// Other points, hidden or learned meanwhile, have another middle.
		s.anchorM, s.anchorPoints = s.slowM, points
	case distance2(s.slowM, s.anchorM) > 0.06*0.06:
		s.stir(atNS)
	}
	s.topM = topM
	s.seenNS[modality.LiDAR] = atNS
}
