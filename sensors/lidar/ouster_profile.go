package lidar

import (
	"encoding/binary"
	"fmt"
)

// Profile names the pixel layout of an Ouster lidar packet. The packet does
// not say which it has; only the sensor's metadata does.
type Profile uint8

// The supported profiles, named as in the metadata (reference sensors.md 1.3).
// Those with ZONE16, WIN8 and RGB16 are of firmware 3.2 and later, and no
// capture of them was at hand.
const (
	ProfileLegacy        Profile = iota // LEGACY
	ProfileRNG19                        // RNG19_RFL8_SIG16_NIR16
	ProfileRNG15                        // RNG15_RFL8_NIR8
	ProfileRNG19Dual                    // RNG19_RFL8_SIG16_NIR16_DUAL
	ProfileRNG15Dual                    // RNG15_RFL8_NIR8_DUAL
	ProfileFUSADual                     // FUSA_RNG15_RFL8_NIR8_DUAL
	ProfileRNG15Zone                    // RNG15_RFL8_NIR8_ZONE16
	ProfileRNG19Zone                    // RNG19_RFL8_SIG16_NIR16_ZONE16
	ProfileRNG19ZoneDual                // RNG19_RFL8_SIG16_ZONE16_DUAL
	ProfileRNG15Window                  // RNG15_RFL8_WIN8
	ProfileRNG19RGB                     // RNG19_RFL8_SIG16_NIR16_RGB16
	ProfileRNG19RGBDual                 // RNG19_RFL8_SIG16_NIR16_RGB16_DUAL
	ProfileFiveWord                     // FIVE_WORD_PIXEL
	numProfiles
)

// pixelLayout says where the fields of a pixel lie, in bytes from its start; -1
// means that the profile lacks the field.
type pixelLayout struct {
	name  string
	bytes int // per pixel
	// The range is the low bits of a little-endian word at 0, in steps of unitMM;
	// the flags follow at flagBit.
	rangeBits, unitMM, flagBit int
	reflectivity               int
	signal, nearIR             int
	nearIRUnit                 int // 16 where it is one byte, else 1
	second                     int // of the second return, whose word is like the first one's
	reflectivity2, signal2     int
	zones                      int
}

var layouts = [numProfiles]pixelLayout{
	ProfileLegacy:        {"LEGACY", 12, 20, 1, 28, 4, 6, 8, 1, -1, -1, -1, -1},
	ProfileRNG19:         {"RNG19_RFL8_SIG16_NIR16", 12, 19, 1, 19, 4, 6, 8, 1, -1, -1, -1, -1},
	ProfileRNG15:         {"RNG15_RFL8_NIR8", 4, 15, 8, 15, 2, -1, 3, 16, -1, -1, -1, -1},
	ProfileRNG19Dual:     {"RNG19_RFL8_SIG16_NIR16_DUAL", 16, 19, 1, 19, 3, 8, 12, 1, 4, 7, 10, -1},
	ProfileRNG15Dual:     {"RNG15_RFL8_NIR8_DUAL", 8, 15, 8, 15, 2, -1, 3, 16, 4, 6, -1, -1},
	ProfileFUSADual:      {"FUSA_RNG15_RFL8_NIR8_DUAL", 8, 15, 8, 15, 2, -1, 3, 16, 4, 6, -1, -1},
	ProfileRNG15Zone:     {"RNG15_RFL8_NIR8_ZONE16", 8, 15, 8, 15, 2, -1, 3, 16, -1, -1, -1, 4},
	ProfileRNG19Zone:     {"RNG19_RFL8_SIG16_NIR16_ZONE16", 12, 19, 1, 19, 4, 6, 8, 1, -1, -1, -1, 10},
	ProfileRNG19ZoneDual: {"RNG19_RFL8_SIG16_ZONE16_DUAL", 16, 19, 1, 19, 3, 8, -1, 1, 4, 7, 10, 12},
	ProfileRNG15Window:   {"RNG15_RFL8_WIN8", 4, 15, 8, 15, 2, -1, -1, 1, -1, -1, -1, -1},
	ProfileRNG19RGB:      {"RNG19_RFL8_SIG16_NIR16_RGB16", 16, 19, 1, 19, 3, 4, 6, 1, -1, -1, -1, -1},
	ProfileRNG19RGBDual:  {"RNG19_RFL8_SIG16_NIR16_RGB16_DUAL", 20, 19, 1, 19, 3, 8, 12, 1, 4, 7, 10, -1},
	ProfileFiveWord:      {"FIVE_WORD_PIXEL", 20, 19, 1, 19, 3, 8, 12, 1, 4, 7, 10, -1},
}

