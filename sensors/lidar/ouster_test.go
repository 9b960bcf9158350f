package lidar

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// The digests are the vendor's, made from the raw bytes of each decoded field.
func TestOusterDigests(t *testing.T) {
	for _, name := range []string{"OS-1-32-G_v2.1.1_1024x10", "OS-0-128-U1_v2.3.0_1024x10", "OS-0-32-U1_v2.2.0_1024x10"} {
		t.Run(name, func(t *testing.T) {
			var want struct {
				Packet map[string]string   `json:"packet_hash"`
				Scans  []map[string]string `json:"scans"`
			}
			if err := json.Unmarshal(readCapture(t, name+"_digest.json"), &want); err != nil {
				t.Fatal(err)
			}
			m := metadata(t, name+".json")
			le := binary.LittleEndian
			got := map[string][]byte{}
			u16 := func(k string, v uint16) { got[k] = le.AppendUint16(got[k], v) }
			u32 := func(k string, v uint32) { got[k] = le.AppendUint32(got[k], v) }
			u8 := func(k string, v uint8) { got[k] = append(got[k], v) }
			for _, b := range datagrams(t, name+".pcap", 7502) {
				var p Packet
				if err := m.Format.Decode(b, &p); err != nil {
					t.Fatal(err)
				}
				for i := range m.Format.ColumnsPerPacket {
					c := p.Column(i)
					got["TIMESTAMP"] = le.AppendUint64(got["TIMESTAMP"], c.TimestampNS)
					u16("MEASUREMENT_ID", uint16(c.ID))
					u16("FRAME_ID", uint16(c.FrameID))
					u32("STATUS", c.Status)
				}
				for row := range m.Format.Rows {
					for i := range m.Format.ColumnsPerPacket {
						x := p.Pixel(i, row)
						u32("RANGE", x.RangeMM)
						u32("RANGE2", x.Range2MM)
						u8("FLAGS", x.Flags)
						u8("FLAGS2", x.Flags2)
						u8("REFLECTIVITY", x.Reflectivity)
						u8("REFLECTIVITY2", x.Reflectivity2)
						u16("SIGNAL", x.Signal)
						u16("SIGNAL2", x.Signal2)
						u16("NEAR_IR", x.NearInfrared)
					}
				}
			}
			checked := 0
			for k, w := range want.Packet {
				if k == "ENCODER_COUNT" || strings.HasPrefix(k, "RAW32") || k == "FRAME_ID" && m.Format.Profile != ProfileLegacy {
					continue // deprecated, or hashes of zeros (SOURCES.md)
				}
				if h := md5.Sum(got[k]); hex.EncodeToString(h[:]) != w {
					t.Errorf("%s differs from the vendor's digest", k)
				}
				checked++
			}
			if checked < 7 {
				t.Errorf("only %d digests checked", checked)
			}
			fs := frames(t, m, datagrams(t, name+".pcap", 7502), outcomes{})
			if len(fs) != 1 {
				t.Fatalf("%d frames", len(fs))
			}
			var img []byte
			for r := range m.Format.Rows {
				for c := range m.Format.Columns {
					img = le.AppendUint32(img, fs[0].RangeMM[c*m.Format.Rows+r])
				}
			}
			if h := md5.Sum(img); hex.EncodeToString(h[:]) != want.Scans[0]["RANGE"] {
				t.Error("the frame's ranges differ from the vendor's digest")
			}
		})
	}
}

// frames assembles packets and returns copies of the frames.
func frames(t testing.TB, m *Metadata, packets [][]byte, o outcomes) []Frame {
	t.Helper()
	var out []Frame
	a := NewAssembler(m, func(f *Frame) {
		g := *f
		g.RangeMM, g.Have = slices.Clone(f.RangeMM), slices.Clone(f.Have)
		out = append(out, g)
	}, o.count)
	for i, b := range packets {
		a.Add(int64(i), b)
	}
	a.Flush()
	return out
}

