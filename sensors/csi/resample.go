package csi

import (
	"math"
	"math/cmplx"
	"slices"
	"sort"
)

// The shape the model takes: 3 antennas x 114 tones.
const (
	ModelAntennas = 3
	ModelTones    = 114
)

// resampler maps an antenna's channel from its tones to the model's. Magnitude
// and unwrapped phase are interpolated linearly over the index axis, so gaps
// such as the null tones around the carrier are bridged. The targets are the
// 114 tones of a 40 MHz channel, stretched to the first and last tone that
// there are; 114 tones come back unchanged.
type resampler struct {
	tones []int
	// Value i lies between the tones below[i] and below[i]+1, share[i] of the
	// way; share 0 is the tone itself.
	below []int
	share []float64

	mag, phase []float64 // scratch
}

// prepare sets the mapper up for packets of some tones, ascending; false if
// they cannot be mapped.
func (m *resampler) prepare(tones []int) bool {
	if len(tones) < 2 {
		return false
	}
	if slices.Equal(tones, m.tones) {
		return true
	}
	for i := range len(tones) - 1 {
		if tones[i] >= tones[i+1] {
			return false
		}
	}
	*m = resampler{tones: slices.Clone(tones), mag: make([]float64, len(tones)), phase: make([]float64, len(tones))}
	for _, x := range targetAxis(tones) {
		j := sort.Search(len(tones), func(k int) bool { return float64(tones[k]) >= x })
		j = min(j, len(tones)-1)
		if float64(tones[j]) == x || j == 0 {
			m.below, m.share = append(m.below, j), append(m.share, 0)
			continue
		}
		f := (x - float64(tones[j-1])) / float64(tones[j]-tones[j-1])
		m.below, m.share = append(m.below, j-1), append(m.share, min(f, 1))
	}
	return true
}

// apply maps h, at the prepared tones, to dst, at the model's.
func (m *resampler) apply(dst, h []complex64) {
	if len(h) == ModelTones {
		copy(dst, h)
		return
	}
	for i, v := range h {
		m.mag[i], m.phase[i] = cmplx.Polar(complex128(v))
	}
	unwrap(m.phase)
	for i, j := range m.below {
		f := m.share[i]
		if f == 0 {
			dst[i] = h[j]
			continue
		}
		dst[i] = complex64(cmplx.Rect(m.mag[j]+f*(m.mag[j+1]-m.mag[j]), m.phase[j]+f*(m.phase[j+1]-m.phase[j])))
	}
}

// targetAxis returns the model's positions on the index axis of tones.
func targetAxis(tones []int) []float64 {
	ref := AtherosTones(ModelTones)
	first, last := float64(tones[0]), float64(tones[len(tones)-1])
	out := make([]float64, ModelTones)
	for i := range out {
		at := float64(ref[i]-ref[0]) / float64(ref[ModelTones-1]-ref[0])
		out[i] = first + at*(last-first)
	}
	return out
}

// unwrap removes the jumps of whole turns between neighbours.
func unwrap(phase []float64) {
	for i := 1; i < len(phase); i++ {
		phase[i] -= 2 * math.Pi * math.Round((phase[i]-phase[i-1])/(2*math.Pi))
	}
}

// toneRange returns -hi..-lo, lo..hi.
func toneRange(lo, hi int) []int {
	t := make([]int, 0, 2*(hi-lo+1))
	for k := -hi; k <= -lo; k++ {
		t = append(t, k)
	}
	for k := lo; k <= hi; k++ {
		t = append(t, k)
	}
	return t
}
