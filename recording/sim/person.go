package sim

import "math"

// placedMotion is a movement by another body at another place.
type placedMotion struct {
	Motion
	about    Vec     // the standing place of the movement as drawn, on the floor
	to       Vec     // that of the placed one
	sin, cos float64 // of the turn to the person's left
	scale    float64
	seatM    Vec // the pelvis of who is seated, as drawn; unused if not
	seated   bool
}

// placed returns the movement as the world wants it, m itself if it changes
// nothing.
func (w *PersonWorld) placed(m Motion) Motion {
	if *w == (PersonWorld{Absent: w.Absent}) {
		return m
	}
	root := m.At(0)[0]
	p := &placedMotion{Motion: m, about: Vec{root[0], 0, root[2]}, cos: 1, scale: 1, seated: w.Seated}
	p.to = vecAdd(p.about, Vec{w.RightM, 0, w.FartherM})
	if w.TurnDeg != 0 {
		p.sin, p.cos = portableSincos(w.TurnDeg * (math.Pi / 180))
	}
	if w.HeightM != 0 {
		p.scale = w.HeightM / m.Subject().HeightM
	}
	// Scaled, the seat is as high as a chair's.
	p.seatM = Vec{root[0], (chairSeatM + hipAboveSeatM) / p.scale, root[2]}
	return p
}

// hipAboveSeatM is how far the hip joints of a person are above the seat.
const hipAboveSeatM = 0.09

// sit bends a standing skeleton onto the seat: everything above the hips is moved
// with the pelvis, the thighs point forward, the feet stand on the floor.
func (p *placedMotion) sit(sk *Skeleton) {
	s := p.Motion.Subject()
	move := vecSub(p.seatM, sk[0])
	for j := range sk {
		sk[j] = vecAdd(sk[j], move)
	}
	across := vecSub(sk[4], sk[1]) // to the person's left
	forward := vecUnit(Vec{-across[2], 0, across[0]}, Vec{0, 0, -1})
	if forward[2] > 0 { // the person looks towards -z
		forward = vecScale(forward, -1)
	}
	for _, hip := range [...]int{1, 4} {
		// A shank shorter or longer than the seat is high tilts the thigh.
		ankleM := float64(ankleShare * s.HeightM)
		kneeM := ankleM + s.Segments.Shank
		rise := min(max(kneeM-sk[hip][1], -s.Segments.Thigh), s.Segments.Thigh)
		reach := sqrt(max(float64(s.Segments.Thigh*s.Segments.Thigh)-float64(rise*rise), 0))
		knee := vecAdd(sk[hip], vecScale(forward, reach))
		knee[1] += rise
		sk[hip+1] = knee
		sk[hip+2] = Vec{knee[0], knee[1] - s.Segments.Shank, knee[2]}
	}
}

// Subject returns who moves, with the size of the placed body.
func (p *placedMotion) Subject() Subject {
	s := p.Motion.Subject()
	s.HeightM *= p.scale
	for _, l := range []*float64{
		&s.Segments.Thigh, &s.Segments.Shank, &s.Segments.Trunk, &s.Segments.HalfShoulder,
		&s.Segments.UpperArm, &s.Segments.Forearm, &s.Segments.Neck, &s.Segments.HipSpacing,
	} {
		*l *= p.scale
	}
	return s
}

// At returns the joints at tS, room frame.
func (p *placedMotion) At(tS float64) Skeleton {
	sk := p.Motion.At(tS)
	if p.seated {
		p.sit(&sk)
	}
	for j, v := range sk {
		d := vecScale(vecSub(v, p.about), p.scale)
		// The person looks towards -z; their left is the room's right.
		x := float64(p.cos*d[0]) - float64(p.sin*d[2])
		z := float64(p.sin*d[0]) + float64(p.cos*d[2])
		sk[j] = vecAdd(p.to, Vec{x, d[1], z})
	}
	return sk
}
