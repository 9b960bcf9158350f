package sim

import (
	"math"
)

// The simulated LiDAR is an Ouster OS1-32 in mode 1024x10 (simulator.md 6).
const (
	ScanRows    = 32
	ScanColumns = 1024

	lidarTopDeg     = 22.5
	lidarSpanDeg    = 45.0
	lidarStepDeg    = lidarSpanDeg / (ScanRows - 1)
	lidarForwardCol = ScanColumns / 2 // its left edge looks forward
	lidarAzimuthDeg = 0.5 * 360 / ScanColumns
	lidarMinRangeM  = 0.8
	lidarMaxSceneM  = 5.0 // the crop of the stored clouds
	sweepS          = framePeriodS
)

// Scan is one sweep as the sensor measures it: ranges on the grid of beams and
// columns. Row 0 is the highest beam; columns 511 and 512 meet in the forward
// direction, lower columns lie to the left.
type Scan struct {
	RangesMM [][ScanColumns]uint32 // a row a beam, 32 or what the world's LiDAR has; millimetres, 0 = no return
}

// Points appends the scan's returns as x, y, z in metres, sensor frame (x
// forward, y left, z up), in the order of columns, then rows.
func (s *Scan) Points(xyz []float64) []float64 {
	g := gridOf(len(s.RangesMM))
	for m := range ScanColumns {
		for r := range s.RangesMM {
			if mm := s.RangesMM[r][m]; mm != 0 {
				x, y, z := g.point(r, m, float64(mm))
				xyz = append(xyz, x, y, z)
			}
		}
	}
	return xyz
}

// backgroundHalfCols is half the sector in which the fixed scene is kept: the
// stored clouds hold about 90 degrees.
const backgroundHalfCols = ScanColumns / 8

// lidar fills the depth buffer of sc with frame i: exact ranges first, then
// the sensor's errors. What remains is rounded to whole millimetres.
func (c *Clip) lidar(i int, sc *scratch) {
	buf := &sc.depth
	buf.reset()
	buf.quarter = c.place.lidar.quarter
	frame, shiftS := c.clock(lidar, i)
	tS := frameTime(frame) + c.extrinsics.LiDARTimeS + shiftS
	if c.degraded.missing(lidar, frameTime(i)) {
		return
	}
	pose := c.place.lidar.pose(c.extrinsics.LiDARShiftM, c.extrinsics.LiDARYawRad+c.degraded.shockRad(lidar, tS))
	c.lidarBodies(tS, &pose, sc)

	s := c.stream("lidar", frame)
	seen := sight{lost: c.preset.LiDAR.LostShare, blindLo: ScanColumns, blindHi: -1}
	if dirt := c.degraded.severity(LiDARDirt, tS); dirt > 0 {
		seen.lost = max(seen.lost, bySeverity(dirt, .30, .50, .80))
	}
	if sev := c.degraded.severity(LiDARBlindSector, tS); sev > 0 {
		mid := bySeverity(sev, 20, 10, 0) * math.Pi / 180
		seen.blindLo = int(azimuthColumn(mid + 10*math.Pi/180))
		seen.blindHi = int(azimuthColumn(mid - 10*math.Pi/180))
	}
	occluder := c.occluderAt(tS)

	c.bodyReturns(&pose, occluder, seen, &s, buf)
	if c.place.wholeSweep {
		c.roomReturns(frame, &pose, occluder, seen, sc)
		return
	}
	c.croppedReturns(tS, &pose, occluder, seen, &s, sc)
	c.furnitureReturns(frame, &pose, seen, buf)
}

// sight is what keeps the LiDAR from seeing.
type sight struct {
	lost             float64 // share of returns lost
	blindLo, blindHi int     // columns without a return, from to
}

// blind reports whether nothing comes back in a column.
func (g *sight) blind(col int) bool { return col >= g.blindLo && col <= g.blindHi }

// bodyReturns makes returns of the bodies' exact ranges: lost, mixed, noisy.
func (c *Clip) bodyReturns(pose *sensorPose, occluder *box, seen sight, s *Stream, buf *depthBuffer) {
	spec := &c.preset.LiDAR
	first, last := buf.first, buf.last
	for col := first; col <= last; col++ {
		cells, on := buf.cells[col*buf.rows:(col+1)*buf.rows], buf.on[col*buf.rows:(col+1)*buf.rows]
		for row := range cells {
			if cells[row] == 0 {
				continue
			}
			r := float64(cells[row])
			if occluder != nil {
				d := pose.dirToRoom(buf.direction(row, col))
				if t, ok := occluder.intersect(pose.at, d); ok && t < r {
					r, on[row] = t, SurfaceFurniture
				}
			}
			if seen.blind(col) || seen.lost > 0 && s.Float64() < seen.lost {
				cells[row] = -1 // taken, so that no background shines through
				continue
			}
			if spec.EdgeShare > 0 && s.Float64() < spec.EdgeShare {
				r += spec.EdgeMinM + float64((spec.EdgeMaxM-spec.EdgeMinM)*s.Float64())
			}
			cells[row] = quantise(r, spec.RangeNoiseM, s)
		}
	}

}

