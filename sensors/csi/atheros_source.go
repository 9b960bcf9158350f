package csi

import (
	"encoding/binary"
	"math"

	"posefuse/sensors"
	"posefuse/setting"
)

// AtherosConfig describes a stream of Atheros CSI Tool records.
type AtherosConfig struct {
	Shared       `yaml:"-"`
	StreamConfig `yaml:",inline"`
	PacketConfig `yaml:",inline"`
}

// NewAtherosConfig returns the defaults.
func NewAtherosConfig() *AtherosConfig {
	return &AtherosConfig{StreamConfig: StreamConfig{Listen: "127.0.0.1:7020"}, PacketConfig: newPacketConfig()}
}

// Check implements sensors.Settings.
func (c *AtherosConfig) Check() setting.Problems {
	p := c.StreamConfig.check()
	c.PacketConfig.check(&p)
	return p
}

// Source implements sensors.Settings. It returns a *StreamSource.
func (c *AtherosConfig) Source(name string) sensors.Source {
	return newStreamSource("atheros", &c.StreamConfig, func(sink sensors.Sink) recordFormat {
		return &atherosFormat{out: c.output(name, &c.Shared, sink)}
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
	// The card's timer goes back when it is reset or joins an access point.
	restarted := a.started && r.TSFUS < a.lastTSF
	a.started, a.lastTSF = true, r.TSFUS
	a.out.receive(r.reception(a.nowNS, restarted))
}

// reception is the first stream of a record with CSI.
func (r *AtherosRecord) reception(nowNS int64, restarted bool) *reception {
	nr, nc, n := int(r.NR), int(r.NC), int(r.Tones)
	out := &reception{receiveNS: nowNS, deviceNS: int64(r.TSFUS) * 1000, hasDevice: true, restarted: restarted,
		sender: frameSender(r.Payload), tones: AtherosTones(n), h: make([]complex64, 0, nr*n)}
	for chain := range nr {
		out.h = append(out.h, r.H[chain*nc*n:chain*nc*n+n]...)
		out.names = append(out.names, chain)
	}
	if r.RSSI != 0 && r.RSSI != 128 {
		out.rssiDBm = float64(r.RSSI) - 95
	}
	return out
}

// frameSender returns address 2 of an 802.11 data or management frame; zero if
// there is none to see.
func frameSender(frame []byte) (from mac) {
	const management, data = 0, 2
	if len(frame) < 16 || frame[0]&3 != 0 { // another version
		return from
	}
	kind := frame[0] >> 2 & 3
	if kind != management && kind != data || frame[10]&1 != 0 { // a group sends nothing
		return from
	}
	return mac(frame[10:16])
}
