package lidar

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/sensors"
)

// A sensor that is asked for its metadata over HTTP, at the start and when its
// packets say that it was reconfigured.
func TestOusterMetadataOverHTTP(t *testing.T) {
	var name atomic.Value
	name.Store("ouster_init_before.json")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != metadataPath {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(testenv.ReadShared(t, inputs, name.Load().(string)))
	}))
	defer server.Close()
	cfg := NewOusterConfig()
	cfg.MetadataFile, cfg.Sensor = "", strings.TrimPrefix(server.URL, "http://")
	sink := listenOnce(t, cfg, &cfg.Listen)
	packets := readInput(t, "ouster_init_id_changes.pcap")
	name.Store("ouster_init_after.json")
	p := newPlayer(t, cfg.Listen)
	p.play(t, packets)
	testenv.Receive(t, "the sweep before", sink.samples)
	testenv.Wait(t, "a sweep of the new configuration", func() bool {
		p.play(t, packets[len(packets)/2:])
		select {
		case s := <-sink.samples:
			return s.Restarted // not whole, if the metadata came amid its packets
		default:
			return false
		}
	})
	if text := sink.findings["reconfigured"]; !strings.Contains(text, "fetched again from "+cfg.Sensor) {
		t.Errorf("finding %q", text)
	}
}

func TestOusterMetadataThatDoesNotCome(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	cfg := NewOusterConfig()
	cfg.Sensor = strings.TrimPrefix(server.URL, "http://")
	for _, file := range []string{"", "/nowhere.json"} {
		cfg.MetadataFile = file
		err := cfg.Source("lidar").Run(t.Context(), newTestSink())
		if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "metadata_file") {
			t.Errorf("file %q: %v", file, err)
		}
	}
	for _, host := range []string{"http://192.168.1.30", "a/b", "me@host"} {
		cfg.Sensor = host
		if len(cfg.Check()) != 1 {
			t.Errorf("%q was accepted", host)
		}
	}
	for _, host := range []string{"192.168.1.30", "os-122.local", "[fe80::1]:80", "10.0.0.1:8080"} {
		cfg.Sensor = host
		if len(cfg.Check()) != 0 {
			t.Errorf("%q was refused", host)
		}
	}
}

