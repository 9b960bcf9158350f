// Package frame is the geometry of a room: rigid motions between the frames of
// its sensors and the room's own, and where sensors stand. The room frame is x
// right, y forward, z up, its origin on the floor; a camera's is x right, y down,
// z forward; a LiDAR's and a radar's x forward, y left, z up. Lengths are metres.
package frame

import (
	"math"

	"posefuse/setting"
)

// CameraPose places a camera in the room. The room frame is x right, y
// forward, z up with its origin on the floor; "forward" is a direction you
// choose and keep. A camera with all angles 0 looks level along y. Either a
// matrix or position and angles are given.
type CameraPose struct {
	PositionM [3]float64 `yaml:"position_m"` // of the lens, metres, room frame
	PanDeg    float64    `yaml:"pan_deg"`    // positive to the left, seen from above
	TiltDeg   float64    `yaml:"tilt_deg"`   // positive upwards
	RollDeg   float64    `yaml:"roll_deg"`   // positive clockwise, seen from behind the camera

	// Matrix is 4 x 4, rows, and maps camera coordinates (x right, y down,
	// z forward, metres) to room coordinates. Position and angles must be 0.
	Matrix [][]float64 `yaml:"matrix"`
}

// SensorPose places a LiDAR or radar (x forward, y left, z up) in the room;
// the keys mean what they mean for CameraPose.
type SensorPose struct {
	PositionM [3]float64  `yaml:"position_m"`
	PanDeg    float64     `yaml:"pan_deg"`
	TiltDeg   float64     `yaml:"tilt_deg"`
	RollDeg   float64     `yaml:"roll_deg"`
	Matrix    [][]float64 `yaml:"matrix"` // maps sensor coordinates to room coordinates
}

// Transform is a rigid motion: rotation R and translation T, metres. A value
// roomFromCamera maps camera coordinates to room coordinates.
type Transform struct {
	R [3][3]float64
	T [3]float64
}

// Apply returns the transformed point.
func (t *Transform) Apply(p [3]float64) [3]float64 {
	out := t.T
	for i := range 3 {
		for k := range 3 {
			out[i] += t.R[i][k] * p[k]
		}
	}
	return out
}

// After returns t∘s: first s, then t.
func (t *Transform) After(s *Transform) Transform {
	return Transform{R: multiply(t.R, s.R), T: t.Apply(s.T)}
}

func multiply(a, b [3][3]float64) (c [3][3]float64) {
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				c[i][j] += a[i][k] * b[k][j]
			}
		}
	}
	return c
}

var (
	// roomFromLevelCamera is the rotation of a camera with all angles 0.
	roomFromLevelCamera = [3][3]float64{{1, 0, 0}, {0, 0, 1}, {0, -1, 0}}
	// roomFromLevelSensor is that of a LiDAR or radar.
	roomFromLevelSensor = [3][3]float64{{0, -1, 0}, {1, 0, 0}, {0, 0, 1}}
)

// turn returns the rotation by pan about z, then tilt about the turned x, then
// roll about the line of sight.
func turn(panDeg, tiltDeg, rollDeg float64) [3][3]float64 {
	sp, cp := math.Sincos(panDeg * math.Pi / 180)
	st, ct := math.Sincos(tiltDeg * math.Pi / 180)
	sr, cr := math.Sincos(rollDeg * math.Pi / 180)
	pan := [3][3]float64{{cp, -sp, 0}, {sp, cp, 0}, {0, 0, 1}}
	tilt := [3][3]float64{{1, 0, 0}, {0, ct, -st}, {0, st, ct}}
	roll := [3][3]float64{{cr, 0, sr}, {0, 1, 0}, {-sr, 0, cr}}
	return multiply(multiply(pan, tilt), roll)
}

// RoomFromCamera returns the transform of a checked pose.
func (c *CameraPose) RoomFromCamera() Transform {
	if c.Matrix != nil {
		return fromMatrix(c.Matrix)
	}
	return Transform{R: multiply(turn(c.PanDeg, c.TiltDeg, c.RollDeg), roomFromLevelCamera), T: c.PositionM}
}

// RoomFromSensor returns the transform of a checked pose.
func (s *SensorPose) RoomFromSensor() Transform {
	if s.Matrix != nil {
		return fromMatrix(s.Matrix)
	}
	return Transform{R: multiply(turn(s.PanDeg, s.TiltDeg, s.RollDeg), roomFromLevelSensor), T: s.PositionM}
}

