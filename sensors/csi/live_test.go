package csi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/setting"
)

// TestCapturesThroughTheDrivers: every packet of a recording with CSI becomes a
// sample of the model's shape.
func TestCapturesThroughTheDrivers(t *testing.T) {
	intel := func(path string) sensors.Settings {
		c := NewIntelConfig()
		c.Path = path
		return c
	}
	esp := func(path string) sensors.Settings {
		c := NewESP32Config()
		c.Path = path
		return c
	}
	feit := func(path string) sensors.Settings {
		c := NewFeitConfig()
		c.Path = path
		return c
	}
	for file, c := range map[string]struct {
		settings          func(path string) sensors.Settings
		samples, measured int
		counts            counter
	}{
		"csi-intel5300/log.all_csi.6.7.6.dat":   {intel, 29, 3, counter{}},
		"csi-intel5300/walk_1597159688.dat":     {intel, 401, 0, counter{OutcomeCutRecord: 1}},
		"csi-intel5300/sample_0x1_ap.dat":       {intel, 540, 3, counter{}},
		"csi-esp32/example_100hz_pitraffic.csv": {esp, 833, 1, counter{"bad_length": 1, OutcomeOtherLine: 1}},
		"csi-esp32/example_csi.csv":             {esp, 13, 1, counter{}},
		"csi-feitcsi/HT20_2452.csi":             {feit, 48, 2, counter{}},
		"csi-feitcsi/HT40_2452.csi":             {feit, 34, 2, counter{}},
		"csi-feitcsi/VHT80_5500.csi":            {feit, 40, 2, counter{}},
	} {
		settings := c.settings(testenv.Shared(t, "captures", file))
		if found := settings.Check(); len(found) > 0 {
			t.Fatal(found)
		}
		sink := newTellingCollector()
		if err := settings.Source("csi").Run(t.Context(), sink); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", file, err)
		}
		if len(sink.samples) != c.samples || len(sink.counts) != len(c.counts) {
			t.Errorf("%s: %d samples, counts %v, want %d, %v", file, len(sink.samples), sink.counts, c.samples, c.counts)
		}
		for o, n := range c.counts {
			if sink.counts[o] != n {
				t.Errorf("%s: %s %d, want %d", file, o, sink.counts[o], n)
			}
		}
		for _, s := range sink.samples {
			if s.CSI.Subcarriers != ModelTones || len(s.CSI.H) != ModelAntennas*ModelTones || !s.HasDevice || c.measured > 0 && s.CSI.Measured != c.measured {
				t.Fatalf("%s: %d x %d, %d measured", file, s.CSI.Antennas, s.CSI.Subcarriers, s.CSI.Measured)
			}
		}
	}
}

// consoleText is what an ESP32 prints for n packets.
func consoleText(t testing.TB, n int) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	text := []byte("rst:0x1 (POWERON_RESET)\r\n")
	for i := range n {
		l := &ESP32Line{Dialect: ESPCSI, MAC: [6]byte{2, 0, 0, 0, 0, 7}, TimeUS: uint32(10_000 * i), Len: 128}
		for range 128 {
			l.Values = append(l.Values, int16(rng.IntN(200)-100))
		}
		var err error
		if text, err = AppendESP32(text, l); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

// TestESP32OnASerialPort: a console behind a terminal, and its unplugging.
func TestESP32OnASerialPort(t *testing.T) {
	board, port, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = board.Close() }()
	defer func() { _ = port.Close() }()
	cfg := NewESP32Config()
	cfg.Path = port.Name()
	sink := newTellingCollector()
	errc := make(chan error, 1)
	go func() { errc <- cfg.Source("csi").Run(t.Context(), sink) }()
	// The terminal is raw once the driver has opened it: no line end is changed.
	testenv.Wait(t, "a raw terminal", func() bool {
		s, getErr := unix.IoctlGetTermios(int(port.Fd()), unix.TCGETS2)
		return getErr == nil && s.Lflag&unix.ICANON == 0 && s.Ispeed == uint32(cfg.Baud)
	})
	if _, err = board.Write(consoleText(t, 20)); err != nil {
		t.Fatal(err)
	}
	got := sink.wait(t, 20)
	if got[19].DeviceNS != 190_000_000 || sink.counters()[OutcomeOtherLine] != 1 {
		t.Errorf("sample 19 at %d ns, %v", got[19].DeviceNS, sink.counters())
	}
	_ = port.Close()
	_ = board.Close() // unplugged
	if err = testenv.Receive(t, "the end of the driver", errc); !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), "plug") {
		t.Errorf("unplugged: %v", err)
	}
	cfg.Path = "/dev/null"
	if err = cfg.Source("csi").Run(t.Context(), sink); err == nil || !strings.Contains(err.Error(), "not a serial port") {
		t.Errorf("no terminal: %v", err)
	}
	cfg.Path = filepath.Join(t.TempDir(), "ttyUSB7")
	if err = cfg.Source("csi").Run(t.Context(), sink); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no port: %v", err)
	}
}

