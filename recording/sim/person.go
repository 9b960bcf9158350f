package sim

import "math"

// placedMotion is a movement by another body at another place.
type placedMotion struct {
	Motion
	about    Vec     // the standing place of the movement as drawn, on the floor
	to       Vec     // that of the placed one
	sin, cos float64 // of the turn to the person's left
	scale    float64
}

// placed returns the movement as the world wants it, m itself if it changes
// nothing.
func (w *PersonWorld) placed(m Motion) Motion {
	if *w == (PersonWorld{}) {
		return m
	}
	root := m.At(0)[0]
	p := &placedMotion{Motion: m, about: Vec{root[0], 0, root[2]}, cos: 1, scale: 1}
	p.to = vecAdd(p.about, Vec{w.RightM, 0, w.FartherM})
	if w.TurnDeg != 0 {
		p.sin, p.cos = portableSincos(w.TurnDeg * (math.Pi / 180))
	}
	if w.HeightM != 0 {
		p.scale = w.HeightM / m.Subject().HeightM
	}
	return p
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
	for j, v := range sk {
		d := vecScale(vecSub(v, p.about), p.scale)
		// The person looks towards -z; their left is the room's right.
		x := float64(p.cos*d[0]) - float64(p.sin*d[2])
		z := float64(p.sin*d[0]) + float64(p.cos*d[2])
		sk[j] = vecAdd(p.to, Vec{x, d[1], z})
	}
	return sk
}
