package csi

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Sizes of the records of the linux-80211n-csitool.
const (
	intelHeaderLen  = 20 // of a beamforming report, behind length and code
	intelGroups     = 30 // of subcarriers
	intelMaxStreams = 3
	// MaxIntelRecord bounds a record: payload records hold whole 802.11 frames.
	MaxIntelRecord = 8192
)

// Codes of records.
const (
	intelReport  = 0xBB // beamforming report: the channel
	intelPayload = 0xC1 // the frame itself
)

// IntelRecord is one beamforming report of an Intel 5300: the channel of a
// received frame at 30 groups of subcarriers (sensors.md section 7).
type IntelRecord struct {
	TimeUS     uint32 // of the card; wraps after 71.6 minutes, stands still on some firmware
	Count      uint16 // of reports; a gap means that the host missed some
	Reserved   uint16
	NRx, NTx   uint8
	RSSI       [3]uint8 // of antennas A, B, C; 0: off
	NoiseDBm   int8     // -127: unknown
	AGC        uint8
	AntennaSel uint8 // two bits a receive chain: the antenna it is switched to
	Rate       uint16
	// CSI holds NRx x NTx x 30 values as the card counted them, chain-major
	// before the permutation, then stream, then group in ascending frequency.
	CSI []complex64
	// bits between the groups' values, three a group; kept so that a record can
	// be written as it was
	gaps [intelGroups]uint8
	tail uint8
}

// intelCSIBytes returns the length of the packed values.
func intelCSIBytes(nrx, ntx int) int { return (intelGroups*(16*nrx*ntx+3) + 7) / 8 }

// At returns the value of a chain, stream and group.
func (r *IntelRecord) At(chain, stream, group int) complex64 {
	return r.CSI[(chain*int(r.NTx)+stream)*intelGroups+group]
}

// Antennas returns the antenna, 0 to 2, of each receive chain. A selection that
// is no permutation of the chains is not used.
func (r *IntelRecord) Antennas() []int {
	n := int(r.NRx)
	out, seen := make([]int, n), 0
	for k := range out {
		out[k] = int(r.AntennaSel >> (2 * k) & 3)
		seen |= 1 << out[k]
	}
	if seen != 1<<n-1 {
		for k := range out {
			out[k] = k
		}
	}
	return out
}

// Scale returns the factor from the card's integers to a channel in units of
// the noise: the receiver's gain control is taken out, the transmit power of
// each stream put in.
func (r *IntelRecord) Scale() float64 {
	var rssi, power float64
	for _, v := range r.RSSI {
		if v != 0 {
			rssi += math.Pow(10, float64(v)/10)
		}
	}
	for _, v := range r.CSI {
		re, im := float64(real(v)), float64(imag(v))
		power += re*re + im*im
	}
	if rssi == 0 || power == 0 {
		return 1
	}
	rssDBm := 10*math.Log10(rssi) - 44 - float64(r.AGC)
	noise := float64(r.NoiseDBm)
	if r.NoiseDBm == -127 {
		noise = -92
	}
	scale := math.Pow(10, rssDBm/10) / (power / intelGroups)
	total := math.Pow(10, noise/10) + scale*float64(r.NRx)*float64(r.NTx)
	f := math.Sqrt(scale / total)
	switch r.NTx {
	case 2:
		f *= math.Sqrt2
	case 3:
		f *= math.Pow(10, 4.5/20)
	}
	return f
}

// IntelTones returns the frequency index of each of the 30 groups, ascending,
// of a 20 or 40 MHz channel.
func IntelTones(mhz int) []int {
	out := make([]int, 0, intelGroups)
	if mhz == 40 {
		for k := -58; k <= 58; k += 4 {
			out = append(out, k)
		}
		return out
	}
	for k := -28; k <= -2; k += 2 {
		out = append(out, k)
	}
	out = append(out, -1)
	for k := 1; k <= 27; k += 2 {
		out = append(out, k)
	}
	return append(out, 28)
}

// BandwidthMHz returns the channel's width.
func (r *IntelRecord) BandwidthMHz() int {
	if r.Rate&0x800 != 0 {
		return 40
	}
	return 20
}

// judgeIntel tells what a log goes on with: length (big-endian), code, record.
func judgeIntel(b []byte) (n int, v verdict) {
	if len(b) < 3 {
		return 0, undecided
	}
	size := int(binary.BigEndian.Uint16(b))
	n = 2 + size
	if size < 1 || size > MaxIntelRecord {
		return 0, noRecord
	}
	switch b[2] {
	case intelPayload:
		return n, passing
	case intelReport:
	default:
		return 0, noRecord
	}
	if len(b) < 3+intelHeaderLen {
		return 0, undecided
	}
	if intelAgrees(b[3:3+intelHeaderLen], size-1) {
		return n, isRecord
	}
	return n, doubtful
}

