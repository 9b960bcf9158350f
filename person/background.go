package person

import "math/bits"

// How the background is learned, in steps of half a second. What stands still
// for 20 s is background, what has been there for long and is gone is forgotten
// after 45 s, and the person's own voxels stay below what makes background.
const (
	learnEveryNS    = 500e6
	presenceStep    = 4
	absenceStep     = 2
	backgroundFrom  = 160
	backgroundUntil = 80
	ownMost         = 100
	// freshBelow is the presence of a voxel that has been full for less than
	// 1.5 s of late.
	freshBelow = 3 * presenceStep
)

// background is what is known of the room itself.
type background struct {
	presence []uint8  // per voxel, how long something has been there
	known    []uint32 // per column: voxels with a presence above 0
	mask     []uint32 // per column: voxels that are background

	seen, own []uint32 // per column, since the last step
	front     ring     // nearest new thing since the last step
	nextNS    int64
	steps     int // steps learned, also in earlier runs
}

func newBackground(columns int) background {
	b := background{
		presence: make([]uint8, columns*zCells),
		known:    make([]uint32, columns), mask: make([]uint32, columns),
		seen: make([]uint32, columns), own: make([]uint32, columns),
	}
	b.front.clear()
	return b
}

// warm reports whether presences tell anything yet.
func (b *background) warm() bool { return b.steps >= 2*freshBelow/presenceStep }

// learn takes the sweep at hand, once it is known what of it is the person.
func (b *background) learn(atNS int64, f *Finder) {
	some := false
	for c, full := range f.full {
		b.seen[c] |= full
		some = some || full != 0
		keep := f.keep[c]
		if keep == 0 {
			continue
		}
		keep |= keep<<1 | keep>>1
		x0, x1, y0, y1 := f.grid.square(c, 1)
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				b.own[y*f.grid.nx+x] |= keep
			}
		}
	}
	for i, d := range f.front {
		b.front[i] = min(b.front[i], d)
	}
	if !some {
		return // covered or unplugged: says nothing about the room
	}
	if b.nextNS == 0 || atNS < b.nextNS-2*learnEveryNS {
		b.nextNS = atNS + learnEveryNS // the first sweep, or time went back
	}
	if atNS < b.nextNS {
		return
	}
	b.step(&f.grid)
	// A pause between sweeps counts as one step: nobody saw what was there.
	b.nextNS = atNS + learnEveryNS
	b.steps++
	clear(b.seen)
	clear(b.own)
	b.front.clear()
}

// step updates presences and mask.
func (b *background) step(g *grid) {
	for c := range b.seen {
		seen, own := b.seen[c], b.own[c]
		todo := seen | b.known[c]
		if todo == 0 {
			continue
		}
		if b.front.hides(g, c) {
			todo = seen // nobody knows whether the rest is still there
		}
		for ; todo != 0; todo &= todo - 1 {
			k := bits.TrailingZeros32(todo)
			bit := uint32(1) << k
			p := &b.presence[c*zCells+k]
			switch {
			case seen&bit == 0:
				*p -= min(*p, absenceStep)
			case own&bit == 0 || b.mask[c]&bit != 0:
				*p = uint8(min(int(*p)+presenceStep, 255))
			case *p < ownMost:
				*p = min(*p+presenceStep, ownMost)
			default:
				*p = max(*p-absenceStep, ownMost)
			}
			b.setBits(c, k)
		}
	}
}

// setBits makes known and mask follow the presence of a voxel.
func (b *background) setBits(c, k int) {
	bit := uint32(1) << k
	p := b.presence[c*zCells+k]
	b.known[c] &^= bit
	if p > 0 {
		b.known[c] |= bit
	}
	switch {
	case p >= backgroundFrom:
		b.mask[c] |= bit
	case p < backgroundUntil:
		b.mask[c] &^= bit
	}
}
