package pipeline

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
)

// nexmonChips are the values of sensors.csi.nexmon.chip.
var nexmonChips = map[string]csi.Chip{
	"auto": csi.ChipAuto, "4339": csi.Chip4339, "4358": csi.Chip4358, "43455c0": csi.Chip43455, "4366c0": csi.Chip4366,
}

// driver builds one kind of source from the configuration. Its name is the
// value of the sensor's "driver" key and the key of its settings.
type driver struct {
	modality modality.Kind
	name     string
	// check reports settings that cannot work, relative to the driver's key.
	check func(c *SensorsConfig, add func(setting, format string, args ...any))
	// build makes the source; it opens nothing.
	build func(c *SensorsConfig, sensorName string) (sensors.Source, error)
}

// drivers returns every driver the daemon knows.
func drivers() []driver {
	type add = func(setting, format string, args ...any)
	address := func(add add, setting, v string) {
		var p problems
		p.address(setting, v)
		for _, err := range p.errs {
			add(setting, "%s", strings.TrimPrefix(err.Error(), setting+": "))
		}
	}
	return []driver{
		{modality.Camera, "keypoints_tcp",
			func(c *SensorsConfig, add add) { address(add, "listen", c.Camera.KeypointsTCP.Listen) },
			func(c *SensorsConfig, name string) (sensors.Source, error) {
				return camera.NewTCPSource(camera.TCPConfig{Name: name, Listen: c.Camera.KeypointsTCP.Listen})
			}},
		{modality.Camera, "keypoints_nats", // the bus is joined by Core
			func(*SensorsConfig, add) {},
			func(_ *SensorsConfig, name string) (sensors.Source, error) { return camera.NewPushSource(name) }},
		{modality.LiDAR, "ouster",
			func(c *SensorsConfig, add add) {
				address(add, "listen", c.LiDAR.Ouster.Listen)
				checkFrom(add, c.LiDAR.Ouster.From)
				if c.LiDAR.Ouster.MetadataFile == "" {
					add("metadata_file", "empty; name the sensor's metadata JSON (http://SENSOR/api/v1/sensor/metadata)")
				}
			},
			func(c *SensorsConfig, name string) (sensors.Source, error) {
				return lidar.NewUDPSource(lidar.UDPConfig{Name: name, Format: lidar.FormatOuster, Listen: c.LiDAR.Ouster.Listen,
					Metadata: c.LiDAR.Ouster.MetadataFile, From: c.LiDAR.Ouster.From})
			}},
		{modality.LiDAR, "livox",
			func(c *SensorsConfig, add add) {
				address(add, "listen", c.LiDAR.Livox.Listen)
				checkFrom(add, c.LiDAR.Livox.From)
			},
			func(c *SensorsConfig, name string) (sensors.Source, error) {
				return lidar.NewUDPSource(lidar.UDPConfig{Name: name, Format: lidar.FormatLivox, Listen: c.LiDAR.Livox.Listen, From: c.LiDAR.Livox.From})
			}},
		{modality.Radar, "ti_serial",
			func(c *SensorsConfig, add add) {
				t := &c.Radar.TISerial
				switch {
				case t.DataPort == "":
					add("data_port", "empty; name the radar's data port, e.g. /dev/serial/by-id/...-if03")
				case t.ConfigFile != "" && t.CommandPort == "":
					add("command_port", "empty, but config_file is set; name the port the file is sent to")
				case t.CommandPort != "" && t.ConfigFile == "":
					add("config_file", "empty, but command_port is set; name the TI .cfg file to send")
				}
				if t.DataBaud <= 0 || t.CommandBaud <= 0 || !(t.CPUMHz > 0) {
					add("data_baud", "data_baud, command_baud and cpu_mhz must be positive")
				}
			},
			func(c *SensorsConfig, name string) (sensors.Source, error) {
				t := &c.Radar.TISerial
				return radar.NewSerialSource(radar.SerialConfig{Name: name, DataPort: t.DataPort, DataBaud: t.DataBaud,
					CommandPort: t.CommandPort, CommandBaud: t.CommandBaud, ConfigPath: t.ConfigFile, CPUHz: t.CPUMHz * 1e6})
			}},
		{modality.CSI, "atheros",
			func(c *SensorsConfig, add add) {
				a := &c.CSI.Atheros
				if (a.Path == "") == (a.Listen == "") {
					add("path", "set exactly one of path (a device or file) and listen (a TCP address)")
				}
				if a.Listen != "" {
					address(add, "listen", a.Listen)
				}
			},
			func(c *SensorsConfig, name string) (sensors.Source, error) {
				a := &c.CSI.Atheros
				return csi.NewAtherosSource(csi.AtherosConfig{Name: name, Path: a.Path, Listen: a.Listen, Resample: a.Resample})
			}},
		{modality.CSI, "nexmon",
			func(c *SensorsConfig, add add) {
				n := &c.CSI.Nexmon
				if n.Port < 1 || n.Port > 65535 {
					add("port", "%d is no port, want 1 to 65535", n.Port)
				}
				if _, ok := nexmonChips[n.Chip]; !ok {
					add("chip", "%q is unknown: use %s", n.Chip, strings.Join(slices.Sorted(maps.Keys(nexmonChips)), " or "))
				}
				if n.Follow && n.PcapFile == "" {
					add("follow", "only a pcap_file can be followed")
				}
				if (n.Interface == "") == (n.PcapFile == "") {
					add("interface", "set exactly one of interface and pcap_file")
				}
			},
			func(c *SensorsConfig, name string) (sensors.Source, error) {
				n := &c.CSI.Nexmon
				return csi.NewNexmonSource(csi.NexmonConfig{Name: name, Interface: n.Interface, Port: uint16(n.Port),
					File: n.PcapFile, Follow: n.Follow, Chip: nexmonChips[n.Chip], Resample: n.Resample})
			}},
	}
}

