package pipeline

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// recordedSample is a sample with the time at which it was handed on.
type recordedSample struct {
	s  *sensors.Sample
	at int64
}

// recordedRoom makes samples of all sensors from a room time on.
func recordedRoom(fromNS int64, frames int) (out []recordedSample) {
	rng := rand.New(rand.NewPCG(3, uint64(frames)))
	for i := range frames {
		at := fromNS + int64(i)*1e8
		add := func(m modality.Kind, delayNS int64, s sensors.Sample) {
			s.Modality, s.Seq, s.CaptureNS, s.ReceiveNS = m, uint64(fromNS/1e8)+uint64(i), at, at+delayNS
			out = append(out, recordedSample{&s, at + delayNS})
		}
		for k := range int64(10) {
			h := make([]complex64, 342)
			for j := range h {
				h[j] = complex(rng.Float32(), rng.Float32())
			}
			s := &sensors.Sample{Modality: modality.CSI, Seq: uint64(fromNS/1e7) + uint64(10*i) + uint64(k), CSI: &sensors.CSIPacket{Antennas: 3, Subcarriers: 114, H: h}}
			s.CaptureNS = at - 45e6 + k*1e7
			s.ReceiveNS = s.CaptureNS + 1e5
			out = append(out, recordedSample{s, s.ReceiveNS})
		}
		keys := &sensors.Keypoints{Width: 640, Height: 480}
		for j := range keys.XY {
			keys.XY[j], keys.Score[j] = [2]float64{320 + 20*rng.Float64(), 100 + 15*float64(j)}, 1
		}
		add(modality.Camera, 50e6, sensors.Sample{Keypoints: keys})
		cloud := &sensors.PointCloud{Complete: 1}
		for range 300 {
			cloud.XYZ = append(cloud.XYZ, 3+0.4*rng.Float32(), 0.4*rng.Float32(), -1+1.7*rng.Float32())
		}
		add(modality.LiDAR, 52e6, sensors.Sample{Cloud: cloud})
		add(modality.Radar, 53e6, sensors.Sample{Radar: &sensors.RadarFrame{Points: []sensors.RadarPoint{{X: 3, Z: rng.Float32(), Doppler: 0.3, SNRdB: 12}}}})
	}
	return out
}

// replayed makes the poses of samples with a small real network.
func replayed(t *testing.T, setup Setup, samples []recordedSample) (text string, poses []message.Pose) {
	t.Helper()
	n, err := model.New(modeltest.Small(), 1)
	if err != nil {
		t.Fatal(err)
	}
	inf, err := NewInferer(n, model.Card{Name: "small", Version: "1", Config: modeltest.Small(), Window: model.Causal})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r, err := NewReplay(ReplayOptions{Setup: setup, AnchorNS: 1.7e18, Model: inf, Warn: func(err error) { t.Error(err) }, Pose: func(text []byte, p *message.Pose) error {
		b.Write(append(text, '\n'))
		keep := *p
		if p.JointsM != nil {
			joints := *p.JointsM
			keep.JointsM = &joints
		}
		poses = append(poses, keep)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if err := r.Push(s.s, s.at); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	return b.String(), poses
}

// replaySetup is that of a room without a search for the person, through the form
// in which a session keeps it.
func replaySetup(t *testing.T) Setup {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Room, cfg.Person.Enabled = "gym", false
	b, err := json.Marshal(cfg.setup())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSetup(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReplayIsTheSameEveryTime: equal samples give equal messages, bit for bit.
func TestReplayIsTheSameEveryTime(t *testing.T) {
	setup := replaySetup(t)
	samples := recordedRoom(5e9, 40)
	first, poses := replayed(t, setup, samples)
	second, _ := replayed(t, setup, samples)
	if first != second {
		t.Error("two replays of the same samples differ")
	}
	all := 0
	for i, p := range poses {
		if p.Seq != uint64(i+1) || p.Room != "gym" || p.LatencyMS.Total != 0 {
			t.Fatalf("pose %d: %+v", i, p)
		}
		if p.Coalition == "RLMW" {
			all++
		}
	}
	if all < 30 {
		t.Errorf("%d of %d poses are of all sensors", all, len(poses))
	}
}

// TestReplayGoesOn after an hour in which nothing was recorded, and after times
// that go back, as where files were put together: neither jams the aligner.
func TestReplayGoesOn(t *testing.T) {
	samples := recordedRoom(5e9, 20)
	samples = append(samples, recordedRoom(3605e9, 20)...)
	_, poses := replayed(t, replaySetup(t), samples)
	late := 0
	for _, p := range poses {
		if p.CaptureNS > 3605e9 && p.Coalition == "RLMW" {
			late++
		}
	}
	if late < 12 || len(poses) > 100 {
		t.Errorf("%d poses, %d of all sensors after the pause", len(poses), late)
	}
	samples = append(samples, recordedRoom(9e9, 5)...)
	samples = append(samples, recordedRoom(3610e9, 20)...)
	_, poses = replayed(t, replaySetup(t), samples)
	late = 0
	for _, p := range poses {
		if p.CaptureNS > 3610e9 && p.Coalition == "RLMW" {
			late++
		}
	}
	if late < 12 {
		t.Errorf("%d poses, %d of all sensors after the times went back", len(poses), late)
	}
}

func TestSetupRefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{"", "{}", "[]", `{"sensors":{"camera":5}}`} {
		if _, err := ParseSetup([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	s := replaySetup(t)
	s.Sync.RateHz = 1e9
	if _, err := NewReplay(ReplayOptions{Setup: s, Model: newFakeModel("a")}); err == nil || !strings.Contains(err.Error(), "sync.rate_hz") {
		t.Errorf("a rate of 1e9: %v", err)
	}
}
