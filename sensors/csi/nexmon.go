package csi

import (
	"encoding/binary"
	"fmt"
)

// NexmonPort is the UDP port, source and destination, of Nexmon datagrams.
const NexmonPort = 5500

// Chip is Nexmon's number of the WiFi chip; it decides the word format.
type Chip uint16

// The chips Nexmon supports.
const (
	ChipAuto   Chip = 0      // take the number from the frame
	Chip4339   Chip = 0x0001 // Nexus 5
	Chip4358   Chip = 0x0003 // Nexus 6P
	Chip43455  Chip = 0x0065 // 43455c0: Raspberry Pi 3B+ and 4
	Chip4366   Chip = 0x006A // 4366c0: Asus RT-AC86U
	chipOldTag Chip = 0xDEAD // an old build wrote this for every chip
)

const (
	nexmonMagic     = 0x1111
	nexmonHeaderLen = 18
	nexmonMaxExtra  = 4 // trailing zero bytes some frames carry
)

// NexmonFrame is one Nexmon datagram: the channel of one received 802.11 frame
// at one receive core for one spatial stream.
type NexmonFrame struct {
	// New tells the header of newer builds, which holds RSSI and frame control
	// and whose firmware overwrites three words with receiver status.
	New          bool
	RSSIdBm      int8  // newer builds only
	FrameControl uint8 // newer builds only
	MAC          [6]byte
	SequenceCtl  uint16 // fragment in the low 4 bits, sequence above
	Core         int    // 0..7
	Stream       int    // 0..7
	Chanspec     uint16
	Chip         Chip
	Words        []uint32 // 64, 128 or 256 raw words, FFT order
}

// Sequence returns the 802.11 sequence number, 0..4095.
func (f *NexmonFrame) Sequence() int { return int(f.SequenceCtl >> 4) }

// BandwidthMHz returns the bandwidth of the chanspec, 0 if unknown.
func (f *NexmonFrame) BandwidthMHz() int { return chanspecMHz(f.Chanspec) }

func chanspecMHz(spec uint16) int {
	switch spec >> 11 & 7 {
	case 2:
		return 20
	case 3:
		return 40
	case 4:
		return 80
	}
	return 0
}

// NexmonReason says why a datagram was rejected; its text is the counter's name.
type NexmonReason string

// Error makes the reason an error.
func (r NexmonReason) Error() string { return "nexmon datagram rejected: " + string(r) }

// The reasons of ParseNexmon, and of datagrams of one frame that differ.
const (
	NexmonShort     NexmonReason = "short"         // less than a header
	NexmonMagic     NexmonReason = "bad_magic"     // does not start 11 11
	NexmonLength    NexmonReason = "bad_length"    // not 64, 128 or 256 words
	NexmonBandwidth NexmonReason = "bad_bandwidth" // chanspec and number of words disagree
)

// ParseNexmon decodes the payload of one UDP datagram. The error is a
// NexmonReason. The result shares no memory with b.
func ParseNexmon(b []byte) (*NexmonFrame, error) {
	le := binary.LittleEndian
	if len(b) < nexmonHeaderLen {
		return nil, NexmonShort
	}
	if le.Uint16(b) != nexmonMagic {
		return nil, NexmonMagic
	}
	extra := (len(b) - nexmonHeaderLen) % 256
	n := (len(b) - nexmonHeaderLen) / 4
	if extra <= nexmonMaxExtra {
		n = (len(b) - nexmonHeaderLen - extra) / 4
	}
	if extra > nexmonMaxExtra || n != 64 && n != 128 && n != 256 {
		return nil, NexmonLength
	}
	spec := le.Uint16(b[14:])
	if chanspecMHz(spec)*64 != n*20 {
		return nil, NexmonBandwidth
	}
	f := &NexmonFrame{
		New:         b[2] != 0x11 || b[3] != 0x11, // +17 dBm cannot be a received power
		MAC:         [6]byte(b[4:10]),
		SequenceCtl: le.Uint16(b[10:]),
		Core:        int(b[12] & 7),
		Stream:      int(b[12] >> 3 & 7),
		Chanspec:    spec,
		Chip:        Chip(le.Uint16(b[16:])),
		Words:       make([]uint32, n),
	}
	if f.New {
		f.RSSIdBm, f.FrameControl = int8(b[2]), b[3]
	}
	for i := range f.Words {
		f.Words[i] = le.Uint32(b[nexmonHeaderLen+4*i:])
	}
	return f, nil
}

// AppendNexmon appends f to dst as the payload of one datagram. f.New selects
// the header; Words are written as they are. The error names what does not fit
// and leaves dst as it was.
func AppendNexmon(dst []byte, f *NexmonFrame) ([]byte, error) {
	n := len(f.Words)
	if n != 64 && n != 128 && n != 256 || chanspecMHz(f.Chanspec)*64 != n*20 {
		return dst, fmt.Errorf("nexmon frame of %d words does not match chanspec %#04x", n, f.Chanspec)
	}
	if f.Core < 0 || f.Core > 7 || f.Stream < 0 || f.Stream > 7 {
		return dst, fmt.Errorf("nexmon core %d or stream %d is not in 0..7", f.Core, f.Stream)
	}
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, nexmonMagic)
	if f.New {
		dst = append(dst, byte(f.RSSIdBm), f.FrameControl)
	} else {
		dst = append(dst, 0x11, 0x11)
	}
	dst = append(dst, f.MAC[:]...)
	dst = le.AppendUint16(dst, f.SequenceCtl)
	dst = le.AppendUint16(dst, uint16(f.Core|f.Stream<<3))
	dst = le.AppendUint16(dst, f.Chanspec)
	dst = le.AppendUint16(dst, uint16(f.Chip))
	for _, w := range f.Words {
		dst = le.AppendUint32(dst, w)
	}
	return dst, nil
}

// MakeChanspec builds a 5 GHz chanspec of a channel number and a bandwidth of
// 20, 40 or 80 MHz.
func MakeChanspec(channel uint8, mhz int) uint16 {
	bw := map[int]uint16{20: 2, 40: 3, 80: 4}[mhz]
	return 3<<14 | bw<<11 | uint16(channel)
}
