package doctor

import (
	"context"
	"fmt"
	"path/filepath"

	"posefuse/sensors/radar"
)

// SerialPort is a serial port on USB.
type SerialPort struct {
	Path    string  `json:"path"`
	Stable  string  `json:"stable,omitempty"` // name that stays after replugging
	Device  string  `json:"device"`           // what it is, as far as its USB numbers tell
	Role    string  `json:"role,omitempty"`   // what the port is of that device
	Access  Finding `json:"access"`
	Gives   string  `json:"gives"`             // what came while listening
	Setting string  `json:"setting,omitempty"` // configuration that uses it

	baud int // to listen with; 0: not listened to
}

// usbDevice is what is known of a device by its USB numbers.
type usbDevice struct {
	what  string
	roles map[string]string // by interface number
	bauds map[string]int
}

const (
	roleCommand = "command port"
	roleData    = "data port"
)

// usbDevices by vendor and product.
var usbDevices = map[string]usbDevice{
	"0451:bef3": {"TI radar board (XDS110)", map[string]string{"00": roleCommand, "03": roleData}, map[string]int{"03": radar.DefaultDataBaud}},
	"10c4:ea70": {"TI radar board (CP2105)", map[string]string{"00": roleCommand, "01": roleData}, map[string]int{"01": radar.DefaultDataBaud}},
	"303a:1001": {"ESP32 with USB of its own", nil, map[string]int{"00": 115200}},
	"10c4:ea60": {"serial adapter CP2102, as on many ESP32 boards", nil, map[string]int{"00": 115200}},
	"1a86:7523": {"serial adapter CH340, as on many ESP32 boards", nil, map[string]int{"00": 115200}},
	"1a86:55d4": {"serial adapter CH9102, as on many ESP32 boards", nil, map[string]int{"00": 115200}},
	"0403:6001": {"serial adapter FTDI", nil, map[string]int{"00": 115200}},
}

// maxUSBParents is how far above a port's own folder its USB device can lie.
const maxUSBParents = 4

// serialPorts lists the serial ports on USB.
func serialPorts(root string) (out []SerialPort) {
	links := stable(filepath.Join(root, "dev/serial/by-id"))
	for _, name := range names(filepath.Join(root, "sys/class/tty"), "ttyUSB", "ttyACM") {
		p := SerialPort{Path: filepath.Join(root, "dev", name), Device: "unknown serial adapter", Gives: "not listened to"}
		p.Stable = links[p.Path]
		if p.Stable == "" {
			p.Stable = links[resolved(p.Path)]
		}
		p.identify(filepath.Join(root, "sys/class/tty", name, "device"))
		p.Access = access(p.Path, "dialout")
		p.Setting = p.setting()
		out = append(out, p)
	}
	return out
}

func resolved(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// identify reads the USB numbers above a port's folder.
func (p *SerialPort) identify(dir string) {
	dir = resolved(dir)
	number := ""
	for range maxUSBParents {
		if number == "" {
			number = line(dir, "bInterfaceNumber")
		}
		if vendor := line(dir, "idVendor"); vendor != "" {
			d, ok := usbDevices[vendor+":"+line(dir, "idProduct")]
			p.Device = d.what
			if !ok {
				p.Device = fmt.Sprintf("%s %s (USB %s:%s)", line(dir, "manufacturer"), line(dir, "product"), vendor, line(dir, "idProduct"))
			}
			p.Role, p.baud = d.roles[number], d.bauds[number]
			return
		}
		dir = filepath.Dir(dir)
	}
}

// setting returns the configuration that uses the port.
func (p *SerialPort) setting() string {
	name := p.Stable
	if name == "" {
		name = p.Path
	}
	switch p.Role {
	case roleData:
		return "sensors.radar.ti_serial.data_port: " + name
	case roleCommand:
		return "sensors.radar.ti_serial.command_port: " + name
	}
	return ""
}

// listen says what comes from the port until ctx ends.
func (p *SerialPort) listen(ctx context.Context) {
	if p.baud == 0 || !p.Access.Good {
		return
	}
	h, err := radar.Listen(ctx, p.Path, p.baud)
	switch {
	case err != nil:
		p.Gives = err.Error()
	case h.Frames > 0:
		p.Gives = fmt.Sprintf("%d radar frames of layout %s", h.Frames, h.Layout)
	case h.CommandLine:
		p.Gives = "text of a radar's command line: this is the command port"
	case h.Bytes > 0:
		p.Gives = fmt.Sprintf("%d bytes at %d baud, no radar frame among them", h.Bytes, p.baud)
	case p.Role == roleData:
		p.Gives = "nothing: the radar was not told to start; name a .cfg file in config_file, with command_port"
	default:
		p.Gives = fmt.Sprintf("nothing at %d baud", p.baud)
	}
}
