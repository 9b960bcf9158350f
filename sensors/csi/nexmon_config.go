package csi

import (
	"maps"
	"slices"

	"posefuse/sensors"
	"posefuse/setting"
)

// NexmonConfig describes one Nexmon receiver. PcapFile is read if it is set,
// else Interface.
type NexmonConfig struct {
	Shared    `yaml:"-"`
	Interface string `yaml:"interface"` // capture live, e.g. wlan0; needs CAP_NET_RAW
	Port      int    `yaml:"port"`      // UDP destination port
	PcapFile  string `yaml:"pcap_file"` // instead: a pcap or pcapng file, or FIFO that a capture is written to
	// Follow reads PcapFile as it grows, from its end, for ever. Otherwise the
	// file is played once at the pace of its time stamps and Run then ends
	// with an error that wraps io.EOF. A FIFO is always read live, until its
	// writer leaves.
	Follow       bool   `yaml:"follow"`
	Chip         string `yaml:"chip"`      // "auto" or the chip whose words the frames hold, e.g. "43455c0"
	Cores        int    `yaml:"cores"`     // receive cores that make one packet; 0 finds out
	WindowMS     int    `yaml:"window_ms"` // how far apart the datagrams of one WiFi frame may arrive
	PacketConfig `yaml:",inline"`
}

// NewNexmonConfig returns the defaults.
func NewNexmonConfig() *NexmonConfig {
	return &NexmonConfig{Interface: "wlan0", Port: NexmonPort, Chip: "auto",
		WindowMS: int(DefaultGroupWindow.Milliseconds()), PacketConfig: newPacketConfig()}
}

// nexmonChips are the values of the key chip.
var nexmonChips = map[string]Chip{
	"auto": ChipAuto, "4339": Chip4339, "4358": Chip4358, "43455c0": Chip43455, "4366c0": Chip4366,
}

// Check implements sensors.Settings.
func (c *NexmonConfig) Check() setting.Problems {
	var p setting.Problems
	if c.Port < 1 || c.Port > 65535 {
		p.Add("port", "%d is no port, want 1 to 65535", c.Port)
	}
	p.OneOf("chip", c.Chip, slices.Sorted(maps.Keys(nexmonChips))...)
	if c.Follow && c.PcapFile == "" {
		p.Add("follow", "only a pcap_file can be followed")
	}
	if c.Interface == "" && c.PcapFile == "" {
		p.Add("interface", "name the interface to capture from, or a pcap_file")
	}
	p.Between("cores", float64(c.Cores), 0, maxNexmonCores)
	p.Between("window_ms", float64(c.WindowMS), 1, float64(maxGroupWindow.Milliseconds()))
	c.check(&p)
	return p
}

// Source implements sensors.Settings.
func (c *NexmonConfig) Source(name string) sensors.Source {
	return &NexmonSource{name: name, cfg: c, port: uint16(c.Port)}
}
