package csi

import (
	"posefuse/sensors/capture"
	"posefuse/sensors/modality"
)

// Formats returns the recorded data this package reads.
func Formats() []capture.Format {
	format := func(name, title string) capture.Format {
		return capture.Format{Name: name, Modality: modality.CSI, Title: title}
	}
	nexmon := format("nexmon", "Nexmon CSI of Broadcom chips (packet capture)")
	nexmon.Fits, nexmon.Datagrams = fitsNexmon, decodeNexmon
	atheros := format("atheros", "Atheros CSI Tool (log of a PC or router)")
	atheros.Fits, atheros.Stream = fitsAtheros, decodeAtherosLog
	return []capture.Format{nexmon, atheros}
}

// values writes complex numbers as pairs.
func pairs[T complex64 | complex128](h []T) []float64 {
	out := make([]float64, 0, 2*len(h))
	for _, v := range h {
		c := complex128(v)
		out = append(out, real(c), imag(c))
	}
	return out
}
