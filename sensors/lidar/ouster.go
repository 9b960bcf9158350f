// Package lidar reads Ouster, Livox and Velodyne lidars: pure decoders and encoders of
// their UDP packets, the assembly of packets into sweeps, and a source that
// listens on a UDP port.
package lidar

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
)

// Format is everything needed to read the bytes of a lidar packet.
type Format struct {
	Profile          Profile
	FUSA             bool // the header of functional safety, which the profile of that name always has
	Rows             int  // pixels per column, 1..MaxRows
	ColumnsPerPacket int  // 16 on every known sensor
	Columns          int  // columns per frame, a multiple of ColumnsPerPacket
}

// Bounds on a format; no sensor exceeds them.
const (
	MaxRows             = 256
	MaxColumns          = 8192
	maxColumnsPerPacket = 128
	maxDatagram         = 65507 // largest UDP payload
)

// Sizes of the fixed parts of a packet, bytes.
const (
	legacyColumnHeader = 16
	legacyColumnFooter = 4
	packetHeader       = 32
	packetFooter       = 32
	columnHeader       = 12
)

func (f Format) columnSize() int {
	if f.Profile == ProfileLegacy {
		return legacyColumnHeader + f.Rows*layouts[f.Profile].bytes + legacyColumnFooter
	}
	return columnHeader + f.Rows*layouts[f.Profile].bytes
}

// fusa reports whether packets have the header of functional safety.
func (f Format) fusa() bool {
	return (f.FUSA || f.Profile == ProfileFUSADual) && f.Profile != ProfileLegacy
}

// PacketSize returns the size of every lidar packet of the format, bytes.
func (f Format) PacketSize() int {
	n := f.ColumnsPerPacket * f.columnSize()
	if f.Profile != ProfileLegacy {
		n += packetHeader + packetFooter
	}
	return n
}

// PacketsPerFrame returns how many packets make a full turn.
func (f Format) PacketsPerFrame() int { return f.Columns / f.ColumnsPerPacket }

// Check returns an error if the format is not one a sensor can have.
func (f Format) Check() error {
	switch {
	case f.Profile >= numProfiles:
		return fmt.Errorf("lidar format: unknown %v", f.Profile)
	case f.Rows < 1 || f.Rows > MaxRows:
		return fmt.Errorf("lidar format: pixels_per_column is %d, not 1..%d", f.Rows, MaxRows)
	case f.ColumnsPerPacket < 1 || f.ColumnsPerPacket > maxColumnsPerPacket:
		return fmt.Errorf("lidar format: columns_per_packet is %d, not 1..%d", f.ColumnsPerPacket, maxColumnsPerPacket)
	case f.Columns < 1 || f.Columns > MaxColumns:
		return fmt.Errorf("lidar format: columns_per_frame is %d, not 1..%d", f.Columns, MaxColumns)
	case f.Columns%f.ColumnsPerPacket != 0:
		return fmt.Errorf("lidar format: columns_per_frame %d is not a multiple of columns_per_packet %d", f.Columns, f.ColumnsPerPacket)
	case f.PacketSize() > maxDatagram:
		return fmt.Errorf("lidar format: packets of %d bytes do not fit a datagram", f.PacketSize())
	}
	return nil
}

// Packet is one lidar packet. Its pixels are read from the datagram it was
// decoded from, which must not change while the packet is in use.
type Packet struct {
	format Format
	data   []byte

	FrameID uint32 // u16 on the wire but for FUSA
	InitID  uint32 // 0 with LEGACY
	Serial  uint64 // 0 with LEGACY

	AlertFlags        uint8
	ShutdownCountdown uint8 // s to thermal shutdown
	ShotCountdown     uint8 // s to shot limiting
	ThermalStatus     uint8
	ShotStatus        uint8

	CRC uint64 // footer as sent; 0 with LEGACY and FUSA
}

// Column is the header of one measurement column.
type Column struct {
	TimestampNS uint64 // sensor clock
	ID          int    // column of the frame, 0..Columns-1 if Valid
	FrameID     uint32
	Status      uint32 // as on the wire
	Valid       bool
}

// Pixel is one reading. A range of 0 means no return.
type Pixel struct {
	RangeMM, Range2MM             uint32
	Flags, Flags2                 uint8
	Reflectivity, Reflectivity2   uint8
	Signal, Signal2, NearInfrared uint16
	Zones                         uint16 // bit per zone that the point is in
}