func TestOusterCaptures(t *testing.T) {
	type frame struct{ id, valid, returns, sum int }
	for _, c := range []struct {
		pcap, meta string
		port       int
		want       []frame
	}{
		{"OS-1-32-G_v2.1.1_1024x10.pcap", "OS-1-32-G_v2.1.1_1024x10.json", 7502, []frame{{638, 1024, 27310, 484039339}}},
		{"OS-0-32-U1_v2.2.0_1024x10-single-packet.pcap", "OS-0-32-U1_v2.2.0_1024x10.json", 7502, []frame{{1453, 16, 223, 983655}}},
		{"OS-1-128_v2.3.0_1024x10_lb_n3.pcap", "OS-1-128_v2.3.0_1024x10.json", 7502, []frame{
			{1795, 1024, 107647, 1695188032}, {1796, 1024, 107357, 1691787376}, {1797, 1024, 107532, 1701150736},
		}},
		{"crc_test.pcap", "crc_test.json", 7502, []frame{{254, 512, 28055, 48004312}, {255, 32, -1, -1}}},
		{"windowed_frame1.pcap", "windowed_frame1_0.json", 53750, []frame{{1553, 256, 9246, 31850624}}},
		{"shot_limiting_test.pcap", "shot_limiting_test.json", 7702, []frame{{9496, 16, 2048, 82618}}},
		{"same_ports_legacy.pcap", "same_ports_legacy.1.json", 0, []frame{{457, 16, 486, 783844}}},
		{"same_ports_legacy.pcap", "same_ports_legacy.2.json", 0, []frame{{185, 16, 63, 24460}}},
		{"empty_pcap.pcap", "empty_pcap.json", 0, nil},
		{"VLI-16-one-packet.pcap", "OS-1-32-G_v2.1.1_1024x10.json", 0, nil},
	} {
		t.Run(c.pcap+" "+c.meta, func(t *testing.T) {
			o := outcomes{}
			got := frames(t, metadata(t, c.meta), datagrams(t, c.pcap, c.port), o)
			if len(got) != len(c.want) {
				t.Fatalf("%d frames, want %d; %v", len(got), len(c.want), o)
			}
			for i, w := range c.want {
				g := frame{id: int(got[i].ID), valid: got[i].Valid, returns: w.returns, sum: w.sum}
				if w.sum >= 0 {
					g.returns, g.sum = 0, 0
					for _, r := range got[i].RangeMM {
						g.sum += int(r)
						if r > 0 {
							g.returns++
						}
					}
				}
				if g != w {
					t.Errorf("frame %d: %+v, want %+v", i, g, w)
				}
			}
		})
	}
}

func TestOusterXYZ(t *testing.T) {
	m := metadata(t, "OS-1-32-G_v2.1.1_1024x10.json")
	f := frames(t, m, datagrams(t, "OS-1-32-G_v2.1.1_1024x10.pcap", 7502), outcomes{})[0]
	if f.FirstNS != 3577133606620 || f.LastNS != 3577233516920 {
		t.Errorf("frame from %d to %d ns", f.FirstNS, f.LastNS)
	}
	table := NewXYZTable(m)
	p, ok := table.Point(0, 0, 12958)
	for i, w := range [3]float64{-12.60465, -0.92889, 2.89249} {
		if !ok || math.Abs(p[i]-w) > 1e-5 {
			t.Fatalf("first point %v", p)
		}
	}
	if _, ok := table.Point(0, 0, 0); ok {
		t.Error("range 0 made a point")
	}
	xyz := table.Cloud(nil, &f, &Box{})
	var mean [3]float64
	for i, v := range xyz {
		mean[i%3] += float64(v) / 27310
	}
	if len(xyz) != 3*27310 || math.Abs(mean[0]-1.00799) > 1e-4 || math.Abs(mean[1]-0.91080) > 1e-4 || math.Abs(mean[2]+0.07241) > 1e-4 {
		t.Errorf("%d points around %v", len(xyz)/3, mean)
	}
	box := Box{Min: [3]float64{-4, -4, -2}, Max: [3]float64{4, 4, 2}}
	cropped := table.Cloud(nil, &f, &box)
	if len(cropped) == 0 || len(cropped) >= len(xyz) {
		t.Fatalf("%d of %d numbers left by the crop", len(cropped), len(xyz))
	}
	for i, v := range cropped {
		if float64(v) < box.Min[i%3]-1e-6 || float64(v) > box.Max[i%3]+1e-6 {
			t.Fatalf("coordinate %g outside the box", v)
		}
	}
}

