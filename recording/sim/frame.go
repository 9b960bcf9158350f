package sim

import (
	"fmt"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// check rejects frame numbers below zero.
func (c *Clip) check(i int) error {
	if i < 0 {
		return fmt.Errorf("sim: clip %s frame %d: %w", mmfi.Path(c.key), i, ErrNegativeFrame)
	}
	return nil
}

// Frame fills f with frame i, as MM-Fi stores it, with the keypoints' scores.
// Slices of f are reused. A modality that is missing is zero key points, no points,
// or CSI of minus infinity, and absent.
func (c *Clip) Frame(i int, f *recording.Frame) error { return c.FrameOf(i, modality.All, f) }

// FrameOf fills the members of f that belong to which with frame i and leaves
// the others as they are.
func (c *Clip) FrameOf(i int, which modality.Set, f *recording.Frame) error {
	if err := c.check(i); err != nil {
		return err
	}
	sc := c.scratch.Get().(*scratch)
	defer c.scratch.Put(sc)
	f.Absent &^= which
	for m := range which.Kinds() {
		if c.degraded.missing(m, frameTime(i)) {
			f.Absent |= modality.Of(m)
		}
	}
	if which.Has(modality.Camera) {
		if c.detect(i, sc) {
			f.RGB, f.Scores = sc.detection.xy, append(f.Scores[:0], sc.detection.score[:]...)
		} else {
			f.RGB, f.Scores = [numKeypoints][2]float64{}, append(f.Scores[:0], make([]float64, numKeypoints)...)
			f.Absent |= modality.Of(modality.Camera)
		}
	}
	if which.Has(modality.LiDAR) {
		c.lidar(i, sc)
		f.LiDAR = sc.depth.appendPoints(f.LiDAR[:0])
	}
	if which.Has(modality.Radar) {
		f.MmWave = c.radar(i, sc, f.MmWave[:0])
	}
	if which.Has(modality.CSI) {
		c.csi(i, sc, &sc.csiFrame)
		sc.csiFrame.store(f)
	}
	return nil
}

// detect runs the camera and reports whether somebody was found.
func (c *Clip) detect(i int, sc *scratch) bool {
	if c.degraded.missing(camera, frameTime(i)) {
		return false
	}
	c.camera(i, sc, &sc.detection)
	return sc.detection.found
}

// Keypoints fills dst with the key points of frame i as a live detector sends
// them, with scores. It reports false if the detector finds nobody or the
// camera's stream has ended.
func (c *Clip) Keypoints(i int, dst *sensors.Keypoints) (bool, error) {
	if err := c.check(i); err != nil {
		return false, err
	}
	sc := c.scratch.Get().(*scratch)
	defer c.scratch.Put(sc)
	if !c.detect(i, sc) {
		return false, nil
	}
	dst.XY, dst.Score = sc.detection.xy, sc.detection.score
	dst.Width, dst.Height = int(c.place.rig.Camera.WidthPx), int(c.place.rig.Camera.HeightPx)
	return true, nil
}

// Scan fills dst with the LiDAR sweep of frame i: exactly the returns whose
// points Frame stores. Rows of dst are reused.
func (c *Clip) Scan(i int, dst *Scan) error {
	if err := c.check(i); err != nil {
		return err
	}
	sc := c.scratch.Get().(*scratch)
	defer c.scratch.Put(sc)
	c.lidar(i, sc)
	sc.depth.readScan(dst)
	return nil
}

// Radar fills dst with the radar points of frame i, those of Frame.
func (c *Clip) Radar(i int, dst *sensors.RadarFrame) error {
	if err := c.check(i); err != nil {
		return err
	}
	sc := c.scratch.Get().(*scratch)
	defer c.scratch.Put(sc)
	sc.radarRows = c.radar(i, sc, sc.radarRows[:0])
	rows := sc.radarRows
	dst.Points = dst.Points[:0]
	for ; len(rows) > 0; rows = rows[5:] {
		dst.Points = append(dst.Points, sensors.RadarPoint{
			X: float32(rows[0]), Y: float32(rows[1]), Z: float32(rows[2]),
			Doppler: float32(rows[3]), SNRdB: float32(rows[4]),
		})
	}
	return nil
}

// CSIComplex fills dst with the complex integers behind the CSI of frame i.
func (c *Clip) CSIComplex(i int, dst *CSIFrame) error {
	if err := c.check(i); err != nil {
		return err
	}
	sc := c.scratch.Get().(*scratch)
	defer c.scratch.Put(sc)
	c.csi(i, sc, dst)
	return nil
}

// Present reports per modality whether its stream delivers frame i at all.
func (c *Clip) Present(i int) [modality.Count]bool {
	var p [modality.Count]bool
	for m := range modality.Count {
		p[m] = !c.degraded.missing(m, frameTime(i))
	}
	return p
}
