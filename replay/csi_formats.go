package replay

import (
	"math"
	"time"

	"posefuse/recording/mmfi"
	"posefuse/sensors/csi"
)

// What the other receivers lose of a recording: an Intel 5300 gives 30 of the
// 114 tones and an ESP32 one of the three antennas, both in eight bits; FeitCSI
// gives two antennas, unchanged.

// byteGain brings the ten-bit values of a recording into eight.
const byteGain = 127.0 / csiLargest

func toByte(v float32) float32 { return float32(math.RoundToEven(float64(v) * byteGain)) }

// fakeSender is the station whose packets the fakes receive.
var fakeSender = [6]byte{0x02, 0, 0, 0, 0, 1}

// toneAt returns the place of a tone among the 114 of a recording.
func toneAt(tone int) int {
	if tone < 0 {
		return tone + 58
	}
	return tone + 55
}

// deviceUS is the receiver's 32-bit clock.
func deviceUS(t *frameTime, at time.Duration) uint32 {
	return uint32(max(t.deviceNS(at), 0) / 1000)
}

func (f *csiFake) appendIntelUnit(dst []unit, at time.Duration, t *frameTime, h *csiPacketValues) ([]unit, error) {
	const identity, ht40 = 0x24, 0x900
	r := &csi.IntelRecord{TimeUS: deviceUS(t, at), Count: f.seq, NRx: mmfi.CSIAntennas, NTx: 1, RSSI: [3]uint8{40, 40, 40},
		NoiseDBm: -92, AGC: 35, AntennaSel: identity, Rate: ht40}
	f.seq++
	for antenna := range mmfi.CSIAntennas {
		for _, tone := range csi.IntelTones(40) {
			v := h[antenna*mmfi.CSISubcarriers+toneAt(tone)]
			r.CSI = append(r.CSI, complex(toByte(real(v)), toByte(imag(v))))
		}
	}
	b, err := csi.AppendIntel(nil, r)
	return append(dst, unit{at: at, data: b}), err
}

func (f *csiFake) appendESP32Unit(dst []unit, at time.Duration, t *frameTime, h *csiPacketValues) ([]unit, error) {
	const legacy, wide = 64, 128 // subcarriers of the two training fields
	l := &csi.ESP32Line{Dialect: csi.ESPCSI, MAC: fakeSender, RSSIdBm: -40, HT: true, Wide: true, Channel: 6, TimeUS: deviceUS(t, at),
		Len: 2 * (legacy + wide), Values: make([]int16, 2*(legacy+wide))}
	for _, tone := range csi.AtherosTones(mmfi.CSISubcarriers) {
		v := h[toneAt(tone)]
		i := legacy + (tone+wide)%wide
		l.Values[2*i], l.Values[2*i+1] = int16(toByte(imag(v))), int16(toByte(real(v)))
	}
	b, err := csi.AppendESP32(nil, l)
	return append(dst, unit{at: at, data: b}), err
}

func (f *csiFake) appendFeitUnit(dst []unit, at time.Duration, t *frameTime, h *csiPacketValues) ([]unit, error) {
	const antennas, ht40 = 2, 0xCA05
	b, err := csi.AppendFeit(nil, &csi.FeitRecord{ClockUS: deviceUS(t, at), NRx: antennas, NTx: 1, Tones: mmfi.CSISubcarriers,
		RSSIdBm: [2]int{-40, -40}, Source: fakeSender, Rate: ht40, CSI: h[:antennas*mmfi.CSISubcarriers]})
	return append(dst, unit{at: at, data: b}), err
}
