package radar

import (
	"encoding/binary"
	"slices"
)

// frameStore is a frame with the memory that the next one is written into.
type frameStore struct {
	Frame
	presence    uint32
	stats       Stats
	temperature Temperature
	payloads    []byte // of Other
	list        [MaxTLVs]TLV
}

// reset empties the frame and keeps its memory.
func (f *frameStore) reset() {
	f.payloads = f.payloads[:0]
	f.Frame = Frame{
		Points: f.Points[:0], Spherical: f.Spherical[:0], Targets: f.Targets[:0],
		TargetIndex: f.TargetIndex[:0], Heights: f.Heights[:0], Other: f.Other[:0],
	}
}

// nextTarget appends a target with room for a covariance of n values.
func (f *frameStore) nextTarget(n int) *Target {
	k := len(f.Targets)
	f.Targets = slices.Grow(f.Targets, 1)[:k+1]
	t := &f.Targets[k]
	*t = Target{Covariance: slices.Grow(t.Covariance[:0], n)[:n]}
	return t
}

// keep passes a TLV through undecoded.
func (f *frameStore) keep(t TLV) {
	start := len(f.payloads)
	f.payloads = append(f.payloads, t.Payload...)
	f.Other = append(f.Other, TLV{Type: t.Type, Payload: f.payloads[start:len(f.payloads):len(f.payloads)]})
}

// parse decodes a whole raw frame in a given layout; a non-empty reason means
// rejected. The frame shares no memory with b, but with the frame before.
func (f *frameStore) parse(l Layout, b []byte) (*Frame, Reason) {
	le := binary.LittleEndian
	hdr := l.HeaderLen()
	if len(b) < hdr || totalLen(l, b) != len(b) {
		return nil, BadLength
	}
	f.reset()
	f.Layout, f.Version, f.Bytes = l, le.Uint32(b[8:]), len(b)
	var objects, tlvs int
	switch l {
	case Layout36, Layout40:
		f.Platform = le.Uint32(b[16:])
		f.FrameNumber = le.Uint32(b[20:])
		f.CPUCycles, f.HasCycles = le.Uint32(b[24:]), true
		objects = clampInt(le.Uint32(b[28:]))
		tlvs = clampInt(le.Uint32(b[32:]))
		if l == Layout40 {
			f.Subframe = le.Uint32(b[36:])
		}
	case Layout48:
		f.Platform = le.Uint32(b[16:])
		f.FrameNumber = le.Uint32(b[20:])
		f.Subframe = le.Uint32(b[24:])
		tlvs = int(le.Uint16(b[44:]))
	case Layout52:
		f.Platform = le.Uint32(b[12:])
		f.FrameNumber = le.Uint32(b[24:])
		f.Subframe = le.Uint32(b[28:])
		tlvs = int(le.Uint16(b[48:]))
	case LayoutAuto:
		return nil, BadLength
	}
	if !l.outOfBox() && !checksumOK(b[:hdr]) {
		return nil, BadChecksum
	}
	if tlvs > MaxTLVs {
		return nil, BadTLV
	}
	list := f.list[:0]
	rest := b[hdr:]
	for range tlvs {
		if len(rest) < 8 {
			return nil, BadTLV
		}
		typ, n := le.Uint32(rest), clampInt(le.Uint32(rest[4:]))
		if !l.outOfBox() {
			n -= 8
		}
		if n < 0 || n > len(rest)-8 {
			return nil, BadTLV
		}
		list = append(list, TLV{Type: typ, Payload: rest[8 : 8+n]})
		rest = rest[8+n:]
	}
	// Out-of-box frames are padded to a multiple of 32; more left over than
	// that means the header was read in the wrong layout.
	if l.outOfBox() && len(rest) >= 32 || !l.outOfBox() && len(rest) != 0 {
		return nil, BadTLV
	}
	var r Reason
	if l.outOfBox() {
		r = f.decodeOutOfBox(list, objects)
	} else {
		r = f.decodePeople(list, l == Layout52)
	}
	if r != "" {
		return nil, r
	}
	return &f.Frame, ""
}

// checksumOK checks the header of people counting: all u16 words, the
// checksum included, add up to 0xFFFF with end-around carry.
func checksumOK(header []byte) bool {
	var sum uint32
	for i := 0; i+1 < len(header); i += 2 {
		sum += uint32(binary.LittleEndian.Uint16(header[i:]))
	}
	return sum>>16+sum&0xFFFF == 0xFFFF
}

// clampInt keeps index arithmetic in int whatever the wire says.
func clampInt(v uint32) int { return int(min(v, 1<<30)) }
