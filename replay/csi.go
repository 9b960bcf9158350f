package replay

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors/csi"
	"posefuse/sensors/modality"
)

// CSIFormat is the wire format of the fake WiFi receiver.
type CSIFormat string

// The formats of CSIConfig. All but Nexmon's are records on a stream.
const (
	CSIAtheros CSIFormat = "atheros"
	CSINexmon  CSIFormat = "nexmon" // UDP datagrams, one per antenna and packet
	CSIIntel   CSIFormat = "intel5300"
	CSIESP32   CSIFormat = "esp32"
	CSIFeit    CSIFormat = "feitcsi"
)

// csiEncoders write one WiFi packet in each format.
var csiEncoders = map[CSIFormat]func(f *csiFake, dst []unit, at time.Duration, t *frameTime, h *csiPacketValues) ([]unit, error){
	CSIAtheros: (*csiFake).appendAtherosUnit, CSINexmon: (*csiFake).appendNexmonUnits,
	CSIIntel: (*csiFake).appendIntelUnit, CSIESP32: (*csiFake).appendESP32Unit, CSIFeit: (*csiFake).appendFeitUnit,
}

// CSIConfig is the fake WiFi receiver. Exactly one of Addr and Path is set.
type CSIConfig struct {
	Format CSIFormat // CSIAtheros if empty
	// Addr, host:port, is the TCP address on which the driver takes records, or
	// where the Nexmon datagrams go over UDP.
	Addr string
	// Path is a named pipe, made if there is none: of records, or of a pcap
	// capture of the Nexmon datagrams, for where a process may not capture from
	// an interface.
	Path string
}

// csiPacketValues are the integers of one WiFi packet, antenna by subcarrier.
type csiPacketValues = [mmfi.CSIAntennas * mmfi.CSISubcarriers]complex64

// csiLargest is the largest component of a CSI value on the wire: Atheros
// records have ten bits with sign.
const csiLargest = 511

// csiSource is a clip that knows the integers behind its CSI.
type csiSource interface {
	CSIComplex(i int, dst *sim.CSIFrame) error
}

// out is where a fake sends its bytes.
type out interface {
	open() error
	send(data []byte) error
	close()
}

// csiFake is a WiFi receiver.
type csiFake struct {
	out
	format CSIFormat
	encode func(f *csiFake, dst []unit, at time.Duration, t *frameTime, h *csiPacketValues) ([]unit, error)
	gain   float64
	seq    uint16
	frame  recording.Frame
	values sim.CSIFrame
}

func newCSIFake(cfg CSIConfig) (*csiFake, error) {
	if (cfg.Addr == "") == (cfg.Path == "") {
		return nil, errors.New("set either an address or the path of a named pipe")
	}
	f := &csiFake{format: cmp.Or(cfg.Format, CSIAtheros)}
	if f.encode = csiEncoders[f.format]; f.encode == nil {
		return nil, fmt.Errorf("format %q: must be one of %v", cfg.Format, slices.Sorted(maps.Keys(csiEncoders)))
	}
	var err error
	switch nexmon := f.format == CSINexmon; {
	case nexmon && cfg.Path != "":
		f.out, err = newNexmonPipe(cfg.Path)
	case nexmon:
		f.out, err = newUDPOut(cfg.Addr)
	case cfg.Path != "":
		f.out, err = newFIFOOut(cfg.Path)
	default:
		f.out, err = newStreamClient(cfg.Addr)
	}
	return f, err
}

func (f *csiFake) restart() { f.seq = 0 }

// inOrder implements fake. Nexmon's datagrams may overtake each other.
func (f *csiFake) inOrder() bool { return f.format != CSINexmon }

func (f *csiFake) begin(p planned) error {
	f.gain = p.csiGain
	return nil
}

