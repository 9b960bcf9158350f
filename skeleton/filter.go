package skeleton

import (
	"math"

	"posefuse/sensors/modality"
)

// What the filter is made of, found by a random search on simulated people that no
// figure of the docs is from: the least acceleration error that does not raise the
// error of the place. Gains are those of a tick of usualS.
const (
	usualS    = 0.1
	restGain  = 0.25 // of a joint that does not move
	trend     = 0.44 // share of the velocity that is expected to go on
	speedGain = 0.60 // of the velocity
	gainGain  = 0.70 // of the gain itself
	bodyShare = 0.5  // of the speed that counts, the mean of all joints
	sharpness = 1.5  // how suddenly movement takes over from rest
	// quickShare is the speed, in noises a tick, at which the gain is half way from
	// rest to 1.
	quickShare = 1.2
)

// How the noise of poses is known: as the mean length of the second difference of
// the joints, metres a tick.
const (
	usualNoiseM = 0.040 // of a network that nothing is known of
	leastNoiseM = 0.004
	noiseS      = 2.5 // time constant
)

const (
	filterGapS  = 0.5 // after a longer gap the next pose begins anew
	jumpMS      = 8.0 // no person is faster: what is, is somebody else
	jumpM       = 0.3 // or error
	changedGain = 0.5 // at least, of the first pose of another coalition
)

// Filter follows each joint without looking ahead: what it returns at a time
// depends on the poses up to then. A joint at rest is smoothed, one that moves fast
// is not: the gain goes from restGain to 1 with its speed, and that of the whole
// body, over the noise, which is measured as poses come, apart for each coalition of
// sensors. Part of the velocity is expected to go on.
//
// A body that moves evenly comes late by DelayS. The gains depend on the time
// between poses, so that any rate gives alike.
type Filter struct {
	poses  int // since the beginning
	atNS   int64
	of     modality.Set
	at     Pose // filtered
	speed  Pose // metres a second
	gain   [NumJoints]float64
	newest [2]Pose
	noiseM [modality.All + 1]float64 // 0 is not known
	late   delay
}

// Begin forgets the movement: the next pose is taken as it is.
func (f *Filter) Begin() { f.poses = 0 }

// Next takes the pose of an instant and replaces it by the filtered one.
func (f *Filter) Next(atNS int64, of modality.Set, p *Pose) {
	dtS := float64(atNS-f.atNS) / 1e9
	if f.poses > 0 && (dtS <= 0 || dtS > filterGapS || f.jumped(p, dtS)) {
		f.poses = 0
	}
	f.atNS = atNS
	if f.poses == 0 {
		f.at, f.speed, f.newest[0], f.of, f.poses = *p, Pose{}, *p, of, 1
		for j := range f.gain {
			f.gain[j] = restGain
		}
		return
	}
	changed := of != f.of
	if changed {
		f.of, f.poses = of, 0 // its second differences begin here
	}
	noise := f.noise(p, dtS)
	var moves [NumJoints]float64
	var body float64
	for j := range p {
		f.at[j] = add(f.at[j], scale(f.speed[j], trend*dtS)) // expected by the poses before
		if !changed {                                        // the step from one coalition's error to another's is no movement
			v := scale(sub(p[j], f.newest[0][j]), 1/dtS)
			f.speed[j] = add(f.speed[j], scale(sub(v, f.speed[j]), share(speedGain, dtS)))
		}
		moves[j] = norm(f.speed[j])
		body += moves[j] / NumJoints
	}
	for j, now := range p {
		wanted := gainAt((1-bodyShare)*moves[j]+bodyShare*body, noise)
		f.gain[j] += (wanted - f.gain[j]) * share(gainGain, dtS)
		gain := share(f.gain[j], dtS)
		if changed {
			gain = max(gain, changedGain)
		}
		f.at[j] = add(f.at[j], scale(sub(now, f.at[j]), gain))
		f.late.note(moves[j], lag(gain, dtS))
	}
	f.late.forget(dtS)
	f.newest[1], f.newest[0] = f.newest[0], *p
	f.poses++
	*p = f.at
}

// jumped reports whether the trunk is somewhere else.
func (f *Filter) jumped(p *Pose, dtS float64) bool {
	way := max(norm(sub(p[Pelvis], f.newest[0][Pelvis])), norm(sub(p[Thorax], f.newest[0][Thorax])))
	return way > jumpM && way > jumpMS*dtS
}

// noise returns that of the coalition, a little better known with this pose.
func (f *Filter) noise(p *Pose, dtS float64) float64 {
	known := &f.noiseM[f.of&modality.All]
	if *known == 0 {
		*known = usualNoiseM
	}
	if f.poses < 2 {
		return *known
	}
	var mean float64
	for j := range p {
		d := sub(add(p[j], f.newest[1][j]), scale(f.newest[0][j], 2))
		mean += norm(d) / NumJoints
	}
	mean = min(mean, 2**known) // whatever happens in a moment is not noise
	*known = max(*known+(mean-*known)*min(dtS/noiseS, 1), leastNoiseM)
	return *known
}

// gainAt is the gain of a usual tick for a speed.
func gainAt(speedMS, noiseM float64) float64 {
	s := math.Pow(speedMS*usualS/(quickShare*noiseM), sharpness)
	return restGain + (1-restGain)*s/(1+s)
}

// share is the gain of dtS for one of a usual tick.
func share(gain, dtS float64) float64 { return 1 - math.Pow(1-gain, dtS/usualS) }

// lag is by how much a joint that moves evenly is late with a gain, seconds.
func lag(gain, dtS float64) float64 { return (1 - gain) * (1 - trend) * dtS / gain }

// DelayS is by how much a body comes late that moves evenly at a speed, seconds,
// where poses of a noise come every dtS.
func DelayS(speedMS, noiseM, dtS float64) float64 {
	return lag(share(gainAt(speedMS, max(noiseM, leastNoiseM)), dtS), dtS)
}

// delay is the mean lag of the joints over the last delayS, each as important as the
// square of its speed: what a viewer sees of it.
type delay struct{ lag, weight float64 }

const delayS = 10

func (d *delay) note(speedMS, lagS float64) {
	w := speedMS * speedMS
	d.lag, d.weight = d.lag+w*lagS, d.weight+w
}

func (d *delay) forget(dtS float64) {
	keep := math.Exp(-dtS / delayS)
	d.lag, d.weight = d.lag*keep, d.weight*keep
}

// DelayS is by how much what moves has come late of late, seconds.
func (f *Filter) DelayS() float64 {
	if f.late.weight == 0 {
		return 0
	}
	return f.late.lag / f.late.weight
}
