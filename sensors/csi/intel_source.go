package csi

import (
	"posefuse/sensors"
	"posefuse/sensors/capture"
	"posefuse/setting"
)

// IntelConfig describes a stream of records of the linux-80211n-csitool. With
// neither Path nor Listen it is the netlink connector of this machine's driver.
type IntelConfig struct {
	Shared       `yaml:"-"`
	StreamConfig `yaml:",inline"`
	Resample     bool `yaml:"resample"` // map the 30 groups of subcarriers to 114 tones
}

// NewIntelConfig returns the defaults.
func NewIntelConfig() *IntelConfig { return &IntelConfig{Resample: true} }

// Check implements sensors.Settings.
func (c *IntelConfig) Check() setting.Problems {
	var p setting.Problems
	c.checkAddress(&p)
	return p
}

// Source implements sensors.Settings.
func (c *IntelConfig) Source(name string) sensors.Source {
	newFormat := func(sink sensors.Sink) recordFormat {
		return &intelFormat{out: output{name: name, sink: sink, rule: c.rule(), resample: c.Resample}}
	}
	if c.Path == "" && c.Listen == "" {
		return &connectorSource{newFormat: newFormat}
	}
	return newStreamSource("intel5300", &c.StreamConfig, newFormat)
}

// intelFormat turns records into samples.
type intelFormat struct {
	out   output
	nowNS int64
	clock wrappingClock
	count uint16
	begun bool
}

func (f *intelFormat) at(nowNS int64) { f.nowNS = nowNS }

func (f *intelFormat) stream() streamDecoder {
	f.begun = false
	return newIntelDecoder(f.report, func(o string) { f.out.count(o, 1) })
}

// newIntelDecoder returns the decoder of a log.
func newIntelDecoder(emit func(*IntelRecord), reject func(outcome string)) *framer {
	return &framer{judge: judgeIntel, most: MaxIntelRecord, reject: reject, take: func(b []byte) { intelMessage(b[2:], emit, reject) }}
}

// intelMessage takes a record without its length.
func intelMessage(b []byte, emit func(*IntelRecord), reject func(outcome string)) {
	if len(b) == 0 || b[0] != intelReport {
		reject("no_csi")
		return
	}
	r, err := ParseIntel(b[1:])
	if err != nil {
		reject(OutcomeBadRecord)
		return
	}
	emit(r)
}

// device takes one message of the connector.
func (f *intelFormat) device(b []byte) error {
	intelMessage(b, f.report, func(o string) { f.out.count(o, 1) })
	return nil
}

// report takes one decoded record.
func (f *intelFormat) report(r *IntelRecord) {
	if f.begun {
		switch step := r.Count - f.count; {
		case step == 0 && r.TimeUS == f.clock.last:
			f.out.count(OutcomeDuplicate, 1)
			return
		case step > 1 && step < 1<<15:
			f.out.count("lost", uint64(step-1))
		}
	}
	f.begun, f.count = true, r.Count
	x := r.reception()
	x.receiveNS, x.hasDevice = f.nowNS, true
	x.deviceNS, x.restarted = f.clock.ns(r.TimeUS, f.nowNS)
	f.out.receive(x)
}

// reception is the first stream of a record, scaled, by antenna: the card may
// switch the chains from packet to packet.
func (r *IntelRecord) reception() *reception {
	x := &reception{tones: IntelTones(r.BandwidthMHz()), names: make([]int, r.NRx), h: make([]complex64, int(r.NRx)*intelGroups)}
	scale := complex(float32(r.Scale()), 0)
	for chain, antenna := range r.Antennas() {
		x.names[antenna] = antenna
		for g := range intelGroups {
			x.h[antenna*intelGroups+g] = scale * r.At(chain, 0, g)
		}
	}
	return x
}

// fitsIntel wants records in a row from the start.
func fitsIntel(h *capture.Head) int {
	b, found := h.Bytes, 0
	for found < 4 && len(b) > 0 {
		n, v := judgeIntel(b)
		switch {
		case v == undecided || (v == isRecord || v == passing) && n > len(b):
			if found > 0 {
				return 90
			}
			return 0
		case v != isRecord && v != passing:
			return 20 * found
		}
		found++
		b = b[n:]
	}
	return 60 + 9*found
}

// intelLog turns the bytes of a log into records.
type intelLog struct {
	*framer
	out *capture.Output
}

func decodeIntelLog(_ *capture.Options, out *capture.Output) (capture.StreamDecoder, error) {
	emit := func(r *IntelRecord) {
		out.Packets(1)
		out.Emit(&capture.Record{TimeNS: int64(r.TimeUS) * 1000, HasTime: true, Values: pairs(r.CSI), Width: 2, Fields: map[string]any{
			"count": r.Count, "antennas": r.NRx, "streams": r.NTx, "tones": intelGroups, "rssi": r.RSSI, "noise_dbm": r.NoiseDBm,
			"agc": r.AGC, "antenna_sel": r.AntennaSel, "permutation": r.Antennas(), "rate": r.Rate, "scale": r.Scale(),
		}})
	}
	return &intelLog{newIntelDecoder(emit, func(o string) { out.Count(o, 1) }), out}, nil
}

// Finish implements capture.StreamDecoder.
func (d *intelLog) Finish() {
	d.framer.Finish()
	d.out.Count("junk_bytes", d.JunkBytes())
}
