package lidar

import (
	"math"
	"slices"
)

// XYZTable turns ranges into points of the sensor frame. It is made once per
// metadata and safe for concurrent use.
type XYZTable struct {
	rows, columns  int
	n, b, c        float64
	colCos, colSin []float64 // of the encoder angle, per column
	rowCos, rowSin []float64 // of the beam azimuth times cos(altitude), per row
	rowUp          []float64 // sin(altitude), per row
	t              [16]float64
}

// NewXYZTable prepares the vendor's formula (reference sensors.md 1.7).
func NewXYZTable(m *Metadata) *XYZTable {
	t := &XYZTable{
		rows: m.Format.Rows, columns: m.Format.Columns,
		b: m.BeamToLidar[3], c: m.BeamToLidar[11], t: m.LidarToSensor,
	}
	t.n = t.b
	if t.c != 0 {
		t.n = math.Hypot(t.b, t.c)
	}
	for i := range t.rows {
		sinA, cosA := math.Sincos(-2 * math.Pi * m.AzimuthDeg[i] / 360)
		sinP, cosP := math.Sincos(2 * math.Pi * m.AltitudeDeg[i] / 360)
		t.rowCos = append(t.rowCos, cosA*cosP)
		t.rowSin = append(t.rowSin, sinA*cosP)
		t.rowUp = append(t.rowUp, sinP)
	}
	for k := range t.columns {
		sin, cos := math.Sincos(2 * math.Pi * (1 - float64(k)/float64(t.columns)))
		t.colCos = append(t.colCos, cos)
		t.colSin = append(t.colSin, sin)
	}
	return t
}

// Point returns the point of a reading in metres, sensor frame (x forward,
// y left, z up), and false for range 0, which is no return.
func (t *XYZTable) Point(row, column int, rangeMM uint32) (p [3]float64, ok bool) {
	if rangeMM == 0 {
		return p, false
	}
	r := float64(rangeMM) - t.n
	ce, se := t.colCos[column], t.colSin[column]
	x := r*(ce*t.rowCos[row]-se*t.rowSin[row]) + t.b*ce
	y := r*(se*t.rowCos[row]+ce*t.rowSin[row]) + t.b*se
	z := r*t.rowUp[row] + t.c
	for i := range p {
		m := t.t[4*i : 4*i+4]
		p[i] = (m[0]*x + m[1]*y + m[2]*z + m[3]) * 0.001
	}
	return p, true
}

// Box is an axis-aligned box in the sensor frame, metres. The zero box has no
// limits.
type Box struct {
	Min [3]float64
	Max [3]float64
}

// Contains reports whether p lies in the box.
func (b *Box) Contains(p [3]float64) bool {
	if *b == (Box{}) {
		return true
	}
	for i := range p {
		if !(p[i] >= b.Min[i] && p[i] <= b.Max[i]) {
			return false
		}
	}
	return true
}

// limits reports whether the box leaves anything out.
func (b *Box) limits() bool { return *b != Box{} }

// Cloud appends the frame's points inside box to dst, n x 3 metres, column by
// column in the order of measurement.
func (t *XYZTable) Cloud(dst []float32, f *Frame, box *Box) []float32 {
	limited := box.limits()
	// What the sensor's axes make of a column's forward, sideways and upward.
	var up [3]float64
	for i := range up {
		up[i] = t.t[4*i+2] * 0.001
	}
	for k := range t.columns {
		if !f.Have[k] {
			continue
		}
		var ahead, aside, origin [3]float64
		ce, se := t.colCos[k], t.colSin[k]
		for i := range ahead {
			m := t.t[4*i : 4*i+4]
			ahead[i] = (m[0]*ce + m[1]*se) * 0.001
			aside[i] = (m[1]*ce - m[0]*se) * 0.001
			origin[i] = t.b*ahead[i] + t.c*up[i] + m[3]*0.001
		}
		dst = slices.Grow(dst, 3*t.rows)
		n := len(dst)
		out := dst[n : n+3*t.rows]
		n = 0
		rowCos, rowSin, rowUp := t.rowCos[:t.rows], t.rowSin[:t.rows], t.rowUp[:t.rows]
		for i, mm := range f.RangeMM[k*t.rows : (k+1)*t.rows] {
			if mm == 0 {
				continue
			}
			r := float64(mm) - t.n
			c, s, u := r*rowCos[i], r*rowSin[i], r*rowUp[i]
			x := c*ahead[0] + s*aside[0] + u*up[0] + origin[0]
			y := c*ahead[1] + s*aside[1] + u*up[1] + origin[1]
			z := c*ahead[2] + s*aside[2] + u*up[2] + origin[2]
			if limited && !box.Contains([3]float64{x, y, z}) {
				continue
			}
			p := out[n : n+3 : n+3]
			p[0], p[1], p[2] = float32(x), float32(y), float32(z)
			n += 3
		}
		dst = dst[:len(dst)+n]
	}
	return dst
}
