package csi

import (
	"fmt"
	"math"
	"math/bits"
)

// floatFormat is the packed word of the chips that send floats: from the top
// sign re, mantissa re (m-1 bits), sign im, mantissa im (m-1), exponent (e
// bits, two's complement).
type floatFormat struct{ m, e int }

func (c Chip) floatFormat() (floatFormat, bool) {
	switch c {
	case Chip4358:
		return floatFormat{m: 9, e: 5}, true
	case Chip4366:
		return floatFormat{m: 12, e: 6}, true
	case ChipAuto, Chip4339, Chip43455, chipOldTag:
	}
	return floatFormat{}, false
}

// split returns signed mantissas and the exponent of a word.
func (q floatFormat) split(w uint32) (re, im, exp int) {
	mask := uint32(1)<<(q.m-1) - 1
	exp = int(int32(w<<(32-q.e)) >> (32 - q.e))
	im = int(w >> q.e & mask)
	if w>>(q.e+q.m-1)&1 != 0 {
		im = -im
	}
	re = int(w >> (q.e + q.m) & mask)
	if w>>(q.e+2*q.m-1)&1 != 0 {
		re = -re
	}
	return re, im, exp
}

// int16Word unpacks the word of the 4339 and 43455c0.
func int16Word(w uint32) (re, im int16) { return int16(w), int16(w >> 16) }

// Int16Word packs one value of the 4339 and 43455c0.
func Int16Word(re, im int16) uint32 { return uint32(uint16(re)) | uint32(uint16(im))<<16 }

// wordChip returns the chip whose word format applies, configured or from the
// frame.
func (f *NexmonFrame) wordChip(configured Chip) (Chip, error) {
	c := configured
	if c == ChipAuto {
		c = f.Chip
	}
	switch c {
	case Chip4339, Chip4358, Chip43455, Chip4366:
		return c, nil
	case ChipAuto, chipOldTag:
	}
	return 0, NexmonChip
}

// RawValues converts all words to complex numbers in FFT order: exactly, with
// no scaling and nothing zeroed. configured overrides the frame's chip number;
// with ChipAuto an unknown number is NexmonChip.
func (f *NexmonFrame) RawValues(configured Chip) ([]complex64, error) {
	c, err := f.wordChip(configured)
	if err != nil {
		return nil, err
	}
	h := make([]complex64, len(f.Words))
	if q, ok := c.floatFormat(); ok {
		for i, w := range f.Words {
			re, im, exp := q.split(w)
			h[i] = complex(float32(math.Ldexp(float64(re), exp)), float32(math.Ldexp(float64(im), exp)))
		}
		return h, nil
	}
	for i, w := range f.Words {
		re, im := int16Word(w)
		h[i] = complex(float32(re), float32(im))
	}
	return h, nil
}

// Autoscaled returns the integers that Nexmon's own MATLAB routine makes of a
// float chip's words: 10 significant bits for the largest value of the frame.
// It exists to compare with that reference; Values has no such per-frame scale.
func (f *NexmonFrame) Autoscaled(chip Chip) ([]complex64, error) {
	q, ok := chip.floatFormat()
	if !ok {
		return nil, fmt.Errorf("chip %#x has no float words", uint16(chip))
	}
	const wantBits = 10
	top := math.MinInt
	for _, w := range f.Words {
		re, im, exp := q.split(w)
		if m := abs(re) | abs(im); m != 0 {
			top = max(top, exp+bits.Len(uint(m))-1)
		}
	}
	h := make([]complex64, len(f.Words))
	for i, w := range f.Words {
		re, im, exp := q.split(w)
		by := exp + wantBits - top
		h[i] = complex(shifted(re, by, q.m), shifted(im, by, q.m))
	}
	return h, nil
}

func shifted(v, by, m int) float32 {
	mag := abs(v)
	switch {
	case by < -m:
		mag = 0
	case by < 0:
		mag >>= -by
	default:
		mag <<= min(by, 40)
	}
	if v < 0 {
		mag = -mag
	}
	return float32(mag)
}

func abs(v int) int { return max(v, -v) }

// NexmonTones returns the frequency indices of the used tones for 64, 128 or
// 256 words, ascending; nil for others. Pilots count as used.
func NexmonTones(words int) []int {
	switch words {
	case 64:
		return toneRange(1, 28)
	case 128:
		return toneRange(2, 58)
	case 256:
		return toneRange(2, 122)
	}
	return nil
}

// Values returns the used tones in ascending frequency (see NexmonTones); null
// and guard tones, which hold receiver status or noise, are left out.
//
// Newer builds overwrite words 0 to 2 with receiver status at 40 and 80 MHz.
// Words 0 and 1 are null tones, but word 2 is used tone +2: it is replaced by
// the mean of tones -2 and +3.
func (f *NexmonFrame) Values(configured Chip) ([]complex64, error) {
	raw, err := f.RawValues(configured)
	if err != nil {
		return nil, err
	}
	n := len(raw)
	if f.New && n >= 128 {
		raw[2] = (raw[n-2] + raw[3]) / 2
	}
	tones := NexmonTones(n)
	h := make([]complex64, len(tones))
	for i, k := range tones {
		h[i] = raw[(k+n)%n]
	}
	return h, nil
}
