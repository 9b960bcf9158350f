package pipeline

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"posefuse/frame"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

func slot(m modality.Kind, s *sensors.Sample, window int) timesync.Slot {
	s.Modality = m
	sl := timesync.Slot{State: timesync.Fused, Sample: s}
	for range window {
		sl.Window = append(sl.Window, s)
	}
	return sl
}

func fullTick() *timesync.Tick {
	t := &timesync.Tick{Seq: 1}
	k := &sensors.Keypoints{Width: 640, Height: 480}
	k.XY[0] = [2]float64{640, 240}
	t.Slots[modality.Camera] = slot(modality.Camera, &sensors.Sample{Keypoints: k}, model.CameraWindow)
	t.Slots[modality.LiDAR] = slot(modality.LiDAR, &sensors.Sample{Cloud: &sensors.PointCloud{XYZ: []float32{1, 2, 3}}}, 0)
	t.Slots[modality.Radar] = slot(modality.Radar, &sensors.Sample{Radar: &sensors.RadarFrame{Points: []sensors.RadarPoint{{X: 1, Y: 2, Z: 3, Doppler: 4, SNRdB: 5}}}}, 0)
	h := make([]complex64, 342)
	for i := range h {
		h[i] = 1
	}
	h[341] = 10 // 20 dB above the rest
	t.Slots[modality.CSI] = slot(modality.CSI, &sensors.Sample{CSI: &sensors.CSIPacket{Antennas: 3, Subcarriers: 114, H: h}}, model.CSIPackets)
	return t
}

func TestPrepareFillsTheInputs(t *testing.T) {
	e, err := newEngine(newFakeModel("fake"), true)
	if err != nil {
		t.Fatal(err)
	}
	if bad := e.prepare(fullTick()); bad != 0 || e.in.Present != modality.All {
		t.Fatalf("present %v, unusable %v", e.in.Present, bad)
	}
	const newest = (model.CameraWindow - 1) * 34
	if e.in.Camera[newest] != 1 || e.in.Camera[newest+1] != 0 {
		t.Errorf("camera %v: the image's right edge at half height is (1, 0)", e.in.Camera[newest:newest+2])
	}
	// One point repeats until the input is full, as offline.
	last := len(e.in.LiDAR) - 3
	if e.in.LiDAR[last] != 1 || e.in.LiDAR[last+2] != 3 {
		t.Errorf("lidar %v", e.in.LiDAR[last:])
	}
	if e.in.Radar[3] != 4 || e.in.Radar[4] != 5 {
		t.Errorf("radar %v: columns are x, y, z, Doppler, SNR", e.in.Radar[:5])
	}
	if n := len(e.in.CSI); e.in.CSI[0] != 0 || e.in.CSI[n-1] != 1 {
		t.Errorf("csi %v..%v, want 0..1", e.in.CSI[0], e.in.CSI[n-1])
	}
	if n := testenv.AllocsPerRun(20, func() { e.prepare(fullTickOnce) }); n != 0 {
		t.Errorf("preparing allocates %v times", n)
	}
}

var fullTickOnce = fullTick()

func TestPrepareLeavesOutWhatItCannotUse(t *testing.T) {
	e, err := newEngine(newFakeModel("fake"), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change    func(*timesync.Tick)
		bad, have modality.Set
	}{
		"two antennas": {func(t *timesync.Tick) {
			t.Slots[modality.CSI].Window[3] = &sensors.Sample{CSI: &sensors.CSIPacket{Antennas: 2, Subcarriers: 114, H: make([]complex64, 228)}}
		}, 0b1000, 0b0111},
		"image without size": {func(t *timesync.Tick) {
			t.Slots[modality.Camera].Window[0] = &sensors.Sample{Keypoints: &sensors.Keypoints{}}
		}, 0b0001, 0b1110},
		"wrong payload": {func(t *timesync.Tick) { t.Slots[modality.LiDAR].Sample = &sensors.Sample{} }, 0b0010, 0b1101},
		"radar late":    {func(t *timesync.Tick) { t.Slots[modality.Radar] = timesync.Slot{State: timesync.Late} }, 0, 0b1011},
		"nobody there":  {func(t *timesync.Tick) { t.Slots[modality.Radar].Sample = &sensors.Sample{Radar: &sensors.RadarFrame{}} }, 0, 0b1111},
	} {
		tick := fullTick()
		c.change(tick)
		if bad := e.prepare(tick); bad != c.bad || e.in.Present != c.have {
			t.Errorf("%s: unusable %v, present %v", name, bad, e.in.Present)
		}
	}
}

