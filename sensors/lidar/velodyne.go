package lidar

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Sizes of Velodyne datagrams and of their parts (reference sensors.md, 2).
const (
	velodyneSize         = 1206
	velodynePositionSize = 512
	velodyneBlocks       = 12
	velodyneChannels     = 32 // per block
	velodyneBlockSize    = 100
	velodyneMaxAzimuth   = 35999
	maxNMEA              = 72
)

// VelodyneProduct is the factory byte that names the model.
type VelodyneProduct uint8

// The models with a geometry.
const (
	VLP16      VelodyneProduct = 0x22 // Puck, Puck LITE
	PuckHiRes  VelodyneProduct = 0x24 // as VLP-16, elevations closer together
	VLP32C     VelodyneProduct = 0x28 // one firing per block
	noVelodyne VelodyneProduct = 0
)

// String returns the model's name.
func (p VelodyneProduct) String() string {
	switch p {
	case VLP16:
		return "VLP-16"
	case PuckHiRes:
		return "Puck Hi-Res"
	case VLP32C:
		return "VLP-32C"
	case noVelodyne:
	}
	return fmt.Sprintf("product(%#02x)", uint8(p))
}

// RangeUnitMM returns what one count of a distance is, mm.
func (p VelodyneProduct) RangeUnitMM() int {
	if p == VLP32C {
		return 4
	}
	return 2
}

// VelodyneMode is the factory byte that names the returns that are sent.
type VelodyneMode uint8

// The return modes.
const (
	VelodyneStrongest VelodyneMode = 0x37
	VelodyneLast      VelodyneMode = 0x38
	VelodyneDual      VelodyneMode = 0x39 // blocks come in pairs of one azimuth: last, strongest
)

// VelodynePacket is one data packet. Its returns are read from the datagram it
// was decoded from, which must not change while the packet is in use.
type VelodynePacket struct {
	data        []byte
	TimestampUS uint32 // of the first firing, past the hour
	Mode        VelodyneMode
	Product     VelodyneProduct
}

// DecodeVelodyne reads the packet in b into p, which keeps b. The error is a
// Reason. It never allocates.
func DecodeVelodyne(b []byte, p *VelodynePacket) error {
	if len(b) != velodyneSize {
		return BadLength
	}
	for k := range velodyneBlocks {
		block := b[k*velodyneBlockSize:]
		if block[0] != 0xFF || block[1] != 0xEE || binary.LittleEndian.Uint16(block[2:]) > velodyneMaxAzimuth {
			return BadBlock
		}
	}
	*p = VelodynePacket{data: b, TimestampUS: binary.LittleEndian.Uint32(b[1200:]), Mode: VelodyneMode(b[1204]), Product: VelodyneProduct(b[1205])}
	if p.Product != VLP16 && p.Product != PuckHiRes && p.Product != VLP32C {
		return UnknownProduct
	}
	if p.Mode < VelodyneStrongest || p.Mode > VelodyneDual {
		return BadType
	}
	return nil
}

// Azimuth returns the azimuth of a block, 1/100 degree clockwise seen from
// above.
func (p *VelodynePacket) Azimuth(block int) int {
	return int(binary.LittleEndian.Uint16(p.data[block*velodyneBlockSize+2:]))
}

// Return returns the distance of a channel, in counts of the product's unit, 0
// for no return, and its reflectivity.
func (p *VelodynePacket) Return(block, channel int) (distance uint16, reflectivity uint8) {
	b := p.data[block*velodyneBlockSize+4+3*channel:]
	return binary.LittleEndian.Uint16(b), b[2]
}

// VelodynePosition is a position packet, which a GPS receiver at the sensor
// fills.
type VelodynePosition struct {
	TimestampUS uint32 // past the hour
	NMEA        []byte // the sentence of the receiver, empty without one; of the packet's memory
}

// DecodeVelodynePosition reads a position packet. The error is a Reason.
func DecodeVelodynePosition(b []byte, p *VelodynePosition) error {
	if len(b) != velodynePositionSize {
		return BadLength
	}
	text := b[206 : 206+maxNMEA]
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) > 0 && text[0] != '$' {
		return BadType
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			return BadType
		}
	}
	*p = VelodynePosition{TimestampUS: binary.LittleEndian.Uint32(b[198:]), NMEA: text}
	return nil
}

// VelodyneReturn is one reading to encode.
type VelodyneReturn struct {
	Distance     uint16 // counts of the product's unit, 0: no return
	Reflectivity uint8
}

// VelodyneBlock is one block to encode.
type VelodyneBlock struct {
	Azimuth uint16 // 1/100 degree, 0..35999
	Returns [velodyneChannels]VelodyneReturn
}

// EncodeVelodyne appends a data packet to dst. It fails on an azimuth that no
// block has.
func EncodeVelodyne(dst []byte, p *VelodynePacket, blocks *[velodyneBlocks]VelodyneBlock) ([]byte, error) {
	le := binary.LittleEndian
	start := len(dst)
	for k := range blocks {
		b := &blocks[k]
		if b.Azimuth > velodyneMaxAzimuth {
			return dst[:start], fmt.Errorf("encode velodyne packet: block %d has azimuth %d, not 0..%d", k, b.Azimuth, velodyneMaxAzimuth)
		}
		dst = append(dst, 0xFF, 0xEE)
		dst = le.AppendUint16(dst, b.Azimuth)
		for _, r := range b.Returns {
			dst = append(le.AppendUint16(dst, r.Distance), r.Reflectivity)
		}
	}
	dst = le.AppendUint32(dst, p.TimestampUS)
	return append(dst, byte(p.Mode), byte(p.Product)), nil
}

// EncodeVelodynePosition appends a position packet to dst. It fails on a
// sentence that does not fit.
func EncodeVelodynePosition(dst []byte, p *VelodynePosition) ([]byte, error) {
	if len(p.NMEA) > maxNMEA {
		return dst, fmt.Errorf("encode velodyne position: sentence of %d bytes, at most %d", len(p.NMEA), maxNMEA)
	}
	start := len(dst)
	dst = append(dst, make([]byte, velodynePositionSize)...)
	b := dst[start:]
	binary.LittleEndian.PutUint32(b[198:], p.TimestampUS)
	copy(b[206:], p.NMEA)
	return dst, nil
}
