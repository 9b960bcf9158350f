package csi

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// modelStream returns n records of 3 x 114, 10 ms apart, and their values.
func modelStream(t testing.TB, order binary.AppendByteOrder, n int, tsf uint64) (stream []byte, values [][]complex64) {
	t.Helper()
	for i := range n {
		h := randomH(tsf+uint64(i), 3*114, 512)
		var err error
		stream, err = AppendAtheros(stream, order, &AtherosRecord{
			TSFUS: tsf + uint64(i)*10000, ChannelMHz: 5190, Rate: 0x87, Bandwidth: 1, Tones: 114, NR: 3, NC: 1,
			RSSI: 55, RSSIChain: [3]uint8{50, 50, 50}, H: h,
		})
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, h)
	}
	return stream, values
}

func checkModelSamples(t *testing.T, got []*sensors.Sample, values [][]complex64, tsf uint64) {
	t.Helper()
	for i, s := range got {
		if s.Sensor != "csi" || s.Modality != modality.CSI || s.CSI == nil || s.CSI.Antennas != 3 || s.CSI.Subcarriers != 114 ||
			!reflect.DeepEqual(s.CSI.H, values[i]) || s.CSI.RSSIdBm != -40 {
			t.Fatalf("sample %d differs", i)
		}
		if !s.HasDevice || s.DeviceNS != int64(tsf+uint64(i)*10000)*1000 || s.ReceiveNS <= 0 {
			t.Fatalf("sample %d: device %d, received %d", i, s.DeviceNS, s.ReceiveNS)
		}
	}
}

func atherosSource(cfg StreamConfig) *StreamSource {
	return (&AtherosConfig{StreamConfig: cfg}).Source("csi").(*StreamSource)
}

func TestAtherosOverTCP(t *testing.T) {
	src := atherosSource(StreamConfig{Listen: "127.0.0.1:0"})
	sink := newCollector()
	stop := start(t, src, sink)
	dial := func() net.Conn { return dialSource(t, src) }
	stream, values := modelStream(t, binary.BigEndian, 40, 5_000_000)
	c := dial()
	for len(stream) > 0 { // odd pieces
		n := min(777, len(stream))
		if _, err := c.Write(stream[:n]); err != nil {
			t.Fatal(err)
		}
		stream = stream[n:]
	}
	got := sink.wait(t, 40)
	checkModelSamples(t, got, values, 5_000_000)
	_ = c.Close()

	// The router restarts: a new connection, its timer starts over.
	stream, values = modelStream(t, binary.LittleEndian, 5, 1000)
	c = dial()
	defer func() { _ = c.Close() }()
	if _, err := c.Write(stream); err != nil {
		t.Fatal(err)
	}
	got = sink.wait(t, 45)
	checkModelSamples(t, got[40:], values, 1000)
	for i, s := range got {
		if s.Restarted != (i == 40) || s.Seq != uint64(i) {
			t.Errorf("sample %d: restarted %v, seq %d", i, s.Restarted, s.Seq)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if n := sink.counters(); len(n) != 0 {
		t.Errorf("counts %v", n)
	}
}

func dialSource(t *testing.T, src *StreamSource) net.Conn {
	t.Helper()
	testenv.Wait(t, "a source that listens", func() bool { return src.Addr() != nil })
	c, err := net.Dial("tcp", src.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestAtherosSenderThatVanished: a router without power keeps its connection
// open for ever; it must not lock out the router that comes back.
func TestAtherosSenderThatVanished(t *testing.T) {
	src := atherosSource(StreamConfig{Listen: "127.0.0.1:0"})
	sink := newCollector()
	stop := start(t, src, sink)
	stream, values := modelStream(t, binary.BigEndian, 11, 5_000_000)
	if _, err := dialSource(t, src).Write(stream[:len(stream)-100]); err != nil {
		t.Fatal(err)
	}
	checkModelSamples(t, sink.wait(t, 10), values, 5_000_000)
	stream, values = modelStream(t, binary.BigEndian, 10, 1000)
	if _, err := dialSource(t, src).Write(stream); err != nil {
		t.Fatal(err)
	}
	checkModelSamples(t, sink.wait(t, 20)[10:], values, 1000)
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if n := sink.counters(); n["sender_lost"] != 1 {
		t.Errorf("counts %v, want one sender lost", n)
	}
}

// Whoever fills the port with rubbish, silence or HTTP does not keep it from the
// router, however many they are.
func TestAtherosPortFullOfStrangers(t *testing.T) {
	src := atherosSource(StreamConfig{Listen: "127.0.0.1:0"})
	sink := newCollector()
	stop := start(t, src, sink)
	web := dialSource(t, src)
	if _, err := web.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	sink.until(t, "the web page's end", func(_ []*sensors.Sample, n map[string]uint64) bool { return n[sensors.OutcomeHTTP] == 1 })
	trickle := dialSource(t, src)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = trickle.Write([]byte{0}) // it will be cut
			}
		}
	}()
	for range 3 * maxWaiting {
		dialSource(t, src)
	}
	stream, values := modelStream(t, binary.BigEndian, 10, 1000)
	if _, err := dialSource(t, src).Write(stream); err != nil {
		t.Fatal(err)
	}
	checkModelSamples(t, sink.wait(t, 10), values, 1000)
	close(quit)
	<-done
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if n := sink.counters(); n["sender_refused"] == 0 || n["sender_lost"] == 0 {
		t.Errorf("counts %v, want those refused and the one replaced", n)
	}
}

func TestAtherosFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "CSI_dev")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	src := atherosSource(StreamConfig{Path: path})
	sink := newCollector()
	stop := start(t, src, sink)
	stream, values := modelStream(t, binary.LittleEndian, 20, 7000)
	const record = 882
	// Writers come and go; the second leaves half a record behind.
	for i, part := range [][]byte{stream[:8*record], stream[3*record : 3*record+400], stream[8*record:]} {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		sink.until(t, "end of the writer", func(_ []*sensors.Sample, c map[string]uint64) bool { return c["sender_lost"] == uint64(i+1) })
	}
	checkModelSamples(t, sink.wait(t, 20), values, 7000)
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
}

