package csi

import (
	"bytes"
	"errors"

	"posefuse/sensors"
	"posefuse/sensors/capture"
	"posefuse/setting"
)

// ESP32Config describes the console of an ESP32 that prints CSI.
type ESP32Config struct {
	Shared       `yaml:"-"`
	StreamConfig `yaml:",inline"`
	Baud         int `yaml:"baud"` // of path, if that is a serial port
	PacketConfig `yaml:",inline"`
}

// NewESP32Config returns the defaults.
func NewESP32Config() *ESP32Config {
	return &ESP32Config{StreamConfig: StreamConfig{Path: "/dev/ttyUSB0"}, Baud: 921_600, PacketConfig: newPacketConfig()}
}

// Check implements sensors.Settings.
func (c *ESP32Config) Check() setting.Problems {
	p := c.StreamConfig.check()
	p.Between("baud", float64(c.Baud), 9600, 4_000_000)
	c.PacketConfig.check(&p)
	return p
}

// Source implements sensors.Settings.
func (c *ESP32Config) Source(name string) sensors.Source {
	in := c.StreamConfig
	if in.Listen != "" {
		in.Path = "" // which has a default
	}
	s := newStreamSource("esp32", &in, func(sink sensors.Sink) recordFormat {
		return &esp32Format{out: c.output(name, &c.Shared, sink)}
	})
	s.baud = c.Baud
	return s
}

// esp32Format turns lines into samples.
type esp32Format struct {
	out   output
	nowNS int64
	clock wrappingClock
}

func (f *esp32Format) at(nowNS int64) { f.nowNS = nowNS }

func (f *esp32Format) stream() streamDecoder {
	return NewESP32Decoder(f.line, func(o string) { f.out.count(o, 1) })
}

// device is not called: a console is text, not records.
func (f *esp32Format) device(b []byte) error {
	l, err := ParseESP32(bytes.TrimSpace(b))
	if err == nil {
		f.line(l)
	}
	return err
}

// line takes one decoded line.
func (f *esp32Format) line(l *ESP32Line) {
	x := &reception{receiveNS: f.nowNS, hasDevice: true, sender: l.MAC, names: []int{0}, rssiDBm: float64(l.RSSIdBm)}
	x.h, x.tones = l.Tones()
	x.deviceNS, x.restarted = f.clock.ns(l.TimeUS, f.nowNS)
	f.out.receive(x)
}

// fitsESP32 wants lines of CSI among the first.
func fitsESP32(h *capture.Head) int {
	good, bad := 0, 0
	for i, line := range bytes.Split(h.Bytes[:min(len(h.Bytes), lastLook)], []byte("\n")) {
		at := bytes.Index(line, espPrefix)
		if at < 0 {
			continue
		}
		if _, err := ParseESP32(bytes.TrimSpace(line[at:])); err == nil {
			good++
		} else if i > 0 { // the first may be cut
			bad++
		}
	}
	switch {
	case good > 0:
		return 95
	case bad > 0:
		return 60
	}
	return 0
}

// esp32Log turns the text of a console into records.
type esp32Log struct {
	*ESP32Decoder
	out     *capture.Output
	printed int // sum of all values, also of lines that are refused for their number
}

func decodeESP32Log(_ *capture.Options, out *capture.Output) (capture.StreamDecoder, error) {
	d := &esp32Log{out: out}
	d.ESP32Decoder = NewESP32Decoder(d.line, func(o string) { out.Count(o, 1) })
	d.refused = func(err error) {
		if e, ok := errors.AsType[*ESP32LengthError](err); ok {
			d.printed += e.Sum
		}
	}
	return d, nil
}

func (d *esp32Log) line(l *ESP32Line) {
	r := capture.Record{TimeNS: int64(l.TimeUS) * 1000, HasTime: true, Sender: mac(l.MAC).String(), Width: 2, Fields: map[string]any{
		"mac": mac(l.MAC).String(), "rssi_dbm": l.RSSIdBm, "channel": l.Channel, "len": l.Len, "antennas": 1, "tones": len(l.Values) / 2,
		"first_word_invalid": l.FirstInvalid,
	}}
	for i := range len(l.Values) / 2 {
		v := l.value(i)
		r.Values = append(r.Values, float64(real(v)), float64(imag(v)))
	}
	for _, v := range l.Values {
		d.printed += int(v)
	}
	d.out.Packets(1)
	d.out.Emit(&r)
}

// Finish implements capture.StreamDecoder.
func (d *esp32Log) Finish() {
	d.ESP32Decoder.Finish()
	d.out.Count("junk_bytes", d.JunkBytes())
	d.out.Note("sum_of_all_printed_values", d.printed)
}
