package sim

import (
	"math"
)

// The simulated LiDAR is an Ouster OS1-32 in mode 1024x10 (simulator.md 6).
const (
	ScanRows    = 32
	ScanColumns = 1024

	lidarTopDeg     = 22.5
	lidarStepDeg    = 45.0 / (ScanRows - 1)
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
	RangesMM [ScanRows][ScanColumns]uint32 // millimetres, 0 = no return
}

// lidarGrid holds the direction of every beam and column, sensor frame.
type lidarGrid struct {
	sinEl, cosEl [ScanRows]float64
	sinAz, cosAz [ScanColumns]float64 // after lidar_to_sensor
}

var grid = newLidarGrid()

func newLidarGrid() *lidarGrid {
	g := &lidarGrid{}
	for r := range ScanRows {
		g.sinEl[r], g.cosEl[r] = portableSincos(2 * math.Pi * beamAltitudeDeg(r) / 360)
	}
	for m := range ScanColumns {
		s, c := portableSincos(2 * math.Pi * (1 - float64((float64(m)+0.5)/ScanColumns)))
		g.sinAz[m], g.cosAz[m] = -s, -c // half a turn: lidar_to_sensor
	}
	return g
}

func beamAltitudeDeg(row int) float64 { return lidarTopDeg - float64(float64(row)*lidarStepDeg) }

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

// Points appends the scan's returns as x, y, z in metres, sensor frame (x
// forward, y left, z up), in the order of columns, then rows.
func (s *Scan) Points(xyz []float64) []float64 {
	for m := range ScanColumns {
		for r := range ScanRows {
			if mm := s.RangesMM[r][m]; mm != 0 {
				x, y, z := grid.point(r, m, float64(mm))
				xyz = append(xyz, x, y, z)
			}
		}
	}
	return xyz
}

// OusterMetadata is the metadata of the simulated LiDAR in Ouster's flat
// layout (sensors.md 1.6). The beam azimuth of half a column says that a column
// is measured in its middle; all zero would mean a sensor that is not ready.
// Half a turn in LidarToSensor puts the sweep's seam
// behind the sensor, as in the real device, so that no person is cut in time.
type OusterMetadata struct {
	ProdLine          string           `json:"prod_line"`
	ProdSN            string           `json:"prod_sn"`
	ImageRev          string           `json:"image_rev"`
	LidarMode         string           `json:"lidar_mode"`
	BeamAltitudeDeg   []float64        `json:"beam_altitude_angles"`
	BeamAzimuthDeg    []float64        `json:"beam_azimuth_angles"`
	OriginToBeamMM    float64          `json:"lidar_origin_to_beam_origin_mm"`
	BeamToLidar       []float64        `json:"beam_to_lidar_transform"`
	LidarToSensor     []float64        `json:"lidar_to_sensor_transform"`
	ImuToSensor       []float64        `json:"imu_to_sensor_transform"`
	DataFormat        OusterDataFormat `json:"data_format"`
	InitializationID  int              `json:"initialization_id"`
	UDPPortLidar      int              `json:"udp_port_lidar"`
	UDPPortIMU        int              `json:"udp_port_imu"`
	SimulatedSentence string           `json:"comment"`
}

// OusterDataFormat is the packet geometry inside OusterMetadata.
type OusterDataFormat struct {
	ColumnsPerFrame  int    `json:"columns_per_frame"`
	ColumnsPerPacket int    `json:"columns_per_packet"`
	PixelsPerColumn  int    `json:"pixels_per_column"`
	PixelShiftByRow  []int  `json:"pixel_shift_by_row"`
	ColumnWindow     [2]int `json:"column_window"`
	UDPProfileLidar  string `json:"udp_profile_lidar"`
	UDPProfileIMU    string `json:"udp_profile_imu"`
}