// TestOneInputIsEnough: who names one input need not clear the default of the
// other, and the one that is named is read.
func TestOneInputIsEnough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	atheros, nexmon, esp32 := NewAtherosConfig(), NewNexmonConfig(), NewESP32Config()
	atheros.Path, nexmon.PcapFile, esp32.Listen = path, path, "127.0.0.1:0"
	for name, c := range map[string]sensors.Settings{"atheros": atheros, "nexmon": nexmon, "esp32": esp32} {
		if found := c.Check(); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
	for name, c := range map[string]sensors.Settings{"atheros": atheros, "nexmon": nexmon} {
		if err := c.Source("csi").Run(t.Context(), newCollector()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want that %s does not exist", name, err, path)
		}
	}
	console := esp32.Source("csi").(*StreamSource)
	stop := start(t, console, newCollector())
	testenv.Wait(t, "the console's port", func() bool { return console.Addr() != nil })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestFIFOMadeAnew: a tool that removes its FIFO and makes a new one when it
// starts is heard, also before the first writer came.
func TestFIFOMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "CSI_dev")
	anew := func() {
		_ = os.Remove(path)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	anew()
	src := atherosSource(StreamConfig{Path: path})
	stream, values := modelStream(t, binary.LittleEndian, 20, 7000)
	sink := newCollector()
	for i := range 2 {
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- src.Run(ctx, sink) }()
		if i == 1 { // somebody wrote already
			w, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(stream); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			checkModelSamples(t, sink.wait(t, 20), values, 7000)
		}
		// It may not have been opened yet: again until the run has ended.
		var err error
		for waiting := true; waiting; {
			anew()
			select {
			case err = <-ended:
				waiting = false
			case <-time.After(300 * time.Millisecond):
			}
		}
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("run: %v", err)
		}
		cancel()
	}
}

