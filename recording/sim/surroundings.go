package sim

// Surroundings is what the sensors see of a room with nobody in it.
type Surroundings struct {
	LiDAR []float64 // n x 3, as recording.Frame's
	Radar []float64 // n x 5, as recording.Frame's
}

// Surroundings fills dst with what stands still in frame i: of a whole sweep all
// of the room, else the world's furniture, and the radar's static clutter. Slices
// of dst are reused.
func (c *Clip) Surroundings(i int, dst *Surroundings) error {
	if err := c.check(i); err != nil {
		return err
	}
	sc := c.scratch.Get().(*scratch)
	defer c.scratch.Put(sc)
	buf := &sc.depth
	buf.reset()
	buf.quarter = c.place.lidar.quarter
	pose := c.place.lidar.pose(c.extrinsics.LiDARShiftM, c.extrinsics.LiDARYawRad)
	seen := sight{lost: c.preset.LiDAR.LostShare, blindLo: ScanColumns, blindHi: -1}
	if c.place.wholeSweep {
		c.roomReturns(i, &pose, nil, seen, sc)
	} else {
		c.furnitureReturns(i, &pose, seen, buf)
	}
	dst.LiDAR = buf.appendPoints(dst.LiDAR[:0])
	sc.radar.dets = sc.radar.dets[:0]
	c.staticClutter(i, &sc.radar)
	dst.Radar = sc.radar.appendRows(dst.Radar[:0])
	return nil
}
