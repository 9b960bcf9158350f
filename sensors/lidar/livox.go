package lidar

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// LivoxType is the point type of a Livox SDK2 datagram.
type LivoxType uint8

// The point types with decoders (reference sensors.md, 3).
const (
	LivoxCartesianMM LivoxType = 1 // three i32, mm
	LivoxCartesianCM LivoxType = 2 // three i16, cm
)

// Sizes of Livox datagrams.
const (
	livoxHeader = 36
	// LivoxPointsPerPacket is how many points a Mid-360 puts in a datagram.
	LivoxPointsPerPacket = 96
)

// LivoxPacket is one point datagram. The layout follows the vendor's header
// file; it was not checked on a real capture.
type LivoxPacket struct {
	Type        LivoxType
	IntervalNS  int64  // between the packet's first and last point, 100 ns steps
	UDPCounter  uint16 // of the datagram in its frame, from 0
	Frame       uint8  // frame counter; constant on lidars without frames
	TimeType    uint8  // 0 since power-on, 1 PTP, 2 GPS
	TimestampNS uint64 // of the first point
	Points      []LivoxPoint
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
	case LivoxCartesianMM:
		return 14
	case LivoxCartesianCM:
		return 8
	}
	return 0
}

// DecodeLivox reads one point datagram into p, reusing p.Points. The error is
// a Reason; IMU packets and other point types are rejected by theirs. The
// checksum is not verified because the vendor's own library does not.
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
	if t == 0 {
		return BadType
	}
	size := t.size()
	if size == 0 {
		return UnsupportedPt
	}
	n := int(le.Uint16(b[5:]))
	if n*size != len(b)-livoxHeader {
		return BadLength
	}
	p.Type = t
	p.IntervalNS = int64(le.Uint16(b[3:])) * 100
	p.UDPCounter = le.Uint16(b[7:])
	p.Frame = b[9]
	p.TimeType = b[11]
	p.TimestampNS = le.Uint64(b[28:])
	p.Points = p.Points[:0]
	for d := b[livoxHeader:]; len(d) >= size; d = d[size:] {
		var x LivoxPoint
		if t == LivoxCartesianMM {
			x = LivoxPoint{int32(le.Uint32(d)), int32(le.Uint32(d[4:])), int32(le.Uint32(d[8:])), d[12], d[13]}
		} else {
			x = LivoxPoint{
				int32(int16(le.Uint16(d))) * 10, int32(int16(le.Uint16(d[2:]))) * 10, int32(int16(le.Uint16(d[4:]))) * 10,
				d[6], d[7],
			}
		}
		p.Points = append(p.Points, x)
	}
	return nil
}

// EncodeLivox appends the datagram to dst. It fails on an unknown type, on too
// many points and on coordinates that the type cannot hold.
func EncodeLivox(dst []byte, p *LivoxPacket) ([]byte, error) {
	size := p.Type.size()
	if size == 0 {
		return dst, fmt.Errorf("encode livox packet: no encoder for point type %d", p.Type)
	}
	total := livoxHeader + len(p.Points)*size
	if total > maxDatagram {
		return dst, fmt.Errorf("encode livox packet: %d points do not fit a datagram", len(p.Points))
	}
	if iv := p.IntervalNS / 100; iv < 0 || iv > math.MaxUint16 {
		return dst, fmt.Errorf("encode livox packet: interval of %d ns is not 0..6553500", p.IntervalNS)
	}
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, 0)
	dst = le.AppendUint16(dst, uint16(total))
	dst = le.AppendUint16(dst, uint16(p.IntervalNS/100))
	dst = le.AppendUint16(dst, uint16(len(p.Points)))
	dst = le.AppendUint16(dst, p.UDPCounter)
	dst = append(dst, p.Frame, byte(p.Type), p.TimeType)
	dst = append(dst, make([]byte, 16)...) // reserved, then the checksum
	dst = le.AppendUint64(dst, p.TimestampNS)
	for i, x := range p.Points {
		if p.Type == LivoxCartesianMM {
			dst = le.AppendUint32(dst, uint32(x.X))
			dst = le.AppendUint32(dst, uint32(x.Y))
			dst = le.AppendUint32(dst, uint32(x.Z))
		} else {
			for _, v := range [3]int32{x.X, x.Y, x.Z} {
				cm := int64(math.Round(float64(v) / 10))
				if cm < math.MinInt16 || cm > math.MaxInt16 {
					return dst[:start], fmt.Errorf("encode livox packet: point %d at %d mm does not fit 16-bit centimetres", i, v)
				}
				dst = le.AppendUint16(dst, uint16(int16(cm)))
			}
		}
		dst = append(dst, x.Reflectivity, x.Tag)
	}
	le.PutUint32(dst[start+24:], crc32.ChecksumIEEE(dst[start+28:]))
	return dst, nil
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
