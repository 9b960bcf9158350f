// Package csi drives WiFi receivers that report channel state information:
// pure decoders and encoders of the Atheros CSI Tool's records and of Nexmon's
// datagrams, grouping and resampling to the model's shape, and Sources that
// read them from a record stream, a network interface or a capture file.
//
// Decoders and encoders do no I/O and read no clock. Layouts were checked on
// recorded captures (sensors.md sections 5 and 6).
package csi

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Sizes of an Atheros record.
const (
	atherosHeaderLen = 25 // bytes before the CSI
	atherosLenField  = 2  // the length before each record
	// MaxAtherosRecord bounds a record: 3 x 3 x 114 values of 20 bits, the
	// longest 802.11 frame without aggregation, and room to spare.
	MaxAtherosRecord = 8192
	maxChains        = 3
)

// AtherosRecord is one record of the Atheros CSI Tool: a received frame and
// the channel it came through.
type AtherosRecord struct {
	TSFUS      uint64 // timer of the network card, us
	ChannelMHz uint16 // channel frequency
	PHYError   uint8  // 0 good
	NoiseFloor uint8  // 0 in practice
	Rate       uint8  // 0x80 + MCS
	Bandwidth  uint8  // 0 = 20 MHz, 1 = 40 MHz
	Tones      uint8  // 56 or 114
	NR         uint8  // receive chains
	NC         uint8  // streams
	RSSI       uint8  // dBm + 95, all chains
	RSSIChain  [3]uint8

	// H holds NR x NC x Tones values, chain-major, then stream, tones fastest
	// and in ascending frequency, in the device's integers -512..511. It is nil
	// for a record without CSI.
	H       []complex64
	Payload []byte // the 802.11 frame
}

// At returns the channel of a receive chain, stream and tone.
func (r *AtherosRecord) At(chain, stream, tone int) complex64 {
	return r.H[(chain*int(r.NC)+stream)*int(r.Tones)+tone]
}

// AtherosTones returns the frequency index of each tone of a record, ascending:
// -28..28 without 0 for 56 tones, -58..-2 and 2..58 for 114; nil for others.
func AtherosTones(n int) []int {
	switch n {
	case 56:
		return toneRange(1, 28)
	case 114:
		return toneRange(2, 58)
	}
	return nil
}

// csiBytes returns the length of the packed CSI: two 10-bit numbers a value.
func csiBytes(tones, nr, nc int) int { return (tones*nr*nc*20 + 7) / 8 }

// atherosHeader is what must hold before a record is believed.
type atherosHeader struct {
	csiLen, payloadLen int
	tones, nr, nc      int
}

func readAtherosHeader(rec []byte, order binary.ByteOrder) atherosHeader {
	return atherosHeader{
		csiLen: int(order.Uint16(rec[8:])), payloadLen: int(order.Uint16(rec[23:])),
		tones: int(rec[16]), nr: int(rec[17]), nc: int(rec[18]),
	}
}

// framed reports whether a header's lengths make up the record's. strict also
// wants a known number of tones, for a place that is not known to hold a record.
// Real traffic has records without CSI and with absurd nr and nc, and CSI that
// the driver splits over two records.
func (h atherosHeader) framed(recLen int, strict bool) bool {
	return recLen == atherosHeaderLen+h.csiLen+h.payloadLen && (!strict || h.knownTones())
}

func (h atherosHeader) knownTones() bool { return h.tones == 56 || h.tones == 114 }

// hasCSI reports whether the CSI is as long as its shape says.
func (h atherosHeader) hasCSI() bool {
	return h.knownTones() && h.nr >= 1 && h.nr <= maxChains && h.nc >= 1 && h.nc <= maxChains &&
		h.csiLen == csiBytes(h.tones, h.nr, h.nc)
}

