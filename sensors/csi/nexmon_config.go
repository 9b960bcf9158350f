package csi

import (
	"maps"
	"net"
	"slices"

	"posefuse/sensors"
	"posefuse/setting"
)

// NexmonConfig describes one Nexmon receiver. Exactly one of Interface and
// PcapFile is set.
type NexmonConfig struct {
	Interface string `yaml:"interface"` // capture live, e.g. wlan0; needs CAP_NET_RAW
	Port      int    `yaml:"port"`      // UDP destination port
	PcapFile  string `yaml:"pcap_file"` // or a pcap file, or FIFO that a capture is written to
	// Follow reads PcapFile as it grows, from its end, for ever. Otherwise the
	// file is played once at the pace of its time stamps and Run then ends
	// with an error that wraps io.EOF. A FIFO is always read live, until its
	// writer leaves.
	Follow   bool   `yaml:"follow"`
	Chip     string `yaml:"chip"`      // "auto" or the chip whose words the frames hold, e.g. "43455c0"
	Cores    int    `yaml:"cores"`     // receive cores that make one packet
	WindowMS int    `yaml:"window_ms"` // how far apart the datagrams of one WiFi frame may arrive
	MAC      string `yaml:"mac"`       // keep only the frames of this sender; empty keeps all
	Resample bool   `yaml:"resample"`  // map packets with another number of tones to 114
}

// NewNexmonConfig returns the defaults.
func NewNexmonConfig() *NexmonConfig {
	return &NexmonConfig{Interface: "wlan0", Port: NexmonPort, Chip: "auto", Cores: ModelAntennas, WindowMS: int(DefaultGroupWindow.Milliseconds())}
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
	if (c.Interface == "") == (c.PcapFile == "") {
		p.Add("interface", "set exactly one of interface and pcap_file")
	}
	p.Between("cores", float64(c.Cores), 1, maxNexmonCores)
	p.Between("window_ms", float64(c.WindowMS), 1, float64(maxGroupWindow.Milliseconds()))
	if _, ok := c.sender(); !ok {
		p.Add("mac", "%q is no MAC address; write six bytes such as dc:a6:32:00:00:01, or leave it empty to keep every sender", c.MAC)
	}
	return p
}

// sender returns the address to keep, all zero for every one; false if there
// is no such address.
func (c *NexmonConfig) sender() (mac [6]byte, ok bool) {
	if c.MAC == "" {
		return mac, true
	}
	a, err := net.ParseMAC(c.MAC)
	if err != nil || len(a) != len(mac) {
		return mac, false
	}
	return [6]byte(a), true
}

// Source implements sensors.Settings.
func (c *NexmonConfig) Source(name string) sensors.Source {
	mac, _ := c.sender() // checked, as the port is
	return &NexmonSource{name: name, cfg: c, port: uint16(c.Port), mac: mac}
}
