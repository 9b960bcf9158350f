package csi

import (
	"encoding/binary"
	"math"

	"posefuse/sensors"
	"posefuse/setting"
)

// AtherosConfig describes a stream of Atheros CSI Tool records.
type AtherosConfig struct {
	StreamConfig `yaml:",inline"`
	Resample     bool `yaml:"resample"` // map packets with another number of tones to 114
}

// NewAtherosConfig returns the defaults.
func NewAtherosConfig() *AtherosConfig {
	return &AtherosConfig{StreamConfig: StreamConfig{Listen: "127.0.0.1:7020"}}
}

// Check implements sensors.Settings.
func (c *AtherosConfig) Check() setting.Problems { return c.StreamConfig.check() }

// Source implements sensors.Settings. It returns a *StreamSource.
func (c *AtherosConfig) Source(name string) sensors.Source {
	return newStreamSource(&c.StreamConfig, func(sink sensors.Sink) recordFormat {
		return &atherosFormat{out: output{name: name, resample: c.Resample, sink: sink}}
	})
}

// atherosFormat turns records into samples: shape, clock, restarts.
type atherosFormat struct {
	out     output
	nowNS   int64
	started bool
	lastTSF uint64
}

func (a *atherosFormat) at(nowNS int64) { a.nowNS = nowNS }

func (a *atherosFormat) stream() streamDecoder {
	return NewAtherosDecoder(a.record, func(o string) { a.out.count(o, 1) })
}

// device takes a record without its length, in this machine's byte order.
func (a *atherosFormat) device(b []byte) error {
	r, err := ParseAtheros(b, binary.NativeEndian)
	if err == nil {
		a.record(r)
	}
	return err
}

// record takes one decoded record.
func (a *atherosFormat) record(r *AtherosRecord) {
	if r.H == nil {
		a.out.count("no_csi", 1)
		return
	}
	if r.PHYError != 0 {
		a.out.count("phy_error", 1)
		return
	}
	if r.TSFUS > math.MaxInt64/1000 {
		a.out.count("bad_timestamp", 1)
		return
	}
	if a.started && r.TSFUS == a.lastTSF {
		a.out.count(OutcomeDuplicate, 1)
		return
	}
	p := a.out.fit(r.Packet(), AtherosTones(int(r.Tones)))
	if p == nil {
		return
	}
	// The card's timer goes back when it is reset or joins an access point.
	restarted := a.started && r.TSFUS < a.lastTSF
	a.started, a.lastTSF = true, r.TSFUS
	a.out.emit(&sensors.Sample{
		DeviceNS: int64(r.TSFUS) * 1000, HasDevice: true, ReceiveNS: a.nowNS,
		Restarted: restarted, CSI: p,
	})
}
