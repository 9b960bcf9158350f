package replay

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/modality"
)

// rig is all four drivers and the fakes for them.
type rig struct {
	cfg   Config
	sinks [modality.Count]*recorder
}

// newRig starts the four drivers.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{cfg: Config{Lead: 3 * time.Second, Faults: map[modality.Kind]Faults{}}}

	addr := testenv.FreeAddr(t)
	cam := (&camera.TCPConfig{Listen: addr}).Source("camera")
	r.sinks[modality.Camera] = newRecorder()
	drive(t, cam, r.sinks[modality.Camera])
	r.cfg.Camera = &CameraConfig{Addr: addr}

	meta := filepath.Join(t.TempDir(), "metadata.json")
	sink, addr := udpSource(t, LiDAROuster, meta)
	r.sinks[modality.LiDAR] = sink
	r.cfg.LiDAR = &LiDARConfig{Format: LiDAROuster, Addr: addr, MetadataPath: meta}

	fake, src := radarPair(t)
	r.sinks[modality.Radar] = newRecorder()
	drive(t, src, r.sinks[modality.Radar])
	r.cfg.Radar = fake

	sink, atheros := atherosSource(t, csi.StreamConfig{Listen: "127.0.0.1:0"})
	r.sinks[modality.CSI] = sink
	r.cfg.CSI = &CSIConfig{Addr: listening(t, atheros)}
	return r
}

// TestAllSensors plays a simulated clip again and again on four fakes through
// four drivers. From when a driver is there on, each frame of its sensor comes
// once, where the schedule puts it; of the LiDAR see checkSweeps.
func TestAllSensors(t *testing.T) {
	t.Parallel()
	const frames = 12
	r := newRig(t)
	clip := simulated(t, frames)
	r.cfg.Data, r.cfg.Loop, r.cfg.Pause = clipSet{clip}, true, -1
	var ev events
	r.cfg.OnFrame = ev.add
	p, _ := play(t, r.cfg)
	var got [modality.Count][]*sensors.Sample
	for m := range modality.Count {
		n := frames
		if m == modality.CSI {
			n *= mmfi.CSIPackets
		}
		got[m] = r.sinks[m].waitFor(t, n)[:n]
	}
	frameOf := func(s *sensors.Sample, zero int64) int {
		return int((s.DeviceNS - zero + int64(p.Period())/2) / int64(p.Period()))
	}
	zero := ev.all()[0].Capture.UnixNano()
	for n, s := range got[modality.Camera] {
		i := frameOf(got[modality.Camera][0], zero) + n
		var want sensors.Keypoints
		if found, err := clip.Keypoints(i%frames, &want); err != nil || !found || *s.Keypoints != want || frameOf(s, zero) != i {
			t.Errorf("camera frame %d: %+v of frame %d, want %+v", i, *s.Keypoints, frameOf(s, zero), want)
		}
	}
	checkSweeps(t, p, clip, r.sinks[modality.LiDAR], 1e-6)
	checkRadar(t, clip, got[modality.Radar])
	for n, s := range got[modality.CSI] {
		i := frameOf(got[modality.CSI][0], int64(warmTime)) + n/mmfi.CSIPackets
		var want sim.CSIFrame
		have := [342]complex64(s.CSI.H)
		if err := clip.CSIComplex(i%frames, &want); err != nil || frameOf(s, int64(warmTime)) != i || have != want[n%mmfi.CSIPackets] {
			t.Errorf("csi packet %d: frame %d, want %d, or its packet differs: %v", n, frameOf(s, int64(warmTime)), i, err)
		}
	}
}

// TestSensorsFailInTurn takes each sensor away and brings it back while the
// others go on.
func TestSensorsFailInTurn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Data, r.cfg.Loop, r.cfg.Pause = clipSet{simulated(t, 50)}, true, -1
	p, _ := play(t, r.cfg)
	for _, sink := range r.sinks {
		sink.waitFor(t, 1)
	}
	for m := range modality.Count {
		p.Stop(m)
		off := p.Counts()[m].Off
		var others [modality.Count]int
		for o, sink := range r.sinks {
			others[o] = len(sink.all())
		}
		testenv.Wait(t, m.String()+" to be off", func() bool { return p.Counts()[m].Off >= off+5 })
		silent := len(r.sinks[m].all())
		for o, sink := range r.sinks {
			if modality.Kind(o) != m {
				sink.waitFor(t, others[o]+3)
			}
		}
		// What was in the buffers may still have come; nothing else has.
		if more := len(r.sinks[m].all()) - silent; more > 0 {
			t.Errorf("%v: %d samples while it was unplugged", m, more)
		}
		p.Start(m)
		r.sinks[m].waitFor(t, silent+3)
	}
}

// TestFaultsReachTheDrivers plays with every fault on every sensor: nothing
// but whole, correct samples come out, and everything is counted.
func TestFaultsReachTheDrivers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Data, r.cfg.Pause = clipSet{simulated(t, 40)}, -1
	for m := range modality.Count {
		f := Faults{
			Seed: uint64(m) + 1, Loss: 0.05, Duplicate: 0.05, Reorder: 0.05, Jitter: 10 * time.Millisecond,
			Cuts: []Cut{{time.Second, 300 * time.Millisecond}}, Restarts: []time.Duration{2 * time.Second},
		}
		if m == modality.Camera { // its clock is the host's, which nobody restarts
			f.Restarts, f.Steps = nil, []ClockStep{{2 * time.Second, -time.Hour}}
		}
		r.cfg.Faults[m] = f
	}
	p, wait := play(t, r.cfg)
	wait()
	for m, sink := range r.sinks {
		m := modality.Kind(m)
		c := p.Counts()[m]
		if c.Cut == 0 || c.Restarts+c.Steps != 1 || c.Sent == 0 {
			t.Errorf("%v: counts %+v", m, c)
		}
		if m == modality.LiDAR && (c.Lost == 0 || c.Duplicated == 0 || c.Reordered == 0) {
			t.Errorf("%v: counts %+v", m, c)
		}
		testenv.Wait(t, m.String()+"'s driver to notice that the clock started over", func() bool {
			return slices.ContainsFunc(sink.all(), func(s *sensors.Sample) bool { return s.Restarted })
		})
	}
}
