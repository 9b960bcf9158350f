package sim

import (
	"math"

	"posefuse/setting"
)

// Sizes of furniture, metres.
const (
	chairSideM  = 0.45
	chairSeatM  = 0.46 // upper side of the seat
	chairBackM  = 0.92 // upper edge of the back
	boardM      = 0.05 // thickness of seat and back
	legM        = 0.04
	bedLengthM  = 2.0
	bedWidthM   = 0.9
	bedHeightM  = 0.55
	clearPlaceM = 0.02
)

// check adds what is wrong with a piece of furniture below key.
func (f *Furniture) check(p *setting.Problems, key string, room *RoomWorld) {
	p.OneOf(key+".kind", f.Kind, "chair", "bed", "box")
	if f.Turn != 0 && f.Turn != 90 && f.Turn != 180 && f.Turn != 270 {
		p.Add(key+".turn_deg", "%d: want 0, 90, 180 or 270", f.Turn)
	}
	for i, size := range f.Size {
		switch {
		case f.Kind == "box" && !(size > 0 && size <= 20):
			p.Add(key+".size_m", "%v: side %d of a box is from 0 to 20 m", f.Size, i+1)
		case f.Kind != "box" && size != 0:
			p.Add(key+".size_m", "only a box has a size of its own; leave it out for a %s", f.Kind)
			return
		}
	}
	if !room.holds([3]float64{f.AtM[0], f.AtM[1], clearPlaceM}) {
		p.Add(key+".at_m", "%v is not inside the room", f.AtM)
	}
}

// boxes appends the solids that a piece of furniture is made of, the simulator's
// room frame.
func (f *Furniture) boxes(dst []box) []box {
	// part adds a solid given about the middle of furniture that faces the
	// sensors: x right, depth away from them, height.
	part := func(x0, x1, z0, z1, y0, y1 float64) {
		for range f.Turn / 90 {
			x0, x1, z0, z1 = -z1, -z0, x0, x1
		}
		dst = append(dst, box{
			lo: Vec{f.AtM[0] + x0, y0, f.AtM[1] + z0},
			hi: Vec{f.AtM[0] + x1, y1, f.AtM[1] + z1},
		})
	}
	switch f.Kind {
	case "chair":
		const h = chairSideM / 2
		part(-h, h, -h, h, chairSeatM-boardM, chairSeatM)
		part(-h, h, h-boardM, h, chairSeatM, chairBackM)
		for _, x := range []float64{-h, h - legM} {
			for _, z := range []float64{-h, h - legM} {
				part(x, x+legM, z, z+legM, 0, chairSeatM-boardM)
			}
		}
	case "bed": // its head away from the sensors
		part(-bedWidthM/2, bedWidthM/2, -bedLengthM/2, bedLengthM/2, 0.15, bedHeightM)
	default:
		part(-f.Size[0]/2, f.Size[0]/2, -f.Size[1]/2, f.Size[1]/2, 0, f.Size[2])
	}
	return dst
}

// Surface is what a LiDAR return lies on.
type Surface uint8

// The surfaces, in the order of how they are named.
const (
	SurfaceNone        Surface = iota // no return
	SurfacePerson                     // the person whose pose is the truth
	SurfaceOtherPerson                // somebody else
	SurfaceRoom                       // floor, walls, ceiling
	SurfaceFurniture                  // boxes, chairs, beds, tables
)

// String returns the surface's name.
func (s Surface) String() string {
	return [...]string{"none", "person", "other person", "room", "furniture"}[s]
}

// castAll returns the distance along a ray that starts inside the room to its
// shell or what stands in it, metres, and which it is.
func (s *scene) castAll(o, d Vec) (float64, Surface) {
	best, on := math.Inf(1), SurfaceNone
	for a := range 3 {
		switch {
		case d[a] > 0:
			best = min(best, (s.shell.hi[a]-o[a])/d[a])
		case d[a] < 0:
			best = min(best, (s.shell.lo[a]-o[a])/d[a])
		}
	}
	if best > 0 && !math.IsInf(best, 1) {
		on = SurfaceRoom
	}
	best, on = nearestBox(s.boxes[:], o, d, best, on)
	return nearestBox(s.furniture, o, d, best, on)
}
