package lidar

import (
	"encoding/binary"
	"math"
)

// LivoxType is the data type of a Livox SDK2 datagram.
type LivoxType uint8

// The data types with decoders (reference sensors.md, 3).
const (
	LivoxIMU         LivoxType = 0 // one LivoxMotion
	LivoxCartesianMM LivoxType = 1 // three i32, mm
	LivoxCartesianCM LivoxType = 2 // three i16, cm
	LivoxSpherical   LivoxType = 3 // u32 depth, mm; u16 zenith angle and azimuth, 0.01 degrees
)

// Sizes of Livox datagrams.
const (
	livoxHeader = 36
	// LivoxPointsPerPacket is how many points a Mid-360 puts in a datagram.
	LivoxPointsPerPacket = 96
)

// LivoxPacket is one datagram of points or of the inertial sensor. The layout follows the vendor's header
// file; it was not checked on a real capture.
type LivoxPacket struct {
	Type        LivoxType
	IntervalNS  int64  // between the packet's first and last point, 100 ns steps
	UDPCounter  uint16 // of the datagram in its frame, from 0
	Frame       uint8  // frame counter; constant on lidars without frames
	TimeType    uint8  // 0 since power-on, 1 PTP, 2 GPS
	TimestampNS uint64 // of the first point
	Points      []LivoxPoint
	Motion      LivoxMotion // with LivoxIMU alone
}

// LivoxMotion is one reading of the inertial sensor.
type LivoxMotion struct {
	Gyro  [3]float32 // rad/s
	Accel [3]float32 // g
}

// LivoxPoint is one point in the sensor frame (x forward, y left, z up), mm.
// (0,0,0) means no return.
type LivoxPoint struct {
	X, Y, Z      int32
	Reflectivity uint8
	Tag          uint8 // 0 is good; bits 0-1 spatial, 2-3 intensity confidence
}

func (t LivoxType) size() int {
	switch t {
	case LivoxIMU:
		return 24
	case LivoxCartesianMM:
		return 14
	case LivoxCartesianCM:
		return 8
	case LivoxSpherical:
		return 10
	}
	return 0
}

// DecodeLivox reads one datagram into p, reusing p.Points. The error is a
// Reason; other data types are rejected by theirs. Spherical points become
// Cartesian ones, rounded to millimetres. The checksum is not verified because
// the vendor's own library does not.
func DecodeLivox(b []byte, p *LivoxPacket) error {
	if len(b) < livoxHeader {
		return BadLength
	}
	if b[0] != 0 {
		return BadVersion
	}
	le := binary.LittleEndian
	if int(le.Uint16(b[1:])) != len(b) {
		return BadLength
	}
	t := LivoxType(b[10])
	size := t.size()
	if size == 0 {
		return UnsupportedPt
	}
	n := int(le.Uint16(b[5:]))
	if n*size != len(b)-livoxHeader || t == LivoxIMU && n != 1 {
		return BadLength
	}
	p.Type = t
	p.IntervalNS = int64(le.Uint16(b[3:])) * 100
	p.UDPCounter = le.Uint16(b[7:])
	p.Frame = b[9]
	p.TimeType = b[11]
	p.TimestampNS = le.Uint64(b[28:])
	p.Points, p.Motion = p.Points[:0], LivoxMotion{}
	d := b[livoxHeader:]
	switch t {
	case LivoxIMU:
		for i := range 3 {
			p.Motion.Gyro[i] = math.Float32frombits(le.Uint32(d[4*i:]))
			p.Motion.Accel[i] = math.Float32frombits(le.Uint32(d[12+4*i:]))
		}
	case LivoxCartesianMM:
		for ; len(d) >= size; d = d[size:] {
			p.Points = append(p.Points, LivoxPoint{int32(le.Uint32(d)), int32(le.Uint32(d[4:])), int32(le.Uint32(d[8:])), d[12], d[13]})
		}
	case LivoxCartesianCM:
		for ; len(d) >= size; d = d[size:] {
			p.Points = append(p.Points, LivoxPoint{
				int32(int16(le.Uint16(d))) * 10, int32(int16(le.Uint16(d[2:]))) * 10, int32(int16(le.Uint16(d[4:]))) * 10,
				d[6], d[7],
			})
		}
	case LivoxSpherical:
		for ; len(d) >= size; d = d[size:] {
			x := sphericalPoint(le.Uint32(d), le.Uint16(d[4:]), le.Uint16(d[6:]))
			x.Reflectivity, x.Tag = d[8], d[9]
			p.Points = append(p.Points, x)
		}
	}
	return nil
}

// degreeParts is how many parts of a degree spherical points count.
const degreeParts = 100

// maxDepthMM is far beyond what a lidar measures; a larger depth is no return.
const maxDepthMM = 1_000_000

func sphericalPoint(depthMM uint32, theta, phi uint16) LivoxPoint {
	if depthMM > maxDepthMM {
		return LivoxPoint{}
	}
	sinT, cosT := math.Sincos(float64(theta) / degreeParts * math.Pi / 180)
	sinP, cosP := math.Sincos(float64(phi) / degreeParts * math.Pi / 180)
	r := float64(depthMM)
	return LivoxPoint{X: int32(math.Round(r * sinT * cosP)), Y: int32(math.Round(r * sinT * sinP)), Z: int32(math.Round(r * cosT))}
}
