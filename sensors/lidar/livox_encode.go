package lidar

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// EncodeLivox appends the datagram to dst. It fails on an unknown type, on too
// many points and on coordinates that the type cannot hold. Spherical points
// are rounded to hundredths of a degree.
func EncodeLivox(dst []byte, p *LivoxPacket) ([]byte, error) {
	size := p.Type.size()
	if size == 0 {
		return dst, fmt.Errorf("encode livox packet: no encoder for data type %d", p.Type)
	}
	n := len(p.Points)
	if p.Type == LivoxIMU {
		if n > 0 {
			return dst, fmt.Errorf("encode livox packet: %d points with a reading of the inertial sensor", n)
		}
		n = 1
	}
	total := livoxHeader + n*size
	if total > maxDatagram {
		return dst, fmt.Errorf("encode livox packet: %d points do not fit a datagram", n)
	}
	if iv := p.IntervalNS / 100; iv < 0 || iv > math.MaxUint16 {
		return dst, fmt.Errorf("encode livox packet: interval of %d ns is not 0..6553500", p.IntervalNS)
	}
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, 0)
	dst = le.AppendUint16(dst, uint16(total))
	dst = le.AppendUint16(dst, uint16(p.IntervalNS/100))
	dst = le.AppendUint16(dst, uint16(n))
	dst = le.AppendUint16(dst, p.UDPCounter)
	dst = append(dst, p.Frame, byte(p.Type), p.TimeType)
	dst = append(dst, make([]byte, 16)...) // reserved, then the checksum
	dst = le.AppendUint64(dst, p.TimestampNS)
	if p.Type == LivoxIMU {
		for _, v := range [2][3]float32{p.Motion.Gyro, p.Motion.Accel} {
			for _, x := range v {
				dst = le.AppendUint32(dst, math.Float32bits(x))
			}
		}
	}
	for i, x := range p.Points {
		var err error
		if dst, err = appendLivoxPoint(dst, p.Type, x); err != nil {
			return dst[:start], fmt.Errorf("encode livox packet: point %d: %w", i, err)
		}
	}
	le.PutUint32(dst[start+24:], crc32.ChecksumIEEE(dst[start+28:]))
	return dst, nil
}

func appendLivoxPoint(dst []byte, t LivoxType, x LivoxPoint) ([]byte, error) {
	le := binary.LittleEndian
	xyz := [3]int32{x.X, x.Y, x.Z}
	switch t {
	case LivoxCartesianCM:
		for _, v := range xyz {
			cm := int64(math.Round(float64(v) / 10))
			if cm < math.MinInt16 || cm > math.MaxInt16 {
				return dst, fmt.Errorf("%d mm does not fit 16-bit centimetres", v)
			}
			dst = le.AppendUint16(dst, uint16(int16(cm)))
		}
	case LivoxSpherical:
		r := math.Sqrt(float64(x.X)*float64(x.X) + float64(x.Y)*float64(x.Y) + float64(x.Z)*float64(x.Z))
		if r > maxDepthMM {
			return dst, fmt.Errorf("%.0f mm is further than %d mm", r, maxDepthMM)
		}
		theta, phi := 0.0, math.Atan2(float64(x.Y), float64(x.X))
		if r > 0 {
			theta = math.Acos(float64(x.Z) / r)
		}
		if phi < 0 {
			phi += 2 * math.Pi
		}
		dst = le.AppendUint32(dst, uint32(math.Round(r)))
		dst = le.AppendUint16(dst, uint16(math.Round(theta*180/math.Pi*degreeParts)))
		dst = le.AppendUint16(dst, uint16(math.Round(phi*180/math.Pi*degreeParts)))
	default:
		for _, v := range xyz {
			dst = le.AppendUint32(dst, uint32(v))
		}
	}
	return append(dst, x.Reflectivity, x.Tag), nil
}

// EncodeLivoxCloud cuts a stored cloud (xyz, n x 3, metres, sensor frame) into
// the datagrams of one frame, in the cloud's order, rounded to millimetres.
// Every datagram carries tsNS, since a stored cloud has one time. An empty
// cloud is one datagram without points. A point closer than half a millimetre
// to the sensor would read as "no return" and is an error, as is a coordinate
// that is not finite or beyond 2,000 km.
func EncodeLivoxCloud(xyz []float32, frame uint8, tsNS uint64) ([][]byte, error) {
	if len(xyz)%3 != 0 {
		return nil, fmt.Errorf("encode livox cloud: %d numbers are not whole points", len(xyz))
	}
	n := len(xyz) / 3
	packets := max(1, (n+LivoxPointsPerPacket-1)/LivoxPointsPerPacket)
	if packets > math.MaxUint16+1 {
		return nil, fmt.Errorf("encode livox cloud: %d points do not fit one frame", n)
	}
	out := make([][]byte, 0, packets)
	p := LivoxPacket{Type: LivoxCartesianMM, Frame: frame, TimestampNS: tsNS}
	for k := range packets {
		p.UDPCounter = uint16(k)
		p.Points = p.Points[:0]
		for i := k * LivoxPointsPerPacket; i < min(n, (k+1)*LivoxPointsPerPacket); i++ {
			var mm [3]int32
			for a := range 3 {
				v := math.Round(float64(xyz[3*i+a]) * 1000)
				if math.IsNaN(v) || math.Abs(v) > 2e9 {
					return nil, fmt.Errorf("encode livox cloud: point %d has the coordinate %g m", i, xyz[3*i+a])
				}
				mm[a] = int32(v)
			}
			if mm == [3]int32{} {
				return nil, fmt.Errorf("encode livox cloud: point %d is at the sensor itself, which means no return", i)
			}
			p.Points = append(p.Points, LivoxPoint{X: mm[0], Y: mm[1], Z: mm[2]})
		}
		b, err := EncodeLivox(make([]byte, 0, livoxHeader+14*len(p.Points)), &p)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}
