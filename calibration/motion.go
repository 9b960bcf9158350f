package calibration

import (
	"math"

	"posefuse/frame"
	"posefuse/sensors"
)

// Watcher makes a Motion of what each sensor of a room gives. Samples may come
// in any order between sensors. It is not for concurrent use.
type Watcher struct {
	rig     frame.Rig
	body    *body // nil: the LiDAR is not levelled yet
	sweeps  int
	floor   []float32
	motions []Motion
	channel channel
}

// NewWatcher returns a watcher of a room whose sensors are thought to stand as
// rig says: the LiDAR's and the radar's tilt and the camera's lens are used.
func NewWatcher(rig frame.Rig) *Watcher { return &Watcher{rig: rig} }

// Motions returns what was seen so far, of the sensors in the order in which
// they began.
func (w *Watcher) Motions() []Motion { return w.motions }

// Take looks at one sample, whose capture time is known.
func (w *Watcher) Take(s *sensors.Sample) {
	m := w.motion(s.Sensor, s.CSI != nil)
	if n := len(m.AtNS); n > 0 && s.CaptureNS <= m.AtNS[n-1] && s.CSI == nil {
		return // its clock was set
	}
	switch {
	case s.Cloud != nil:
		w.cloud(m, s.CaptureNS, s.Cloud.XYZ)
	case s.Keypoints != nil:
		if at, ok := placeInPicture(&w.rig.Camera, s.Keypoints); ok {
			m.add(s.CaptureNS, at)
		}
	case s.Radar != nil:
		if at, ok := w.movingEcho(s.Radar.Points); ok {
			m.add(s.CaptureNS, at)
		}
	case s.CSI != nil:
		w.channel.take(m, s.CaptureNS, s.CSI)
	}
}

func (w *Watcher) motion(sensor string, onlyHowMuch bool) *Motion {
	for i := range w.motions {
		if w.motions[i].Sensor == sensor {
			return &w.motions[i]
		}
	}
	w.motions = append(w.motions, Motion{Sensor: sensor, OnlyHowMuch: onlyHowMuch})
	return &w.motions[len(w.motions)-1]
}

func (m *Motion) add(atNS int64, at complex128) {
	m.AtNS, m.At = append(m.AtNS, atNS), append(m.At, at)
}

// cloud finds the person in a sweep. A LiDAR that sees no floor is taken to
// stand as it is thought to.
func (w *Watcher) cloud(m *Motion, atNS int64, xyz []float32) {
	w.sweeps++
	if w.body == nil {
		for i := 3 * (w.sweeps % floorThin); i+2 < len(xyz); i += 3 * floorThin {
			w.floor = append(w.floor, xyz[i:i+3]...)
		}
		if w.sweeps < floorSweeps {
			return
		}
		level, err := levelled(w.floor, w.rig.RoomFromLiDAR)
		if err != nil {
			level = w.rig.RoomFromLiDAR
			level.T = vec{0, 0, level.T[2]}
		}
		w.body, w.floor = newBody(level), nil
	}
	if at, _, ok := w.body.find(atNS, xyz); ok {
		m.add(atNS, complex(at[0], at[1]))
	}
}

// torsoM is from the hips to the shoulders of a person of 1.72 m.
const torsoM = 0.29 * 1.72

// placeInPicture returns about where a person is, seen from above, from the
// size of the torso: right and forward of the camera.
func placeInPicture(lens *frame.Intrinsics, k *sensors.Keypoints) (at complex128, ok bool) {
	var x, y [numMarks]float64
	for m, joints := range markJoints {
		if m == markAnkles {
			continue
		}
		for _, j := range joints {
			if k.Score[j] < minMarkScore || k.XY[j] == [2]float64{} {
				return 0, false
			}
			x[m], y[m] = x[m]+k.XY[j][0]/2, y[m]+k.XY[j][1]/2
		}
	}
	if k.Width <= 0 || k.Height <= 0 {
		return 0, false
	}
	sx, sy := lens.Ray(x[markShoulders], y[markShoulders], float64(k.Width), float64(k.Height))
	hx, hy := lens.Ray(x[markHips], y[markHips], float64(k.Width), float64(k.Height))
	size := math.Hypot(sx-hx, sy-hy)
	if !(size > 0.02) { // 25 m away
		return 0, false
	}
	away := torsoM / size
	return complex(away*(sx+hx)/2, away), true
}

// minDoppler is the least Doppler of what moves, m/s.
const minDoppler = 0.05

// movingEcho returns the middle of what moves in a radar's frame, seen from
// above.
func (w *Watcher) movingEcho(points []sensors.RadarPoint) (at complex128, ok bool) {
	level := w.rig.RoomFromRadar
	var xs, ys []float64
	for _, p := range points {
		if math.Abs(float64(p.Doppler)) < minDoppler {
			continue
		}
		q := level.Apply(vec{float64(p.X), float64(p.Y), float64(p.Z)})
		xs, ys = append(xs, q[0]), append(ys, q[1])
	}
	if len(xs) < 3 {
		return 0, false
	}
	return complex(median(xs), median(ys)), true
}

// channel tells how much the WiFi channel changes from packet to packet. A
// person who walks turns its phases by half a wavelength in 20 ms and more, so
// packets further apart say little of how fast; the mean over binNS is taken for
// their noise.
type channel struct {
	last   []float64 // amplitudes of the newest packet, their mean is 1
	now    []float64
	atNS   int64
	bin    int64
	n      int
	change float64
	middle int64 // sum of the times, from the bin's begin
}

const (
	binNS   = int64(50e6)
	apartNS = int64(120e6) // packets that are compared, at most
)

func (c *channel) take(m *Motion, atNS int64, p *sensors.CSIPacket) {
	measured := p.H[:min(len(p.H), max(p.Measured, 1)*p.Subcarriers)]
	size := 0.0
	c.now = c.now[:0]
	for _, h := range measured {
		a := math.Hypot(float64(real(h)), float64(imag(h)))
		c.now = append(c.now, a)
		size += a
	}
	apart := atNS - c.atNS
	if !(size > 0) || math.IsInf(size, 0) || apart <= 0 && c.last != nil {
		return // nothing in it, or late
	}
	change := 0.0
	for i := range c.now { // without the receiver's gain
		c.now[i] *= float64(len(c.now)) / size
		if len(c.last) == len(c.now) {
			change += math.Abs(c.now[i] - c.last[i])
		}
	}
	compared := len(c.last) == len(c.now) && apart < apartNS
	c.last, c.now, c.atNS = c.now, c.last, atNS
	if !compared {
		return
	}
	middle := atNS - apart/2
	if bin := middle / binNS; bin != c.bin {
		c.end(m)
		c.bin = bin
	}
	c.n++
	c.change += change / float64(len(c.last))
	c.middle += middle - c.bin*binNS
}

func (c *channel) end(m *Motion) {
	if c.n > 0 {
		m.add(c.bin*binNS+c.middle/int64(c.n), complex(c.change/float64(c.n), 0))
	}
	c.n, c.change, c.middle = 0, 0, 0
}