func checkFrom(add func(setting, format string, args ...any), from string) {
	if from != "" && net.ParseIP(from) == nil {
		add("from", "%q is no IP address; leave it empty to accept any sender", from)
	}
}

func lookupDriver(m modality.Kind, name string) (driver, bool) {
	for _, d := range drivers() {
		if d.modality == m && d.name == name {
			return d, true
		}
	}
	return driver{}, false
}

func driverNames(m modality.Kind) []string {
	var names []string
	for _, d := range drivers() {
		if d.modality == m {
			names = append(names, d.name)
		}
	}
	return names
}

// sensorEntry is one sensor of the configuration.
type sensorEntry struct {
	name     string // also the key below "sensors" and the sensor's name in messages
	modality modality.Kind
	cfg      *SensorConfig
}

// list returns the four sensors in the model's order.
func (s *SensorsConfig) list() [modality.Count]sensorEntry {
	return [...]sensorEntry{
		{"camera", modality.Camera, &s.Camera.SensorConfig},
		{"lidar", modality.LiDAR, &s.LiDAR.SensorConfig},
		{"radar", modality.Radar, &s.Radar.SensorConfig},
		{"csi", modality.CSI, &s.CSI.SensorConfig},
	}
}

// BuildSources makes the source of every enabled sensor, nil for the others.
// It opens nothing.
func BuildSources(c *SensorsConfig) ([modality.Count]sensors.Source, error) {
	var out [modality.Count]sensors.Source
	for _, e := range c.list() {
		if !e.cfg.Enabled {
			continue
		}
		d, ok := lookupDriver(e.modality, e.cfg.Driver)
		if !ok {
			return out, fmt.Errorf("sensors.%s.driver: %q is unknown: use %s", e.name, e.cfg.Driver, strings.Join(driverNames(e.modality), " or "))
		}
		src, err := d.build(c, e.name)
		if err != nil {
			return out, fmt.Errorf("sensors.%s.%s: %w", e.name, e.cfg.Driver, err)
		}
		out[e.modality] = src
	}
	return out, nil
}
