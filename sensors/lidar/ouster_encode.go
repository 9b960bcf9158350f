package lidar

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
)

// EncodeColumn is one measurement column to encode.
type EncodeColumn struct {
	TimestampNS uint64 // sensor clock
	ID          int    // 0..Columns-1
	Valid       bool
	Pixels      []Pixel // one per row; values wider than their field are cut
}

// EncodePacket is one packet to encode. InitID, Serial and the checksum exist
// only in the newer profiles.
type EncodePacket struct {
	FrameID uint32
	InitID  uint32
	Serial  uint64
	CRC     bool // fill the footer's checksum, as firmware 2.5 and later do
	Columns []EncodeColumn
}

// Encode appends the packet to dst. It fails on columns that do not fit the
// format.
func (f Format) Encode(dst []byte, p *EncodePacket) ([]byte, error) {
	if err := f.Check(); err != nil {
		return dst, err
	}
	if len(p.Columns) != f.ColumnsPerPacket {
		return dst, fmt.Errorf("encode lidar packet: %d columns, the format has %d", len(p.Columns), f.ColumnsPerPacket)
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		if c.ID < 0 || c.ID >= f.Columns || len(c.Pixels) != f.Rows {
			return dst, fmt.Errorf("encode lidar packet: column %d has id %d and %d pixels, the format has %d columns of %d", i, c.ID, len(c.Pixels), f.Columns, f.Rows)
		}
	}
	le := binary.LittleEndian
	start := len(dst)
	switch {
	case f.Profile == ProfileLegacy:
	case f.fusa():
		dst = append(dst, ousterPoints, byte(p.InitID), byte(p.InitID>>8), byte(p.InitID>>16))
		dst = le.AppendUint32(dst, p.FrameID)
		dst = append(dst, 0, 0, 0)
		dst = appendSerial(dst, p.Serial)
		dst = append(dst, make([]byte, packetHeader-16)...)
	default:
		dst = appendHeader(dst, ousterPoints, p.FrameID, p.InitID, p.Serial)
	}
	for i := range p.Columns {
		dst = f.appendColumn(dst, &p.Columns[i], p.FrameID)
	}
	if f.Profile != ProfileLegacy {
		dst = append(dst, make([]byte, packetFooter-8)...)
		var crc uint64
		if p.CRC && !f.fusa() {
			crc = crc64.Checksum(dst[start:], crcTable)
		}
		dst = le.AppendUint64(dst, crc)
	}
	return dst, nil
}

func (f Format) appendColumn(dst []byte, c *EncodeColumn, frameID uint32) []byte {
	le := binary.LittleEndian
	legacy := f.Profile == ProfileLegacy
	dst = le.AppendUint64(dst, c.TimestampNS)
	dst = le.AppendUint16(dst, uint16(c.ID))
	if legacy {
		dst = le.AppendUint16(dst, uint16(frameID))
		dst = le.AppendUint32(dst, uint32(c.ID*90112/f.Columns))
	} else {
		var status uint16
		if c.Valid {
			status = 1
		}
		dst = le.AppendUint16(dst, status)
	}
	l := &layouts[f.Profile]
	at := len(dst)
	dst = append(dst, make([]byte, len(c.Pixels)*l.bytes)...)
	for i := range c.Pixels {
		l.put(dst[at+i*l.bytes:at+(i+1)*l.bytes], &c.Pixels[i])
	}
	if legacy {
		var status uint32
		if c.Valid {
			status = 0xFFFFFFFF
		}
		dst = le.AppendUint32(dst, status)
	}
	return dst
}

// appendHeader appends the header that all newer packets begin with.
func appendHeader(dst []byte, packetType uint16, frameID, initID uint32, serial uint64) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, packetType)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(frameID))
	dst = append(dst, byte(initID), byte(initID>>8), byte(initID>>16))
	dst = appendSerial(dst, serial)
	return append(dst, make([]byte, packetHeader-12)...)
}

func appendSerial(dst []byte, serial uint64) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(serial))
	return append(dst, byte(serial>>32))
}