func TestFeitOverUDP(t *testing.T) {
	cfg := NewFeitConfig()
	cfg.UDP = testenv.FreeAddr(t)
	sink := newTellingCollector()
	stop := start(t, cfg.Source("csi"), sink)
	c, err := net.Dial("udp", cfg.UDP)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	format := logFormats()[1]
	b, _, ends := format.stream(t, 9, 5)
	testenv.Wait(t, "a datagram that arrives", func() bool {
		_, _ = c.Write([]byte("probe")) // refused until the driver listens
		return sink.counters()[OutcomeBadRecord] > 0
	})
	from := 0
	for _, end := range ends {
		if _, err = c.Write(b[from:end]); err != nil {
			t.Fatal(err)
		}
		from = end
	}
	sink.wait(t, 5)
	if err = stop(); err != nil {
		t.Error(err)
	}
	// A second daemon on the address.
	l, err := net.ListenPacket("udp", cfg.UDP)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err = cfg.Source("csi").Run(t.Context(), sink); !errors.Is(err, setting.ErrInUse) {
		t.Errorf("address in use: %v", err)
	}
}

// TestIntelOverTheConnector sends what the driver of an Intel 5300 would into
// the kernel's connector.
func TestIntelOverTheConnector(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		testenv.LeaveOut(t, "the kernel has no netlink connector ("+err.Error()+")")
	}
	defer func() { _ = unix.Close(fd) }()
	format := logFormats()[0]
	b, _, ends := format.stream(t, 4, 6)
	send := func(message []byte) error {
		order := binary.NativeEndian
		m := order.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+connectorHeader+len(message)))
		m = append(m, make([]byte, 12)...)
		m = order.AppendUint32(order.AppendUint32(m, uint32(connectorGroups[1])), connectorValue)
		m = append(m, make([]byte, 8)...)
		m = order.AppendUint16(order.AppendUint16(m, uint16(len(message))), 0)
		return unix.Sendto(fd, append(m, message...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (connectorGroups[1] - 1)})
	}
	if err = send([]byte{intelPayload}); errors.Is(err, unix.EPERM) {
		testenv.LeaveOut(t, "no right to send netlink messages: run as root")
	}
	sink := newTellingCollector()
	stop := start(t, NewIntelConfig().Source("csi"), sink)
	testenv.Wait(t, "a message that arrives", func() bool {
		_ = send([]byte{intelPayload})
		return sink.counters()["no_csi"] > 0
	})
	from := 0
	for _, end := range ends {
		if err = send(b[from+2 : end]); err != nil {
			t.Fatal(err)
		}
		from = end
	}
	sink.wait(t, 6)
	if err = stop(); err != nil {
		t.Error(err)
	}
}

func TestConnectorMessages(t *testing.T) {
	for name, c := range map[string]struct {
		b  []byte
		ok bool
	}{
		"nothing": {nil, true},
		"cut":     {make([]byte, 20), false},
		"lies":    {append(binary.NativeEndian.AppendUint32(nil, 500), make([]byte, 60)...), false},
		"rest":    {make([]byte, 7), false},
	} {
		if err := connectorMessages(c.b, func([]byte) {}); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryWrongFormatIsNamed: each stream driver names each other format.
func TestEveryWrongFormatIsNamed(t *testing.T) {
	data := map[string][]byte{
		"esp32":     consoleText(t, 20),
		"nexmon":    testenv.ReadShared(t, "captures/csi-nexmon/test_pi.pcap"),
		"atheros":   testenv.ReadShared(t, "captures/csi-atheros/sample_bigEndian.dat"),
		"intel5300": testenv.ReadShared(t, "captures/csi-intel5300/sample_0x1_ap.dat"),
		"feitcsi":   testenv.ReadShared(t, "captures/csi-feitcsi/HT40_2452.csi"),
	}
	for _, d := range Drivers() {
		for other, b := range data {
			if other == d.Name {
				continue
			}
			path := filepath.Join(t.TempDir(), "stream")
			if err := os.WriteFile(path, bytes.Clone(b), 0o600); err != nil {
				t.Fatal(err)
			}
			settings := d.New()
			switch c := settings.(type) {
			case *NexmonConfig:
				c.PcapFile = path
			case *AtherosConfig:
				c.Path = path
			case *IntelConfig:
				c.Path = path
			case *ESP32Config:
				c.Path = path
			case *FeitConfig:
				c.Path = path
			}
			sink := newTellingCollector()
			err := settings.Source("csi").Run(t.Context(), sink)
			if said := sink.found["wrong_format"].Text + err.Error(); !strings.Contains(said, "set driver to "+other) || len(sink.samples) > 0 {
				t.Errorf("%s is given %s: %q, %d samples, %v", d.Name, other, said, len(sink.samples), sink.counts)
			}
		}
	}
}
