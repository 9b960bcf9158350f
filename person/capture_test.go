package person_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/ip4defrag"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"posefuse/internal/testenv"
	"posefuse/person"
	"posefuse/sensors/lidar"
)

// ousterSweeps returns the sweeps of a real capture, n x 3 metres in the
// sensor's frame, a sweep a slice.
func ousterSweeps(t *testing.T, name, metadata string) (sweeps [][]float32) {
	t.Helper()
	meta, err := lidar.ParseMetadata(testenv.ReadShared(t, "captures/lidar-ouster", metadata))
	if err != nil {
		t.Fatal(err)
	}
	table := lidar.NewXYZTable(meta)
	frames := lidar.NewAssembler(meta, func(f *lidar.Frame) {
		sweeps = append(sweeps, table.Cloud(nil, f, &lidar.Box{}))
	}, func(string, uint64) {})
	r, err := pcapgo.NewReader(bytes.NewReader(testenv.ReadShared(t, "captures/lidar-ouster", name)))
	if err != nil {
		t.Fatal(err)
	}
	defrag := ip4defrag.NewIPv4Defragmenter()
	for {
		data, info, err := r.ReadPacketData()
		if err != nil {
			break
		}
		ip, ok := gopacket.NewPacket(data, r.LinkType(), gopacket.Default).Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		if !ok {
			continue
		}
		whole, err := defrag.DefragIPv4(ip)
		if err != nil {
			t.Fatal(err)
		}
		var udp layers.UDP
		if whole != nil && udp.DecodeFromBytes(whole.Payload, gopacket.NilDecodeFeedback) == nil && udp.DstPort == 7502 {
			frames.Add(info.Timestamp.UnixNano(), udp.Payload)
		}
	}
	frames.Flush()
	return sweeps
}

// floorBelow returns how far below the sensor the floor lies: the lowest 10 cm
// that hold 2 % of the points within 6 m.
func floorBelow(xyz []float32) float64 {
	var bins [60]int
	all := 0
	for p := xyz; len(p) >= 3; p = p[3:] {
		if z := -float64(p[2]); math.Hypot(float64(p[0]), float64(p[1])) < 6 && z > 0 && z < 5.9 {
			bins[int(z*10)]++
			all++
		}
	}
	for k := len(bins) - 1; k >= 0; k-- {
		if bins[k]*50 > all {
			return float64(k)/10 + 0.05
		}
	}
	return 1
}

// TestRealSweeps shows the finder real rooms, a quarter of each at a time as if
// the sensor looked there. Two of the captures hold a standing person (head,
// shoulders and legs can be made out in the points); those are found, and in the
// other 14 views nobody.
func TestRealSweeps(t *testing.T) {
	testenv.SlowRace(t)
	type view struct {
		quarter int
		at      [2]float64
	}
	for name, c := range map[string]struct {
		metadata string
		person   *view
		picture  string // in docs
	}{
		"OS-1-32-G_v2.1.1_1024x10":      {person: &view{1, [2]float64{-1.75, 4.33}}},
		"OS-0-128-U1_v2.3.0_1024x10":    {},
		"OS-0-32-U1_v2.2.0_1024x10":     {person: &view{2, [2]float64{0.8, 2.79}}, picture: "person.svg"},
		"OS-1-128_v2.3.0_1024x10_lb_n3": {metadata: "OS-1-128_v2.3.0_1024x10"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.metadata == "" {
				c.metadata = name
			}
			sweeps := ousterSweeps(t, name+".pcap", c.metadata+".json")
			if len(sweeps) == 0 {
				t.Fatal("no sweep")
			}
			down := floorBelow(sweeps[0])
			var picture []byte
			for quarter := range 4 {
				sin, cos := math.Sincos(float64(quarter) * math.Pi / 2)
				f := person.NewFinder(person.Config{LiDARAtM: [3]float64{0, 0, down}})
				var dst, xyz []float32
				var track person.Track
				seen := 0
				for k := range 300 { // the same sweeps for half a minute
					sweep := sweeps[k%len(sweeps)]
					xyz = xyz[:0]
					for i := 0; i+2 < len(sweep); i += 3 {
						x, y := float64(sweep[i]), float64(sweep[i+1])
						xyz = append(xyz, float32(-cos*y-sin*x), float32(cos*x-sin*y), sweep[i+2]+float32(down))
					}
					atNS := int64(k)*1e8 + 1e9
					dst = f.Cloud(atNS, xyz, dst[:0])
					if tr, ok := f.Track(atNS); ok {
						track = tr
						seen++
					}
				}
				n := f.Count()
				t.Logf("quarter %d, floor %.2f m below: %v after half a minute, a track in %d of 300 sweeps: %+v", quarter, down, n, seen, track)
				if c.person == nil || c.person.quarter != quarter {
					if seen > 0 {
						t.Errorf("quarter %d: a person at %.2f m", quarter, track.PlaceM)
					}
					continue
				}
				picture = topView(xyz, f.Labels(), f.Region())
				off := math.Hypot(track.PlaceM[0]-c.person.at[0], track.PlaceM[1]-c.person.at[1])
				if seen < 295 || off > 0.1 || n[person.Person] < 200 {
					t.Errorf("quarter %d: %d points of a person at %.2f m in %d of 300 sweeps; the person is at %.2f", quarter, n[person.Person], track.PlaceM, seen, c.person.at)
				}
			}
			if c.picture != "" {
				comparePicture(t, c.picture, picture)
			}
		})
	}
}
