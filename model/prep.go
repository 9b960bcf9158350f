package model

import (
	"fmt"
	"math"
)

// PrepKeypoints normalises one set of 17 image keypoints to the screen as
// VideoPose3D does: x' = 2x/w - 1, y' = 2y/w - h/w. dst takes 34 values. A
// keypoint that is not finite, or beyond ±MaxPointValue of these units, becomes
// the image's centre; PrepKeypoints reports whether there was none.
func PrepKeypoints(dst []float32, xy *[NumJoints][2]float64, width, height float64) bool {
	ok := true
	for j, p := range xy {
		x, y := 2*p[0]/width-1, (2*p[1]-height)/width
		if !bounded(x) || !bounded(y) {
			x, y, ok = 0, 0, false
		}
		dst[2*j], dst[2*j+1] = float32(x), float32(y)
	}
	return ok
}

// MaxPointValue bounds what preparation takes, the values of a point's row above
// all (metres, m/s, dB): no sensor of a room sees so far, and it keeps the
// network's sums within float32.
const MaxPointValue = 1e6

// bounded reports whether x is a number within ±MaxPointValue.
func bounded[T float32 | float64](x T) bool { return x >= -MaxPointValue && x <= MaxPointValue } // NaN fails

// PrepPoints resamples a point cloud of rows of dim values to the
// len(dst)/dim rows the network takes, and returns how many rows were usable:
//
//   - A row with a value that is NaN, infinite or beyond ±MaxPointValue is
//     dropped; the caller knows their number, the rows less the usable ones.
//   - More usable rows than needed: a choice without replacement that depends
//     only on both numbers, in the order of the input. The surplus is dropped.
//   - Fewer: the rows repeat cyclically, so one point fills all rows.
//   - None: dst is zero. With no row at all the frame is empty, which is data;
//     with rows it is broken, and the modality should count as absent.
//   - Values after the last whole row are ignored.
//
// The time is linear in the rows, about 8 ns each, so 10⁶ points take 8 ms;
// nothing is allocated.
func PrepPoints[T float32 | float64](dst []float32, raw []T, dim int) int {
	n := len(dst) / dim
	rows := len(raw) / dim
	have := 0
	for i := range rows {
		if usable(raw[i*dim : (i+1)*dim]) {
			have++
		}
	}
	if have == 0 {
		clear(dst)
		return 0
	}
	whole := have == rows
	state := uint64(have)<<32 | uint64(n)
	at, seen := 0, 0
	for i := 0; i < rows && at < n; i++ {
		row := raw[i*dim : (i+1)*dim]
		if !whole && !usable(row) {
			continue
		}
		// Selection sampling: take with probability still needed / still left.
		if have > n {
			state += 0x9E3779B97F4A7C15
			left := uint64(have - seen)
			seen++
			if mix(state)%left >= uint64(n-at) {
				continue
			}
		}
		for k, v := range row {
			dst[at*dim+k] = float32(v)
		}
		at++
	}
	for i := at; i < n; i++ {
		copy(dst[i*dim:(i+1)*dim], dst[(i-have)*dim:(i-have+1)*dim])
	}
	return have
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func usable[T float32 | float64](row []T) bool {
	for _, v := range row {
		if !bounded(v) {
			return false
		}
	}
	return true
}

// CSIAmplitude turns ten packets of complex channel state (3 antennas x 114
// subcarriers each, row-major) into amplitudes in dB, laid out [3, 114, 10] as
// MM-Fi does; a zero becomes -Inf. dst takes CSIValues values.
func CSIAmplitude(dst []float64, packets [][]complex64) error {
	if len(packets) != CSIPackets || len(dst) != CSIValues {
		return fmt.Errorf("csi: %d packets and room for %d values, want %d and %d", len(packets), len(dst), CSIPackets, CSIValues)
	}
	for p, h := range packets {
		if len(h) != CSIAntennas*CSISubcarriers {
			return fmt.Errorf("csi: packet %d has %d values, want %d antennas x %d subcarriers", p, len(h), CSIAntennas, CSISubcarriers)
		}
		for i, z := range h {
			re, im := float64(real(z)), float64(imag(z))
			dst[i*CSIPackets+p] = 10 * math.Log10(re*re+im*im)
		}
	}
	return nil
}

// CleanCSI prepares amplitudes in dB, laid out [3, 114, 10], for the network:
// values that are not finite, or beyond ±MaxPointValue, become the mean of the
// rest of their packet, then the frame is scaled to 0..1. A packet without any
// other value becomes the mean of those of the others. A frame that is flat, or
// has no such value at all, becomes zero, and CleanCSI reports false.
func CleanCSI(dst []float32, amp []float64) bool {
	return cleanCSI(dst, amp, CSIPackets)
}

func cleanCSI(dst []float32, amp []float64, packets int) bool {
	lo, hi := math.Inf(1), math.Inf(-1)
	var all float64
	n := 0
	for _, v := range amp {
		if bounded(v) {
			lo, hi = min(lo, v), max(hi, v)
			all += v
			n++
		}
	}
	// Fill values are means of the others, so they never widen the range.
	if n == 0 || !(hi > lo) {
		clear(dst)
		return false
	}
	span := hi - lo
	for p := range packets {
		fill := -1.0 // not needed yet
		for i := p; i < len(amp); i += packets {
			v := amp[i]
			if !bounded(v) {
				if fill < 0 {
					fill = (packetMean(amp, p, packets, all/float64(n)) - lo) / span
				}
				dst[i] = float32(fill)
				continue
			}
			dst[i] = float32((v - lo) / span)
		}
	}
	return true
}

// packetMean returns the mean of packet p's usable values, or other if there
// are none.
func packetMean(amp []float64, p, packets int, other float64) float64 {
	var sum float64
	n := 0
	for i := p; i < len(amp); i += packets {
		if bounded(amp[i]) {
			sum += amp[i]
			n++
		}
	}
	if n == 0 {
		return other
	}
	return sum / float64(n)
}
