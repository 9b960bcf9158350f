package sim

import (
	"math"

	"posefuse/frame"
)

// sensorPose is where a sensor really is and how it stands. One that is turned
// about the vertical only is computed apart, so that its data keep their bytes.
type sensorPose struct {
	at       Vec
	sin, cos float64 // of the yaw, positive to the sensor's left
	free     bool    // tilted, rolled or given by a matrix: axes count, not the yaw
	axes     [3]Vec  // forward, left, up of the sensor, room frame
}

func newSensorPose(at Vec, yawRad float64) sensorPose {
	s, c := portableSincos(yawRad)
	return sensorPose{at: at, sin: s, cos: c}
}

// fromRoom turns a room point into the sensor's frame: x forward, y left, z up.
func (p *sensorPose) fromRoom(v Vec) Vec {
	return p.dirFromRoom(vecSub(v, p.at))
}

func (p *sensorPose) dirFromRoom(d Vec) Vec {
	if p.free {
		return Vec{vecDot(p.axes[0], d), vecDot(p.axes[1], d), vecDot(p.axes[2], d)}
	}
	fwd, left := d[2], -d[0]
	return Vec{
		float64(p.cos*fwd) + float64(p.sin*left),
		float64(p.cos*left) - float64(p.sin*fwd),
		d[1],
	}
}

// dirToRoom turns a direction of the sensor's frame into the room's.
func (p *sensorPose) dirToRoom(d Vec) Vec {
	if p.free {
		return vecAdd(vecAdd(vecScale(p.axes[0], d[0]), vecScale(p.axes[1], d[1])), vecScale(p.axes[2], d[2]))
	}
	fwd := float64(p.cos*d[0]) - float64(p.sin*d[1])
	left := float64(p.sin*d[0]) + float64(p.cos*d[1])
	return Vec{-left, d[2], fwd}
}

// mount is how a sensor was put up: its nominal place and attitude.
type mount struct {
	at      Vec
	free    bool
	axes    [3]Vec  // forward, left, up, if free
	panRad  float64 // positive to the left, if not free
	quarter int     // quarter turns to the left that panRad or axes hold beyond the nominal attitude
}

// newCameraMount places a camera whose pose has been checked.
func newCameraMount(c *frame.CameraPose) mount {
	if c.Matrix == nil {
		return newSensorMount(&frame.SensorPose{PositionM: c.PositionM, PanDeg: c.PanDeg, TiltDeg: c.TiltDeg, RollDeg: c.RollDeg})
	}
	column := func(k int, sign float64) Vec {
		return Vec{sign * c.Matrix[0][k], sign * c.Matrix[2][k], sign * c.Matrix[1][k]}
	}
	return mount{
		at: Vec{c.Matrix[0][3], c.Matrix[2][3], c.Matrix[1][3]}, free: true,
		axes: [3]Vec{column(2, 1), column(0, -1), column(1, -1)},
	}
}

// newSensorMount places a LiDAR or radar whose pose has been checked. The room
// frame of package frame is x right, y forward, z up; the simulator's own is x
// right, y up, z forward.
func newSensorMount(s *frame.SensorPose) mount {
	if m := s.Matrix; m != nil {
		column := func(k int) Vec { return Vec{m[0][k], m[2][k], m[1][k]} }
		return mount{at: column(3), free: true, axes: [3]Vec{column(0), column(1), column(2)}}
	}
	m := mount{at: Vec{s.PositionM[0], s.PositionM[2], s.PositionM[1]}, panRad: s.PanDeg * math.Pi / 180}
	if s.TiltDeg == 0 && s.RollDeg == 0 {
		return m
	}
	sp, cp := portableSincos(s.PanDeg * math.Pi / 180)
	st, ct := portableSincos(s.TiltDeg * math.Pi / 180)
	sr, cr := portableSincos(s.RollDeg * math.Pi / 180)
	fwd, left, up := Vec{-sp, 0, cp}, Vec{-cp, 0, -sp}, Vec{0, 1, 0}
	fwd, up = vecAdd(vecScale(fwd, ct), vecScale(up, st)), vecSub(vecScale(up, ct), vecScale(fwd, st))
	left, up = vecAdd(vecScale(left, cr), vecScale(up, sr)), vecSub(vecScale(up, cr), vecScale(left, sr))
	m.free, m.axes = true, [3]Vec{fwd, left, up}
	return m
}

// pose returns where the sensor really is: moved by shift, metres in the
// simulator's room frame, and turned by yawRad about the vertical, beyond what
// everybody believes.
func (m *mount) pose(shift Vec, yawRad float64) sensorPose {
	at := vecAdd(m.at, shift)
	if !m.free {
		return newSensorPose(at, m.panRad+yawRad)
	}
	p := sensorPose{at: at, free: true, axes: m.axes}
	if yawRad == 0 {
		return p
	}
	s, c := portableSincos(yawRad)
	for k, a := range p.axes {
		fwd, left := a[2], -a[0]
		p.axes[k] = Vec{-(float64(s*fwd) + float64(c*left)), a[1], float64(c*fwd) - float64(s*left)}
	}
	return p
}

// turnTowards turns the mount about its own vertical axis by whole quarters so
// that a place of the room is within 45 degrees of forward, and keeps their
// number. A LiDAR is the same after a quarter but for the numbers of its columns.
func (m *mount) turnTowards(p Vec) {
	pose := m.pose(Vec{}, 0)
	q := pose.fromRoom(p)
	m.quarter = int(math.Round(portableAtan2(q[1], q[0]) / (math.Pi / 2)))
	switch {
	case m.quarter == 0:
	case m.free:
		for range (m.quarter + 4) % 4 {
			m.axes[0], m.axes[1] = m.axes[1], vecScale(m.axes[0], -1)
		}
	default:
		m.panRad = float64(m.panRad + float64(float64(m.quarter)*(math.Pi/2)))
	}
}