// units implements fake: ten packets, evenly spaced around the capture time.
func (f *csiFake) units(dst []unit, c recording.Clip, i int, t *frameTime) ([]unit, error) {
	if s, ok := c.(csiSource); ok {
		if err := s.CSIComplex(i, &f.values); err != nil {
			return dst, err
		}
	} else {
		if err := readFrame(c, i, modality.Of(modality.CSI), &f.frame); err != nil {
			return dst, err
		}
		csiIntegers(&f.frame, f.gain, &f.values)
	}
	if f.values == (sim.CSIFrame{}) {
		return dst, nil // not one packet was received
	}
	for p := range f.values {
		at := t.scaled(int64(2*p-mmfi.CSIPackets+1), 2*mmfi.CSIPackets)
		var err error
		if dst, err = f.encode(f, dst, at, t, &f.values[p]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (f *csiFake) appendAtherosUnit(dst []unit, at time.Duration, t *frameTime, h *csiPacketValues) ([]unit, error) {
	const absent = 128 // no signal strength is recorded
	b, err := csi.AppendAtheros(nil, binary.LittleEndian, &csi.AtherosRecord{
		TSFUS: uint64(max(t.deviceNS(at), 0)) / 1000, ChannelMHz: 5180, Rate: 0x80, Bandwidth: 1,
		Tones: mmfi.CSISubcarriers, NR: mmfi.CSIAntennas, NC: 1,
		RSSI: absent, RSSIChain: [3]uint8{absent, absent, absent}, H: h[:],
	})
	return append(dst, unit{at: at, data: b}), err
}

// nexmonWords is the FFT size of a 40 MHz channel.
const nexmonWords = 128

// appendNexmonUnits appends one datagram per antenna. They have the header of
// older builds, whose firmware leaves all tones as they are; newer ones
// overwrite a used tone with receiver status.
func (f *csiFake) appendNexmonUnits(dst []unit, at time.Duration, _ *frameTime, h *csiPacketValues) ([]unit, error) {
	tones := csi.NexmonTones(nexmonWords)
	if len(tones) != mmfi.CSISubcarriers {
		return dst, fmt.Errorf("nexmon frames carry %d tones at 40 MHz, not %d", len(tones), mmfi.CSISubcarriers)
	}
	for antenna := range mmfi.CSIAntennas {
		words := make([]uint32, nexmonWords)
		for k, tone := range tones {
			v := h[antenna*mmfi.CSISubcarriers+k]
			words[(tone+nexmonWords)%nexmonWords] = csi.Int16Word(int16(real(v)), int16(imag(v)))
		}
		b, err := csi.AppendNexmon(nil, &csi.NexmonFrame{
			MAC: [6]byte{0x02, 0, 0, 0, 0, 1}, SequenceCtl: f.seq << 4, Core: antenna,
			Chanspec: csi.MakeChanspec(38, 40), Chip: csi.Chip43455, Words: words,
		})
		if err != nil {
			return dst, err
		}
		dst = append(dst, unit{at: at, data: b})
	}
	f.seq = (f.seq + 1) & 0xFFF
	return dst, nil
}

// csiValue returns the complex value of a stored cell. Infinite and missing
// amplitudes become zero: the receiver's decibels of a zero are minus
// infinity, and the model's cleaning fills all three in the same way.
func csiValue(ampDB, phase float64) complex128 {
	if math.IsInf(ampDB, 0) || math.IsNaN(ampDB) || math.IsInf(phase, 0) || math.IsNaN(phase) {
		return 0
	}
	s, c := math.Sincos(phase)
	a := math.Pow(10, ampDB/20)
	return complex(a*c, a*s)
}

// csiIntegers turns the stored CSI of a frame into integers.
func csiIntegers(f *recording.Frame, gain float64, dst *sim.CSIFrame) {
	limit := func(v float64) float32 {
		return float32(min(max(math.RoundToEven(v*gain), -csiLargest), csiLargest))
	}
	for p := range dst {
		for k := range dst[p] {
			at := k*mmfi.CSIPackets + p
			v := csiValue(f.CSIAmp[at], f.CSIPhase[at])
			dst[p][k] = complex(limit(real(v)), limit(imag(v)))
		}
	}
}

// csiGain returns the one factor from the stored CSI of a clip to the integers
// on the wire: 1 if it consists of integers that fit, as MM-Fi's does, so that
// nothing is lost; else what makes its largest component fill the range. A
// constant factor does not reach the model, which scales each frame. Frames
// that cannot be read are left out here and reported when they are played.
func csiGain(c recording.Clip) float64 {
	if _, ok := c.(csiSource); ok {
		return 1
	}
	var f recording.Frame
	integer, largest := true, 0.0
	for i := range c.Len() {
		if err := readFrame(c, i, modality.Of(modality.CSI), &f); err != nil {
			continue
		}
		for k := range f.CSIAmp {
			v := csiValue(f.CSIAmp[k], f.CSIPhase[k])
			for _, x := range [2]float64{real(v), imag(v)} {
				largest = max(largest, math.Abs(x))
				integer = integer && math.Abs(x-math.Round(x)) < 1e-6
			}
		}
	}
	if integer && largest < csiLargest+0.5 || largest == 0 {
		return 1
	}
	return csiLargest / largest
}

// readFrame reads what is asked for, and no more if the clip can do that.
func readFrame(c recording.Clip, i int, which modality.Set, f *recording.Frame) error {
	if err := recording.ReadFrame(c, i, which, f); err != nil {
		return err
	}
	if which.Has(modality.CSI) && len(f.CSIPhase) != len(f.CSIAmp) {
		return fmt.Errorf("%s: frame %d: WiFi's amplitudes without phases can be trained on, but not played: a receiver sends both", c.Key(), i+1)
	}
	return nil
}
