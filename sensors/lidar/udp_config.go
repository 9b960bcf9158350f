package lidar

import (
	"net/netip"

	"posefuse/setting"
)

// UDPConfig is what every lidar has that sends to a UDP port.
type UDPConfig struct {
	Listen        string    `yaml:"listen"`          // UDP address of the packets
	From          string    `yaml:"from"`            // accept datagrams of this IP address only; empty accepts all
	CropMinM      []float64 `yaml:"crop_min_m"`      // x, y, z in the sensor frame; points below are left out
	CropMaxM      []float64 `yaml:"crop_max_m"`      // and points above; both empty keep all
	ReadBufferKiB int       `yaml:"read_buffer_kib"` // of the socket
}

func newUDPConfig(listen string) UDPConfig {
	return UDPConfig{Listen: listen, CropMinM: []float64{}, CropMaxM: []float64{}, ReadBufferKiB: 8192}
}

func (c *UDPConfig) check() setting.Problems {
	var p setting.Problems
	p.Address("listen", c.Listen)
	if _, ok := c.sender(); !ok {
		p.Add("from", "%q is no IP address; leave it empty to accept any sender", c.From)
	}
	if _, ok := c.crop(); !ok {
		p.Add("crop_min_m", "crop_min_m and crop_max_m need three numbers each, x, y and z, every minimum below its maximum; leave both empty to keep all points")
	}
	p.Between("read_buffer_kib", float64(c.ReadBufferKiB), 64, 262_144)
	return p
}

// sender returns the address to accept, invalid for any; false if there is no
// such address.
func (c *UDPConfig) sender() (netip.Addr, bool) {
	if c.From == "" {
		return netip.Addr{}, true
	}
	a, err := netip.ParseAddr(c.From)
	return a.Unmap(), err == nil && a.Zone() == ""
}

// Kept returns the box of which points are kept, metres in the sensor's frame, and
// false if all are.
func (c *UDPConfig) Kept() (Box, bool) {
	b, ok := c.crop()
	return b, ok && b != Box{}
}

// crop returns the box to keep, the zero box for all; false if the numbers are
// no box.
func (c *UDPConfig) crop() (Box, bool) {
	if len(c.CropMinM) == 0 && len(c.CropMaxM) == 0 {
		return Box{}, true
	}
	if len(c.CropMinM) != 3 || len(c.CropMaxM) != 3 {
		return Box{}, false
	}
	b := Box{Min: [3]float64(c.CropMinM), Max: [3]float64(c.CropMaxM)}
	for i := range b.Min {
		if !(b.Min[i] < b.Max[i]) { // also NaN
			return Box{}, false
		}
	}
	return b, true
}