// The sensor measures a wider window, then a narrower one, than its metadata
// says: every column is kept, and a sweep is whole when the window's is.
func TestOusterWindowOfItsOwn(t *testing.T) {
	text := string(testenv.ReadShared(t, inputs, "ouster_init_before.json"))
	m, err := ParseMetadata([]byte(strings.Replace(text, "[0, 511]", "[0, 255]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	turn := func(id uint32, packets int) (out [][]byte) {
		for k := range packets {
			p := EncodePacket{FrameID: id, InitID: m.InitID, Serial: m.Serial}
			for c := range 16 {
				pixels := make([]Pixel, m.Format.Rows)
				pixels[0].RangeMM = 2000
				p.Columns = append(p.Columns, EncodeColumn{TimestampNS: uint64(id)*1e8 + uint64(k*16+c)*195_312, ID: k*16 + c, Valid: true, Pixels: pixels})
			}
			b, err := m.Format.Encode(nil, &p)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		return out
	}
	var got []Frame
	o := outcomes{}
	a := NewAssembler(m, func(f *Frame) { got = append(got, Frame{Valid: f.Valid, Expected: f.Expected}) }, o.count)
	id := uint32(0)
	feed := func(frames, packets int) {
		for range frames {
			id++
			for _, b := range turn(id, packets) {
				a.Add(int64(id)*1e8, b)
			}
		}
	}
	feed(3, 32)
	if last := got[len(got)-1]; len(got) != 3 || last.Valid != 512 || last.Expected != 512 {
		t.Errorf("wider: %+v, %v", got, o)
	}
	if o["late"] > 16 {
		t.Errorf("wider: %v", o)
	}
	got = nil
	feed(40, 20)
	a.Flush()
	if last := got[len(got)-1]; last.Valid != 320 || last.Expected != 320 {
		t.Errorf("narrower: %+v", last)
	}
}

// Packets read in a profile of the same size are noticed.
func TestOusterWrongProfileOfTheSameSize(t *testing.T) {
	right := metadata(t, "OS-1-128_v2.3.0_1024x10.json")
	wrong := *right
	wrong.Format = Format{Profile: ProfileRNG19Dual, Rows: 32, ColumnsPerPacket: 16, Columns: 1024}
	wrong.AltitudeDeg, wrong.AzimuthDeg = right.AltitudeDeg[:32], right.AzimuthDeg[:32]
	for _, m := range []*Metadata{right, &wrong} {
		sink := newTestSink()
		in := &ousterInput{out: &output{name: "lidar", sink: sink}, watch: newMetadataWatch(NewOusterConfig())}
		in.use(m, "")
		for _, b := range datagrams(t, "OS-1-128_v2.3.0_1024x10_lb_n3.pcap", 7502) {
			in.Add(0, b)
		}
		if told := sink.told("wrong_profile"); told != (m == &wrong) {
			t.Errorf("profile %v: told %v", m.Format.Profile, told)
		}
	}
}

func TestOusterIMU(t *testing.T) {
	packets := datagrams(t, "OS-0-128-U1_v2.3.0_1024x10.pcap", 7503)
	var p OusterIMU
	if err := DecodeOusterIMU(packets[0], &p); err != nil || len(packets) != 10 {
		t.Fatalf("%d packets, %v", len(packets), err)
	}
	want := OusterReading{AccelNS: 1462582190980, GyroNS: 1462582413750, Valid: true,
		Accel: [3]float32{0.1171875, 0.00634765625, 1.04150390625}, Gyro: [3]float32{-0.54168701, -0.91552734, 0.40435791}}
	if p.TimeNS != 1462581976430 || p.Readings[0] != want {
		t.Errorf("%+v", p)
	}
	for _, in := range []OusterIMU{p, {TimeNS: 5, FrameID: 9, InitID: 77, Serial: 122406002141, NMEA: "$GPRMC,1*00", Readings: []OusterReading{
		{AccelNS: 1, GyroNS: 1, Accel: [3]float32{0, 0, 9.81}, Gyro: [3]float32{0.1, 0, 0}, Valid: true}, {AccelNS: 2, GyroNS: 2},
	}}} {
		b, err := EncodeOusterIMU(nil, &in)
		if err != nil {
			t.Fatal(err)
		}
		var out OusterIMU
		if err := DecodeOusterIMU(b, &out); err != nil || out.TimeNS != in.TimeNS || out.Legacy != in.Legacy || out.NMEA != in.NMEA || out.Serial != in.Serial || len(out.Readings) != len(in.Readings) || out.Readings[0] != in.Readings[0] {
			t.Errorf("%v: %+v, want %+v", err, out, in)
		}
	}
	o := outcomes{}
	frames(t, metadata(t, "OS-0-128-U1_v2.3.0_1024x10.json"), append(packets, make([]byte, ousterZoneSize)), o)
	if o["imu"] != 10 || o["zones"] != 1 {
		t.Errorf("%v", o)
	}
}

func FuzzOusterIMU(f *testing.F) {
	f.Add(datagrams(f, "OS-0-128-U1_v2.3.0_1024x10.pcap", 7503)[0])
	b, err := EncodeOusterIMU(nil, &OusterIMU{NMEA: "$GPRMC", Readings: make([]OusterReading, 8)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p OusterIMU
		if DecodeOusterIMU(b, &p) == nil && len(p.Readings)*ousterIMUReading > len(b) {
			t.Errorf("%d readings from %d bytes", len(p.Readings), len(b))
		}
	})
}

func TestRecognise(t *testing.T) {
	imu := datagrams(t, "OS-0-128-U1_v2.3.0_1024x10.pcap", 7503)[0]
	for _, c := range []struct {
		b            []byte
		driver, what string
	}{
		{datagrams(t, "OS-1-32-G_v2.1.1_1024x10.pcap", 7502)[0], "ouster", "LEGACY with 32 rows"},
		{datagrams(t, "OS-1-128_v2.3.0_1024x10_lb_n3.pcap", 7502)[0], "ouster", "Ouster"},
		{imu, "ouster", "inertial"},
		{velodynePackets(t, "vlp16_strongest_one.bin")[0], "velodyne", "VLP-16"},
		{encodeCloud(t, cloudOf(3, 1), 1, 2)[0], "livox", "type 1"},
		{[]byte("RTSP/1.0 200 OK"), "", "RTSP"},
		{[]byte("\x11\x11abc"), "", "Nexmon"},
		{make([]byte, 1206), "", ""},
		{nil, "", ""},
	} {
		if k := Recognise(c.b); k.Driver != c.driver || !strings.Contains(k.What, c.what) || (c.what == "") != (k.What == "") {
			t.Errorf("%d bytes: %+v, want %s, %s", len(c.b), k, c.driver, c.what)
		}
	}
}

func TestWrongDriverIsNamed(t *testing.T) {
	sink := newTestSink()
	o := onlooker{driver: "ouster", sink: sink}
	o.refused(1, velodynePackets(t, "vlp16_strongest_one.bin")[0])
	if text := sink.findings["wrong_format"]; !strings.Contains(text, "VLP-16") || !strings.Contains(text, "driver: velodyne") {
		t.Errorf("finding %q", text)
	}
	var _ sensors.Sink = sink
}