// ParseAtheros decodes one record without its length field. The result shares
// no memory with rec.
func ParseAtheros(rec []byte, order binary.ByteOrder) (*AtherosRecord, error) {
	if len(rec) < atherosHeaderLen || len(rec) > MaxAtherosRecord {
		return nil, fmt.Errorf("atheros record of %d bytes, want %d to %d", len(rec), atherosHeaderLen, MaxAtherosRecord)
	}
	h := readAtherosHeader(rec, order)
	if !h.framed(len(rec), false) || h.csiLen > 0 && !h.hasCSI() {
		return nil, fmt.Errorf("atheros record of %d bytes does not hold csi_len %d, payload_len %d, %d tones x %d chains x %d streams",
			len(rec), h.csiLen, h.payloadLen, h.tones, h.nr, h.nc)
	}
	r := &AtherosRecord{
		TSFUS: order.Uint64(rec), ChannelMHz: order.Uint16(rec[10:]),
		PHYError: rec[12], NoiseFloor: rec[13], Rate: rec[14], Bandwidth: rec[15],
		Tones: rec[16], NR: rec[17], NC: rec[18], RSSI: rec[19],
		RSSIChain: [3]uint8{rec[20], rec[21], rec[22]},
		Payload:   append([]byte(nil), rec[atherosHeaderLen+h.csiLen:]...),
	}
	if h.csiLen > 0 {
		r.H = unpackAtheros(rec[atherosHeaderLen:atherosHeaderLen+h.csiLen], h.tones, h.nr, h.nc)
	}
	return r, nil
}

// unpackAtheros reads the bit stream: bytes in order, lowest bit first; for
// tone, for stream, for chain: imaginary, then real.
func unpackAtheros(b []byte, tones, nr, nc int) []complex64 {
	h := make([]complex64, tones*nr*nc)
	var acc uint32
	bits, i := 0, 0
	next := func() float32 {
		for bits < 10 {
			acc |= uint32(b[i]) << bits
			i++
			bits += 8
		}
		v := int32(acc&0x3FF) << 22 >> 22
		acc >>= 10
		bits -= 10
		return float32(v)
	}
	for k := range tones {
		for c := range nc {
			for r := range nr {
				im := next()
				re := next()
				h[(r*nc+c)*tones+k] = complex(re, im)
			}
		}
	}
	return h
}

// AppendAtheros appends r to dst as the stream carries it: the u16 length,
// then the record, both in the given byte order. Values of H are rounded to
// integers; one outside -512..511, or dimensions that do not match H, is an
// error and leaves dst as it was.
func AppendAtheros(dst []byte, order binary.AppendByteOrder, r *AtherosRecord) ([]byte, error) {
	tones, nr, nc := int(r.Tones), int(r.NR), int(r.NC)
	csiLen := 0
	if r.H != nil {
		if tones != 56 && tones != 114 || nr < 1 || nr > maxChains || nc < 1 || nc > maxChains || len(r.H) != tones*nr*nc {
			return dst, fmt.Errorf("atheros record of %d values does not match %d tones x %d chains x %d streams", len(r.H), tones, nr, nc)
		}
		csiLen = csiBytes(tones, nr, nc)
	}
	total := atherosHeaderLen + csiLen + len(r.Payload)
	if total > MaxAtherosRecord {
		return dst, fmt.Errorf("atheros record of %d bytes is longer than %d", total, MaxAtherosRecord)
	}
	start := len(dst)
	dst = order.AppendUint16(dst, uint16(total))
	dst = order.AppendUint64(dst, r.TSFUS)
	dst = order.AppendUint16(dst, uint16(csiLen))
	dst = order.AppendUint16(dst, r.ChannelMHz)
	dst = append(dst, r.PHYError, r.NoiseFloor, r.Rate, r.Bandwidth, r.Tones, r.NR, r.NC, r.RSSI)
	dst = append(dst, r.RSSIChain[:]...)
	dst = order.AppendUint16(dst, uint16(len(r.Payload)))
	if r.H != nil {
		var err error
		if dst, err = packAtheros(dst, r.H, tones, nr, nc); err != nil {
			return dst[:start], err
		}
	}
	return append(dst, r.Payload...), nil
}

func packAtheros(dst []byte, h []complex64, tones, nr, nc int) ([]byte, error) {
	var acc uint32
	bits := 0
	put := func(v float32) bool {
		i := math.RoundToEven(float64(v))
		if !(i >= -512 && i <= 511) {
			return false
		}
		acc |= uint32(int32(i)) & 0x3FF << bits
		for bits += 10; bits >= 8; bits -= 8 {
			dst = append(dst, byte(acc))
			acc >>= 8
		}
		return true
	}
	for k := range tones {
		for c := range nc {
			for r := range nr {
				v := h[(r*nc+c)*tones+k]
				if !put(imag(v)) || !put(real(v)) {
					return dst, fmt.Errorf("csi value %v (chain %d, stream %d, tone %d) does not fit 10 bits: scale the recording", v, r, c, k)
				}
			}
		}
	}
	if bits > 0 {
		dst = append(dst, byte(acc))
	}
	return dst, nil
}
