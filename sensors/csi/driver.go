package csi

import (
	"fmt"
	"net"

	"posefuse/sensors"
)

// MAC is a WiFi address, written 98:de:d0:48:92:66 in configuration.
type MAC [6]byte

// String returns the usual notation.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// UnmarshalText reads the usual notation.
func (m *MAC) UnmarshalText(b []byte) error {
	a, err := net.ParseMAC(string(b))
	if err != nil || len(a) != len(m) {
		return fmt.Errorf("%q is not a WiFi address like 98:de:d0:48:92:66", b)
	}
	*m = MAC(a)
	return nil
}

// chipNames are the chips' names in configuration.
var chipNames = map[string]Chip{"auto": ChipAuto, "4339": Chip4339, "4358": Chip4358, "43455c0": Chip43455, "4366c0": Chip4366}

// UnmarshalText reads a chip's name as in chipNames.
func (c *Chip) UnmarshalText(b []byte) error {
	v, ok := chipNames[string(b)]
	if !ok {
		return fmt.Errorf("chip %q is not one of auto, 4339, 4358, 43455c0, 4366c0", b)
	}
	*c = v
	return nil
}

// AtherosDriver is the driver "csi-atheros".
func AtherosDriver() sensors.Driver {
	return sensors.Driver{
		Name: "csi-atheros", Modality: sensors.WiFi,
		Summary: "WiFi CSI of the Atheros CSI Tool, from a device, a FIFO or over TCP",
		New: func(sensor string, decode func(any) error) (sensors.Source, error) {
			var cfg AtherosConfig
			if err := decode(&cfg); err != nil {
				return nil, err
			}
			cfg.Name = sensor
			return NewAtherosSource(cfg)
		},
	}
}

// NexmonDriver is the driver "csi-nexmon".
func NexmonDriver() sensors.Driver {
	return sensors.Driver{
		Name: "csi-nexmon", Modality: sensors.WiFi,
		Summary: "WiFi CSI of Nexmon, captured from a network interface or a pcap file",
		New: func(sensor string, decode func(any) error) (sensors.Source, error) {
			var cfg NexmonConfig
			if err := decode(&cfg); err != nil {
				return nil, err
			}
			cfg.Name = sensor
			return NewNexmonSource(cfg)
		},
	}
}
