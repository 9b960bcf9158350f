package csi

import (
	"posefuse/sensors"
	"posefuse/setting"
)

// What a model of three antennas gets of a receiver that has fewer.
const (
	AntennasZero   = "zero"   // zeros, which preprocessing fills with the packet's mean; costs least (docs/performance.md)
	AntennasRepeat = "repeat" // the antennas there are, over again
	AntennasAbsent = "absent" // no sample: the poses come from the other sensors
)

// ReceptionConfig are the settings that all CSI drivers share; their keys stand
// beside the driver's name.
type ReceptionConfig struct {
	Antennas string `yaml:"antennas"` // what fewer antennas than the model's become
}

// NewReceptionConfig returns the defaults.
func NewReceptionConfig() *ReceptionConfig { return &ReceptionConfig{Antennas: AntennasZero} }

// Check reports what cannot work. Keys are relative to the sensor.
func (c *ReceptionConfig) Check() setting.Problems {
	var p setting.Problems
	p.OneOf("antennas", c.Antennas, AntennasRepeat, AntennasZero, AntennasAbsent)
	return p
}

// Shared is what the settings of a CSI driver hold besides their own.
type Shared struct {
	Reception *ReceptionConfig // nil: the defaults
}

// Share implements sensors.Sharer.
func (s *Shared) Share(common sensors.Common) { s.Reception = common.(*ReceptionConfig) }

// rule is what becomes of missing antennas.
func (s *Shared) rule() string {
	if s.Reception == nil {
		return NewReceptionConfig().Antennas
	}
	return s.Reception.Antennas
}

// PacketConfig are settings of every driver whose packets name their sender.
type PacketConfig struct {
	MAC      string `yaml:"mac"`      // keep only the packets of this sender; empty follows the busiest one
	Resample bool   `yaml:"resample"` // map packets with another number of tones to 114
}

func newPacketConfig() PacketConfig { return PacketConfig{Resample: true} }

func (c *PacketConfig) check(p *setting.Problems) {
	if _, err := parseMAC(c.MAC); err != nil {
		p.Add("mac", "%q is no MAC address; write six bytes such as dc:a6:32:00:00:01, or leave it empty to follow the busiest sender", c.MAC)
	}
}

// output makes the output of a run.
func (c *PacketConfig) output(name string, s *Shared, sink sensors.Sink) output {
	only, _ := parseMAC(c.MAC) // checked
	return output{name: name, sink: sink, rule: s.rule(), resample: c.Resample, senders: senders{only: only}}
}

// reception is one WiFi packet as a decoder gives it.
type reception struct {
	receiveNS int64
	deviceNS  int64 // valid if hasDevice
	hasDevice bool
	restarted bool // the device's clock started over
	sender    mac  // zero: unknown
	rssiDBm   float64

	// h holds antennas x tones values, row-major. names are the antennas'
	// numbers at the receiver, tones the frequency index of each value,
	// ascending.
	h     []complex64
	names []int
	tones []int
}

// row returns the values of one antenna.
func (r *reception) row(i int) []complex64 { n := len(r.tones); return r.h[i*n : (i+1)*n] }
