// Package lidar reads Ouster and Livox lidars: pure decoders and encoders of
// their UDP packets, the assembly of packets into sweeps, and a source that
// listens on a UDP port.
package lidar

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
)

// Profile names the pixel layout of an Ouster lidar packet. The packet does
// not say which it has; only the sensor's metadata does.
type Profile uint8

// The supported profiles, named as in the metadata (reference sensors.md 1.3).
const (
	ProfileLegacy    Profile = iota // LEGACY
	ProfileRNG19                    // RNG19_RFL8_SIG16_NIR16
	ProfileRNG15                    // RNG15_RFL8_NIR8
	ProfileRNG19Dual                // RNG19_RFL8_SIG16_NIR16_DUAL
	ProfileRNG15Dual                // RNG15_RFL8_NIR8_DUAL
	ProfileFUSADual                 // FUSA_RNG15_RFL8_NIR8_DUAL
	numProfiles
)

var profileNames = [numProfiles]string{
	"LEGACY",
	"RNG19_RFL8_SIG16_NIR16",
	"RNG15_RFL8_NIR8",
	"RNG19_RFL8_SIG16_NIR16_DUAL",
	"RNG15_RFL8_NIR8_DUAL",
	"FUSA_RNG15_RFL8_NIR8_DUAL",
}

// bytes per pixel of each profile
var profilePixel = [numProfiles]int{12, 12, 4, 16, 8, 8}

// String returns the profile's name in the metadata.
func (p Profile) String() string {
	if p >= numProfiles {
		return fmt.Sprintf("profile(%d)", uint8(p))
	}
	return profileNames[p]
}

// ParseProfile returns the profile called name. An unknown name is an error:
// packet sizes collide, so a profile can never be guessed.
func ParseProfile(name string) (Profile, error) {
	for i, n := range profileNames {
		if n == name {
			return Profile(i), nil
		}
	}
	return 0, fmt.Errorf("unknown lidar profile %q; set udp_profile_lidar of the sensor to one of %q", name, profileNames)
}

// Format is everything needed to read the bytes of a lidar packet.
type Format struct {
	Profile          Profile
	Rows             int // pixels per column, 1..MaxRows
	ColumnsPerPacket int // 16 on every known sensor
	Columns          int // columns per frame, a multiple of ColumnsPerPacket
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
		return legacyColumnHeader + f.Rows*profilePixel[f.Profile] + legacyColumnFooter
	}
	return columnHeader + f.Rows*profilePixel[f.Profile]
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
}

// Decode reads the packet in b into p, which keeps b. The error is a Reason.
// It never allocates.
func (f Format) Decode(b []byte, p *Packet) error {
	if len(b) != f.PacketSize() {
		return BadLength
	}
	*p = Packet{format: f, data: b}
	switch f.Profile {
	case ProfileLegacy:
		p.FrameID = uint32(binary.LittleEndian.Uint16(b[10:]))
		return nil
	case ProfileFUSADual:
		if b[0] != 1 {
			return BadType
		}
		p.InitID = uint24(b[1:])
		p.FrameID = binary.LittleEndian.Uint32(b[4:])
		p.AlertFlags = b[8]
		p.Serial = uint40(b[11:])
	default:
		if binary.LittleEndian.Uint16(b) != 1 {
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
	px, step := p.pixels(col), profilePixel[p.format.Profile]
	switch p.format.Profile {
	case ProfileLegacy:
		for i := range dst {
			dst[i] = binary.LittleEndian.Uint32(px[i*step:]) & 0xFFFFF
		}
	case ProfileRNG19, ProfileRNG19Dual:
		for i := range dst {
			dst[i] = binary.LittleEndian.Uint32(px[i*step:]) & 0x7FFFF
		}
	default:
		for i := range dst {
			dst[i] = uint32(binary.LittleEndian.Uint16(px[i*step:])&0x7FFF) * 8
		}
	}
}

// Pixel returns all fields of one reading.
func (p *Packet) Pixel(col, row int) Pixel {
	step := profilePixel[p.format.Profile]
	b := p.pixels(col)[row*step : (row+1)*step]
	switch p.format.Profile {
	case ProfileLegacy:
		w := binary.LittleEndian.Uint32(b)
		return Pixel{
			RangeMM: w & 0xFFFFF, Flags: uint8(w >> 28), Reflectivity: b[4],
			Signal: binary.LittleEndian.Uint16(b[6:]), NearInfrared: binary.LittleEndian.Uint16(b[8:]),
		}
	case ProfileRNG19:
		w := binary.LittleEndian.Uint32(b)
		return Pixel{
			RangeMM: w & 0x7FFFF, Flags: uint8(w>>19) & 31, Reflectivity: b[4],
			Signal: binary.LittleEndian.Uint16(b[6:]), NearInfrared: binary.LittleEndian.Uint16(b[8:]),
		}
	case ProfileRNG19Dual:
		w, w2 := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		return Pixel{
			RangeMM: w & 0x7FFFF, Flags: uint8(w>>19) & 31, Reflectivity: b[3],
			Range2MM: w2 & 0x7FFFF, Flags2: uint8(w2>>19) & 31, Reflectivity2: b[7],
			Signal: binary.LittleEndian.Uint16(b[8:]), Signal2: binary.LittleEndian.Uint16(b[10:]),
			NearInfrared: binary.LittleEndian.Uint16(b[12:]),
		}
	case ProfileRNG15, ProfileRNG15Dual, ProfileFUSADual:
	}
	w := binary.LittleEndian.Uint16(b)
	x := Pixel{RangeMM: uint32(w&0x7FFF) * 8, Flags: uint8(w >> 15), Reflectivity: b[2], NearInfrared: uint16(b[3]) * 16}
	if step == 8 {
		w2 := binary.LittleEndian.Uint16(b[4:])
		x.Range2MM, x.Flags2, x.Reflectivity2 = uint32(w2&0x7FFF)*8, uint8(w2>>15), b[6]
	}
	return x
}

func uint24(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
}

func uint40(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(b[4])<<32
}
