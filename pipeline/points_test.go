package pipeline

import (
	"maps"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/frame"
	"posefuse/message"
	"posefuse/model"
	"posefuse/person"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// pointCount reads posefuse_points_total from the registry.
func pointCount(t interface{ Fatal(...any) }, c *Core, sensor, outcome string) float64 {
	families, err := c.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == "posefuse_points_total" && l[0].GetValue() == outcome && l[1].GetValue() == sensor {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatal("no such metric:", sensor, outcome)
	return 0
}

// TestBadClouds states what becomes of every kind of cloud on the live path.
func TestBadClouds(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	many := make([]float32, 3*1_000_000)
	for i := range many {
		many[i] = float32(i % 7)
	}
	points := model.Edge().LiDAR.Points
	for name, c := range map[string]struct {
		xyz  []float32
		use  pointUse // used, broken, surplus
		took bool
	}{
		"no point":       {nil, pointUse{}, true},
		"one point":      {[]float32{1, 2, 3}, pointUse{1, 0, 0}, true},
		"NaN":            {[]float32{nan, 2, 3, 4, 5, 6}, pointUse{1, 1, 0}, true},
		"infinite":       {[]float32{1, inf, 3, 4, 5, -inf, 7, 8, 9}, pointUse{1, 2, 0}, true},
		"huge":           {[]float32{1e30, 0, 0, 0, 0, 0}, pointUse{1, 1, 0}, true},
		"nothing usable": {[]float32{nan, nan, nan, inf, 0, 0, 0, 1e30, 0}, pointUse{0, 3, 0}, false},
		"a million":      {many, pointUse{uint64(points), 0, uint64(1_000_000 - points)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			core, err := New(Options{Config: unsearched(), Model: newFakeModel("fake")})
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			core.ticks.onError = func(err error) { said = append(said, err.Error()) }
			var state string
			core.ticks.publish = func(buf []byte, p *message.Pose) ([]byte, error) {
				state = p.Modalities["L"].State
				return buf, nil
			}
			tick := fullTick()
			tick.Slots[modality.LiDAR].Sample = &sensors.Sample{Modality: modality.LiDAR, Cloud: &sensors.PointCloud{XYZ: c.xyz}}
			core.ticks.tick(tick)
			if (state == "fused") != c.took || (state == "gap") == c.took {
				t.Errorf("state %s", state)
			}
			for outcome, want := range c.use {
				if got := pointCount(t, core, "lidar", pointOutcomes[outcome]); got != float64(want) {
					t.Errorf("%v points %s, want %d", got, pointOutcomes[outcome], want)
				}
			}
			if (len(said) == 0) != c.took || !c.took && !strings.Contains(said[0], "lidar") {
				t.Errorf("said %q", said)
			}
		})
	}
}

// Every point of every cloud ends in exactly one counter.
func TestEveryPointIsCountedOnce(t *testing.T) {
	core, err := New(Options{Config: unsearched(), Model: newFakeModel("fake")})
	if err != nil {
		t.Fatal(err)
	}
	core.ticks.publish = func(buf []byte, _ *message.Pose) ([]byte, error) { return buf, nil }
	core.ticks.onError = func(error) {}
	var in [modality.Count]int
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Float32(), rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(-1)), 1, 2}))
		tick := fullTick()
		xyz := rapid.SliceOfN(value, 0, 60).Draw(t, "xyz")
		tick.Slots[modality.LiDAR].Sample = &sensors.Sample{Modality: modality.LiDAR, Cloud: &sensors.PointCloud{XYZ: xyz}}
		frame := &sensors.RadarFrame{Points: make([]sensors.RadarPoint, rapid.IntRange(0, 200).Draw(t, "radar"))}
		for i := range frame.Points {
			frame.Points[i].Doppler = value.Draw(t, "doppler")
		}
		tick.Slots[modality.Radar].Sample = &sensors.Sample{Modality: modality.Radar, Radar: frame}
		core.ticks.tick(tick)
		in[modality.LiDAR] += len(xyz) / 3
		in[modality.Radar] += len(frame.Points)
		for _, m := range []modality.Kind{modality.LiDAR, modality.Radar} {
			sum := 0.0
			for _, outcome := range pointOutcomes {
				sum += pointCount(t, core, m.String(), outcome)
			}
			if sum != float64(in[m]) {
				t.Fatalf("%s: %d points in, %v counted", m, in[m], sum)
			}
		}
	})
}

