package sim

import "math"

// depthBuffer is the nearest return per cell, metres, columns first; 0 is
// empty, negative taken without a return. Only columns first..last are in use.
type depthBuffer struct {
	*lidarGrid
	cells       []float32
	on          []Surface // what each return lies on
	first, last int
	quarter     int // the columns are turned to the left by this many quarters of a turn
}

func newDepthBuffer(g *lidarGrid) depthBuffer {
	return depthBuffer{lidarGrid: g, cells: make([]float32, ScanColumns*g.rows), on: make([]Surface, ScanColumns*g.rows), last: ScanColumns - 1}
}

// columns yields the columns in use in the order in which the sensor fires them,
// with the numbers that it gives them.
func (b *depthBuffer) columns(yield func(col, sent int) bool) {
	const quarterCols = ScanColumns / 4
	if b.quarter == 0 {
		for col := b.first; col <= b.last; col++ {
			if !yield(col, col) {
				return
			}
		}
		return
	}
	for sent := range ScanColumns {
		col := (sent + quarterCols*b.quarter + 4*ScanColumns) % ScanColumns
		if col >= b.first && col <= b.last && !yield(col, sent) {
			return
		}
	}
}

func (b *depthBuffer) reset() {
	if b.first <= b.last {
		clear(b.cells[b.first*b.rows : (b.last+1)*b.rows])
	}
	b.first, b.last = ScanColumns, -1
}

// put keeps the nearer of what the cell holds and rangeM.
func (b *depthBuffer) put(col, row int, rangeM float64, on Surface) {
	cell := &b.cells[col*b.rows+row]
	if r := float32(rangeM); *cell == 0 || r < *cell {
		*cell = r
		b.on[col*b.rows+row] = on
		b.first, b.last = min(b.first, col), max(b.last, col)
	}
}

// addCapsule casts every ray of the grid that can meet the capsule, given in
// the sensor's frame.
func (b *depthBuffer) addCapsule(c *Capsule, on Surface) {
	azLo, azHi := math.Inf(1), math.Inf(-1)
	elLo, elHi := math.Inf(1), math.Inf(-1)
	for _, p := range [2]Vec{c.A, c.B} {
		flat := length2(p[0], p[1])
		dist := length2(flat, p[2])
		if flat <= c.RadiusM || p[0] <= 0 {
			return // around or behind the sensor: nobody stands there
		}
		az, el := portableAtan2(p[1], p[0]), portableAtan2(p[2], flat)
		dAz, dEl := portableAsin(c.RadiusM/flat), portableAsin(c.RadiusM/dist)
		azLo, azHi = min(azLo, az-dAz), max(azHi, az+dAz)
		elLo, elHi = min(elLo, el-dEl), max(elHi, el+dEl)
	}
	col0 := max(int(math.Floor(azimuthColumn(azHi))), 0)
	col1 := min(int(math.Ceil(azimuthColumn(azLo))), ScanColumns-1)
	row0 := max(int(math.Floor(b.altitudeRow(elHi)))-1, 0)
	row1 := min(int(math.Ceil(b.altitudeRow(elLo)))+1, b.rows-1)
	if row0 > row1 {
		return
	}
	// Capsule.Intersect for rays from the origin, with everything that does
	// not depend on the ray taken out of the loop.
	ba := vecSub(c.B, c.A)
	baba, baoa, oaoa := vecDot(ba, ba), -vecDot(ba, c.A), vecDot(c.A, c.A)
	q := float64(baba*oaoa) - float64(baoa*baoa) - float64(c.RadiusM*c.RadiusM*baba)
	for col := col0; col <= col1; col++ {
		ca, sa := b.cosAz[col], b.sinAz[col]
		for row := row0; row <= row1; row++ {
			ce := b.cosEl[row]
			d := Vec{float64(ca * ce), float64(sa * ce), b.sinEl[row]}
			bard, rdoa := vecDot(ba, d), -vecDot(d, c.A)
			k := float64(baba*rdoa) - float64(baoa*bard)
			if float64(k*k) < float64((baba-float64(bard*bard))*q) {
				continue // passes the infinite cylinder
			}
			if t, ok := c.Intersect(Vec{}, d); ok && t >= lidarMinRangeM {
				b.put(col, row, t, on)
			}
		}
	}
}

// azimuthColumn returns the column, with fraction, that looks at azimuth az,
// radians, positive left.
func azimuthColumn(az float64) float64 {
	return lidarForwardCol - 0.5 - float64(az/(2*math.Pi)*ScanColumns)
}

// altitudeRow returns the row, with fraction, that looks at elevation el, radians.
func (g *lidarGrid) altitudeRow(el float64) float64 {
	return (lidarTopDeg - float64(el*180/math.Pi)) / g.stepDeg
}

// readScan writes the depth buffer into a scan.
func (b *depthBuffer) readScan(dst *Scan) {
	if len(dst.RangesMM) != b.rows {
		dst.RangesMM = make([][ScanColumns]uint32, b.rows)
	}
	clear(dst.RangesMM)
	for col, sent := range b.columns {
		for row := range b.rows {
			if mm := b.cells[col*b.rows+row]; mm > 0 {
				dst.RangesMM[row][sent] = uint32(mm)
			}
		}
	}
}

// appendPoints appends the depth buffer's returns as x, y, z in metres.
func (b *depthBuffer) appendPoints(xyz []float64) []float64 {
	for col, sent := range b.columns {
		for row := range b.rows {
			if mm := b.cells[col*b.rows+row]; mm > 0 {
				x, y, z := b.point(row, sent, float64(mm))
				xyz = append(xyz, x, y, z)
			}
		}
	}
	return xyz
}

// appendSurfaces appends what each of the points of appendPoints lies on.
func (b *depthBuffer) appendSurfaces(on []Surface) []Surface {
	for col := range b.columns {
		for row := range b.rows {
			if k := col*b.rows + row; b.cells[k] > 0 {
				on = append(on, b.on[k])
			}
		}
	}
	return on
}
