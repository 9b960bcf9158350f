package lidar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

const velodyneCaptures = "captures/lidar-velodyne"

// velodynePackets cuts a file of packets without framing.
func velodynePackets(t testing.TB, name string) (out [][]byte) {
	t.Helper()
	b := testenv.ReadShared(t, velodyneCaptures, name)
	for ; len(b) >= velodyneSize; b = b[velodyneSize:] {
		out = append(out, b[:velodyneSize])
	}
	return out
}

// Counts and sums are those of captures/lidar-velodyne/SOURCES.md.
func TestVelodyneCaptures(t *testing.T) {
	for _, c := range []struct {
		name                                 string
		packets, returns, distances, reflect int
		product                              VelodyneProduct
	}{
		{"vlp16_strongest_1000x1206.bin", 1000, 203034, 260620593, 8017759, VLP16},
		{"vlp16_strongest_one.bin", 1, 262, 194012, -1, VLP16},
		{"vlp32c_379x1206.bin", 379, 131305, 152720164, 6028208, VLP32C},
	} {
		packets := velodynePackets(t, c.name)
		returns, distances, reflect := 0, 0, 0
		for i, b := range packets {
			var p VelodynePacket
			if err := DecodeVelodyne(b, &p); err != nil || p.Product != c.product || p.Mode != VelodyneStrongest {
				t.Fatalf("%s packet %d: %v, %+v", c.name, i, err, p)
			}
			for block := range velodyneBlocks {
				for channel := range velodyneChannels {
					if d, r := p.Return(block, channel); d > 0 {
						returns++
						distances += int(d)
						reflect += int(r)
					}
				}
			}
		}
		if len(packets) != c.packets || returns != c.returns || distances != c.distances || c.reflect >= 0 && reflect != c.reflect {
			t.Errorf("%s: %d packets, %d returns, sums %d and %d", c.name, len(packets), returns, distances, reflect)
		}
	}
	var p VelodynePosition
	at := bytes.Index(testenv.ReadShared(t, velodyneCaptures, "vlp16_position.pcap"), []byte("$GPRMC")) - 206
	b := testenv.ReadShared(t, velodyneCaptures, "vlp16_position.pcap")[at:]
	if err := DecodeVelodynePosition(b[:velodynePositionSize], &p); err != nil || p.TimestampUS != 2467110195 || string(p.NMEA) != "$GPRMC,214106,A,3707.8178,N,12139.2690,W,010.3,188.2,230715,013.8,E,D*05" {
		t.Errorf("position: %v, %+v", err, p)
	}
	var v VelodynePacket
	for _, b := range datagrams(t, "VLI-16-one-packet.pcap", 0) {
		if DecodeVelodyne(b, &v) == nil || Recognise(b).Driver == "velodyne" {
			t.Error("another maker's packet was accepted")
		}
	}
}

func velodyneSweeps(packets [][]byte, cutDeg float64, lasers []VelodyneLaser, o outcomes) (out []*Sweep) {
	a := NewVelodyneAssembler(cutDeg, lasers, &Box{}, func(s *Sweep) { out = append(out, s) }, o.count)
	for i, b := range packets {
		a.Add(int64(i), b)
	}
	a.Flush()
	return out
}

func TestVelodyneSweeps(t *testing.T) {
	o := outcomes{}
	packets := velodynePackets(t, "vlp16_strongest_1000x1206.bin")
	got := velodyneSweeps(packets, 0, nil, o)
	points := 0
	for i, s := range got {
		points += len(s.XYZ) / 3
		whole := i > 0 && i < len(got)-1
		if s.Complete != 1 || whole && (s.Span < 99e6 || s.Span > 101e6) {
			t.Errorf("sweep %d: complete %g, span %v", i, s.Complete, s.Span)
		}
	}
	if len(got) != 14 || points != 203034 || o["packet"] != 1000 || len(o) != 1 {
		t.Errorf("%d sweeps of %d points in all; %v", len(got), points, o)
	}
	o = outcomes{}
	// A hole, a packet twice and one too late.
	damaged := append(append([][]byte{}, packets[:100]...), packets[103:200]...)
	damaged = append(damaged, packets[199], packets[150])
	velodyneSweeps(damaged, 180, nil, o)
	if o["lost_packet"] != 3 || o["duplicate"] != 1 || o["late"] != 1 {
		t.Errorf("%v", o)
	}
	// Across the full hour the time goes on.
	over := func(us uint32) []byte {
		b := bytes.Clone(packets[0])
		binary.LittleEndian.PutUint32(b[1200:], us)
		return b
	}
	o = outcomes{}
	hour := velodyneSweeps([][]byte{over(uint32(hourUS - 1000)), over(327)}, 0, nil, o)
	if len(hour) != 1 || hour[0].Restarted || hour[0].TimeNS < 1000*uint64(hourUS-2000) || o["lost_packet"] != 0 {
		t.Errorf("full hour: %+v, %v", hour, o)
	}
}

