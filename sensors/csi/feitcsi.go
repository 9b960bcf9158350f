package csi

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Sizes of FeitCSI's records.
const (
	feitHeaderLen = 272
	// MaxFeitRecord bounds a record: 2 x 2 antennas and 1992 subcarriers take
	// 32 kB; twice that many antennas are left room for.
	MaxFeitRecord   = feitHeaderLen + 4*4*4*feitMaxTones
	feitMaxAntennas = 4
	feitMaxTones    = 2048
)

// FeitRecord is one record of FeitCSI, the tool for Intel AX200 and AX210
// (sensors.md section 9).
type FeitRecord struct {
	FTMTicks uint32 // of 3.125 ns, wraps after 13.4 s
	HostUS   uint64 // Unix time; 0 in older logs
	ClockUS  uint32 // of the card, wraps after 71.6 minutes
	NRx, NTx uint8
	Tones    int
	RSSIdBm  [2]int // of both antennas
	Source   [6]byte
	Rate     uint32 // rate_n_flags
	// CSI holds NRx x NTx x Tones values, ascending in frequency. Pilots are
	// interpolated by the tool.
	CSI []complex64

	header [feitHeaderLen]byte // what is not decoded of it
}

// BandwidthMHz returns the width of the frame's channel.
func (r *FeitRecord) BandwidthMHz() int { return 20 << (r.Rate >> 11 & 7) }

// FeitTones returns the frequency index of each of n subcarriers, ascending:
// those of a channel whose carrier is left out.
func FeitTones(n int) []int {
	gap := 1
	switch {
	case n >= 484:
		gap = 3
	case n >= 114:
		gap = 2
	}
	return toneRange(gap, gap+n/2-1)
}

// judgeFeit tells what a log goes on with.
func judgeFeit(b []byte) (n int, v verdict) {
	if len(b) < 56 {
		return 0, undecided
	}
	le := binary.LittleEndian
	size, tones := le.Uint32(b), le.Uint32(b[52:])
	rx, tx := int(b[46]), int(b[47])
	if size == 0 || size > MaxFeitRecord-feitHeaderLen || size%4 != 0 {
		return 0, noRecord
	}
	n = feitHeaderLen + int(size)
	if rx < 1 || rx > feitMaxAntennas || tx < 1 || tx > feitMaxAntennas || tones < 2 || tones > feitMaxTones || tones%2 != 0 ||
		int(size) != 4*rx*tx*int(tones) {
		return n, doubtful
	}
	return n, isRecord
}

// ParseFeit decodes one record. The result shares no memory with b.
func ParseFeit(b []byte) (*FeitRecord, error) {
	n, v := judgeFeit(b)
	if v != isRecord || n != len(b) {
		return nil, fmt.Errorf("feitcsi record of %d bytes does not hold what its header says", len(b))
	}
	le := binary.LittleEndian
	r := &FeitRecord{
		FTMTicks: le.Uint32(b[8:]), HostUS: le.Uint64(b[12:]), NRx: b[46], NTx: b[47], Tones: int(le.Uint32(b[52:])),
		RSSIdBm: [2]int{-int(int32(le.Uint32(b[60:]))), -int(int32(le.Uint32(b[64:])))}, Source: [6]byte(b[68:74]),
		ClockUS: le.Uint32(b[88:]), Rate: le.Uint32(b[92:]), header: [feitHeaderLen]byte(b[:feitHeaderLen]),
	}
	r.CSI = make([]complex64, int(r.NRx)*int(r.NTx)*r.Tones)
	for i := range r.CSI {
		at := feitHeaderLen + 4*i
		r.CSI[i] = complex(float32(int16(le.Uint16(b[at:]))), float32(int16(le.Uint16(b[at+2:]))))
	}
	return r, nil
}

// AppendFeit appends r to dst. Values are rounded to integers; one that does
// not fit 16 bits, or a shape that does not match, is an error and leaves dst as
// it was.
func AppendFeit(dst []byte, r *FeitRecord) ([]byte, error) {
	values := int(r.NRx) * int(r.NTx) * r.Tones
	if r.NRx < 1 || r.NRx > feitMaxAntennas || r.NTx < 1 || r.NTx > feitMaxAntennas || r.Tones < 2 || r.Tones > feitMaxTones || r.Tones%2 != 0 || len(r.CSI) != values {
		return dst, fmt.Errorf("feitcsi record of %d values does not match %d x %d antennas x %d subcarriers", len(r.CSI), r.NRx, r.NTx, r.Tones)
	}
	start := len(dst)
	h := r.header
	le := binary.LittleEndian
	le.PutUint32(h[0:], uint32(4*values))
	le.PutUint32(h[8:], r.FTMTicks)
	le.PutUint64(h[12:], r.HostUS)
	h[46], h[47] = r.NRx, r.NTx
	le.PutUint32(h[52:], uint32(r.Tones))
	le.PutUint32(h[60:], uint32(int32(-r.RSSIdBm[0])))
	le.PutUint32(h[64:], uint32(int32(-r.RSSIdBm[1])))
	copy(h[68:74], r.Source[:])
	le.PutUint32(h[88:], r.ClockUS)
	le.PutUint32(h[92:], r.Rate)
	dst = append(dst, h[:]...)
	for i, v := range r.CSI {
		re, im := math.RoundToEven(float64(real(v))), math.RoundToEven(float64(imag(v)))
		if !(re >= math.MinInt16 && re <= math.MaxInt16 && im >= math.MinInt16 && im <= math.MaxInt16) {
			return dst[:start], fmt.Errorf("csi value %v (number %d) does not fit 16 bits: scale the recording", v, i)
		}
		dst = le.AppendUint16(le.AppendUint16(dst, uint16(int16(re))), uint16(int16(im)))
	}
	return dst, nil
}
