package person

import (
	"math"
	"math/bits"

	"posefuse/sensors/modality"
)

// Limits of what is taken for a person, and how far one reaches.
const (
	minNewPoints   = 25
	minKnownPoints = 8
	minNewM        = 0.7
	coverM         = 0.7 // beyond a person's own knees and hands
	reachM         = 0.9 // hands and feet, from the middle of the body
	carveM         = 0.5 // what is taken of a thing larger than the person
	trunkM         = 0.3
	lowReachM      = 0.7  // of legs, from the trunk
	boneM          = 0.3  // a point of a body from the nearest joint, with a limb's motion in a tenth of a second
	legsM          = 0.42 // where legs are, below a body that stands among furniture
	newScore       = 2
)

// follow chooses the person's thing and fills keep.
func (f *Finder) follow(atNS int64) {
	clear(f.keep)
	s := &f.state
	s.carved = false
	f.expire(atNS)
	s.covered = s.alive && f.covered(s.placeM)
	f.stepS = stepS(s.sweepNS, atNS)
	s.sweepNS = atNS
	chosen, carve := -1, false
	if s.alive {
		chosen, carve = f.known(atNS)
		if rival, ok := f.rival(atNS, chosen); ok {
			s.born(atNS, f.things.all[rival].middleM)
			chosen, carve = rival, false
		}
	} else if best, score := f.best(atNS); score >= newScore && f.again(atNS, best) {
		s.born(atNS, f.things.all[best].middleM)
		chosen = best
	}
	if s.alive && chosen >= 0 && !s.stirred && !carve && f.things.all[chosen].slab() && !f.agrees(atNS, chosen) {
		s.alive = false // noise had made it look like a person
		return
	}
	if chosen >= 0 {
		f.take(atNS, &f.things.all[chosen], carve)
		return
	}
	// Things grown together, a person at the wall for example: the camera says
	// where the feet are.
	if at, ok := f.sight.feet(atNS); ok && (!s.alive || distance2(at, s.placeM) < 0.5*0.5) {
		f.takeAround(atNS, at)
	}
}

// covered reports whether something stands before a part of a body at a place.
func (f *Finder) covered(at [2]float64) bool {
	for _, off := range [5][2]float64{{0, 0}, {-0.25, 0}, {0.25, 0}, {0, -0.25}, {0, 0.25}} {
		if c := f.grid.column(at[0]+off[0], at[1]+off[1]); c >= 0 && f.front[f.grid.bin[c]] < f.grid.distM[c]-coverM {
			return true
		}
	}
	return false
}

// known returns the thing that continues the track, or -1, and whether only the
// part of it around the track is the person.
func (f *Finder) known(atNS int64) (chosen int, carve bool) {
	s := &f.state
	unseenS := min(max(float64(atNS-s.seenNS[modality.LiDAR])/1e9, 0), 1)
	if s.seenNS[modality.LiDAR] == 0 {
		unseenS = 1
	}
	ahead := min(unseenS, 0.5)
	at := [2]float64{s.placeM[0] + s.velMPS[0]*ahead, s.placeM[1] + s.velMPS[1]*ahead}
	gate := 0.5 + 0.4*unseenS
	chosen, least := -1, math.Inf(1)
	for i := range f.things.all {
		t := &f.things.all[i]
		if t.points < minKnownPoints || s.topM > 0 && t.topM() < s.topM-0.5 {
			continue
		}
		d := math.Sqrt(distance2(t.middleM, at))
		large := t.tooLarge() || s.columns > 0 && float64(len(t.columns)) > 1.6*s.columns+12 || f.hasCompany(t, at)
		if large {
			if d > gate && f.columnsAround(t, at, 0.4) < 5 {
				continue
			}
			d = min(d, gate) + 0.3 // a thing of the right size is better
		} else if d > gate {
			continue
		}
		cost := d
		if t.upper {
			cost += 0.1 // the whole is better than its half
		}
		if s.topM > 0 {
			cost += 0.5 * math.Abs(t.topM()-s.topM)
		}
		if cost < least {
			chosen, carve, least = i, large, cost
		}
	}
	return chosen, carve
}

// hasCompany reports a thing with more than one body in it: where no leg of the
// body at a place reaches there are still hips, or a seat.
func (f *Finder) hasCompany(t *thing, at [2]float64) bool {
	near, far := uint32(0), uint32(0)
	for _, c := range t.columns {
		n := f.pointsIn(int(c), f.fresh[c]&hipLayers)
		if distance2(f.grid.middleM(int(c)), at) > carveM*carveM {
			far += n
		} else {
			near += n
		}
	}
	return 5*far > near && 2*near > far && far > minKnownPoints
}

// columnsAround counts the columns of a thing within rM of a place.
func (f *Finder) columnsAround(t *thing, at [2]float64, rM float64) (n int) {
	for _, c := range t.columns {
		if distance2(f.grid.middleM(int(c)), at) <= rM*rM {
			n++
		}
	}
	return n
}

// take makes a thing, or the part of it near the track, the person.
func (f *Finder) take(atNS int64, t *thing, carve bool) {
	s := &f.state
	voxels := ^uint32(0)
	if t.upper {
		voxels = upperLayers
	}
	around := s.placeM
	for _, c := range t.columns {
		if !carve || distance2(f.grid.middleM(int(c)), around) <= carveM*carveM {
			f.keep[c] = f.fresh[c] & voxels
		}
	}
	s.carved = carve
	middle := t.middleM
	if carve {
		middle = s.placeM
	}
	s.agree(f.sight.atNS, f.sight.agrees(atNS, middle, t.topM()))
	if s.agreedS >= agreedS {
		s.stir(atNS)
	}
	f.complete(atNS, t.columns, t.upper)
	if !carve && !t.upper {
		if s.columns == 0 {
			s.columns = float64(len(t.columns))
		}
		s.columns += followed(0.05, f.stepS) * (float64(len(t.columns)) - s.columns)
	}
}

