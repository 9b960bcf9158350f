// Package person finds the patient in a room: the points of a LiDAR's sweep and
// of a radar's frame that lie on the body, and the place where the body stands.
// All coordinates are the room's, metres, x right, y forward, z up, the floor at
// z = 0. It keeps no clock: times are those of the samples, nanoseconds of the
// room clock.
package person

import (
	"math"
	"math/bits"
)

// Label says what a point of a sweep was taken for.
type Label uint8

// The labels. Every point has one of them.
const (
	Broken     Label = iota // NaN or infinite
	Outside                 // outside the region
	Floor                   // too near the floor to tell
	Background              // in a voxel that has been full for long
	Other                   // new here, but not the person: a chair just moved, a visitor
	Person

	numLabels
)

// String returns the label's name as used in metrics and on the page.
func (l Label) String() string {
	if l >= numLabels {
		return "?"
	}
	return [numLabels]string{"broken", "outside", "floor", "background", "other", "person"}[l]
}

// Sweep counts the points of one sweep by label.
type Sweep [numLabels]int

// Finder finds one person. It is not for concurrent use. Its memory is bounded
// by the region; once it has seen a sweep of each size it allocates nothing.
type Finder struct {
	grid     grid
	lidarAtM [3]float64
	back     background

	// The sweep at hand.
	voxel  []int32  // per point: column*zCells + layer, or the label as -1-label
	labels []Label  // per point
	hits   []uint16 // points per voxel, saturating
	full   []uint32 // per column: voxels that hold points
	fresh  []uint32 // per column: full voxels that are not background
	body   []uint32 // per column: points in fresh voxels above bodyLayers' lower edge
	keep   []uint32 // per column: voxels that are the person's
	count  Sweep
	things things

	// tall is the nearest tall thing per direction, front that of fresh ones.
	tall, front ring

	state state
	sight sight
	radar radarState

	// The newest sweep is learned when the next one comes, and can be taken
	// back until then.
	before  state // the track without it
	taken   bool  // there is such a sweep
	takenNS int64
	stepS   float64 // since the sweep before
}

// NewFinder returns a finder that has seen nothing yet. The configuration has
// passed CheckRegion.
func NewFinder(c Config) *Finder {
	f := &Finder{grid: newGrid(RegionOrDefault(c.Region), c.LiDARAtM), lidarAtM: c.LiDARAtM}
	n := f.grid.nx * f.grid.ny
	f.hits = make([]uint16, n*zCells)
	f.full, f.fresh, f.body, f.keep = make([]uint32, n), make([]uint32, n), make([]uint32, n), make([]uint32, n)
	f.back = newBackground(n)
	f.things = newThings(n)
	f.radar = newRadarState(n)
	f.front.clear()
	return f
}

// Cloud takes one sweep, n x 3 metres in the room frame, and appends the
// person's points to dst in their order. Which points those are does not depend
// on the order. With nobody found it appends nothing.
func (f *Finder) Cloud(atNS int64, xyz, dst []float32) []float32 {
	if f.taken {
		f.back.learn(f.takenNS, f)
	}
	f.before, f.taken, f.takenNS = f.state, true, atNS
	f.voxelise(xyz)
	f.segment()
	f.follow(atNS)
	f.lookAround(atNS)
	return f.emit(atNS, xyz, dst)
}

// takeBack undoes the newest call of Cloud, as long as nothing else has been told
// since.
func (f *Finder) takeBack() {
	if f.taken {
		f.state, f.taken = f.before, false
	}
}

// Count returns how many points of the newest sweep were what.
func (f *Finder) Count() Sweep { return f.count }

// Labels returns what the points of the newest sweep were taken for, in their
// order. It is valid until the next call of Cloud.
func (f *Finder) Labels() []Label { return f.labels }