// String returns the profile's name in the metadata.
func (p Profile) String() string {
	if p >= numProfiles {
		return fmt.Sprintf("profile(%d)", uint8(p))
	}
	return layouts[p].name
}

// Profiles returns every supported profile.
func Profiles() []Profile {
	all := make([]Profile, numProfiles)
	for p := range all {
		all[p] = Profile(p)
	}
	return all
}

// ParseProfile returns the profile called name. An unknown name is an error:
// packet sizes collide, so a profile can never be guessed.
func ParseProfile(name string) (Profile, error) {
	for i := range layouts {
		if layouts[i].name == name {
			return Profile(i), nil
		}
	}
	if name == "OFF" {
		return 0, fmt.Errorf("udp_profile_lidar is OFF: the sensor sends no points; set it to one of %q", Profiles())
	}
	return 0, fmt.Errorf("unknown lidar profile %q; set udp_profile_lidar of the sensor to one of %q", name, Profiles())
}

// flagMask returns the bits of the flags, from bit 0.
func (l *pixelLayout) flagMask() uint32 {
	switch l.rangeBits {
	case 20:
		return 15
	case 19:
		return 31
	}
	return 1
}

// word reads a word of range and flags; that of 15 bits is two bytes long.
func (l *pixelLayout) word(b []byte) uint32 {
	if l.rangeBits == 15 {
		return uint32(binary.LittleEndian.Uint16(b))
	}
	return binary.LittleEndian.Uint32(b)
}

// fields splits a word into range, mm, and flags.
func (l *pixelLayout) fields(b []byte) (rangeMM uint32, flags uint8) {
	w := l.word(b)
	return (w & (1<<l.rangeBits - 1)) * uint32(l.unitMM), uint8(w >> l.flagBit & l.flagMask())
}

// pixel reads all fields of a pixel.
func (l *pixelLayout) pixel(b []byte) (x Pixel) {
	le := binary.LittleEndian
	x.RangeMM, x.Flags = l.fields(b)
	x.Reflectivity = b[l.reflectivity]
	if l.signal >= 0 {
		x.Signal = le.Uint16(b[l.signal:])
	}
	switch {
	case l.nearIR < 0:
	case l.nearIRUnit == 1:
		x.NearInfrared = le.Uint16(b[l.nearIR:])
	default:
		x.NearInfrared = uint16(b[l.nearIR]) * uint16(l.nearIRUnit)
	}
	if l.second >= 0 {
		x.Range2MM, x.Flags2 = l.fields(b[l.second:])
		x.Reflectivity2 = b[l.reflectivity2]
	}
	if l.signal2 >= 0 {
		x.Signal2 = le.Uint16(b[l.signal2:])
	}
	if l.zones >= 0 {
		x.Zones = le.Uint16(b[l.zones:])
	}
	return x
}

// put writes a pixel over b, which is zero; values wider than their field are
// cut.
func (l *pixelLayout) put(b []byte, x *Pixel) {
	le := binary.LittleEndian
	word := func(b []byte, rangeMM uint32, flags uint8) {
		w := rangeMM/uint32(l.unitMM)&(1<<l.rangeBits-1) | (uint32(flags)&l.flagMask())<<l.flagBit
		if l.rangeBits == 15 {
			le.PutUint16(b, uint16(w))
			return
		}
		// Its top byte may hold the reflectivity, which is written later.
		le.PutUint32(b, w)
	}
	word(b, x.RangeMM, x.Flags)
	if l.second >= 0 {
		word(b[l.second:], x.Range2MM, x.Flags2)
		b[l.reflectivity2] = x.Reflectivity2
	}
	b[l.reflectivity] = x.Reflectivity
	if l.signal >= 0 {
		le.PutUint16(b[l.signal:], x.Signal)
	}
	switch {
	case l.nearIR < 0:
	case l.nearIRUnit == 1:
		le.PutUint16(b[l.nearIR:], x.NearInfrared)
	default:
		b[l.nearIR] = byte(x.NearInfrared / uint16(l.nearIRUnit))
	}
	if l.signal2 >= 0 {
		le.PutUint16(b[l.signal2:], x.Signal2)
	}
	if l.zones >= 0 {
		le.PutUint16(b[l.zones:], x.Zones)
	}
}