// Decode reads the packet in b into p, which keeps b. The error is a Reason.
// It never allocates.
func (f Format) Decode(b []byte, p *Packet) error {
	if len(b) != f.PacketSize() {
		return BadLength
	}
	*p = Packet{format: f, data: b}
	switch {
	case f.Profile == ProfileLegacy:
		p.FrameID = uint32(binary.LittleEndian.Uint16(b[10:]))
		return nil
	case f.fusa():
		if b[0] != ousterPoints {
			return BadType
		}
		p.InitID = uint24(b[1:])
		p.FrameID = binary.LittleEndian.Uint32(b[4:])
		p.AlertFlags = b[8]
		p.Serial = uint40(b[11:])
	default:
		if binary.LittleEndian.Uint16(b) != ousterPoints {
			return BadType
		}
		p.FrameID = uint32(binary.LittleEndian.Uint16(b[2:]))
		p.InitID = uint24(b[4:])
		p.Serial = uint40(b[7:])
		p.AlertFlags = b[12]
		p.CRC = binary.LittleEndian.Uint64(b[len(b)-8:])
	}
	p.ShutdownCountdown, p.ShotCountdown = b[16], b[17]
	p.ThermalStatus, p.ShotStatus = b[18]&15, b[19]&15
	return nil
}

// Format returns the format the packet was decoded with.
func (p *Packet) Format() Format { return p.format }

// crcPlaceholder is what firmware 2.3 sends instead of a checksum.
const crcPlaceholder = 0xDEADBEEF0000C0DE

var crcTable = crc64.MakeTable(crc64.ECMA)

// HasCRC reports whether the packet carries a checksum; old firmware sends 0
// or a placeholder, LEGACY and FUSA have none.
func (p *Packet) HasCRC() bool { return p.CRC != 0 && p.CRC != crcPlaceholder }

// CRCMatches reports whether the checksum (CRC-64/XZ over all but the last
// eight bytes) is right.
func (p *Packet) CRCMatches() bool {
	return crc64.Checksum(p.data[:len(p.data)-8], crcTable) == p.CRC
}

func (p *Packet) column(i int) []byte {
	n := p.format.columnSize()
	off := i * n
	if p.format.Profile != ProfileLegacy {
		off += packetHeader
	}
	return p.data[off : off+n]
}

// Column returns the header of column i, 0..ColumnsPerPacket-1. A column whose
// id is outside the frame is never valid.
func (p *Packet) Column(i int) Column {
	b := p.column(i)
	c := Column{
		TimestampNS: binary.LittleEndian.Uint64(b),
		ID:          int(binary.LittleEndian.Uint16(b[8:])),
		FrameID:     p.FrameID,
	}
	if p.format.Profile == ProfileLegacy {
		c.FrameID = uint32(binary.LittleEndian.Uint16(b[10:]))
		c.Status = binary.LittleEndian.Uint32(b[len(b)-4:])
		c.Valid = c.Status == 0xFFFFFFFF
	} else {
		c.Status = uint32(binary.LittleEndian.Uint16(b[10:]))
		c.Valid = c.Status&1 == 1
	}
	if c.ID >= p.format.Columns {
		c.Valid = false
	}
	return c
}

func (p *Packet) pixels(col int) []byte {
	b := p.column(col)
	if p.format.Profile == ProfileLegacy {
		return b[legacyColumnHeader : len(b)-legacyColumnFooter]
	}
	return b[columnHeader:]
}

// Ranges writes the first-return ranges of column col to dst, which has Rows
// elements, mm.
func (p *Packet) Ranges(col int, dst []uint32) {
	px, l := p.pixels(col), &layouts[p.format.Profile]
	step := l.bytes
	if l.rangeBits == 15 {
		for i := range dst {
			dst[i] = uint32(binary.LittleEndian.Uint16(px[i*step:])&0x7FFF) * 8
		}
		return
	}
	mask := uint32(1)<<l.rangeBits - 1
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint32(px[i*step:]) & mask
	}
}

// Pixel returns all fields of one reading.
func (p *Packet) Pixel(col, row int) Pixel {
	l := &layouts[p.format.Profile]
	return l.pixel(p.pixels(col)[row*l.bytes : (row+1)*l.bytes])
}

func uint24(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
}

func uint40(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(b[4])<<32
}