// voxelise fills voxel, hits and full.
func (f *Finder) voxelise(xyz []float32) {
	clear(f.hits)
	clear(f.full)
	n := len(xyz) / 3
	if cap(f.voxel) < n {
		f.voxel, f.labels = make([]int32, n), make([]Label, n)
	}
	f.voxel, f.labels = f.voxel[:n], f.labels[:n]
	var lo, hi [3]float32
	for k := range 3 {
		lo[k], hi[k] = float32(f.grid.box.MinM[k]), float32(f.grid.box.MaxM[k])
	}
	nx, ny := int32(f.grid.nx), int32(f.grid.ny)
	for i := range n {
		p := xyz[3*i : 3*i+3 : 3*i+3]
		x, y, z := p[0], p[1], p[2]
		if !(x >= lo[0] && x < hi[0] && y >= lo[1] && y < hi[1] && z >= lo[2] && z < hi[2]) {
			f.voxel[i] = notVoxel(Outside)
			if s := x + y + z; s-s != 0 {
				f.voxel[i] = notVoxel(brokenOrOutside(x, y, z))
			}
			continue
		}
		if z < floorM {
			f.voxel[i] = notVoxel(Floor)
			continue
		}
		c := min(int32((y-lo[1])*(1/cellM)), ny-1)*nx + min(int32((x-lo[0])*(1/cellM)), nx-1)
		layer := min(int32((z-floorM)*(1/cellM)), zCells-1)
		v := c*zCells + layer
		f.voxel[i] = v
		f.full[c] |= 1 << layer
		if h := f.hits[v] + 1; h != 0 {
			f.hits[v] = h
		}
	}
}

// notVoxel is what voxel holds for a point without one.
func notVoxel(l Label) int32 { return -1 - int32(l) }

// brokenOrOutside tells a point that is no number from one so far away that its
// sum overflows.
func brokenOrOutside(x, y, z float32) Label {
	for _, v := range [3]float32{x, y, z} {
		if v-v != 0 {
			return Broken
		}
	}
	return Outside
}

// emit labels the points, appends the person's to dst and measures the person.
// Sums are of whole millimetres, so that the order of points does not matter.
func (f *Finder) emit(atNS int64, xyz, dst []float32) []float32 {
	f.count = Sweep{}
	var sum [2]int64
	var trunk int64
	top := float32(0)
	for i, v := range f.voxel {
		var l Label
		switch {
		case v < 0:
			l = Label(-1 - v)
		default:
			c, bit := v/zCells, uint32(1)<<(v%zCells)
			switch {
			case f.keep[c]&bit != 0:
				l = Person
				x, y, z := xyz[3*i], xyz[3*i+1], xyz[3*i+2]
				dst = append(dst, x, y, z)
				top = max(top, z)
				if trunkLayers&bit != 0 && f.nearTrunk(int(c)) {
					sum[0] += int64(math.Round(float64(x) * 1000))
					sum[1] += int64(math.Round(float64(y) * 1000))
					trunk++
				}
			case f.fresh[c]&bit == 0:
				l = Background
			default:
				l = Other
			}
		}
		f.labels[i] = l
		f.count[l]++
	}
	if f.count[Person] > 0 {
		at := f.state.core
		if trunk > 0 {
			at = [2]float64{float64(sum[0]) / float64(trunk) / 1000, float64(sum[1]) / float64(trunk) / 1000}
		}
		f.measured(atNS, at, float64(top))
	}
	return dst
}

// nearTrunk reports whether a column counts for the person's place: of a thing
// that others share only what is close.
func (f *Finder) nearTrunk(c int) bool {
	return !f.state.carved || distance2(f.grid.middleM(c), f.state.placeM) < 0.3*0.3
}

// segment finds what is new in the sweep and takes it apart into things that
// stand by themselves.
func (f *Finder) segment() {
	f.tall.clear()
	var front ring
	front.clear()
	for c, full := range f.full {
		f.fresh[c], f.body[c] = 0, 0
		if full == 0 {
			continue
		}
		if full&tallLayers != 0 {
			f.tall.put(&f.grid, c)
		}
		fresh := full &^ f.back.mask[c]
		f.fresh[c] = fresh
		f.body[c] = f.pointsIn(c, fresh&bodyLayers)
		if f.body[c] >= minColumnPoints {
			front.put(&f.grid, c)
		}
	}
	f.front = front
	f.things.find(f)
}

// pointsIn counts the points in voxels of a column.
func (f *Finder) pointsIn(c int, voxels uint32) (n uint32) {
	for ; voxels != 0; voxels &= voxels - 1 {
		n += uint32(f.hits[c*zCells+bits.TrailingZeros32(voxels)])
	}
	return n
}