func vlp32cYAML() string {
	text := "lasers:\n"
	for i, l := range vlp32cDeg {
		text += fmt.Sprintf("- {dist_correction: 0.0, laser_id: %d, rot_correction: %g, vert_correction: %g}\n", i, -l[1]*math.Pi/180, l[0]*math.Pi/180)
	}
	return text + "num_lasers: 32\n"
}

func vlp32cXML() string {
	text := `<boost_serialization signature="serialization::archive"><DB><points_>`
	for i, l := range vlp32cDeg {
		text += fmt.Sprintf("<item><px><id_>%d</id_><rotCorrection_>%g</rotCorrection_><vertCorrection_>%g</vertCorrection_><distCorrection_>0</distCorrection_></px></item>", i, -l[1], l[0])
	}
	return text + "</points_></DB></boost_serialization>"
}

// The reference points were made by another driver from the first message, with
// a calibration and interpolation of its own.
func TestVLP32CAgainstReference(t *testing.T) {
	lasers, err := ParseVelodyneCalibration([]byte(vlp32cYAML()))
	if err != nil {
		t.Fatal(err)
	}
	g := NewVelodyneGeometry(VLP32C, lasers)
	var xyz []float32
	for _, b := range velodynePackets(t, "vlp32c_379x1206.bin")[:76] {
		var p VelodynePacket
		if err := DecodeVelodyne(b, &p); err != nil {
			t.Fatal(err)
		}
		for block := range velodyneBlocks {
			xyz = g.Block(xyz, &p, block, &Box{})
		}
	}
	// A grid of our points, 10 cm wide.
	grid := map[[3]int][]int{}
	cell := func(p []float32) [3]int {
		return [3]int{int(math.Floor(float64(p[0]) * 10)), int(math.Floor(float64(p[1]) * 10)), int(math.Floor(float64(p[2]) * 10))}
	}
	for i := 0; i < len(xyz); i += 3 {
		c := cell(xyz[i:])
		grid[c] = append(grid[c], i)
	}
	pcd := testenv.ReadShared(t, velodyneCaptures, "vlp32c_1713492677464078412.pcd")
	_, data, _ := bytes.Cut(pcd, []byte("DATA binary\n"))
	near, n := 0, 0
	for ; len(data) >= 12; data = data[12:] {
		var p [3]float32
		vector(data, &p)
		n++
		c := cell(p[:])
		best := math.Inf(1)
		for dx := -1; dx <= 1; dx++ {
			for dy := -1; dy <= 1; dy++ {
				for dz := -1; dz <= 1; dz++ {
					for _, i := range grid[[3]int{c[0] + dx, c[1] + dy, c[2] + dz}] {
						d := math.Hypot(math.Hypot(float64(xyz[i]-p[0]), float64(xyz[i+1]-p[1])), float64(xyz[i+2]-p[2]))
						best = min(best, d)
					}
				}
			}
		}
		r := math.Hypot(math.Hypot(float64(p[0]), float64(p[1])), float64(p[2]))
		if best < 0.01+0.006*r { // a third of a degree
			near++
		}
	}
	if n != 26216 || float64(near) < 0.99*float64(n) {
		t.Errorf("%d of %d reference points are near one of ours", near, n)
	}
}

