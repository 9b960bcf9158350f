package skeleton

import (
	"math"
	"slices"
)

// Quiet standing, as in package exercise: noise of poses spreads the joints,
// movement also moves their mean.
const (
	quietS      = 2.0
	spreadM     = 0.09 // standard deviation of a joint, at most
	driftM      = 0.07 // between its means in the halves of the time, at most
	bentDeg     = 50.0 // of a knee or hip, at most
	quietShare  = 0.95 // of quietS that the poses at hand must span
	fewestPoses = 10
	lookEveryS  = 0.25
	bodyGapS    = 0.5 // quiet standing has no longer gap
)

// The lengths of quiet standing count like standingS of other poses; those of the
// first learnS of movement after it are averaged in. Networks err by posture:
// together both are nearer to the truth than either.
const (
	standingS = 10.0
	learnS    = 60.0
	oddShare  = 0.25 // a bone that is off by more counts as this much off
)

// otherShare of the body's size: it is somebody else.
const otherShare = 0.07

// mostPoses is how many poses quietS holds at the highest rate of the daemon.
const mostPoses = 128

// Body learns the lengths of a person's bones from the poses of a network: from
// about 2 s of quiet standing, which it finds by itself, and the minute after that.
// Then they do not change any more, until somebody of another size stands there.
type Body struct {
	lengths Lengths
	known   bool
	learntS float64 // of movement in lengths

	atNS   int64 // of the newest pose
	lookNS int64 // of the newest look for quiet standing
	poses  [mostPoses]Pose
	times  [mostPoses]int64
	first  int // the oldest of n
	n      int
	sorted [2 * mostPoses]float64
}

// Forget is for a new person.
func (b *Body) Forget() { b.known, b.n, b.lookNS = false, 0, 0 }

// Lengths returns the lengths of the bones, and false while they are not known. Both
// sides have the same.
func (b *Body) Lengths() (Lengths, bool) { return b.lengths, b.known }

// Learn takes the network's pose of an instant.
func (b *Body) Learn(atNS int64, p *Pose) {
	dtS := float64(atNS-b.atNS) / 1e9
	b.atNS = atNS
	if dtS <= 0 || dtS > bodyGapS {
		b.n = 0
	} else if b.known && b.learntS < learnS {
		b.refine(p, dtS)
	}
	b.keep(atNS, p)
	if float64(atNS-b.lookNS)/1e9 < lookEveryS && atNS >= b.lookNS {
		return
	}
	b.lookNS = atNS
	if !b.quiet() {
		return
	}
	l := b.median()
	if b.known && math.Abs(l.SizeM()-b.lengths.SizeM()) <= otherShare*b.lengths.SizeM() {
		return
	}
	b.lengths, b.known, b.learntS = l, true, 0
}

// refine averages the bones of a pose in.
func (b *Body) refine(p *Pose, dtS float64) {
	gain := dtS / (standingS + b.learntS + dtS)
	b.learntS += dtS
	seen := LengthsOf(p)
	was := b.lengths
	for i, l := range was {
		d := (seen[i]+seen[opposite[i]])/2 - l
		b.lengths[i] += gain * min(max(d, -oddShare*l), oddShare*l)
	}
}

// keep remembers a pose and forgets those before the last quietS.
func (b *Body) keep(atNS int64, p *Pose) {
	for b.n > 0 && (b.n == mostPoses || float64(atNS-b.times[b.first])/1e9 > quietS+1e-9) {
		b.first, b.n = (b.first+1)%mostPoses, b.n-1
	}
	i := (b.first + b.n) % mostPoses
	b.poses[i], b.times[i] = *p, atNS
	b.n++
}

// pose returns the i-th of those at hand, oldest first.
func (b *Body) pose(i int) *Pose { return &b.poses[(b.first+i)%mostPoses] }

// quiet reports whether the poses at hand are of somebody who stands still.
func (b *Body) quiet() bool {
	if b.n < fewestPoses || float64(b.atNS-b.times[b.first])/1e9 < quietShare*quietS {
		return false
	}
	var half [2]Pose
	middle := b.n / 2
	for i := range b.n {
		h, of := 0, middle
		if i >= middle {
			h, of = 1, b.n-middle
		}
		for j, v := range b.pose(i) {
			half[h][j] = add(half[h][j], scale(v, 1/float64(of)))
		}
	}
	var mean Pose
	first := float64(middle) / float64(b.n)
	for j := range mean {
		if norm(sub(half[0][j], half[1][j])) > driftM {
			return false
		}
		mean[j] = add(scale(half[0][j], first), scale(half[1][j], 1-first))
		var square float64
		for i := range b.n {
			d := sub(b.pose(i)[j], mean[j])
			square += dot(d, d) / float64(b.n)
		}
		if math.Sqrt(square) > spreadM {
			return false
		}
	}
	return upright(&mean)
}

// upright reports whether legs and trunk are stretched, as in somebody who stands.
func upright(p *Pose) bool {
	trunk := sub(p[Thorax], p[Pelvis])
	for _, hip := range [...]int{RightHip, LeftHip} {
		thigh, shank := sub(p[hip], p[hip+1]), sub(p[hip+1], p[hip+2])
		if !(angleDeg(thigh, shank) <= bentDeg) || !(angleDeg(thigh, trunk) <= bentDeg) {
			return false
		}
	}
	return true
}

// angleDeg is the angle between two vectors, degrees; 0 if one is zero.
func angleDeg(a, b vec) float64 {
	cross := vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
	return math.Atan2(norm(cross), dot(a, b)) * 180 / math.Pi
}

// median returns the median length of each bone and the one opposite.
func (b *Body) median() (l Lengths) {
	for i := range l {
		e, o := Bones[i], Bones[opposite[i]]
		n := 0
		for k := range b.n {
			p := b.pose(k)
			b.sorted[n] = norm(sub(p[e.Child], p[e.Parent]))
			b.sorted[n+1] = norm(sub(p[o.Child], p[o.Parent]))
			n += 2
		}
		slices.Sort(b.sorted[:n])
		l[i] = (b.sorted[n/2-1] + b.sorted[n/2]) / 2
	}
	return l
}
