package csi

import (
	"fmt"
	"math"
	"math/cmplx"
	"sort"

	"posefuse/sensors"
)

// The shape the model takes: 3 antennas x 114 tones.
const (
	ModelAntennas = 3
	ModelTones    = 114
)

// Resample maps one antenna's channel, given at ascending tone indices, to n
// values evenly spread from the first tone to the last. Magnitude and
// unwrapped phase are interpolated linearly over the index axis, so gaps such
// as the null tones around the carrier are bridged. Indices that are already
// the n tones of a 40 MHz channel come back unchanged.
func Resample(h []complex64, tones []int, n int) ([]complex64, error) {
	if len(h) != len(tones) || len(h) < 2 || n < 2 {
		return nil, fmt.Errorf("resample %d values at %d tones to %d: need two or more of each", len(h), len(tones), n)
	}
	mag, phase := make([]float64, len(h)), make([]float64, len(h))
	for i, v := range h {
		if i > 0 && tones[i] <= tones[i-1] {
			return nil, fmt.Errorf("tone %d follows tone %d: not ascending", tones[i], tones[i-1])
		}
		mag[i], phase[i] = cmplx.Polar(complex128(v))
	}
	unwrap(phase)
	target := targetAxis(tones, n)
	out := make([]complex64, n)
	for i, x := range target {
		j := sort.Search(len(tones), func(k int) bool { return float64(tones[k]) >= x })
		j = min(j, len(tones)-1)
		if float64(tones[j]) == x {
			out[i] = h[j]
			continue
		}
		j = max(j, 1)
		f := (x - float64(tones[j-1])) / float64(tones[j]-tones[j-1])
		out[i] = complex64(cmplx.Rect(mag[j-1]+f*(mag[j]-mag[j-1]), phase[j-1]+f*(phase[j]-phase[j-1])))
	}
	return out, nil
}

// targetAxis returns n positions on the index axis of tones: the tones
// themselves if there are n, else the 114 tones of a 40 MHz channel stretched
// to the same end points (or an even spread for another n).
func targetAxis(tones []int, n int) []float64 {
	out := make([]float64, n)
	if len(tones) == n {
		for i, t := range tones {
			out[i] = float64(t)
		}
		return out
	}
	first, last := float64(tones[0]), float64(tones[len(tones)-1])
	ref := AtherosTones(n)
	for i := range out {
		at := float64(i) / float64(n-1)
		if ref != nil {
			at = float64(ref[i]-ref[0]) / float64(ref[n-1]-ref[0])
		}
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

// modelPacket brings a packet to the model's shape. tones are the packet's
// tone indices, ascending. Another number of tones is resampled if allowed;
// nil means the shape is not usable.
func modelPacket(p *sensors.CSIPacket, tones []int, resample bool) *sensors.CSIPacket {
	if p.Antennas != ModelAntennas || len(tones) != p.Subcarriers {
		return nil
	}
	if p.Subcarriers == ModelTones {
		return p
	}
	if !resample {
		return nil
	}
	out := &sensors.CSIPacket{Antennas: p.Antennas, Subcarriers: ModelTones, RSSIdBm: p.RSSIdBm}
	for a := range p.Antennas {
		h, err := Resample(p.H[a*p.Subcarriers:(a+1)*p.Subcarriers], tones, ModelTones)
		if err != nil {
			return nil
		}
		out.H = append(out.H, h...)
	}
	return out
}
