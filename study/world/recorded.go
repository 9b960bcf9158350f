package world

import (
	"fmt"
	"math"
	"slices"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

// recorded is a data set whose clips are changed as if they had been recorded in
// the room of a row: the sensors elsewhere, the person elsewhere, more in the room
// than there was, less found by the detector. What is recorded counts as the room
// of sim.DefaultWorld, the arrangement of MM-Fi; a clip whose arrangement somebody
// noted is changed by the same motions. Joints that the camera saw are taken to be
// as far away as those of the truth.
type recorded struct {
	recording.Dataset
	row   *Row
	room  *sim.Dataset // the row's, of which only the room is looked at
	seed  uint64
	limit int // frames of a clip
}

// recorded returns the data set of one row.
func (f *File) recorded(from recording.Dataset, r *Row) (*recorded, error) {
	room, err := f.dataset(r)
	if err != nil {
		return nil, err
	}
	return &recorded{Dataset: from, row: r, room: room, seed: f.Seed, limit: f.Frames}, nil
}

// Modalities implements recording.PartialDataset.
func (d *recorded) Modalities() modality.Set { return recording.Modalities(d.Dataset) }

// Open implements recording.Dataset.
func (d *recorded) Open(k recording.Key) (recording.Clip, error) {
	clip, err := d.Dataset.Open(k)
	if err != nil {
		return nil, fmt.Errorf("row %q: %w", d.row.Name, err)
	}
	c := &recordedClip{Clip: clip, seed: d.seed, limit: d.limit, row: d.row}
	from, noted := frame.RigOf(clip)
	if !noted {
		from = frame.Simulated.Rig()
	}
	w, usual := &d.row.World, sim.DefaultWorld()
	c.from, c.to = from, from
	move := func(to *frame.Transform, base, row frame.Transform) {
		if base != row {
			back := base.Inverse()
			by := back.After(&row)
			*to = to.After(&by)
		}
	}
	move(&c.to.RoomFromCamera, usual.Camera.RoomFromCamera.RoomFromCamera(), w.Camera.RoomFromCamera.RoomFromCamera())
	move(&c.to.RoomFromLiDAR, usual.LiDAR.RoomFromLiDAR.RoomFromSensor(), w.LiDAR.RoomFromLiDAR.RoomFromSensor())
	move(&c.to.RoomFromRadar, usual.Radar.RoomFromRadar.RoomFromSensor(), w.Radar.RoomFromRadar.RoomFromSensor())
	if lens := w.Camera.Lens(); !sameLens(&lens, usual.Camera.Lens()) {
		c.to.Camera = lens
	}
	c.shiftM = [3]float64{w.Person.RightM, w.Person.FartherM, 0}
	c.moved = [modality.Count]bool{
		modality.Camera: c.shiftM != [3]float64{} || c.to.RoomFromCamera != from.RoomFromCamera || !sameLens(&c.to.Camera, from.Camera),
		modality.LiDAR:  c.shiftM != [3]float64{} || c.to.RoomFromLiDAR != from.RoomFromLiDAR,
		modality.Radar:  c.shiftM != [3]float64{} || c.to.RoomFromRadar != from.RoomFromRadar,
	}
	if w.LiDAR.WholeSweep || len(w.Room.Furniture) > 0 || w.Radar.ClutterPoints > 0 {
		if c.room, err = d.room.Clip(k); err != nil {
			return nil, fmt.Errorf("row %q: %w", d.row.Name, err)
		}
	}
	return c, nil
}

// sameLens reports whether two lenses see alike.
func sameLens(a *frame.Intrinsics, b frame.Intrinsics) bool {
	return a.WidthPx == b.WidthPx && a.HeightPx == b.HeightPx && a.FxPx == b.FxPx && a.FyPx == b.FyPx && a.CxPx == b.CxPx && a.CyPx == b.CyPx && slices.Equal(a.Distortion, b.Distortion)
}

// recordedClip is one clip of recorded.
type recordedClip struct {
	recording.Clip
	row      *Row
	seed     uint64
	limit    int
	from, to frame.Rig
	shiftM   [3]float64 // of the person, room frame
	moved    [modality.Count]bool
	room     *sim.Clip // nil if the row adds nothing
}

var (
	_ recording.PartialDataset = (*recorded)(nil)
	_ recording.PartialClip    = (*recordedClip)(nil)
	_ frame.Rigged             = (*recordedClip)(nil)
)

// Len returns the number of frames.
func (c *recordedClip) Len() int { return min(c.Clip.Len(), c.limit) }

// Rig returns how the row's sensors stand.
func (c *recordedClip) Rig() frame.Rig { return c.to }

// Frame fills f with frame i.
func (c *recordedClip) Frame(i int, f *recording.Frame) error { return c.FrameOf(i, modality.All, f) }

// Truth returns the pose of frame i in the frame of the row's camera.
func (c *recordedClip) Truth(i int) (recording.Pose, error) {
	p, err := c.Clip.Truth(i)
	if err != nil || !c.moved[modality.Camera] {
		return p, err
	}
	for j := range p {
		p[j] = elsewhere(p[j], &c.from.RoomFromCamera, &c.to.RoomFromCamera, c.shiftM)
	}
	return p, nil
}

// elsewhere moves a point by so much in the room, from the frame of a sensor to
// that of the same sensor at another place.
func elsewhere(p [3]float64, from, to *frame.Transform, byM [3]float64) [3]float64 {
	q := from.Apply(p)
	for k := range q {
		q[k] += byM[k]
	}
	back := to.Inverse()
	return back.Apply(q)
}

// FrameOf fills the members of f that belong to which with frame i.
func (c *recordedClip) FrameOf(i int, which modality.Set, f *recording.Frame) error {
	for m := range which.Kinds() {
		at := c.source(m, i)
		if err := recording.ReadFrame(c.Clip, at, modality.Of(m), f); err != nil {
			return err
		}
		if f.CaptureNS[m] != 0 {
			f.CaptureNS[m] += int64(i-at) * recording.FramePeriodMS * 1_000_000
		}
		switch m {
		case modality.Camera:
			if err := c.camera(i, at, f); err != nil {
				return err
			}
		case modality.LiDAR:
			if err := c.cloud(at, f.LiDAR); err != nil {
				return err
			}
		case modality.Radar:
			if c.moved[m] {
				for p := f.MmWave; len(p) >= model.RadarPointDim; p = p[model.RadarPointDim:] {
					q := elsewhere([3]float64(p[:3]), &c.from.RoomFromRadar, &c.to.RoomFromRadar, c.shiftM)
					copy(p, q[:])
				}
			}
		case modality.CSI: // nobody knows how the room's paths would change
		}
	}
	if c.room != nil && which&(modality.Of(modality.LiDAR)|modality.Of(modality.Radar)) != 0 {
		if err := c.furnish(i, which, f); err != nil {
			return err
		}
	}
	c.withhold(i, which, f)
	return nil
}

// source returns the frame whose values of a sensor frame i holds.
func (c *recordedClip) source(m modality.Kind, i int) int {
	w := &c.row.World
	lateMS, rateHz := 0.0, 0.0
	switch m {
	case modality.Camera:
		lateMS, rateHz = w.Camera.LateMS, w.Camera.RateHz
	case modality.LiDAR:
		lateMS, rateHz = w.LiDAR.LateMS, w.LiDAR.RateHz
	case modality.Radar:
		lateMS, rateHz = w.Radar.LateMS, w.Radar.RateHz
	case modality.CSI:
	}
	at := float64(i)
	if rateHz > 0 {
		at = math.Round(math.Floor(at/framesPerS*rateHz+1e-6) / rateHz * framesPerS)
	}
	return min(max(int(at-lateMS/recording.FramePeriodMS), 0), c.Clip.Len()-1)
}

// reachM is how far from a joint a point of the person lies: half a thigh and the
// flesh on it.
const reachM = 0.3

// cloud moves the points of frame at, of which those near the person's joints go
// where the person goes.
func (c *recordedClip) cloud(at int, points []float64) error {
	if !c.moved[modality.LiDAR] {
		return nil
	}
	var joints recording.Pose // LiDAR's frame
	shifted := c.shiftM != [3]float64{}
	if shifted {
		truth, err := c.Clip.Truth(at)
		if err != nil {
			return err
		}
		back := c.from.RoomFromLiDAR.Inverse()
		for j, p := range truth {
			joints[j] = back.Apply(c.from.RoomFromCamera.Apply(p))
		}
	}
	for p := points; len(p) >= model.LiDARPointDim; p = p[model.LiDARPointDim:] {
		by := [3]float64{}
		if shifted && near(&joints, p) {
			by = c.shiftM
		}
		q := elsewhere([3]float64(p[:3]), &c.from.RoomFromLiDAR, &c.to.RoomFromLiDAR, by)
		copy(p, q[:])
	}
	return nil
}

// near reports whether a point lies on the person whose joints are given.
func near(joints *recording.Pose, p []float64) bool {
	for _, j := range joints {
		x, y, z := p[0]-j[0], p[1]-j[1], p[2]-j[2]
		if x*x+y*y+z*z < reachM*reachM {
			return true
		}
	}
	return false
}

// h36mOfCOCO holds, per keypoint, the joint of a pose that is about as far away.
var h36mOfCOCO = [model.NumJoints]int{10, 10, 10, 10, 10, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3}

// camera moves the keypoints of frame i, which are those of frame at, and leaves
// out what the row's detector does not find.
func (c *recordedClip) camera(i, at int, f *recording.Frame) error {
	if c.moved[modality.Camera] {
		truth, err := c.Clip.Truth(at)
		if err != nil {
			return err
		}
		lens := &c.from.Camera
		for j, p := range f.RGB {
			if p == [2]float64{} {
				continue
			}
			away := truth[h36mOfCOCO[j]][2]
			sx, sy := lens.Ray(p[0], p[1], lens.WidthPx, lens.HeightPx)
			q := elsewhere([3]float64{sx * away, sy * away, away}, &c.from.RoomFromCamera, &c.to.RoomFromCamera, c.shiftM)
			if q[2] < 0.05 { // behind the camera
				f.RGB[j] = [2]float64{}
				continue
			}
			f.RGB[j][0], f.RGB[j][1] = c.to.Camera.Pixel(q[0]/q[2], q[1]/q[2])
		}
	}
	missing := &c.row.World.Camera.Missing
	if len(missing.Joints) == 0 && missing.Share == 0 {
		return nil
	}
	key := c.Key()
	s := sim.NewStream(c.seed, "recorded-missing", key.Subject, key.Activity, i)
	for j, name := range sim.KeypointNames {
		if u := s.Float64(); u < missing.Share || slices.Contains(missing.Joints, name) {
			f.RGB[j] = [2]float64{}
			if len(f.Scores) > j {
				f.Scores[j] = 0
			}
		}
	}
	return nil
}

// withhold leaves out the sensors whose stream the row ends.
func (c *recordedClip) withhold(i int, which modality.Set, f *recording.Frame) {
	for _, d := range c.row.Degradations {
		m := d.Sensor()
		if !which.Has(m) || !d.ActiveAt(float64(i)/framesPerS) {
			continue
		}
		f.Absent |= modality.Of(m)
		switch m {
		case modality.Camera:
			f.RGB = [model.NumJoints][2]float64{}
		case modality.LiDAR:
			f.LiDAR = f.LiDAR[:0]
		case modality.Radar:
			f.MmWave = f.MmWave[:0]
		case modality.CSI:
			for k := range f.CSIAmp {
				f.CSIAmp[k] = math.Inf(-1)
			}
		}
	}
}