func TestAtherosFileOutcomes(t *testing.T) {
	h := randomH(1, 3*114, 100)
	rec := func(edit func(r *AtherosRecord)) []byte {
		r := &AtherosRecord{TSFUS: 100, Tones: 114, NR: 3, NC: 1, H: h}
		edit(r)
		b, err := AppendAtheros(nil, binary.LittleEndian, r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	at := func(us uint64) func(*AtherosRecord) { return func(r *AtherosRecord) { r.TSFUS = us } }
	stream := bytes.Join([][]byte{
		rec(at(100)), rec(at(200)), rec(at(300)), rec(at(300)),
		rec(func(r *AtherosRecord) { r.TSFUS, r.H, r.NC, r.Payload = 400, nil, 0, []byte{1, 2, 3} }),
		rec(func(r *AtherosRecord) { r.TSFUS, r.PHYError = 500, 5 }),
		rec(func(r *AtherosRecord) { r.TSFUS, r.Tones, r.H = 600, 56, h[:3*56] }),
		rec(func(r *AtherosRecord) { r.TSFUS, r.NR, r.H = 700, 2, h[:2*114] }),
		rec(at(1 << 63)), rec(at(800)),
	}, nil)
	path := filepath.Join(t.TempDir(), "log.dat")
	if err := os.WriteFile(path, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, resample := range []bool{false, true} {
		cfg := AtherosConfig{StreamConfig: StreamConfig{Path: path}, PacketConfig: PacketConfig{Resample: resample}}
		src := cfg.Source("csi")
		sink := newCollector()
		if err := src.Run(t.Context(), sink); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), path) {
			t.Errorf("end of the file: %v", err)
		}
		want := map[string]uint64{OutcomeDuplicate: 1, "no_csi": 1, "phy_error": 1, OutcomeUnsupportedShape: 1, "bad_timestamp": 1}
		samples := 5
		if resample {
			delete(want, OutcomeUnsupportedShape)
			samples = 6
		}
		if got := sink.counters(); !reflect.DeepEqual(got, want) || len(sink.samples) != samples {
			t.Errorf("resample %v: %d samples, counts %v, want %d, %v", resample, len(sink.samples), got, samples, want)
		}
	}
}

func TestAtherosSourceErrors(t *testing.T) {
	for name, cfg := range map[string]StreamConfig{
		"nothing": {}, "address": {Listen: "7020"},
	} {
		if found := (&AtherosConfig{StreamConfig: cfg}).Check(); len(found) == 0 {
			t.Errorf("%s: accepted", name)
		}
	}
	src := atherosSource(StreamConfig{Path: filepath.Join(t.TempDir(), "none")})
	if err := src.Run(t.Context(), newCollector()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "WiFi driver") {
		t.Errorf("missing device: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	src = atherosSource(StreamConfig{Listen: l.Addr().String()})
	if err := src.Run(t.Context(), newCollector()); err == nil || !errors.Is(err, setting.ErrInUse) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("port in use: %v", err)
	}
}

// TestAtherosResync: junk between records costs no good record after it.
func TestAtherosResync(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		a, va := modelStream(t, order, 4, 1000)
		b, vb := modelStream(t, order, 4, 900_000)
		for _, junk := range [][]byte{{0xFF}, bytes.Repeat([]byte{0xA5}, 333), a[:500], a[400:882]} {
			r := decodeAtheros(bytes.Join([][]byte{a, junk, b}, nil), func() int { return 100 })
			// A piece of a record with a whole header swallows what follows it.
			whole := len(r.Records) - len(vb)
			if bytes.Equal(junk, a[:500]) {
				if len(r.Records) < len(va)+len(vb)-1 {
					t.Errorf("cut record: %d records", len(r.Records))
				}
				continue
			}
			if whole != len(va) || !reflect.DeepEqual(r.Records[whole].H, vb[0]) || r.Rejects[OutcomeLostSync] != 1 {
				t.Errorf("%d junk bytes: %d records, rejects %v", len(junk), len(r.Records), r.Rejects)
			}
		}
	}
}

// deviceReader gives one record per read, as the CSI driver's device does.
type deviceReader struct {
	reads [][]byte
	end   error
}

func (d *deviceReader) Read(b []byte) (int, error) {
	if len(d.reads) == 0 {
		return 0, d.end
	}
	n := copy(b, d.reads[0])
	d.reads = d.reads[1:]
	return n, nil
}

func (d *deviceReader) Close() error { return nil }

func TestAtherosDevice(t *testing.T) {
	const record = 882
	stream, values := modelStream(t, binary.NativeEndian, 3, 4000)
	gone := errors.New("gone")
	d := &deviceReader{end: gone, reads: [][]byte{stream[2:record], nil, stream[record+2 : 2*record], {1, 2, 3}, stream[2*record+2:]}}
	sink := newCollector()
	if err := readDevice(t.Context(), d, &recordInput{recordFormat: &atherosFormat{out: output{name: "csi", sink: sink}}, sink: sink}); !errors.Is(err, gone) {
		t.Errorf("end: %v", err)
	}
	if len(sink.samples) != 3 || sink.counts["bad_record"] != 1 {
		t.Fatalf("%d samples, counts %v", len(sink.samples), sink.counts)
	}
	checkModelSamples(t, sink.samples, values, 4000)
}