func TestEngineIgnoresModalitiesTheModelLacks(t *testing.T) {
	f := newFakeModel("no csi")
	f.card.Config.Modalities = "RLM"
	e, err := newEngine(f, true)
	if err != nil {
		t.Fatal(err)
	}
	if e.prepare(fullTick()); e.in.Present != 0b0111 {
		t.Errorf("present %v", e.in.Present)
	}
}

func TestViewerPoints(t *testing.T) {
	rig := frame.Simulated.Rig() // the LiDAR 5 cm above the camera, the radar as far below
	f := newPointFeed("room1", nil, &rig)
	cloud := &sensors.PointCloud{XYZ: make([]float32, 3*10_000)}
	for i := range 10_000 {
		cloud.XYZ[3*i] = 1.23456
	}
	cloud.XYZ[0] = float32(math.NaN())
	m := f.message(pointSet{captureNS: 5, lidar: cloud, radar: &sensors.RadarFrame{Points: []sensors.RadarPoint{{X: 3, Y: 1, Z: 0.5, Doppler: -1}}}})
	if len(m.LiDAR) < 1000 || len(m.LiDAR) > maxViewerPoints || m.LiDAR[0] != [3]float32{0, -0.05, 1.235} {
		t.Errorf("%d points, first %v", len(m.LiDAR), m.LiDAR[0])
	}
	if m.Radar[0] != [4]float32{-1, -0.45, 3, -1} { // left, up, ahead in the camera frame
		t.Errorf("radar %v", m.Radar)
	}
	f.offer(pointSet{captureNS: 1e9})
	f.offer(pointSet{captureNS: 1e9 + 50e6}) // too soon
	f.offer(pointSet{captureNS: 1e9 + 100e6})
	if s := <-f.pending; s.captureNS != 1e9+100e6 {
		t.Errorf("kept %d", s.captureNS)
	}
}

// TestEveryTickPublishesOneMessage drives the loop by hand with random ticks.
func TestEveryTickPublishesOneMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := New(Options{Config: unsearched(), Model: newFakeModel("fake")})
		if err != nil {
			t.Fatal(err)
		}
		l := c.ticks
		n := 0
		l.publish = func(buf []byte, p *message.Pose) ([]byte, error) {
			n++
			for m := range modality.Count {
				letter := m.Letter()
				v := p.Modalities[letter]
				if v.Presence != (v.State == string(timesync.Fused)) || (v.AgeMS != nil) != v.Presence {
					t.Fatalf("%s: %+v", letter, v)
				}
			}
			if (p.JointsM == nil) != (p.Coalition == "-") || (p.SpreadMM != nil) != (len(p.Coalition) > 1) {
				t.Fatalf("coalition %s, joints %v, spread %v", p.Coalition, p.JointsM, p.SpreadMM)
			}
			return buf, nil
		}
		ticks := rapid.IntRange(1, 20).Draw(t, "ticks")
		for i := range ticks {
			tick := fullTick()
			tick.Seq = uint64(i + 1)
			for m := range tick.Slots {
				if s := rapid.SampledFrom([]timesync.State{timesync.Fused, timesync.Late, timesync.Gap, timesync.Stale, timesync.Off}).Draw(t, "state"); s != timesync.Fused {
					tick.Slots[m] = timesync.Slot{State: s}
				}
			}
			l.tick(tick)
		}
		if n != ticks || l.progress.poses.Load() != uint64(ticks) {
			t.Fatalf("%d messages for %d ticks", n, ticks)
		}
	})
}

func TestFPS(t *testing.T) {
	p := progress{recent: make([]int64, 60)}
	for i := range 100 {
		p.note(int64(i+1) * 100e6) // 10 Hz for 10 s
	}
	if got := p.fps(10e9, 0); got != 10 {
		t.Errorf("%v fps, want 10", got)
	}
	if got := p.fps(13e9, 0); got != 4 { // silent for 3 s of the 5
		t.Errorf("%v fps, want 4", got)
	}
}

func BenchmarkTick(b *testing.B) {
	c, err := New(Options{Config: unsearched(), Model: newFakeModel("fake")})
	if err != nil {
		b.Fatal(err)
	}
	c.ticks.publish = func(buf []byte, _ *message.Pose) ([]byte, error) { return buf, nil }
	b.ReportAllocs()
	for b.Loop() {
		c.ticks.tick(fullTickOnce)
	}
}