func TestOusterCRC(t *testing.T) {
	m := metadata(t, "crc_test.json")
	packets := datagrams(t, "crc_test.pcap", 7502)
	var p Packet
	for i, b := range packets {
		if err := m.Format.Decode(b, &p); err != nil || !p.HasCRC() || !p.CRCMatches() {
			t.Fatalf("packet %d: %v, crc %x", i, err, p.CRC)
		}
	}
	packets[3] = slices.Clone(packets[3])
	packets[3][100] ^= 1
	o := outcomes{}
	fs := frames(t, m, packets, o)
	if o["bad_crc"] != 1 || fs[0].Valid != 512-16 || o["lost_packet"] == 0 {
		t.Errorf("after one flipped bit: %d columns, %v", fs[0].Valid, o)
	}
}

func TestOusterLossAndReordering(t *testing.T) {
	m := metadata(t, "OS-1-128_v2.3.0_1024x10.json")
	packets := datagrams(t, "OS-1-128_v2.3.0_1024x10_lb_n3.pcap", 7502)
	want := frames(t, m, packets, outcomes{})

	swapped := slices.Clone(packets)
	for i := 1; i+1 < len(swapped); i += 2 { // across both frame borders too
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	}
	o := outcomes{}
	got := frames(t, m, swapped, o)
	if len(got) != 3 {
		t.Fatalf("swapped: %d frames, %v", len(got), o)
	}
	for i := range got {
		if !slices.Equal(got[i].RangeMM, want[i].RangeMM) || got[i].MiddleNS != want[i].MiddleNS {
			t.Errorf("frame %d changed when neighbours were swapped", i)
		}
	}

	const k = 5
	var kept [][]byte
	lost := map[int]bool{}
	for i, b := range packets {
		if i%k == 0 {
			lost[i] = true
			continue
		}
		kept = append(kept, b)
	}
	for n, f := range frames(t, m, kept, outcomes{}) {
		for c, have := range f.Have {
			if have == lost[n*64+c/16] {
				t.Fatalf("frame %d column %d: have %v, packet lost %v", n, c, have, lost[n*64+c/16])
			}
		}
	}

	o = outcomes{}
	var twice [][]byte
	for _, b := range packets {
		twice = append(twice, b, b)
	}
	if got := frames(t, m, twice, o); len(got) != 3 || o["duplicate"]+o["late"] != uint64(len(packets)) {
		t.Errorf("doubled: %d frames, %v", len(got), o)
	}
}

func TestOusterRestart(t *testing.T) {
	m := metadata(t, "OS-1-128_v2.3.0_1024x10.json")
	packets := datagrams(t, "OS-1-128_v2.3.0_1024x10_lb_n3.pcap", 7502)
	// A sensor that starts over: earlier frames, with an earlier clock.
	var older [][]byte
	for _, b := range packets[:64] {
		b = slices.Clone(b)
		b[2], b[3] = 7, 0
		for i := range 16 {
			col := b[32+i*524:]
			binary.LittleEndian.PutUint64(col, binary.LittleEndian.Uint64(col)-900e9)
		}
		older = append(older, b)
	}
	o := outcomes{}
	got := frames(t, m, append(slices.Clone(packets), older...), o)
	if len(got) != 4 || !got[3].Restarted || got[3].ID != 7 || got[2].Restarted || o["restart"] != 1 {
		t.Errorf("%d frames, %v", len(got), o)
	}
}