// takeAround makes what stands around a place the person.
func (f *Finder) takeAround(atNS int64, at [2]float64) {
	const rM = 0.45
	points, all := 0, uint32(0)
	f.things.order = f.things.order[:0] // things are not needed any more
	for c, n := range f.body {
		if n > 0 && distance2(f.grid.middleM(c), at) <= rM*rM {
			f.things.order = append(f.things.order, int32(c))
			points += int(n)
			all |= f.fresh[c]
		}
	}
	if points < minNewPoints || floorM+cellM*float64(bits.Len32(all)) < minNewM {
		return
	}
	if !f.state.alive {
		f.state.born(atNS, at)
	}
	for _, c := range f.things.order {
		f.keep[c] = f.fresh[c]
	}
	f.state.carved = true
	f.things.all = f.things.all[:0]
	f.complete(atNS, f.things.order, false)
}

// complete adds to the columns kept what belongs to them: their lone points,
// feet, and hands and feet that stand by themselves.
func (f *Finder) complete(atNS int64, columns []int32, upper bool) {
	s := &f.state
	points, fresh := 0, 0
	for _, c := range columns {
		points += int(f.pointsIn(int(c), f.keep[c]))
		for v := f.keep[c]; v != 0; v &= v - 1 {
			if i := int(c)*zCells + bits.TrailingZeros32(v); f.back.presence[i] < freshBelow {
				fresh += int(f.hits[i])
			}
		}
	}
	if points == 0 {
		return
	}
	s.core = f.coreOf(columns)
	if f.back.warm() && atNS-s.sinceNS > settleNS { // at first all of it is new
		s.lively += followed(0.1, f.stepS) * (float64(fresh)/float64(points) - s.lively)
		if s.lively > livelyShare {
			s.stir(atNS)
		}
	}
	for _, c := range columns {
		if f.keep[c] != 0 {
			f.grow(int(c), upper)
		}
	}
	if !s.carved {
		for i := range f.things.all {
			if t := &f.things.all[i]; f.limb(atNS, t, s.core, points) {
				for _, c := range t.columns {
					f.keep[c] |= f.fresh[c]
				}
			}
		}
	}
	f.prune(atNS)
}

// coreOf returns the middle of the points kept, of those above furniture if
// there are some.
func (f *Finder) coreOf(columns []int32) [2]float64 {
	for _, voxels := range [2]uint32{upperLayers, ^uint32(0)} {
		var sum [2]float64
		points := 0.0
		for _, c := range columns {
			n := float64(f.pointsIn(int(c), f.keep[c]&voxels))
			at := f.grid.middleM(int(c))
			points += n
			sum[0] += n * at[0]
			sum[1] += n * at[1]
		}
		if points >= 10 {
			return [2]float64{sum[0] / points, sum[1] / points}
		}
	}
	return f.grid.middleM(int(columns[0]))
}

// prune takes away what no joint of the body can be: what is low and far from
// the trunk, and, where the camera sees the whole body, what is far from every
// joint. It is furniture that the person touches.
func (f *Finder) prune(atNS int64) {
	whole := f.state.agreedS > 0 && f.sight.whole()
	for c, keep := range f.keep {
		if keep == 0 {
			continue
		}
		at := f.grid.middleM(c)
		d := distance2(at, f.state.core)
		drop := uint32(0)
		switch {
		case whole && d > trunkM*trunkM:
			drop = keep
		case d > lowReachM*lowReachM:
			drop = keep &^ upperLayers
		}
		for v := drop; v != 0; v &= v - 1 {
			k := bits.TrailingZeros32(v)
			if f.sight.joint(atNS, [3]float64{at[0], at[1], floorM + (float64(k)+0.5)*cellM}, boneM) {
				drop &^= 1 << k
			}
		}
		f.keep[c] = keep &^ drop
	}
}

// grow adds what surrounds a column of the person.
func (f *Finder) grow(c int, upper bool) {
	x0, x1, y0, y1 := f.grid.square(c, 2)
	cx, cy := c%f.grid.nx, c/f.grid.nx
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			n := y*f.grid.nx + x
			near := max(x-cx, cx-x, y-cy, cy-y) <= 1
			switch {
			case upper && f.things.mark[n] != 0:
				if distance2(f.grid.middleM(n), f.state.core) < legsM*legsM {
					f.keep[n] |= f.fresh[n] &^ upperLayers
				}
			case near && f.things.mark[n] == 0:
				f.keep[n] |= f.fresh[n]
			default:
				f.keep[n] |= f.fresh[n] & lowLayers
			}
		}
	}
}

// limb reports whether a thing is a hand or foot of the body around core: small,
// near, no top of something below, and either free in the air, moving, or where the camera sees a joint.
func (f *Finder) limb(atNS int64, t *thing, core [2]float64, bodyPoints int) bool {
	if t.upper || t.tooLarge() || 2*t.points > bodyPoints || distance2(t.middleM, core) > reachM*reachM || f.keep[t.columns[0]] != 0 {
		return false
	}
	inAir := t.bottomM() > 0.55
	moves := f.back.warm() && t.freshShare() > 0.5
	return inAir && (moves || !f.back.warm()) || moves && t.topM() < 0.6 || f.sight.joint(atNS, [3]float64{t.middleM[0], t.middleM[1], (t.bottomM() + t.topM()) / 2}, 0.12)
}