// TestViewersSeeForegroundAndBackground: the person's points come first, then what
// else is new, then the room's; a sweep of any size gives a bounded message whose
// counts are the sweep's.
func TestViewersSeeForegroundAndBackground(t *testing.T) {
	level := frame.SensorPose{}
	rig := frame.Rig{RoomFromLiDAR: level.RoomFromSensor(), RoomFromRadar: level.RoomFromSensor()}
	f := newPointFeed("room1", &frame.Transform{}, &rig)
	// Each point says in its height what it was taken for.
	height := map[person.Label]float32{person.Person: 1, person.Other: 2, person.Background: 3, person.Floor: 4, person.Outside: 5}
	rapid.Check(t, func(t *rapid.T) {
		s := pointSet{captureNS: 1, searched: true, lidar: &sensors.PointCloud{}, radar: &sensors.RadarFrame{}}
		want := map[string]int{"broken": 0}
		for l := person.Outside; l <= person.Person; l++ {
			n := rapid.IntRange(0, 3000).Draw(t, l.String())
			want[l.String()] = n
			for range n {
				s.lidar.XYZ, s.labels = append(s.lidar.XYZ, 3, 1, height[l]), append(s.labels, l)
			}
		}
		for i := range rapid.IntRange(0, 20).Draw(t, "radar") {
			s.radar.Points = append(s.radar.Points, sensors.RadarPoint{X: 2, Z: float32(i)})
			if i%3 == 1 {
				s.own = append(s.own, i)
			}
		}
		m := f.message(s)
		if len(m.LiDAR) > maxViewerPoints {
			t.Fatalf("%d points", len(m.LiDAR))
		}
		if len(s.labels) > 0 && !maps.Equal(m.Search.Sweep, want) {
			t.Fatalf("counted %v, want %v", m.Search.Sweep, want)
		}
		for i, p := range m.LiDAR {
			wantPerson, wantNew := i < m.Search.LiDARPerson, i >= m.Search.LiDARPerson && i < m.Search.LiDARPerson+m.Search.LiDARNew
			if (p[2] == 1) != wantPerson || (p[2] == 2) != wantNew {
				t.Fatalf("point %d of %d person's and %d new ones is at %g m", i, m.Search.LiDARPerson, m.Search.LiDARNew, p[2])
			}
		}
		for name, c := range map[string]struct{ got, all, most int }{
			"person": {m.Search.LiDARPerson, want["person"], maxViewerPerson},
			"new":    {m.Search.LiDARNew, want["other"], maxViewerNew},
		} {
			if c.got > c.all || c.got < min(c.all, c.most/3) {
				t.Fatalf("%s: %d of %d points are shown", name, c.got, c.all)
			}
		}
		if len(m.Radar) != len(s.radar.Points) || m.Search.RadarPerson != len(s.own) {
			t.Fatalf("%d of %d detections, %d of %d the person's", len(m.Radar), len(s.radar.Points), m.Search.RadarPerson, len(s.own))
		}
		for i, p := range m.Radar {
			if (int(p[2])%3 == 1) != (i < m.Search.RadarPerson) {
				t.Fatalf("detection %d is out of order", i)
			}
		}
	})
	if m := f.message(pointSet{lidar: &sensors.PointCloud{XYZ: []float32{1, 2, 3}}}); m.Search != nil || len(m.LiDAR) != 1 {
		t.Errorf("nobody searched: %+v", m)
	}
}

// TestViewersGetTheLabelsOfTheirSweep: through the tick loop.
func TestViewersGetTheLabelsOfTheirSweep(t *testing.T) {
	core, err := New(Options{Config: wholeRoomConfig(DefaultConfig()), Model: newFakeModel("fake")})
	if err != nil {
		t.Fatal(err)
	}
	core.ticks.publish = func(buf []byte, _ *message.Pose) ([]byte, error) { return buf, nil }
	core.ticks.onError = func(err error) { t.Error(err) }
	all, own := sweeps(t, 5)
	for i, s := range all {
		tick := fullTick()
		tick.TimeNS = s.CaptureNS
		for m := range tick.Slots {
			if modality.Kind(m) != modality.LiDAR {
				tick.Slots[m] = timesync.Slot{State: timesync.Late}
			}
		}
		tick.Slots[modality.LiDAR].Sample = s
		core.ticks.tick(tick)
		m := core.points.message(<-core.points.pending)
		if n := m.Search.Sweep["person"]; n < own[i]*85/100 || n > own[i]*120/100 || m.Search.LiDARPerson != n {
			t.Errorf("sweep %d: %d points of the person, %d of them shown, want %d", i+1, n, m.Search.LiDARPerson, own[i])
		}
	}
}
