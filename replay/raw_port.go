package replay

import (
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/capture"
	"posefuse/sensors/csi"
	"posefuse/sensors/radar"
)

// rawPort is a place of this machine where a driver reads recorded bytes.
type rawPort struct {
	out
	driver string         // that reads them
	keys   map[string]any // of its settings, that make it read here
	most   int            // bytes that are sent at a time
	ending int            // bytes that end a piece and are not among what the driver says it read
	redial bool           // a new sender is a new connection, not a new start of the driver
	begin  []byte         // what a new connection begins with, of no recording
	knocks bool           // it is known when the driver reads
	knock  func() error   // what makes it say so, nil if nothing is needed
	wire   func(r *sensors.Raw) ([]byte, error)
}

// data returns a piece as it is sent.
func (p *rawPort) data(r *sensors.Raw) ([]byte, error) {
	if p.wire == nil {
		return r.Data, nil
	}
	return p.wire(r)
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(network string) (string, error) {
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("a free port: %w", err)
		}
		return c.LocalAddr().String(), c.Close()
	}
	l, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// newRawPort returns the place for a driver whose first bytes are given.
func newRawPort(driver string, first *sensors.Raw, dir string) (*rawPort, error) {
	switch driver {
	case "ouster":
		return datagramPort(driver, map[string]any{"from": "", "sensor": "", "metadata_file": filepath.Join(dir, "metadata_file")}, "listen")
	case "livox":
		return datagramPort(driver, map[string]any{"from": ""}, "listen")
	case "velodyne":
		keys := map[string]any{"from": ""}
		if path := filepath.Join(dir, "calibration_file"); exists(path) {
			keys["calibration_file"] = path
		}
		return datagramPort(driver, keys, "listen")
	case "ti_serial":
		return terminalPort(driver, dir)
	case "nexmon":
		return packetPort(driver, first, dir)
	case "keypoints_tcp", "keypoints_nats":
		p, err := connectionPort("keypoints_tcp", map[string]any{})
		if err == nil {
			p.ending, p.wire = 1, func(r *sensors.Raw) ([]byte, error) { return append(r.Data[:len(r.Data):len(r.Data)], '\n'), nil }
		}
		return p, err
	}
	switch first.Transport {
	case sensors.UDP:
		return datagramPort(driver, map[string]any{"path": "", "listen": ""}, "udp")
	case sensors.Stream:
		return connectionPort(driver, map[string]any{"path": ""})
	case sensors.Record:
		return devicePort(driver)
	case sensors.Packet, sensors.File, sensors.Silence:
	}
	return nil, fmt.Errorf("driver %s: there is no way for %s bytes: %w", driver, first.Transport, ErrNotReplayable)
}

// devicePort is a TCP port for what a WiFi driver's own device gave, as the log that it
// would have been: the same decoder takes both.
func devicePort(driver string) (*rawPort, error) {
	asLog := map[string]func(dst, b []byte) []byte{"intel5300": csi.AppendIntelLog, "atheros": csi.AppendAtherosLog}[driver]
	if asLog == nil {
		return nil, fmt.Errorf("driver %s: it reads no log of its device's records: %w", driver, ErrNotReplayable)
	}
	p, err := connectionPort(driver, map[string]any{"path": ""})
	if err != nil {
		return nil, err
	}
	p.wire = func(r *sensors.Raw) ([]byte, error) { return asLog(nil, r.Data), nil }
	if driver == "atheros" {
		p.begin = csi.AtherosLogStart()
	}
	return p, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// datagramPort is a UDP port; key is where the driver has its address.
func datagramPort(driver string, keys map[string]any, key string) (*rawPort, error) {
	addr, err := freeAddress("udp")
	if err != nil {
		return nil, err
	}
	o, err := newUDPOut(addr)
	if err != nil {
		return nil, err
	}
	keys[key] = addr
	return &rawPort{out: o, driver: driver, keys: keys, most: math.MaxInt, knocks: true, knock: func() error { return o.send(nil) }}, nil
}

// connectionPort is a TCP port, on which the driver listens.
func connectionPort(driver string, keys map[string]any) (*rawPort, error) {
	addr, err := freeAddress("tcp")
	if err != nil {
		return nil, err
	}
	o, err := newStreamClient(addr)
	if err != nil {
		return nil, err
	}
	keys["listen"] = addr
	return &rawPort{out: o, driver: driver, keys: keys, most: math.MaxInt, redial: true}, nil
}

// terminalPort is a serial port, by a pseudo-terminal. The radar runs: nothing is sent
// to it.
func terminalPort(driver, dir string) (*rawPort, error) {
	keys := map[string]any{"command_port": "", "config_file": ""}
	path := filepath.Join(dir, "config_file")
	if exists(path) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("configuration of the radar: %w", err)
		}
		cfg, err := radar.ParseConfig(text)
		if err != nil {
			return nil, err
		}
		keys["frame_period_ms"] = cfg.FramePeriodMS
	}
	port := &ptyPort{link: filepath.Join(dir, "data")}
	keys["data_port"] = port.link
	return &rawPort{out: terminalOut{port}, driver: driver, keys: keys, most: ptyUnread / 4, knocks: true}, nil
}

// terminalOut sends into a pseudo-terminal.
type terminalOut struct{ *ptyPort }

func (o terminalOut) send(data []byte) error { return o.write(data) }

// packetPort is a capture in a named pipe, of packets of the first one's link.
func packetPort(driver string, first *sensors.Raw, dir string) (*rawPort, error) {
	f, err := newFIFOOut(filepath.Join(dir, "capture"))
	if err != nil {
		return nil, err
	}
	link := capture.LinkType(first.Link)
	f.preamble = capture.AppendHeader(nil, link)
	wire := func(r *sensors.Raw) ([]byte, error) {
		if capture.LinkType(r.Link) != link {
			return nil, fmt.Errorf("driver %s: packets of link type %d among those of %d: %w", driver, r.Link, link, ErrNotReplayable)
		}
		return capture.AppendPacket(nil, time.Now(), r.Data), nil // else it would pass for an old one
	}
	return &rawPort{out: f, driver: driver, keys: map[string]any{"pcap_file": f.path, "follow": false}, most: math.MaxInt,
		ending: capture.PacketHeader, wire: wire}, nil
}