// CameraPoseOf returns the pose, position and angles, of a transform.
func CameraPoseOf(roomFromCamera Transform) CameraPose {
	p := CameraPose{PositionM: roomFromCamera.T}
	p.PanDeg, p.TiltDeg, p.RollDeg = angles(roomFromCamera.R, roomFromLevelCamera)
	return p
}

// SensorPoseOf returns the pose of a LiDAR or radar.
func SensorPoseOf(roomFromSensor Transform) SensorPose {
	p := SensorPose{PositionM: roomFromSensor.T}
	p.PanDeg, p.TiltDeg, p.RollDeg = angles(roomFromSensor.R, roomFromLevelSensor)
	return p
}

// angles is the inverse of turn. Looking straight up or down, pan and roll are not
// told apart.
func angles(r, level [3][3]float64) (panDeg, tiltDeg, rollDeg float64) {
	var back [3][3]float64
	for i := range 3 {
		for j := range 3 {
			back[i][j] = level[j][i]
		}
	}
	m := multiply(r, back)
	return deg(math.Atan2(-m[0][1], m[1][1])), deg(math.Asin(clamp(m[2][1]))), deg(math.Atan2(-m[2][0], m[2][2]))
}

func fromMatrix(m [][]float64) (t Transform) {
	for i := range 3 {
		copy(t.R[i][:], m[i][:3])
		t.T[i] = m[i][3]
	}
	return t
}

// Check adds what is wrong with a pose below key.
func (c *CameraPose) Check(p *setting.Problems, key string) {
	checkPose(p, key, c.PositionM, [3]float64{c.PanDeg, c.TiltDeg, c.RollDeg}, c.Matrix)
}

// Check adds what is wrong with a pose below key.
func (s *SensorPose) Check(p *setting.Problems, key string) {
	checkPose(p, key, s.PositionM, [3]float64{s.PanDeg, s.TiltDeg, s.RollDeg}, s.Matrix)
}

func checkPose(p *setting.Problems, key string, position, angles [3]float64, m [][]float64) {
	for i, a := range angles {
		p.Between(key+"."+[3]string{"pan_deg", "tilt_deg", "roll_deg"}[i], a, -360, 360)
	}
	for _, v := range position {
		if !(math.Abs(v) <= 100) {
			p.Add(key+".position_m", "%v is further than 100 m from the room's origin; the unit is metres", v)
		}
	}
	if m == nil {
		return
	}
	key += ".matrix"
	if position != [3]float64{} || angles != [3]float64{} {
		p.Add(key, "given together with position or angles; keep one of the two")
	}
	if len(m) != 4 {
		p.Add(key, "%d rows, want 4", len(m))
		return
	}
	for i, row := range m {
		if len(row) != 4 {
			p.Add(key, "row %d has %d values, want 4", i+1, len(row))
			return
		}
	}
	if m[3][0] != 0 || m[3][1] != 0 || m[3][2] != 0 || m[3][3] != 1 {
		p.Add(key, "last row %v, want 0 0 0 1; is the matrix transposed?", m[3])
	}
	t := fromMatrix(m)
	if !isRotation(t.R) {
		p.Add(key, "its 3 x 3 part is no rotation (rows of length 1, at right angles, right-handed)")
	}
	for _, v := range t.T {
		if !(math.Abs(v) <= 100) {
			p.Add(key, "translation %v is further than 100 m; the unit is metres", v)
		}
	}
}

func isRotation(r [3][3]float64) bool {
	const slack = 1e-3 // typed in with a few digits
	for i := range 3 {
		for j := range 3 {
			dot, want := 0.0, 0.0
			for k := range 3 {
				dot += r[i][k] * r[j][k]
			}
			if i == j {
				want = 1
			}
			if !(math.Abs(dot-want) <= slack) {
				return false
			}
		}
	}
	det := r[0][0]*(r[1][1]*r[2][2]-r[1][2]*r[2][1]) - r[0][1]*(r[1][0]*r[2][2]-r[1][2]*r[2][0]) + r[0][2]*(r[1][0]*r[2][1]-r[1][1]*r[2][0])
	return det > 0
}

// Inverse returns the transform back.
func (t *Transform) Inverse() Transform {
	var inv Transform
	for i := range 3 {
		for j := range 3 {
			inv.R[i][j] = t.R[j][i]
		}
	}
	moved := inv.Apply(t.T)
	inv.T = [3]float64{-moved[0], -moved[1], -moved[2]}
	return inv
}
