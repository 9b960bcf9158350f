package sim

import (
	"math"
	"sync"
)

// lidarGrid holds the direction of every beam and column, sensor frame.
type lidarGrid struct {
	rows         int
	stepDeg      float64 // between two beams
	sinEl, cosEl []float64
	sinAz, cosAz [ScanColumns]float64 // after lidar_to_sensor
}

// denseRows are the beams of an OS1-128, over the same 45 degrees.
const denseRows = 128

var (
	grid      = newLidarGrid(ScanRows)
	denseGrid = sync.OnceValue(func() *lidarGrid { return newLidarGrid(denseRows) })
)

// gridOf returns the grid of a number of beams, 32 or 128.
func gridOf(beams int) *lidarGrid {
	if beams == denseRows {
		return denseGrid()
	}
	return grid
}

func newLidarGrid(rows int) *lidarGrid {
	g := &lidarGrid{rows: rows, stepDeg: lidarSpanDeg / float64(rows-1), sinEl: make([]float64, rows), cosEl: make([]float64, rows)}
	for r := range rows {
		g.sinEl[r], g.cosEl[r] = portableSincos(2 * math.Pi * g.altitudeDeg(r) / 360)
	}
	for m := range ScanColumns {
		s, c := portableSincos(2 * math.Pi * (1 - float64((float64(m)+0.5)/ScanColumns)))
		g.sinAz[m], g.cosAz[m] = -s, -c // half a turn: lidar_to_sensor
	}
	return g
}

// altitudeDeg returns the elevation of a beam.
func (g *lidarGrid) altitudeDeg(row int) float64 {
	return lidarTopDeg - float64(float64(row)*g.stepDeg)
}

// direction returns the unit direction of a cell, sensor frame.
func (g *lidarGrid) direction(row, col int) Vec {
	return Vec{float64(g.cosAz[col] * g.cosEl[row]), float64(g.sinAz[col] * g.cosEl[row]), g.sinEl[row]}
}

// point returns the point of a range on the grid, metres, sensor frame. It is
// what an Ouster driver computes from OusterMetadata (sensors.md 1.7).
func (g *lidarGrid) point(row, col int, rangeMM float64) (x, y, z float64) {
	x = float64(rangeMM*g.cosAz[col]*g.cosEl[row]) * 0.001
	y = float64(rangeMM*g.sinAz[col]*g.cosEl[row]) * 0.001
	z = float64(rangeMM*g.sinEl[row]) * 0.001
	return x, y, z
}