// intelAgrees reports whether a report's header fits its length.
func intelAgrees(h []byte, size int) bool {
	nrx, ntx := int(h[8]), int(h[9])
	n := int(binary.LittleEndian.Uint16(h[16:]))
	return nrx >= 1 && nrx <= maxChains && ntx >= 1 && ntx <= intelMaxStreams &&
		n == intelCSIBytes(nrx, ntx) && size == intelHeaderLen+n // size: header and values
}

// ParseIntel decodes a beamforming report without length and code. The result
// shares no memory with b.
func ParseIntel(b []byte) (*IntelRecord, error) {
	if len(b) < intelHeaderLen || !intelAgrees(b[:intelHeaderLen], len(b)) {
		return nil, fmt.Errorf("intel 5300 report of %d bytes does not hold what its header says", len(b))
	}
	le := binary.LittleEndian
	r := &IntelRecord{
		TimeUS: le.Uint32(b), Count: le.Uint16(b[4:]), Reserved: le.Uint16(b[6:]), NRx: b[8], NTx: b[9],
		RSSI: [3]uint8{b[10], b[11], b[12]}, NoiseDBm: int8(b[13]), AGC: b[14], AntennaSel: b[15], Rate: le.Uint16(b[18:]),
	}
	nrx, ntx := int(r.NRx), int(r.NTx)
	r.CSI = make([]complex64, nrx*ntx*intelGroups)
	payload := b[intelHeaderLen:]
	at := 0
	bits := func(n int) uint32 { // lowest bit first; beyond the end lie zeros
		var v uint32
		for i := range n {
			if k := at + i; k/8 < len(payload) {
				v |= uint32(payload[k/8]>>(k%8)&1) << i
			}
		}
		at += n
		return v
	}
	for g := range intelGroups {
		r.gaps[g] = uint8(bits(3))
		for chain := range nrx {
			for stream := range ntx {
				re, im := int8(bits(8)), int8(bits(8))
				r.CSI[(chain*ntx+stream)*intelGroups+g] = complex(float32(re), float32(im))
			}
		}
	}
	r.tail = uint8(bits(8*len(payload) - at))
	return r, nil
}

// AppendIntel appends r to dst as a log holds it: length, code, record. Values
// are rounded to integers; one outside -128..127, or a shape that does not
// match, is an error and leaves dst as it was.
func AppendIntel(dst []byte, r *IntelRecord) ([]byte, error) {
	nrx, ntx := int(r.NRx), int(r.NTx)
	if nrx < 1 || nrx > maxChains || ntx < 1 || ntx > intelMaxStreams || len(r.CSI) != nrx*ntx*intelGroups {
		return dst, fmt.Errorf("intel 5300 record of %d values does not match %d chains x %d streams x %d groups", len(r.CSI), nrx, ntx, intelGroups)
	}
	n := intelCSIBytes(nrx, ntx)
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(1+intelHeaderLen+n))
	dst = append(dst, intelReport)
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, r.TimeUS)
	dst = le.AppendUint16(le.AppendUint16(dst, r.Count), r.Reserved)
	dst = append(dst, r.NRx, r.NTx, r.RSSI[0], r.RSSI[1], r.RSSI[2], byte(r.NoiseDBm), r.AGC, r.AntennaSel)
	dst = le.AppendUint16(le.AppendUint16(dst, uint16(n)), r.Rate)
	payload := make([]byte, n)
	at := 0
	put := func(v uint32, n int) {
		for i := range n {
			if v>>i&1 != 0 {
				payload[(at+i)/8] |= 1 << ((at + i) % 8)
			}
		}
		at += n
	}
	for g := range intelGroups {
		put(uint32(r.gaps[g]), 3)
		for chain := range nrx {
			for stream := range ntx {
				v := r.At(chain, stream, g)
				re, im := math.RoundToEven(float64(real(v))), math.RoundToEven(float64(imag(v)))
				if !(re >= -128 && re <= 127 && im >= -128 && im <= 127) {
					return dst[:start], fmt.Errorf("csi value %v (chain %d, stream %d, group %d) does not fit 8 bits: scale the recording", v, chain, stream, g)
				}
				put(uint32(uint8(int8(re))), 8)
				put(uint32(uint8(int8(im))), 8)
			}
		}
	}
	put(uint32(r.tail), 8*n-at)
	return append(dst, payload...), nil
}
