package replay

import (
	"bytes"
	"fmt"
	"math"
	"math/cmplx"
	"time"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/sensors"
	"posefuse/sensors/csi"
	"posefuse/sensors/modality"
)

// receivers are the settings of the drivers that read a stream of records.
var receivers = map[CSIFormat]func(antennas string) sensors.Settings{
	CSIAtheros: func(a string) sensors.Settings { return shared(csi.NewAtherosConfig(), a) },
	CSIIntel: func(a string) sensors.Settings {
		c := csi.NewIntelConfig()
		c.Path = "log" // not the connector
		return shared(c, a)
	},
	CSIESP32: func(a string) sensors.Settings { return shared(csi.NewESP32Config(), a) },
	CSIFeit:  func(a string) sensors.Settings { return shared(csi.NewFeitConfig(), a) },
}

// shared sets what missing antennas become.
func shared(c sensors.Sharer, antennas string) sensors.Settings {
	c.Share(&csi.ReceptionConfig{Antennas: antennas})
	return c
}

// received is a data set whose CSI went through a receiver.
type received struct {
	recording.Dataset
	format   CSIFormat
	antennas string
}

// Received returns a data set as a WiFi receiver of a format would have
// recorded it: its CSI is encoded, and decoded by the live driver with the
// setting antennas. The other sensors stay as they are.
func Received(ds recording.Dataset, format CSIFormat, antennas string) (recording.Dataset, error) {
	if receivers[format] == nil {
		return nil, fmt.Errorf("receiver %q: use atheros, intel5300, esp32 or feitcsi", format)
	}
	if found := (&csi.ReceptionConfig{Antennas: antennas}).Check(); len(found) > 0 {
		return nil, found[0]
	}
	return received{ds, format, antennas}, nil
}

// Describe implements recording.Dataset.
func (r received) Describe() string {
	return fmt.Sprintf("%s, CSI of an %s receiver (antennas: %s)", r.Dataset.Describe(), r.format, r.antennas)
}

// Open implements recording.Dataset.
func (r received) Open(k recording.Key) (recording.Clip, error) {
	c, err := r.Dataset.Open(k)
	if err != nil {
		return nil, err
	}
	return receivedClip{c, r, csiGain(c)}, nil
}

type receivedClip struct {
	recording.Clip
	by   received
	gain float64
}

// Frame implements recording.Clip.
func (c receivedClip) Frame(i int, f *recording.Frame) error {
	return c.FrameOf(i, modality.Of(modality.Camera, modality.LiDAR, modality.Radar, modality.CSI), f)
}

// FrameOf implements recording.PartialClip.
func (c receivedClip) FrameOf(i int, which modality.Set, f *recording.Frame) error {
	if err := readFrame(c.Clip, i, which, f); err != nil || !which.Has(modality.CSI) {
		return err
	}
	fake := &csiFake{format: c.by.format, encode: csiEncoders[c.by.format], gain: c.gain}
	t := frameTime{period: time.Second / 10, clock: deviceClock{}}
	t.capture = t.clock.on.Add(warmTime + time.Duration(i)*t.period)
	units, err := fake.units(nil, c.Clip, i, &t)
	if err != nil || len(units) == 0 {
		return err // nothing was received: it stays without a finite value
	}
	var log bytes.Buffer
	for _, u := range units {
		log.Write(u.data)
	}
	src, ok := receivers[c.by.format](c.by.antennas).Source("csi").(*csi.StreamSource)
	if !ok {
		return fmt.Errorf("receiver %s: its driver reads no stream", c.by.format)
	}
	var packets packetSink
	src.Decode(log.Bytes(), &packets)
	for k := range f.CSIAmp {
		f.CSIAmp[k], f.CSIPhase[k] = math.NaN(), math.NaN()
	}
	for p, h := range packets {
		for k, v := range h {
			at := k*mmfi.CSIPackets + p
			f.CSIAmp[at], f.CSIPhase[at] = 20*math.Log10(cmplx.Abs(complex128(v))), cmplx.Phase(complex128(v))
		}
	}
	return nil
}

// packetSink keeps the packets of one frame.
type packetSink [][]complex64

// Emit implements sensors.Sink.
func (s *packetSink) Emit(x *sensors.Sample) { *s = append(*s, x.CSI.H) }

// Count implements sensors.Sink.
func (s *packetSink) Count(string, uint64) {}

// NowNS implements sensors.Sink.
func (s *packetSink) NowNS() int64 { return 0 }
