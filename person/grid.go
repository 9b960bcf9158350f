package person

import "math"

const (
	cellM  = 0.1 // side of a voxel, metres
	zCells = 32  // voxels of a column, one bit each
	// floorM is how high the floor's points may lie: noise, a carpet, a degree
	// of tilt. Below it nothing is a person.
	floorM = 0.05

	numBins = 360 // directions around the LiDAR
)

// layers returns the bits of the voxels of a column between two heights above
// the floor, metres.
func layers(fromM, toM float64) uint32 {
	var m uint32
	for k := range zCells {
		if mid := floorM + (float64(k)+0.5)*cellM; mid >= fromM && mid < toM {
			m |= 1 << k
		}
	}
	return m
}

var (
	// bodyLayers are high enough that an uneven floor does not join things.
	bodyLayers = layers(0.25, 9)
	lowLayers  = ^bodyLayers
	// upperLayers are above beds, seats and most tables.
	upperLayers = layers(0.85, 9)
	// Two bands in which a cupboard is equally wide and a person is not.
	legLayers   = layers(0.25, 0.75)
	chestLayers = layers(1.05, 1.65)
	// hipLayers hold legs, hips, seats and their backs, but not arms stretched out.
	hipLayers = layers(0.55, 1.05)
	// trunkLayers tell where somebody stands, without arms and feet.
	trunkLayers = layers(0.45, 1.45)
	// tallLayers are above the backs of chairs and below the heads of who stands.
	tallLayers = layers(0.95, 1.75)
)

// grid is the region in voxels: columns x first, then y, zCells voxels each.
type grid struct {
	box    Box
	nx, ny int
	// bin and distM are the direction and distance of each column from the
	// LiDAR, halfBins half the directions that it covers.
	bin, halfBins []int16
	distM         []float32
}

func newGrid(box Box, lidarAtM [3]float64) grid {
	g := grid{
		box: box,
		nx:  int(math.Ceil((box.MaxM[0]-box.MinM[0])/cellM - 1e-6)),
		ny:  int(math.Ceil((box.MaxM[1]-box.MinM[1])/cellM - 1e-6)),
	}
	n := g.nx * g.ny
	g.bin, g.halfBins, g.distM = make([]int16, n), make([]int16, n), make([]float32, n)
	for c := range n {
		at := g.middleM(c)
		dx, dy := at[0]-lidarAtM[0], at[1]-lidarAtM[1]
		dist := max(math.Hypot(dx, dy), cellM)
		g.distM[c] = float32(dist)
		g.bin[c] = int16(math.Floor((math.Atan2(dy, dx)+math.Pi)/(2*math.Pi)*numBins)) % numBins
		g.halfBins[c] = int16(math.Ceil(math.Asin(min(0.5*cellM/dist, 1)) / (2 * math.Pi) * numBins))
	}
	return g
}

// middleM returns the middle of a column, metres, room frame.
func (g *grid) middleM(column int) [2]float64 {
	return [2]float64{
		g.box.MinM[0] + (float64(column%g.nx)+0.5)*cellM,
		g.box.MinM[1] + (float64(column/g.nx)+0.5)*cellM,
	}
}

// column returns the column that holds a place, or -1.
func (g *grid) column(x, y float64) int {
	ix, iy := math.Floor((x-g.box.MinM[0])/cellM), math.Floor((y-g.box.MinM[1])/cellM)
	if !(ix >= 0 && ix < float64(g.nx) && iy >= 0 && iy < float64(g.ny)) {
		return -1
	}
	return int(iy)*g.nx + int(ix)
}

// square returns the columns at most r cells from column c along each axis, as
// bounds of x and y, the upper ones not included.
func (g *grid) square(c, r int) (x0, x1, y0, y1 int) {
	x, y := c%g.nx, c/g.nx
	return max(x-r, 0), min(x+r+1, g.nx), max(y-r, 0), min(y+r+1, g.ny)
}

// atBorder reports a column at the region's border.
func (g *grid) atBorder(c int) bool {
	x, y := c%g.nx, c/g.nx
	return x == 0 || y == 0 || x == g.nx-1 || y == g.ny-1
}

// ring is, per direction around the LiDAR, the distance of the nearest thing,
// metres.
type ring [numBins]float32

func (r *ring) clear() {
	for i := range r {
		r[i] = float32(math.Inf(1))
	}
}

func (r *ring) put(g *grid, column int) {
	d := g.distM[column]
	for b := g.bin[column] - g.halfBins[column]; b <= g.bin[column]+g.halfBins[column]; b++ {
		i := wrapBin(b)
		r[i] = min(r[i], d)
	}
}

func wrapBin(b int16) int16 { return (b + 2*numBins) % numBins }

// hides reports whether something stands clearly before the column.
func (r *ring) hides(g *grid, column int) bool {
	return r[g.bin[column]] < g.distM[column]-0.2
}
