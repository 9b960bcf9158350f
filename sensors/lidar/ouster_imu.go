package lidar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math"

	"posefuse/sensors"
)

// Packet types of the header.
const (
	ousterPoints = 1
	ousterMotion = 2
)

// Sizes of an Ouster's other packets.
const (
	ousterIMUSize     = 48  // legacy
	ousterIMUBlock    = 100 // before the readings of the newer kind
	ousterIMUReading  = 36
	ousterNMEA        = 85                                           // longest sentence
	ousterZoneSize    = packetHeader + 8 + 32 + 16*36 + packetFooter // states of 16 zones
	maxOusterReadings = 64
)

// OusterReading is one reading of an Ouster's inertial sensor.
type OusterReading struct {
	AccelNS, GyroNS uint64     // sensor clock; equal in the newer format
	Accel           [3]float32 // m/s²; in g in the legacy format
	Gyro            [3]float32 // rad/s; in degrees a second in the legacy format
	Valid           bool
}

// OusterIMU is one packet of the inertial sensor, of the legacy format, which
// has no header, or of ACCEL32_GYRO32_NMEA.
type OusterIMU struct {
	Legacy   bool
	TimeNS   uint64 // system time; in the newer format that of the sentence
	FrameID  uint32
	InitID   uint32
	Serial   uint64
	NMEA     string // of a receiver at the sensor, "" without one
	Readings []OusterReading
}

// isOusterZones reports whether b is the packet in which a sensor tells of its
// zones: known by its size, as it has no points and no readings.
func isOusterZones(b []byte) bool {
	return len(b) == ousterZoneSize && binary.LittleEndian.Uint16(b) != ousterPoints && binary.LittleEndian.Uint16(b) != ousterMotion
}

// DecodeOusterIMU reads a packet into p, reusing p.Readings. The error is a
// Reason.
func DecodeOusterIMU(b []byte, p *OusterIMU) error {
	le := binary.LittleEndian
	readings := p.Readings[:0]
	if len(b) == ousterIMUSize {
		r := OusterReading{AccelNS: le.Uint64(b[8:]), GyroNS: le.Uint64(b[16:]), Valid: true}
		vector(b[24:], &r.Accel)
		vector(b[36:], &r.Gyro)
		if !sensors.Finite(r.Accel[:]...) || !sensors.Finite(r.Gyro[:]...) {
			return BadType
		}
		*p = OusterIMU{Legacy: true, TimeNS: le.Uint64(b), Readings: append(readings, r)}
		return nil
	}
	n := len(b) - packetHeader - ousterIMUBlock - packetFooter
	if n < ousterIMUReading || n%ousterIMUReading != 0 || n/ousterIMUReading > maxOusterReadings {
		return BadLength
	}
	if le.Uint16(b) != ousterMotion {
		return BadType
	}
	text := b[packetHeader+8 : packetHeader+8+ousterNMEA]
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	for _, c := range text {
		if c != '\r' && c != '\n' && (c < ' ' || c > '~') {
			text = nil // a receiver that is not there leaves anything
			break
		}
	}
	*p = OusterIMU{TimeNS: le.Uint64(b[packetHeader:]), FrameID: uint32(le.Uint16(b[2:])), InitID: uint24(b[4:]), Serial: uint40(b[7:]), NMEA: string(bytes.TrimSpace(text))}
	for d := b[packetHeader+ousterIMUBlock : len(b)-packetFooter]; len(d) > 0; d = d[ousterIMUReading:] {
		at := le.Uint64(d)
		r := OusterReading{AccelNS: at, GyroNS: at, Valid: le.Uint16(d[10:])&1 == 1}
		vector(d[12:], &r.Accel)
		vector(d[24:], &r.Gyro)
		readings = append(readings, r)
	}
	p.Readings = readings
	return nil
}

// EncodeOusterIMU appends a packet to dst. It fails on a number of readings or
// a sentence that the format cannot hold.
func EncodeOusterIMU(dst []byte, p *OusterIMU) ([]byte, error) {
	le := binary.LittleEndian
	start := len(dst)
	if p.Legacy {
		if len(p.Readings) != 1 {
			return dst, fmt.Errorf("encode ouster IMU packet: %d readings, the legacy format holds one", len(p.Readings))
		}
		r := &p.Readings[0]
		for _, t := range []uint64{p.TimeNS, r.AccelNS, r.GyroNS} {
			dst = le.AppendUint64(dst, t)
		}
		return appendVector(appendVector(dst, r.Accel), r.Gyro), nil
	}
	if n := len(p.Readings); n < 1 || n > maxOusterReadings {
		return dst, fmt.Errorf("encode ouster IMU packet: %d readings, not 1..%d", n, maxOusterReadings)
	}
	if len(p.NMEA) > ousterNMEA {
		return dst, fmt.Errorf("encode ouster IMU packet: sentence of %d bytes, at most %d", len(p.NMEA), ousterNMEA)
	}
	dst = appendHeader(dst, ousterMotion, p.FrameID, p.InitID, p.Serial)
	block := make([]byte, ousterIMUBlock)
	le.PutUint64(block, p.TimeNS)
	copy(block[8:], p.NMEA)
	dst = append(dst, block...)
	for i := range p.Readings {
		r := &p.Readings[i]
		dst = le.AppendUint64(dst, r.AccelNS)
		dst = le.AppendUint16(dst, uint16(i))
		var status uint16
		if r.Valid {
			status = 1
		}
		dst = le.AppendUint16(dst, status)
		dst = appendVector(appendVector(dst, r.Accel), r.Gyro)
	}
	dst = append(dst, make([]byte, packetFooter-8)...)
	return le.AppendUint64(dst, crc64.Checksum(dst[start:], crcTable)), nil
}

func vector(b []byte, v *[3]float32) {
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}

func appendVector(dst []byte, v [3]float32) []byte {
	for _, x := range v {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
	}
	return dst
}
