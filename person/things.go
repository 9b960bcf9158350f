package person

import "math/bits"

const (
	// minColumnPoints is how many points a column needs to join its neighbours:
	// single ones are echoes between an edge and what is behind it.
	minColumnPoints = 2
	// A person with both arms stretched out, and an area of the floor that no
	// person covers, in columns.
	maxPersonM       = 1.9
	maxPersonColumns = 130
	wideM            = 1.1
	wideColumns      = 30
	slabM            = 0.85
)

// thing is what stands by itself: columns of new points that touch.
type thing struct {
	columns []int32
	// upper: columns of a wide thing, joined only above beds and seats.
	upper bool

	points, fresh int // in fresh voxels of its layers; fresh: where nothing was before
	middleM       [2]float64
	span              // its columns, cells
	bottom, top   int // its layers
	atBorder      bool
	known         int // columns that also hold tall background
	legs, chest   span
	// freeSides: on how many sides, as the LiDAR sees it, the view goes on to
	// what is farther away. 2 for who stands in the open, 0 for a piece of a
	// wall that has just come into sight.
	freeSides int
}

// span is the extent of a part of a thing, cells.
type span struct{ lo, hi [2]int }

func (s *span) add(at [2]int) {
	for k := range 2 {
		s.lo[k], s.hi[k] = min(s.lo[k], at[k]), max(s.hi[k], at[k])
	}
}

func (s *span) widthM() float64 { return cellM * float64(max(s.hi[0]-s.lo[0], s.hi[1]-s.lo[1])+1) }

// slab reports a thing as wide at the legs as at the chest: a cupboard, a
// curtain.
func (t *thing) slab() bool { return min(t.legs.widthM(), t.chest.widthM()) > slabM }

func (t *thing) tooLarge() bool {
	return t.widthM() > maxPersonM || len(t.columns) > maxPersonColumns
}

// wide reports a thing that may be a person with arms spread or one with
// furniture: both views of it are looked at.
func (t *thing) wide() bool { return t.widthM() > wideM || len(t.columns) > wideColumns || t.slab() }

func (t *thing) topM() float64    { return floorM + cellM*float64(t.top+1) }
func (t *thing) bottomM() float64 { return floorM + cellM*float64(t.bottom) }

// notHuman reports what no person is like, standing or seated: too low, a slab,
// wider than high, hanging, cut off by what is beside it on both sides, or a rest
// of something that is being learned.
func (t *thing) notHuman() bool {
	return t.topM() < lowM || t.slab() || t.widthM() > 1.1*t.topM() || !t.upper && t.bottomM() > 0.8 ||
		t.freeSides == 0 || 2*t.known > len(t.columns)
}

func (t *thing) freshShare() float64 {
	return float64(t.fresh) / float64(max(t.points, 1))
}

// things are the things of a sweep.
type things struct {
	all   []thing
	mark  []int16 // per column: number of the thing at bodyLayers + 1, 0 is none
	upper []int16 // the same at upperLayers, for columns of wide things
	order []int32 // columns, thing after thing
}

func newThings(columns int) things {
	return things{
		mark: make([]int16, columns), upper: make([]int16, columns),
		order: make([]int32, 0, 2*columns), all: make([]thing, 0, 64),
	}
}

// find fills all.
func (t *things) find(f *Finder) {
	clear(t.mark)
	clear(t.upper)
	t.all, t.order = t.all[:0], t.order[:0]
	for c := range f.body {
		if t.mark[c] == 0 && f.body[c] >= minColumnPoints {
			t.grow(f, c, false)
		}
	}
	for i, n := 0, len(t.all); i < n; i++ {
		if !t.all[i].wide() {
			continue
		}
		for _, c := range t.all[i].columns {
			if t.upper[c] == 0 && f.fresh[c]&upperLayers != 0 {
				t.grow(f, int(c), true)
				t.all[len(t.all)-1].legs = t.all[i].legs
			}
		}
	}
}

