package sim

import "math"

// What whole sweeps are like, from three Ouster captures of the shared ones. The
// range noise is the robust second difference along the rows on surfaces nearer
// than 8 m: 10, 12 and 10 mm at the 90th percentile (OS1-32 2.1.1, OS1-128 2.3.0,
// OS0-128 2.3.0). OS1-32 has no return in 16.7 % of its cells, OS1-128 in 17.9 %;
// of three sweeps of the latter 15.1 % have none in two in a row and 5.8 % in one of
// them, and most lie in patches, a tenth alone: what is dark, smooth or glass.
const (
	roomNoiseM     = 0.010
	roomDeadShare  = 0.151 // cells that never return
	roomLostShare  = 0.029 // of the others, anew in every sweep
	patchMinCols   = 8
	patchMaxCols   = 56
	patchMinHeight = 0.06 // of the rows
	patchMaxHeight = 0.25
)

// roomCell is what a beam meets of the fixed scene.
type roomCell struct {
	rangeM float32 // 0: nothing comes back
	on     Surface
}

// castRoom returns the room of a clip as each beam meets it from pose, columns
// first. The patches without a return are those of the environment.
func (c *Clip) castRoom(pose *sensorPose, g *lidarGrid, environment int, dst []roomCell) []roomCell {
	if len(dst) != ScanColumns*g.rows {
		dst = make([]roomCell, ScanColumns*g.rows)
	}
	clear(dst)
	for col := range ScanColumns {
		for row := range g.rows {
			t, on := c.scene.castAll(pose.at, pose.dirToRoom(g.direction(row, col)))
			if on != SurfaceNone {
				dst[col*g.rows+row] = roomCell{float32(t), on}
			}
		}
	}
	s := NewStream(c.seed, "lidar-dead", environment)
	dead := 0
	for want := int(roomDeadShare * float64(len(dst))); dead < want; {
		col0, row0 := s.Intn(ScanColumns), s.Uniform(-patchMaxHeight/2, 1)
		cols := patchMinCols + s.Intn(patchMaxCols-patchMinCols)
		rows := int(s.Uniform(patchMinHeight, patchMaxHeight) * float64(g.rows))
		first := int(math.Floor(row0 * float64(g.rows)))
		for row := max(first, 0); row < min(first+rows, g.rows); row++ {
			for k := range cols {
				if cell := &dst[(col0+k)%ScanColumns*g.rows+row]; cell.rangeM != 0 && dead < want {
					*cell = roomCell{}
					dead++
				}
			}
		}
	}
	return dst
}

// roomReturns adds every return of the fixed scene that no body hides.
func (c *Clip) roomReturns(frame int, pose *sensorPose, occluder *box, seen sight, sc *scratch) {
	buf := &sc.depth
	c.backgroundOnce.Do(func() {
		nominal := c.place.lidar.pose(c.extrinsics.LiDARShiftM, c.extrinsics.LiDARYawRad)
		c.sweep = c.castRoom(&nominal, buf.lidarGrid, c.environment(), nil)
	})
	sweep := c.sweep
	if shock := c.place.lidar.pose(c.extrinsics.LiDARShiftM, c.extrinsics.LiDARYawRad); shock != *pose {
		sc.sweep = c.castRoom(pose, buf.lidarGrid, c.environment(), sc.sweep)
		sweep = sc.sweep
	}
	lost := roomLostShare
	if seen.lost > c.preset.LiDAR.LostShare {
		lost = max(lost, seen.lost)
	}
	s := c.stream("lidar-room", frame)
	for col := range ScanColumns {
		for row := range buf.rows {
			k := col*buf.rows + row
			at := sweep[k]
			u, noise := s.Float64(), s.Norm()
			if buf.cells[k] < 0 || seen.blind(col) || u < lost && buf.cells[k] == 0 {
				continue // nothing comes back
			}
			if buf.cells[k] > 0 && (at.on != SurfaceFurniture || at.rangeM*1000 > buf.cells[k]) {
				continue // a body is there
			}
			if occluder != nil {
				t, ok := occluder.intersect(pose.at, pose.dirToRoom(buf.direction(row, col)))
				if ok && (at.rangeM == 0 || t < float64(at.rangeM)) {
					at = roomCell{float32(t), SurfaceFurniture}
				}
			}
			r := float64(at.rangeM) + float64(roomNoiseM*noise)
			if at.rangeM == 0 || r < lidarMinRangeM {
				continue
			}
			buf.cells[k], buf.on[k] = float32(math.Round(r*1000)), at.on
		}
	}
	buf.first, buf.last = 0, ScanColumns-1
}

// furnitureReturns adds to a cropped cloud what comes back from the world's
// furniture: all of it, for no crop around the person leaves a part of a chair out.
func (c *Clip) furnitureReturns(frame int, pose *sensorPose, seen sight, buf *depthBuffer) {
	if len(c.scene.furniture) == 0 {
		return
	}
	s := c.stream("lidar-room", frame)
	for col := lidarForwardCol - backgroundHalfCols; col < lidarForwardCol+backgroundHalfCols; col++ {
		for row := range buf.rows {
			cell := &buf.cells[col*buf.rows+row]
			t, on := nearestBox(c.scene.furniture, pose.at, pose.dirToRoom(buf.direction(row, col)), lidarMaxSceneM, SurfaceNone)
			if on == SurfaceNone || *cell < 0 || *cell > 0 && float64(*cell) < t*1000 || seen.blind(col) || s.Float64() < seen.lost {
				continue
			}
			*cell, buf.on[col*buf.rows+row] = quantise(t, roomNoiseM, &s), on
			buf.first, buf.last = min(buf.first, col), max(buf.last, col)
		}
	}
}

// LabelledScan is a sweep with what each of its points lies on. A return that is
// mixed with what lies behind a person's edge counts as the person's.
type LabelledScan struct {
	PointsM  []float64 // n x 3, those of recording.Frame.LiDAR: x forward, y left, z up
	Surfaces []Surface // n
}

// Share returns which share of the points lies on a surface, 0 of none.
func (l *LabelledScan) Share(on Surface) float64 {
	n := 0
	for _, s := range l.Surfaces {
		if s == on {
			n++
		}
	}
	return float64(n) / float64(max(len(l.Surfaces), 1))
}

// LabelledScan fills dst with the LiDAR's points of frame i, those of Frame, and
// the surfaces they lie on. Slices of dst are reused.
func (c *Clip) LabelledScan(i int, dst *LabelledScan) error {
	if err := c.check(i); err != nil {
		return err
	}
	sc := c.scratch.Get().(*scratch)
	defer c.scratch.Put(sc)
	c.lidar(i, sc)
	dst.PointsM = sc.depth.appendPoints(dst.PointsM[:0])
	dst.Surfaces = sc.depth.appendSurfaces(dst.Surfaces[:0])
	return nil
}