func TestMetadata(t *testing.T) {
	for _, twin := range []string{"2_1_2_os1-991913000010-64", "2_5_0_os-992146000760-128"} {
		a, b := metadata(t, "metadata/"+twin+".json"), metadata(t, "metadata/"+twin+"_legacy.json")
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: nested and flat differ:\n%+v\n%+v", twin, a, b)
		}
	}
	old := metadata(t, "metadata/1_12_os1-991937000062-64_legacy.json")
	if old.Format != (Format{Profile: ProfileLegacy, Rows: 64, ColumnsPerPacket: 16, Columns: 1024}) || old.BeamToLidar[3] != 12.163 || old.RateHz != 10 {
		t.Errorf("firmware 1.12: %+v", old.Format)
	}
	if w := metadata(t, "metadata/2_0_0_os1-992008000494-128_col_win_legacy.json"); w.ColumnWindow == [2]int{0, w.Format.Columns - 1} {
		t.Error("column window lost")
	}
	metadata(t, "metadata/3_0_1_os-122246000293-128.json")
	for product, mm := range map[string]float64{"": 12.163, "OS-1-64": 12.163, "OS-1-128": 15.806, "OS-0-32-U1": 27.67, "OS-2-128": 13.762, "OSDOME": 12.163} {
		if got := defaultOrigin(product); got != mm {
			t.Errorf("product %q: beam origin %g mm, want %g", product, got, mm)
		}
	}
	for name, want := range map[string]string{
		"complete_but_all_zeros_legacy.json":     "all zero",
		"garbled_legacy_and_nonlegacy.json":      "sensor_info",
		"incomplete_data_format_legacy.json":     "data_format",
		"incorrect_nbeam_angles_legacy_113.json": "beam_azimuth_angles",
	} {
		_, err := ParseMetadata(readCapture(t, "metadata/malformed/"+name))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEncodeRoundTrip(t *testing.T) {
	for _, fusa := range []bool{false, true} {
		for _, profile := range Profiles() {
			f := Format{Profile: profile, FUSA: fusa, Rows: 32, ColumnsPerPacket: 16, Columns: 1024}
			in := &EncodePacket{FrameID: 65535, InitID: 0x123456, Serial: 992101000280, CRC: true}
			for c := range 16 {
				col := EncodeColumn{TimestampNS: uint64(1e12 + c), ID: 1008 + c, Valid: c != 3}
				for r := range 32 {
					x := Pixel{RangeMM: uint32(c*1000+r) * 8, Range2MM: uint32(c*1000+r+7) * 8, Reflectivity: uint8(r), Reflectivity2: uint8(r + 100),
						Signal: uint16(c), Signal2: uint16(c + 300), NearInfrared: 16 * 9, Flags: 1, Flags2: 1, Zones: 0x8001}
					col.Pixels = append(col.Pixels, x)
				}
				in.Columns = append(in.Columns, col)
			}
			b, err := f.Encode([]byte("x"), in)
			if err != nil {
				t.Fatal(err)
			}
			var p Packet
			if err := f.Decode(b[1:], &p); err != nil {
				t.Fatal(err)
			}
			l := layouts[profile]
			for c := range 16 {
				want := Column{uint64(1e12 + c), 1008 + c, 65535, p.Column(c).Status, c != 3}
				if got := p.Column(c); got != want {
					t.Fatalf("%v: column %+v, want %+v", profile, got, want)
				}
				ranges := make([]uint32, 32)
				p.Ranges(c, ranges)
				for r := range 32 {
					x := in.Columns[c].Pixels[r]
					keep(&x, &l)
					if got := p.Pixel(c, r); got != x || ranges[r] != x.RangeMM {
						t.Fatalf("%v: pixel %d %d is %+v, want %+v; range %d", profile, c, r, got, x, ranges[r])
					}
				}
			}
			switch {
			case profile == ProfileLegacy:
			case p.InitID != in.InitID || p.Serial != in.Serial || p.FrameID != in.FrameID:
				t.Errorf("%v: header %+v", profile, p)
			case !f.fusa() && !p.CRCMatches():
				t.Errorf("%v: checksum does not match", profile)
			}
		}
	}
}

// keep unsets what a profile does not carry.
func keep(x *Pixel, l *pixelLayout) {
	if l.second < 0 {
		x.Range2MM, x.Flags2, x.Reflectivity2 = 0, 0, 0
	}
	if l.signal < 0 {
		x.Signal = 0
	}
	if l.signal2 < 0 {
		x.Signal2 = 0
	}
	if l.nearIR < 0 {
		x.NearInfrared = 0
	}
	if l.zones < 0 {
		x.Zones = 0
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	m := metadata(t, "OS-1-32-G_v2.1.1_1024x10.json")
	b := datagrams(t, "OS-1-32-G_v2.1.1_1024x10.pcap", 7502)[0]
	var p Packet
	if n := testenv.AllocsPerRun(20, func() { _ = m.Format.Decode(b, &p); _ = m.Format.Decode(b[1:], &p) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func FuzzAssembler(f *testing.F) {
	m := metadata(f, "OS-1-32-G_v2.1.1_1024x10.json")
	for _, b := range datagrams(f, "OS-1-32-G_v2.1.1_1024x10.pcap", 7502)[:2] {
		f.Add(b, uint8(0))
	}
	f.Add(datagrams(f, "shot_limiting_test.pcap", 7702)[0], uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, profile uint8) {
		meta := *m
		meta.Format.Profile = Profile(profile % uint8(numProfiles))
		a := NewAssembler(&meta, func(g *Frame) {
			if g.Valid < 1 || g.Valid > g.Expected {
				t.Errorf("%d of %d columns", g.Valid, g.Expected)
			}
		}, func(string, uint64) {})
		a.Add(0, b)
		a.Add(1, b)
		a.Expire(int64(1e12))
		if a.Deadline() != 0 {
			t.Error("a frame outlived its timeout")
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(readCapture(f, "OS-1-32-G_v2.1.1_1024x10.json"))
	f.Add(readCapture(f, "crc_test.json"))
	f.Add(readCapture(f, "metadata/malformed/garbled_legacy_and_nonlegacy.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetadata(b)
		if err != nil {
			return
		}
		if err := m.Format.Check(); err != nil {
			t.Fatal(err)
		}
		NewAssembler(m, func(*Frame) {}, func(string, uint64) {})
		NewXYZTable(m)
	})
}

// A cloud holds the points that Point gives, whatever the sensor's transform.
func TestCloudEqualsPoints(t *testing.T) {
	m := metadata(t, "OS-1-32-G_v2.1.1_1024x10.json")
	sin, cos := math.Sincos(0.3)
	m.LidarToSensor = [16]float64{cos, -sin, 0, 10, sin, cos, 0, -20, 0, 0, 1, 36, 0, 0, 0, 1}
	m.BeamToLidar[11] = 5
	f := frames(t, m, datagrams(t, "OS-1-32-G_v2.1.1_1024x10.pcap", 7502), outcomes{})[0]
	table := NewXYZTable(m)
	for _, box := range []Box{{}, {Min: [3]float64{-4, -4, -2}, Max: [3]float64{4, 4, 2}}} {
		got := table.Cloud(nil, &f, &box)
		i := 0
		for k := range m.Format.Columns {
			for r := range m.Format.Rows {
				p, ok := table.Point(r, k, f.RangeMM[k*m.Format.Rows+r])
				if !ok || !box.Contains(p) {
					continue
				}
				for a := range p {
					if math.Abs(float64(got[i+a])-p[a]) > 1e-5*(1+math.Abs(p[a])) {
						t.Fatalf("point %d is %v, want %v", i/3, got[i:i+3], p)
					}
				}
				i += 3
			}
		}
		if i != len(got) {
			t.Errorf("%d numbers, want %d", len(got), i)
		}
	}
}