// croppedReturns adds a random part of the fixed scene, where no body hides it.
func (c *Clip) croppedReturns(tS float64, pose *sensorPose, occluder *box, seen sight, s *Stream, sc *scratch) {
	spec, buf := &c.preset.LiDAR, &sc.depth
	keep := spec.BackgroundMin + s.Intn(spec.BackgroundMax-spec.BackgroundMin+1)
	if seen.lost > spec.LostShare {
		keep = int(float64(keep) * (1 - seen.lost) / (1 - spec.LostShare))
	}
	var candidates []backgroundCell
	if occluder == nil && c.degraded.shockRad(lidar, tS) == 0 {
		c.backgroundOnce.Do(func() { c.background = c.scene.background(buf.lidarGrid, pose, nil, nil) })
		candidates = c.background
	} else {
		sc.background = c.scene.background(buf.lidarGrid, pose, occluder, sc.background[:0])
		candidates = sc.background
	}
	for tries := 4 * len(candidates); keep > 0 && tries > 0; tries-- {
		bg := candidates[s.Intn(len(candidates))]
		cell := &buf.cells[bg.cell]
		if *cell != 0 {
			continue // taken by a body or drawn before
		}
		keep--
		col := int(bg.cell) / buf.rows
		if seen.blind(col) {
			continue
		}
		buf.on[bg.cell] = bg.on
		*cell = quantise(float64(bg.rangeM), spec.RangeNoiseM, s)
		buf.first, buf.last = min(buf.first, col), max(buf.last, col)
	}
}

// backgroundCell is one cell of the grid that meets the fixed scene.
type backgroundCell struct {
	cell   int32 // column * rows + row
	on     Surface
	rangeM float32
}

// background appends the cells of the stored sector whose ray meets the fixed
// scene or the occluder within the crop.
func (s *scene) background(g *lidarGrid, pose *sensorPose, occluder *box, dst []backgroundCell) []backgroundCell {
	for col := lidarForwardCol - backgroundHalfCols; col < lidarForwardCol+backgroundHalfCols; col++ {
		for row := range g.rows {
			d := pose.dirToRoom(g.direction(row, col))
			t, on := s.cast(pose.at, d)
			if occluder != nil {
				if to, hit := occluder.intersect(pose.at, d); hit && to < t {
					t, on = to, SurfaceFurniture
				}
			}
			if on != SurfaceNone && t >= lidarMinRangeM && t <= lidarMaxSceneM {
				dst = append(dst, backgroundCell{int32(col*g.rows + row), on, float32(t)})
			}
		}
	}
	return dst
}

// quantise adds noise to a range in metres and returns it in whole
// millimetres, or -1 below the sensor's smallest range.
func quantise(rangeM, noiseM float64, s *Stream) float32 {
	if noiseM > 0 {
		rangeM += float64(noiseM * s.Norm())
	}
	if rangeM < lidarMinRangeM {
		return -1
	}
	return float32(math.Round(rangeM * 1000))
}

// lidarBodies casts the rays against the bodies. Every column has its own
// time; each capsule is taken where it is when the sweep passes its middle.
func (c *Clip) lidarBodies(tS float64, pose *sensorPose, sc *scratch) {
	col0, col1 := float64(lidarForwardCol-64), float64(lidarForwardCol+64)
	if sc.depth.quarter != 0 {
		col0, col1 = 0, ScanColumns // the seam of the sweep may be near the person
	}
	columnTime := func(col float64) float64 {
		return tS + float64((col-lidarForwardCol)*(sweepS/ScanColumns))
	}
	n := c.placeBodies(columnTime(col0), sc)
	early := sc.bodies
	c.placeBodies(columnTime(col1), sc)
	for b := range n {
		on := SurfacePerson
		if b > 0 {
			on = SurfaceOtherPerson
		}
		for k := range early[b].Capsules {
			e, l := &early[b].Capsules[k], &sc.bodies[b].Capsules[k]
			ea, eb := pose.fromRoom(e.A), pose.fromRoom(e.B)
			la, lb := pose.fromRoom(l.A), pose.fromRoom(l.B)
			mid := vecScale(vecAdd(vecAdd(ea, eb), vecAdd(la, lb)), 0.25)
			col := azimuthColumn(portableAtan2(mid[1], mid[0]))
			if sc.depth.quarter != 0 {
				col = math.Mod(col-float64(ScanColumns/4*sc.depth.quarter)+4*ScanColumns, ScanColumns)
			}
			u := (col - col0) / (col1 - col0)
			moved := Capsule{A: vecLerp(ea, la, u), B: vecLerp(eb, lb, u), RadiusM: e.RadiusM}
			sc.depth.addCapsule(&moved, on)
		}
	}
}
