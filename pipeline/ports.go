package pipeline

import (
	"fmt"
	"reflect"

	"posefuse/sensors/modality"
	"posefuse/setting"
)

// listening is a port that the daemon opens.
type listening struct {
	key, network, address string
}

// ports returns what the daemon listens on: bus, page and the sensors in use.
func (c *Config) ports() []listening {
	var out []listening
	for key, address := range c.Bus.Listeners() {
		out = append(out, listening{"bus." + key, "tcp", address})
	}
	if c.Web.Enabled {
		out = append(out, listening{"web.listen", "tcp", c.Web.Listen})
	}
	if c.Web.Foxglove != "" {
		out = append(out, listening{"web.foxglove", "tcp", c.Web.Foxglove})
	}
	return append(out, c.Sensors.inputs()...)
}

// inputs returns the ports of the sensors in use.
func (s *SensorsConfig) inputs() []listening {
	var out []listening
	for _, e := range s.list() {
		settings := e.cfg.settings()
		if !e.cfg.Enabled || settings == nil {
			continue
		}
		network := "tcp"
		if e.modality == modality.LiDAR {
			network = "udp"
		}
		for _, k := range keysOf(reflect.ValueOf(settings).Elem()) {
			if k.name == "listen" && k.value.Kind() == reflect.String && k.value.String() != "" {
				out = append(out, listening{e.block() + ".listen", network, k.value.String()})
			}
		}
	}
	return out
}

// checkPorts refuses a port that two settings would open.
func (c *Config) checkPorts(p *setting.Problems) {
	seen := map[string]string{} // by network and port
	for _, l := range c.ports() {
		_, port, err := setting.SplitAddress(l.address)
		if err != nil || port == 0 {
			continue
		}
		at := fmt.Sprint(l.network, port)
		if other, taken := seen[at]; taken {
			p.Add(l.key, "port %d is that of %s already; give each a port of its own", port, other)
			continue
		}
		seen[at] = l.key
	}
}

// OpenInputs says which sensor ports can be reached from the network: sensors
// have no login.
func (s *SensorsConfig) OpenInputs() []string {
	var out []string
	for _, l := range s.inputs() {
		host, _, err := setting.SplitAddress(l.address)
		if err != nil || setting.Loopback(host) || l.network != "tcp" {
			continue
		}
		out = append(out, fmt.Sprintf("%s: %s can be reached from the network and sensors have no login: whoever reaches it can send false data", l.key, l.address))
	}
	return out
}
