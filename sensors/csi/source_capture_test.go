package csi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/capture"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// loopbackPort returns a sender and a port nobody else uses, with a listener
// on it so that no port-unreachable messages come back.
func loopbackPort(t *testing.T) (send func(b []byte), port uint16) {
	t.Helper()
	l, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = l.Close(), s.Close() })
	to := l.LocalAddr().(*net.UDPAddr)
	return func(b []byte) {
		if _, err := s.WriteTo(b, to); err != nil {
			t.Fatal(err)
		}
	}, uint16(to.Port)
}

func datagrams(t testing.TB, h []complex64, seq uint16) [][]byte {
	t.Helper()
	var out [][]byte
	for _, f := range fakeNexmon(t, h, seq) {
		b, err := AppendNexmon(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// waitForCapture sends probes, which the source counts as bad, until one
// arrives: the packet socket is open then.
func waitForCapture(t *testing.T, sink *collector, send func([]byte)) {
	t.Helper()
	testenv.Wait(t, "a captured probe", func() bool {
		send([]byte("probe"))
		return sink.counters()[string(NexmonShort)] > 0
	})
}

func TestCaptureOnLoopback(t *testing.T) {
	testenv.PacketSocket(t)
	send, port := loopbackPort(t)
	src := nexmonSource(t, func(c *NexmonConfig) { c.Interface, c.Port, c.WindowMS, c.Cores = "lo", int(port), 1000, ModelAntennas })
	sink := newCollector()
	stop := start(t, src, sink)
	waitForCapture(t, sink, send)
	const n = 60
	var values [][]complex64
	var sent []int64
	for i := range n {
		h := randomH(uint64(i), 342, 300)
		values = append(values, h)
		sent = append(sent, sink.NowNS())
		for _, d := range datagrams(t, h, uint16(i+1)) {
			send(d)
		}
		time.Sleep(time.Millisecond)
	}
	send([]byte("not nexmon, but long enough for a header"))
	got := sink.wait(t, n)
	sink.until(t, "bad datagram", func(_ []*sensors.Sample, c map[string]uint64) bool { return c[string(NexmonMagic)] > 0 })
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if len(sink.samples) != n {
		t.Fatalf("%d samples of %d packets sent", len(sink.samples), n)
	}
	for i, s := range got {
		if !reflect.DeepEqual(s.CSI.H, values[i]) || s.Seq != uint64(i) || s.HasDevice || s.Sensor != "csi" || s.Modality != modality.CSI {
			t.Fatalf("packet %d differs", i)
		}
		// Kernel time: not before it was sent (the two clocks may differ by a
		// little when converted), not after it was handed on.
		if s.ReceiveNS < sent[i]-1e6 || s.ReceiveNS > sink.NowNS() {
			t.Errorf("packet %d received at %d, sent at %d", i, s.ReceiveNS, sent[i])
		}
	}
	// Each datagram was seen once: loopback's second copy would be a duplicate.
	c := sink.counters()
	delete(c, string(NexmonShort))
	if want := map[string]uint64{string(NexmonMagic): 1}; !reflect.DeepEqual(c, want) {
		t.Errorf("counts %v, want %v", c, want)
	}
}

func TestCaptureHearsOnlyItsPort(t *testing.T) {
	testenv.PacketSocket(t)
	send, port := loopbackPort(t)
	other, _ := loopbackPort(t)
	src := nexmonSource(t, func(c *NexmonConfig) { c.Interface, c.Port, c.WindowMS, c.Cores = "lo", int(port), 1000, ModelAntennas })
	sink := newCollector()
	start(t, src, sink)
	waitForCapture(t, sink, send)
	for _, d := range datagrams(t, randomH(1, 342, 100), 1) {
		other(d)
	}
	for _, d := range datagrams(t, randomH(2, 342, 100), 2) {
		send(d)
	}
	sink.wait(t, 1)
	if c := sink.counters(); len(sink.samples) != 1 || c["other_traffic"] != 0 {
		t.Errorf("%d samples, counts %v", len(sink.samples), c)
	}
}

func TestCaptureErrors(t *testing.T) {
	src := nexmonSource(t, func(c *NexmonConfig) { c.Interface = "nosuch0" })
	if err := src.Run(t.Context(), newCollector()); err == nil || !strings.Contains(err.Error(), "nosuch0") {
		t.Errorf("missing interface: %v", err)
	}
	for key, spoil := range map[string]func(*NexmonConfig){
		"interface": func(c *NexmonConfig) { c.Interface = "" },
		"window_ms": func(c *NexmonConfig) { c.WindowMS = 60_000 },
		"cores":     func(c *NexmonConfig) { c.Cores = 9 },
		"follow":    func(c *NexmonConfig) { c.Follow = true },
		"chip":      func(c *NexmonConfig) { c.Chip = "x" },
		"port":      func(c *NexmonConfig) { c.Port = 0 },
		"mac":       func(c *NexmonConfig) { c.MAC = "02:00:5e:10:00:00:00:01" }, // EUI-64
	} {
		c := NewNexmonConfig()
		spoil(c)
		found := c.Check()
		if p, ok := errors.AsType[*setting.Problem](errors.Join(found...)); !ok || len(found) != 1 || p.Key != key {
			t.Errorf("%s: %v", key, found)
		}
	}
}

// nexmonSource returns a source with the defaults changed by edit.
func nexmonSource(t *testing.T, edit func(*NexmonConfig)) *NexmonSource {
	t.Helper()
	c := NewNexmonConfig()
	edit(c)
	if found := c.Check(); len(found) > 0 {
		t.Fatal(found)
	}
	return c.Source("csi").(*NexmonSource)
}

func readFrom(path string) func(*NexmonConfig) {
	return func(c *NexmonConfig) { c.PcapFile, c.Cores = path, ModelAntennas }
}

// pcapWriter writes Nexmon datagrams as Ethernet frames into a capture.
type pcapWriter struct {
	t testing.TB
	w *pcapgo.Writer
}

func newPcapWriter(t testing.TB, w io.Writer) pcapWriter {
	t.Helper()
	p := pcapgo.NewWriter(w)
	if err := p.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	return pcapWriter{t, p}
}

func (p pcapWriter) write(at time.Time, payload []byte) {
	p.t.Helper()
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{10, 10, 10, 10}, DstIP: net.IP{255, 255, 255, 255}}
	udp := &layers.UDP{SrcPort: NexmonPort, DstPort: NexmonPort}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		p.t.Fatal(err)
	}
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{1, 2, 3, 4, 5, 6}, DstMAC: net.HardwareAddr{255, 255, 255, 255, 255, 255}, EthernetType: layers.EthernetTypeIPv4}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, udp, gopacket.Payload(payload)); err != nil {
		p.t.Fatal(err)
	}
	b := buf.Bytes()
	if err := p.w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(b), Length: len(b)}, b); err != nil {
		p.t.Fatal(err)
	}
}

func TestPcapFileIsPaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "csi.pcap")
	var buf bytes.Buffer
	p := newPcapWriter(t, &buf)
	base := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	var values [][]complex64
	for i := range 10 {
		h := randomH(uint64(i), 342, 200)
		values = append(values, h)
		for j, d := range datagrams(t, h, uint16(i+1)) {
			p.write(base.Add(time.Duration(i)*10*time.Millisecond+time.Duration(j)*time.Millisecond), d)
		}
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	src := nexmonSource(t, readFrom(path))
	sink := newCollector()
	began := time.Now()
	if err := src.Run(t.Context(), sink); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), path) {
		t.Errorf("end: %v", err)
	}
	if d := time.Since(began); d < 90*time.Millisecond {
		t.Errorf("92 ms of capture took %v", d)
	}
	if len(sink.samples) != 10 || len(sink.counts) != 0 {
		t.Fatalf("%d samples, counts %v", len(sink.samples), sink.counts)
	}
	for i, s := range sink.samples {
		if !reflect.DeepEqual(s.CSI.H, values[i]) || s.ReceiveNS-sink.samples[0].ReceiveNS != int64(i)*10e6 {
			t.Errorf("packet %d at %d", i, s.ReceiveNS)
		}
	}
	// The end of the file cut inside a record.
	if err := os.WriteFile(path, buf.Bytes()[:buf.Len()-10], 0o600); err != nil {
		t.Fatal(err)
	}
	sink = newCollector()
	if err := src.Run(t.Context(), sink); !errors.Is(err, io.EOF) || len(sink.samples) != 9 || sink.counts[capture.OutcomeCutPacket] != 1 {
		t.Errorf("cut: %v, %d samples, counts %v", err, len(sink.samples), sink.counts)
	}
}

func TestPcapFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	p := newPcapWriter(t, f)
	for _, d := range datagrams(t, randomH(99, 342, 10), 1) {
		p.write(time.Now().Add(-time.Minute), d) // from before the daemon started
	}
	src := nexmonSource(t, func(c *NexmonConfig) { c.Interface, c.PcapFile, c.Follow = "", path, true })
	sink := newCollector()
	stop := start(t, src, sink)
	sink.until(t, "old records", func(_ []*sensors.Sample, c map[string]uint64) bool { return c["old_record"] == 3 })
	h := randomH(5, 342, 200)
	for _, d := range datagrams(t, h, 2) {
		p.write(time.Now(), d)
	}
	if s := sink.wait(t, 1); !reflect.DeepEqual(s[0].CSI.H, h) {
		t.Error("values differ")
	}
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestFollowedFileReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.pcap")
	write := func() {
		var buf bytes.Buffer
		newPcapWriter(t, &buf)
		if err := os.WriteFile(path+".new", buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write()
	src := nexmonSource(t, func(c *NexmonConfig) { c.Interface, c.PcapFile, c.Follow = "", path, true })
	errc := make(chan error, 1)
	go func() { errc <- src.Run(t.Context(), newCollector()) }()
	limit := time.After(testenv.Patience)
	for {
		select {
		case err := <-errc:
			if err == nil || !strings.Contains(err.Error(), "written anew") {
				t.Errorf("replaced: %v", err)
			}
			return
		case <-limit:
			t.Fatal("replacement not noticed")
		case <-time.After(20 * time.Millisecond):
			write()
		}
	}
}

func TestPcapFileErrors(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.pcap")
	if err := os.WriteFile(bad, []byte("this is no capture at all, but long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(dir, "none"): "does not exist", bad: "bad.pcap"} {
		src := nexmonSource(t, readFrom(path))
		if err := src.Run(t.Context(), newCollector()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestPcapFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "csi.fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	src := nexmonSource(t, readFrom(path))
	for round := range 2 {
		sink := newCollector()
		errc := make(chan error, 1)
		go func() { errc <- src.Run(t.Context(), sink) }()
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := newPcapWriter(t, w)
		h := randomH(uint64(round), 342, 200)
		for _, d := range datagrams(t, h, 1) {
			p.write(time.Now(), d)
		}
		if s := sink.wait(t, 1); !reflect.DeepEqual(s[0].CSI.H, h) {
			t.Error("values differ")
		}
		_ = w.Close()
		select {
		case err := <-errc:
			if !errors.Is(err, errNextWriter) {
				t.Errorf("writer left: %v", err)
			}
		case <-time.After(testenv.Patience):
			t.Fatal("run did not end with its writer")
		}
	}
}

// TestSecondVLANTag: the IP packet is found with and without one, also where
// its own length looks like a tag.
func TestSecondVLANTag(t *testing.T) {
	ip := make([]byte, 2048)
	ip[0], ip[2], ip[9] = 0x45, 0x08, unix.IPPROTO_UDP // 2048 bytes long: 0x0800
	for name, c := range map[string]struct{ b, want []byte }{
		"none":   {ip, ip},
		"one":    {append([]byte{0, 9, 8, 0}, ip...), ip},
		"short":  {ip[:20], ip[:20]},
		"cut":    {append([]byte{0, 9, 8, 0}, ip[:100]...), append([]byte{0, 9, 8, 0}, ip[:100]...)},
		"others": {append([]byte{0, 9, 8, 6}, ip...), append([]byte{0, 9, 8, 6}, ip...)},
	} {
		if got := behindTag(c.b); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(c.want))
		}
	}
}
