package csi

import (
	"maps"
	"slices"

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
	intel := format("intel5300", "Intel 5300 CSI (log of linux-80211n-csitool)")
	intel.Fits, intel.Stream = fitsIntel, decodeIntelLog
	esp32 := format("esp32", "ESP32 CSI (console text of ESP32-CSI-Tool or esp-csi)")
	esp32.Fits, esp32.Stream = fitsESP32, decodeESP32Log
	feit := format("feitcsi", "FeitCSI of Intel AX200 and AX210 (log, packet capture)")
	feit.Fits, feit.Stream, feit.Datagrams = fitsFeit, decodeFeitLog, decodeFeitDatagrams
	return []capture.Format{nexmon, atheros, intel, esp32, feit}
}

// deadRows finds the antennas of a recording that hold nothing but zeros.
type deadRows struct{ alive map[string]bool }

// look takes the values of one antenna.
func (d *deadRows) look(name string, h []complex64) {
	if d.alive == nil {
		d.alive = map[string]bool{}
	}
	zero := true
	for _, v := range h {
		zero = zero && v == 0
	}
	d.alive[name] = d.alive[name] || !zero
}

// note tells them, if there are any.
func (d *deadRows) note(out *capture.Output) {
	var dead []string
	for _, name := range slices.Sorted(maps.Keys(d.alive)) {
		if !d.alive[name] {
			dead = append(dead, name)
		}
	}
	if dead != nil {
		out.Note("dead_antennas", dead)
	}
}

// pairs writes complex numbers as pairs.
func pairs[T complex64 | complex128](h []T) []float64 {
	out := make([]float64, 0, 2*len(h))
	for _, v := range h {
		c := complex128(v)
		out = append(out, real(c), imag(c))
	}
	return out
}