// NewOusterMetadata returns the metadata that decodes Scan to exactly the
// points of the stored clouds.
func NewOusterMetadata() OusterMetadata {
	m := OusterMetadata{
		ProdLine: "OS-1-32", ProdSN: "000000000000", ImageRev: "simulated", LidarMode: "1024x10",
		BeamAltitudeDeg: make([]float64, ScanRows),
		BeamAzimuthDeg:  make([]float64, ScanRows),
		BeamToLidar:     []float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
		LidarToSensor:   []float64{-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
		ImuToSensor:     []float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
		DataFormat: OusterDataFormat{
			ColumnsPerFrame: ScanColumns, ColumnsPerPacket: 16, PixelsPerColumn: ScanRows,
			PixelShiftByRow: make([]int, ScanRows), ColumnWindow: [2]int{0, ScanColumns - 1},
			UDPProfileLidar: "LEGACY", UDPProfileIMU: "LEGACY",
		},
		InitializationID: 1, UDPPortLidar: 7502, UDPPortIMU: 7503,
		SimulatedSentence: "simulated sensors",
	}
	for r := range m.BeamAltitudeDeg {
		m.BeamAltitudeDeg[r] = beamAltitudeDeg(r)
		m.BeamAzimuthDeg[r] = lidarAzimuthDeg
	}
	return m
}

// depthBuffer is the nearest return per cell, metres, columns first; 0 is
// empty. Only columns first..last are in use.
type depthBuffer struct {
	cells       [ScanColumns * ScanRows]float32
	first, last int
}

func (b *depthBuffer) reset() {
	if b.first <= b.last {
		clear(b.cells[b.first*ScanRows : (b.last+1)*ScanRows])
	}
	b.first, b.last = ScanColumns, -1
}

// put keeps the nearer of what the cell holds and rangeM.
func (b *depthBuffer) put(col, row int, rangeM float64) {
	cell := &b.cells[col*ScanRows+row]
	if r := float32(rangeM); *cell == 0 || r < *cell {
		*cell = r
		b.first, b.last = min(b.first, col), max(b.last, col)
	}
}

// addCapsule casts every ray of the grid that can meet the capsule, given in
// the sensor's frame.
func (b *depthBuffer) addCapsule(c *Capsule) {
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
	row0 := max(int(math.Floor(altitudeRow(elHi)))-1, 0)
	row1 := min(int(math.Ceil(altitudeRow(elLo)))+1, ScanRows-1)
	if row0 > row1 {
		return
	}
	// Capsule.Intersect for rays from the origin, with everything that does
	// not depend on the ray taken out of the loop.
	ba := vecSub(c.B, c.A)
	baba, baoa, oaoa := vecDot(ba, ba), -vecDot(ba, c.A), vecDot(c.A, c.A)
	q := float64(baba*oaoa) - float64(baoa*baoa) - float64(c.RadiusM*c.RadiusM*baba)
	for col := col0; col <= col1; col++ {
		ca, sa := grid.cosAz[col], grid.sinAz[col]
		for row := row0; row <= row1; row++ {
			ce := grid.cosEl[row]
			d := Vec{float64(ca * ce), float64(sa * ce), grid.sinEl[row]}
			bard, rdoa := vecDot(ba, d), -vecDot(d, c.A)
			k := float64(baba*rdoa) - float64(baoa*bard)
			if float64(k*k) < float64((baba-float64(bard*bard))*q) {
				continue // passes the infinite cylinder
			}
			if t, ok := c.Intersect(Vec{}, d); ok && t >= lidarMinRangeM {
				b.put(col, row, t)
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
func altitudeRow(el float64) float64 {
	return (lidarTopDeg - float64(el*180/math.Pi)) / lidarStepDeg
}

// backgroundHalfCols is half the sector in which the fixed scene is kept: the
// stored clouds hold about 90 degrees.
const backgroundHalfCols = ScanColumns / 8

// lidar fills the depth buffer of sc with frame i: exact ranges first, then
// the sensor's errors. What remains is rounded to whole millimetres.
func (c *Clip) lidar(i int, sc *scratch) {
	buf := &sc.depth
	buf.reset()
	frame, shiftS := c.degraded.faultyClock(lidar, i)
	tS := frameTime(frame) + c.extrinsics.LiDARTimeS + shiftS
	if c.degraded.missing(lidar, frameTime(i)) {
		return
	}
	pose := newSensorPose(vecAdd(lidarAt, c.extrinsics.LiDARShiftM), c.extrinsics.LiDARYawRad+c.degraded.shockRad(lidar, tS))
	c.lidarBodies(tS, &pose, sc)

	spec := &c.preset.LiDAR
	s := c.stream("lidar", frame)
	lost := spec.LostShare
	if dirt := c.degraded.severity(LiDARDirt, tS); dirt > 0 {
		lost = max(lost, bySeverity(dirt, .30, .50, .80))
	}
	blindLo, blindHi := ScanColumns, -1
	if sev := c.degraded.severity(LiDARBlindSector, tS); sev > 0 {
		mid := bySeverity(sev, 20, 10, 0) * math.Pi / 180
		blindLo = int(azimuthColumn(mid + 10*math.Pi/180))
		blindHi = int(azimuthColumn(mid - 10*math.Pi/180))
	}
	occluder := c.occluderAt(tS)

	// Returns of bodies: lost, mixed, noisy.
	first, last := buf.first, buf.last
	for col := first; col <= last; col++ {
		cells := buf.cells[col*ScanRows : (col+1)*ScanRows]
		for row := range cells {
			if cells[row] == 0 {
				continue
			}
			r := float64(cells[row])
			if occluder != nil {
				d := pose.dirToRoom(grid.direction(row, col))
				if t, ok := occluder.intersect(pose.at, d); ok && t < r {
					r = t
				}
			}
			if col >= blindLo && col <= blindHi || lost > 0 && s.Float64() < lost {
				cells[row] = -1 // taken, so that no background shines through
				continue
			}
			if spec.EdgeShare > 0 && s.Float64() < spec.EdgeShare {
				r += spec.EdgeMinM + float64((spec.EdgeMaxM-spec.EdgeMinM)*s.Float64())
			}
			cells[row] = quantise(r, spec.RangeNoiseM, &s)
		}
	}

	// A random part of the fixed scene, where no body hides it.
	keep := spec.BackgroundMin + s.Intn(spec.BackgroundMax-spec.BackgroundMin+1)
	if lost > spec.LostShare {
		keep = int(float64(keep) * (1 - lost) / (1 - spec.LostShare))
	}
	var candidates []backgroundCell
	if occluder == nil && c.degraded.shockRad(lidar, tS) == 0 {
		c.backgroundOnce.Do(func() { c.background = c.scene.background(&pose, nil, nil) })
		candidates = c.background
	} else {
		sc.background = c.scene.background(&pose, occluder, sc.background[:0])
		candidates = sc.background
	}
	for tries := 4 * len(candidates); keep > 0 && tries > 0; tries-- {
		bg := candidates[s.Intn(len(candidates))]
		cell := &buf.cells[bg.cell]
		if *cell != 0 {
			continue // taken by a body or drawn before
		}
		keep--
		col := int(bg.cell) / ScanRows
		if col >= blindLo && col <= blindHi {
			continue
		}
		*cell = quantise(float64(bg.rangeM), spec.RangeNoiseM, &s)
		buf.first, buf.last = min(buf.first, col), max(buf.last, col)
	}
}

// backgroundCell is one cell of the grid that meets the fixed scene.
type backgroundCell struct {
	cell   uint16 // column * ScanRows + row
	rangeM float32
}

// background appends the cells of the stored sector whose ray meets the fixed
// scene or the occluder within the crop.
func (s *scene) background(pose *sensorPose, occluder *box, dst []backgroundCell) []backgroundCell {
	for col := lidarForwardCol - backgroundHalfCols; col < lidarForwardCol+backgroundHalfCols; col++ {
		for row := range ScanRows {
			d := pose.dirToRoom(grid.direction(row, col))
			t, ok := s.cast(pose.at, d)
			if occluder != nil {
				if to, hit := occluder.intersect(pose.at, d); hit && (!ok || to < t) {
					t, ok = to, true
				}
			}
			if ok && t >= lidarMinRangeM && t <= lidarMaxSceneM {
				dst = append(dst, backgroundCell{uint16(col*ScanRows + row), float32(t)})
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
	const col0, col1 = lidarForwardCol - 64, lidarForwardCol + 64
	columnTime := func(col int) float64 {
		return tS + float64(float64(col-lidarForwardCol)*(sweepS/ScanColumns))
	}
	n := c.placeBodies(columnTime(col0), sc)
	early := sc.bodies
	c.placeBodies(columnTime(col1), sc)
	for b := range n {
		for k := range early[b].Capsules {
			e, l := &early[b].Capsules[k], &sc.bodies[b].Capsules[k]
			ea, eb := pose.fromRoom(e.A), pose.fromRoom(e.B)
			la, lb := pose.fromRoom(l.A), pose.fromRoom(l.B)
			mid := vecScale(vecAdd(vecAdd(ea, eb), vecAdd(la, lb)), 0.25)
			u := (azimuthColumn(portableAtan2(mid[1], mid[0])) - col0) / (col1 - col0)
			moved := Capsule{A: vecLerp(ea, la, u), B: vecLerp(eb, lb, u), RadiusM: e.RadiusM}
			sc.depth.addCapsule(&moved)
		}
	}
}

// readScan writes the depth buffer into a scan.
func (b *depthBuffer) readScan(dst *Scan) {
	*dst = Scan{}
	for col := b.first; col <= b.last; col++ {
		for row := range ScanRows {
			if mm := b.cells[col*ScanRows+row]; mm > 0 {
				dst.RangesMM[row][col] = uint32(mm)
			}
		}
	}
}

// appendPoints appends the depth buffer's returns as x, y, z in metres.
func (b *depthBuffer) appendPoints(xyz []float64) []float64 {
	for col := b.first; col <= b.last; col++ {
		for row := range ScanRows {
			if mm := b.cells[col*ScanRows+row]; mm > 0 {
				x, y, z := grid.point(row, col, float64(mm))
				xyz = append(xyz, x, y, z)
			}
		}
	}
	return xyz
}
