package csi

import (
	"posefuse/sensors"
	"posefuse/sensors/capture"
	"posefuse/setting"
)

// FeitConfig describes a stream of FeitCSI's records.
type FeitConfig struct {
	Shared       `yaml:"-"`
	StreamConfig `yaml:",inline"`
	UDP          string `yaml:"udp"` // else the UDP address that datagrams of one record each come to
	PacketConfig `yaml:",inline"`
}

// NewFeitConfig returns the defaults.
func NewFeitConfig() *FeitConfig {
	return &FeitConfig{StreamConfig: StreamConfig{Listen: "127.0.0.1:7020"}, PacketConfig: newPacketConfig()}
}

// Check implements sensors.Settings.
func (c *FeitConfig) Check() setting.Problems {
	var p setting.Problems
	if c.Path == "" && c.Listen == "" && c.UDP == "" {
		p.Add("path", "set path (a file or FIFO), listen (a TCP address) or udp (a UDP address)")
	}
	c.checkAddress(&p)
	if c.UDP != "" {
		p.Address("udp", c.UDP)
	}
	c.PacketConfig.check(&p)
	return p
}

// Source implements sensors.Settings.
func (c *FeitConfig) Source(name string) sensors.Source {
	newFormat := func(sink sensors.Sink) recordFormat { return &feitFormat{out: c.output(name, &c.Shared, sink)} }
	if c.Path == "" && c.UDP != "" {
		return &datagramSource{driver: "feitcsi", address: c.UDP, newFormat: newFormat}
	}
	return newStreamSource("feitcsi", &c.StreamConfig, newFormat)
}

// feitFormat turns records into samples.
type feitFormat struct {
	out   output
	nowNS int64
	clock wrappingClock
}

func (f *feitFormat) at(nowNS int64) { f.nowNS = nowNS }

func (f *feitFormat) stream() streamDecoder {
	return newFeitDecoder(f.record, func(o string) { f.out.count(o, 1) })
}

// newFeitDecoder returns the decoder of a log.
func newFeitDecoder(emit func(*FeitRecord), reject func(outcome string)) *framer {
	return &framer{judge: judgeFeit, most: MaxFeitRecord, reject: reject, take: func(b []byte) {
		r, err := ParseFeit(b)
		if err != nil {
			reject(OutcomeBadRecord)
			return
		}
		emit(r)
	}}
}

// device takes one datagram.
func (f *feitFormat) device(b []byte) error {
	r, err := ParseFeit(b)
	if err == nil {
		f.record(r)
	}
	return err
}

// record takes one decoded record.
func (f *feitFormat) record(r *FeitRecord) {
	x := &reception{receiveNS: f.nowNS, hasDevice: true, sender: r.Source, tones: FeitTones(r.Tones), rssiDBm: float64(r.RSSIdBm[0])}
	x.deviceNS, x.restarted = f.clock.ns(r.ClockUS, f.nowNS)
	for rx := range int(r.NRx) {
		at := rx * int(r.NTx) * r.Tones
		x.h = append(x.h, r.CSI[at:at+r.Tones]...)
		x.names = append(x.names, rx)
	}
	f.out.receive(x)
}

// fitsFeit wants records in a row from the start, or in datagrams.
func fitsFeit(h *capture.Head) int {
	if h.Capture {
		return 90 * h.Share(func(b []byte) bool {
			n, v := judgeFeit(b)
			return v == isRecord && n == len(b)
		}) / 100
	}
	b, found := h.Bytes, 0
	for found < 3 && len(b) > 0 {
		n, v := judgeFeit(b)
		if v != isRecord {
			break
		}
		found++
		b = b[min(n, len(b)):]
	}
	if found == 0 {
		return 0
	}
	return 70 + 9*found
}

// feitLog turns a log or datagrams into records.
type feitLog struct {
	*framer
	out *capture.Output
}

func newFeitLog(out *capture.Output) *feitLog {
	emit := func(r *FeitRecord) {
		out.Packets(1)
		out.Emit(&capture.Record{TimeNS: int64(r.ClockUS) * 1000, HasTime: true, Sender: mac(r.Source).String(), Values: pairs(r.CSI), Width: 2, Fields: map[string]any{
			"antennas": r.NRx, "streams": r.NTx, "tones": r.Tones, "rssi_dbm": r.RSSIdBm, "mac": mac(r.Source).String(), "rate": r.Rate,
			"bandwidth_mhz": r.BandwidthMHz(), "ftm_ticks": r.FTMTicks, "host_us": r.HostUS,
		}})
	}
	return &feitLog{newFeitDecoder(emit, func(o string) { out.Count(o, 1) }), out}
}

func decodeFeitLog(_ *capture.Options, out *capture.Output) (capture.StreamDecoder, error) {
	return newFeitLog(out), nil
}

func decodeFeitDatagrams(_ *capture.Options, out *capture.Output) (capture.DatagramDecoder, error) {
	return newFeitLog(out), nil
}

// Datagram implements capture.DatagramDecoder: each holds one record.
func (d *feitLog) Datagram(g *capture.Datagram) {
	if n, v := judgeFeit(g.Payload); v != isRecord || n != len(g.Payload) {
		d.out.Count(capture.OutcomeOtherTraffic, 1)
		return
	}
	d.take(g.Payload)
}

// Finish implements both decoders.
func (d *feitLog) Finish() {
	d.framer.Finish()
	d.out.Count("junk_bytes", d.JunkBytes())
}
