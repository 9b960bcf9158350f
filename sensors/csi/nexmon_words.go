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
func (f *NexmonFrame) wordChip(configured Chip) Chip {
	c := configured
	if c == ChipAuto {
		c = f.Chip
	}
	switch c {
	case Chip4339, Chip4358, Chip43455, Chip4366:
		return c
	case ChipAuto, chipOldTag:
	}
	return f.chipOfWords()
}

// chipOfWords tells the word format where the chip's number is unknown, as
// 0xDEAD of old builds: the float formats leave the upper bits of each word
// unset, which in 64 and more words of two int16 does not happen. The two chips
// with int16 words need not be told apart.
func (f *NexmonFrame) chipOfWords() Chip {
	var all uint32
	status := f.statusWords()
	for i, w := range f.Words {
		if i < status[0] || i >= status[1] {
			all |= w
		}
	}
	switch n := bits.Len32(all); {
	case n <= 23: // 5 + 2 x 9 bits; also zeros alone, which are zeros in all formats
		return Chip4358
	case n <= 30: // 6 + 2 x 12 bits
		return Chip4366
	}
	return Chip43455
}

// statusWords returns the first of the words that newer builds overwrite with
// receiver status, and the one behind them.
func (f *NexmonFrame) statusWords() [2]int {
	switch {
	case !f.New:
		return [2]int{}
	case len(f.Words) == 64:
		return [2]int{28, 31}
	}
	return [2]int{0, 3}
}

// RawValues converts all words to complex numbers in FFT order: exactly, with
// no scaling and nothing zeroed. configured overrides the frame's chip number;
// with ChipAuto the words themselves decide where the number is unknown.
func (f *NexmonFrame) RawValues(configured Chip) []complex64 {
	c := f.wordChip(configured)
	h := make([]complex64, len(f.Words))
	if q, ok := c.floatFormat(); ok {
		for i, w := range f.Words {
			re, im, exp := q.split(w)
			h[i] = complex(float32(math.Ldexp(float64(re), exp)), float32(math.Ldexp(float64(im), exp)))
		}
		return h
	}
	for i, w := range f.Words {
		re, im := int16Word(w)
		h[i] = complex(float32(re), float32(im))
	}
	return h
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
// Newer builds overwrite three words with receiver status: 0 to 2 at 40 and
// 80 MHz, of which word 2 is used tone +2; 28 to 30 at 20 MHz, of which word 28
// is used tone +28. Such a tone is replaced by its neighbours: the mean of two,
// or at the edge the one.
func (f *NexmonFrame) Values(configured Chip) []complex64 {
	raw := f.RawValues(configured)
	n := len(raw)
	switch {
	case f.New && n == 64:
		raw[28] = raw[27]
	case f.New:
		raw[2] = (raw[n-2] + raw[3]) / 2
	}
	tones := NexmonTones(n)
	h := make([]complex64, len(tones))
	for i, k := range tones {
		h[i] = raw[(k+n)%n]
	}
	return h
}