// maxThings bounds the numbers of marks.
const maxThings = 30000

// grow collects the thing that column c belongs to.
func (t *things) grow(f *Finder, c int, upper bool) {
	if len(t.all) >= maxThings {
		return
	}
	mark, mask := t.mark, bodyLayers
	if upper {
		mark, mask = t.upper, upperLayers
	}
	number := int16(len(t.all) + 1)
	first := len(t.order)
	mark[c] = number
	t.order = append(t.order, int32(c))
	for i := first; i < len(t.order); i++ {
		x0, x1, y0, y1 := f.grid.square(int(t.order[i]), 1)
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				n := y*f.grid.nx + x
				if mark[n] == 0 && f.fresh[n]&mask != 0 && f.body[n] >= minColumnPoints {
					mark[n] = number
					t.order = append(t.order, int32(n))
				}
			}
		}
	}
	th := thing{columns: t.order[first:len(t.order):len(t.order)], upper: upper}
	th.measure(f, mask)
	t.all = append(t.all, th)
}

// measure fills in what a thing is like.
func (t *thing) measure(f *Finder, mask uint32) {
	none := span{[2]int{f.grid.nx, f.grid.ny}, [2]int{-1, -1}}
	t.span, t.legs, t.chest = none, none, none
	var sum [2]int
	var all uint32
	for _, c := range t.columns {
		at := [2]int{int(c) % f.grid.nx, int(c) / f.grid.nx}
		n := 0
		voxels := f.fresh[c] & mask
		all |= voxels
		for v := voxels; v != 0; v &= v - 1 {
			i := int(c)*zCells + bits.TrailingZeros32(v)
			n += int(f.hits[i])
			if f.back.presence[i] < freshBelow {
				t.fresh += int(f.hits[i])
			}
		}
		t.points += n
		for k := range 2 {
			sum[k] += n * at[k]
		}
		t.add(at)
		if f.back.mask[c]&tallLayers != 0 {
			t.known++
		}
		if voxels&legLayers != 0 {
			t.legs.add(at)
		}
		if v := voxels & chestLayers; bits.Len32(v)-bits.TrailingZeros32(v) >= 3 { // no arm stretched out
			t.chest.add(at)
		}
		t.atBorder = t.atBorder || f.grid.atBorder(int(c))
	}
	for k := range 2 {
		t.middleM[k] = f.grid.box.MinM[k] + cellM*(float64(sum[k])/float64(max(t.points, 1))+0.5)
	}
	t.bottom, t.top = bits.TrailingZeros32(all), bits.Len32(all)-1
	t.freeSides = f.freeSides(t)
}

// sideM is how much farther away the view must go on beside who is in the open.
const sideM = 0.25

// freeSides looks to the left and right of a thing.
func (f *Finder) freeSides(t *thing) (n int) {
	middle := f.grid.bin[f.columnIn(t)]
	left, right := int16(0), int16(0)
	nearest := f.grid.distM[t.columns[0]]
	for _, c := range t.columns {
		d := wrapBin(f.grid.bin[c]-middle+numBins/2) - numBins/2
		h := f.grid.halfBins[c]
		left, right = min(left, d-h), max(right, d+h)
		nearest = min(nearest, f.grid.distM[c])
	}
	for _, b := range [2]int16{left - 2, right + 2} {
		if f.tall[wrapBin(middle+b)] > nearest+sideM {
			n++
		}
	}
	return n
}

// columnIn returns a column of the thing near its middle.
func (f *Finder) columnIn(t *thing) int32 {
	best, bestD := t.columns[0], 1e9
	for _, c := range t.columns {
		at := f.grid.middleM(int(c))
		if d := distance2(at, t.middleM); d < bestD {
			best, bestD = c, d
		}
	}
	return best
}

func distance2(a, b [2]float64) float64 {
	dx, dy := a[0]-b[0], a[1]-b[1]
	return dx*dx + dy*dy
}
