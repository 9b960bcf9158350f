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

// Encode appends the packet to dst, for the profiles LEGACY and
// RNG19_RFL8_SIG16_NIR16. It fails on another profile and on columns that do
// not fit the format.
func (f Format) Encode(dst []byte, p *EncodePacket) ([]byte, error) {
	if err := f.Check(); err != nil {
		return dst, err
	}
	if f.Profile != ProfileLegacy && f.Profile != ProfileRNG19 {
		return dst, fmt.Errorf("encode lidar packet: no encoder for profile %v", f.Profile)
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
	if f.Profile != ProfileLegacy {
		dst = le.AppendUint16(dst, 1)
		dst = le.AppendUint16(dst, uint16(p.FrameID))
		dst = append(dst, byte(p.InitID), byte(p.InitID>>8), byte(p.InitID>>16))
		dst = le.AppendUint32(dst, uint32(p.Serial))
		dst = append(dst, byte(p.Serial>>32))
		dst = append(dst, make([]byte, packetHeader-12)...)
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		dst = le.AppendUint64(dst, c.TimestampNS)
		dst = le.AppendUint16(dst, uint16(c.ID))
		if f.Profile == ProfileLegacy {
			dst = le.AppendUint16(dst, uint16(p.FrameID))
			dst = le.AppendUint32(dst, uint32(c.ID*90112/f.Columns))
		} else {
			var status uint16
			if c.Valid {
				status = 1
			}
			dst = le.AppendUint16(dst, status)
		}
		for _, x := range c.Pixels {
			if f.Profile == ProfileLegacy {
				dst = le.AppendUint32(dst, x.RangeMM&0xFFFFF|uint32(x.Flags)<<28)
			} else {
				dst = le.AppendUint32(dst, x.RangeMM&0x7FFFF|uint32(x.Flags&31)<<19)
			}
			dst = append(dst, x.Reflectivity, 0)
			dst = le.AppendUint16(dst, x.Signal)
			dst = le.AppendUint16(dst, x.NearInfrared)
			dst = append(dst, 0, 0)
		}
		if f.Profile == ProfileLegacy {
			var status uint32
			if c.Valid {
				status = 0xFFFFFFFF
			}
			dst = le.AppendUint32(dst, status)
		}
	}
	if f.Profile != ProfileLegacy {
		dst = append(dst, make([]byte, packetFooter-8)...)
		var crc uint64
		if p.CRC {
			crc = crc64.Checksum(dst[start:], crcTable)
		}
		dst = le.AppendUint64(dst, crc)
	}
	return dst, nil
}
