package person

import (
	"math"

	"posefuse/setting"
)

// Box is an axis-aligned part of the room, metres, room frame.
type Box struct {
	MinM [3]float64 `yaml:"min_m"`
	MaxM [3]float64 `yaml:"max_m"`
}

// Config says where the finder looks.
type Config struct {
	// Region is where a patient may be; everything outside is dropped. Its
	// floor is at z = 0 or below. Nil is 6 x 6 x 2.3 m in front of the room's
	// origin.
	Region *Box
	// LiDARAtM is where the LiDAR stands, metres, room frame. What a person
	// hides from there is neither learned nor forgotten.
	LiDARAtM [3]float64
}

// defaultRegion begins behind the origin's line: sensors stand at the origin or
// somewhat in front of it, patients 1.5 m and more away.
var defaultRegion = Box{MinM: [3]float64{-3, 0.3, -0.2}, MaxM: [3]float64{3, 6.3, 2.3}}

// RegionOrDefault returns the box of a configuration, which may have none.
func RegionOrDefault(b *Box) Box {
	if b == nil {
		return defaultRegion
	}
	return *b
}

// Limits of a region: a side that no room of this kind has, and what one word
// of bits holds of a column.
const (
	maxSideM   = 15
	maxHeightM = floorM + zCells*cellM
	minSideM   = 1
)

// CheckRegion adds what is wrong with a region below key.
func CheckRegion(p *setting.Problems, key string, b *Box) {
	for i, axis := range [3]string{"x", "y", "z"} {
		lo, hi := b.MinM[i], b.MaxM[i]
		switch {
		case math.IsNaN(lo) || math.IsInf(lo, 0) || math.IsNaN(hi) || math.IsInf(hi, 0):
			p.Add(key, "%s from %v to %v: want numbers in metres, room frame", axis, lo, hi)
		case hi-lo < minSideM:
			p.Add(key, "%s from %v to %v: max_m must be at least %d m above min_m; are they exchanged?", axis, lo, hi, minSideM)
		case i < 2 && hi-lo > maxSideM:
			p.Add(key, "%s from %v to %v is longer than %d m; enclose the place of exercise, not the building", axis, lo, hi, maxSideM)
		case i < 2 && max(math.Abs(lo), math.Abs(hi)) > 100:
			p.Add(key, "%s from %v to %v is further than 100 m from the room's origin; the unit is metres", axis, lo, hi)
		case i == 2 && (lo > 0.5 || lo < -1):
			p.Add(key, "z begins at %v m; the floor is at 0, begin there or a little below", lo)
		case i == 2 && hi > maxHeightM:
			p.Add(key, "z ends at %v m, at most %.2f; lamps and ceiling are of no use", hi, maxHeightM)
		}
	}
}