func TestVelodyneCalibration(t *testing.T) {
	a, err := ParseVelodyneCalibration([]byte(vlp32cYAML()))
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseVelodyneCalibration([]byte(vlp32cXML()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range a {
		if math.Abs(a[i].AzimuthRad-b[i].AzimuthRad) > 1e-12 || math.Abs(a[i].ElevationRad-b[i].ElevationRad) > 1e-12 {
			t.Errorf("laser %d: %+v in YAML, %+v in XML", i, a[i], b[i])
		}
	}
	for text, want := range map[string]string{
		"":             "no lasers",
		"lasers: [{}]": "laser_id",
		"lasers: [":    "yaml",
		"<a>":          "XML",
		"<DB></DB>":    "points_",
		"lasers: [{laser_id: 0, vert_correction: 3}]":                                    "which no laser has",
		"lasers: [{laser_id: 1, vert_correction: 0}]":                                    "none has the number 0",
		"lasers: [{laser_id: 0, vert_correction: 0}, {laser_id: 0, vert_correction: 0}]": "twice",
		"lasers: [{laser_id: 0, vert_correction: 0}]":                                    "another product",
	} {
		if _, err := ParseVelodyneCalibration([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	// A file of the manual's angles changes nothing.
	packets := velodynePackets(t, "vlp32c_379x1206.bin")
	with, without := velodyneSweeps(packets, 0, a, outcomes{}), velodyneSweeps(packets, 0, nil, outcomes{})
	for i, s := range with {
		for k, v := range s.XYZ {
			if math.Abs(float64(v-without[i].XYZ[k])) > 1e-4 {
				t.Fatalf("sweep %d: number %d is %g with the manual's angles in a file, %g without", i, k, v, without[i].XYZ[k])
			}
		}
	}
}

// velodyneTurn encodes a turn of an empty room with a wall all round.
func velodyneTurn(t testing.TB, mode VelodyneMode, distance, second uint16) (out [][]byte) {
	t.Helper()
	azimuth, us := 0.0, 0.0
	for range 76 {
		p := VelodynePacket{TimestampUS: uint32(us), Mode: mode, Product: VLP16}
		var blocks [velodyneBlocks]VelodyneBlock
		for k := range blocks {
			blocks[k].Azimuth = uint16(int(azimuth) % 36000)
			for c := range blocks[k].Returns {
				blocks[k].Returns[c] = VelodyneReturn{Distance: distance, Reflectivity: uint8(c)}
				if mode == VelodyneDual && k%2 == 1 {
					blocks[k].Returns[c].Distance = second
				}
			}
			if mode != VelodyneDual || k%2 == 1 {
				azimuth += 40
				us += 2 * velodyneCycleUS
			}
		}
		b, err := EncodeVelodyne(nil, &p, &blocks)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

func TestVelodyneDual(t *testing.T) {
	for second, want := range map[uint16]int{1000: 1, 2000: 2} {
		points := 0
		for _, s := range velodyneSweeps(velodyneTurn(t, VelodyneDual, 1000, second), 180, nil, outcomes{}) {
			points += len(s.XYZ) / 3
		}
		if points != want*76*6*32 {
			t.Errorf("second return %d: %d points, want %d", second, points, want*76*6*32)
		}
	}
	// All points of a wall of 2 m lie at 2 m, and turn to the right.
	s := velodyneSweeps(velodyneTurn(t, VelodyneStrongest, 1000, 0), 0, nil, outcomes{})[0]
	for i := 0; i < len(s.XYZ); i += 3 {
		p := s.XYZ[i : i+3]
		if r := math.Hypot(math.Hypot(float64(p[0]), float64(p[1])), float64(p[2])); math.Abs(r-2) > 1e-5 {
			t.Fatalf("point %d at %g m", i/3, r)
		}
	}
	if s.XYZ[1] > 0 || s.XYZ[32*3*100+1] >= 0 {
		t.Errorf("azimuth does not turn to the right: %v", s.XYZ[32*3*100:][:3])
	}
}

func FuzzVelodyne(f *testing.F) {
	f.Add(velodyneTurn(f, VelodyneDual, 1000, 2000)[0], uint16(0))
	f.Add(velodynePackets(f, "vlp16_strongest_one.bin")[0], uint16(18000))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		for _, s := range velodyneSweeps([][]byte{b, b}, float64(cut%36000)/100, nil, outcomes{}) {
			if len(s.XYZ) > 3*2*velodyneBlocks*velodyneChannels || s.Complete < 0 || s.Complete > 1 {
				t.Errorf("%d points, complete %g", len(s.XYZ)/3, s.Complete)
			}
		}
		_ = DecodeVelodynePosition(b, &VelodynePosition{})
		Recognise(b)
	})
}

func FuzzVelodyneCalibration(f *testing.F) {
	f.Add([]byte(vlp32cYAML()))
	f.Add([]byte(vlp32cXML()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if lasers, err := ParseVelodyneCalibration(b); err == nil && len(lasers) != 16 && len(lasers) != 32 {
			t.Errorf("%d lasers", len(lasers))
		}
	})
}

func TestVelodyneAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "it allocates by itself")
	packets := velodynePackets(t, "vlp16_strongest_1000x1206.bin")
	g := NewVelodyneGeometry(VLP16, nil)
	dst := make([]float32, 0, 3*velodyneBlocks*velodyneChannels)
	var p VelodynePacket
	if n := testenv.AllocsPerRun(20, func() {
		_ = DecodeVelodyne(packets[0], &p)
		dst = dst[:0]
		for k := range velodyneBlocks {
			dst = g.Block(dst, &p, k, &Box{})
		}
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
