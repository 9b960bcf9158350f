package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/configs"
	"posefuse/frame"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/model/shipped"
	"posefuse/pipeline"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/replay"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
	"posefuse/train"
)

// paperModel is the checkpoint of recipe paper.
const paperModel = "../../model/checkpoints/paper"

// TestLiveInputEqualsTraining is the test that the network sees in training what
// it sees live: a daemon reads fake sensors of a whole room through its drivers,
// one of them after the other goes away for a while, and its samples, in the sets
// that it published, are then loaded as training loads a recording. Every value of
// the network's input is the same, bit for bit.
func TestLiveInputEqualsTraining(t *testing.T) {
	t.Run("room", func(t *testing.T) { liveInputEqualsTraining(t, "") })
	t.Run("paper", func(t *testing.T) {
		testenv.Slow(t)
		liveInputEqualsTraining(t, paperModel)
	})
	t.Run("several radar frames", func(t *testing.T) {
		testenv.Slow(t)
		cfg := model.Edge().Room().WithRadarFrames(5)
		cfg.Head = model.PrecisionHead
		net, err := model.New(cfg, 1)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if _, err := model.SaveCheckpoint(dir, net, model.Card{Name: "untrained", Version: "1", Window: model.Causal, Data: "none", Split: "none"}); err != nil {
			t.Fatal(err)
		}
		liveInputEqualsTraining(t, dir)
	})
}

// liveInputEqualsTraining does so with the model in a folder, the shipped one if
// that is empty.
func liveInputEqualsTraining(t *testing.T, modelDir string) {
	// A starved machine is late for its own ticks; what it then takes together no
	// recording of frames can hold.
	const enough = 60
	for round := 1; ; round++ {
		run := recordLive(t, modelDir)
		ticks := run.regular()
		if len(ticks) < enough && round < 7 {
			t.Logf("round %d: only %d ticks before a sample came too late to be one of its own; once more", round, len(ticks))
			continue
		}
		if len(ticks) < enough {
			t.Fatalf("%d ticks in a row, want %d", len(ticks), enough)
		}
		run.compare(t, modelDir, ticks)
		return
	}
}

// liveRun is what somebody can record of a daemon, and what its network saw.
type liveRun struct {
	cfg     pipeline.Config
	samples [modality.Count][]*sensors.Sample // in the order of their capture
	poses   []message.Pose
	inputs  []liveInput // one per pose with a sensor that could be used
}

type liveInput struct {
	present modality.Set
	values  [modality.Count][]float32
}

// watchedModel is the shipped network that keeps what it is given. Each encoder
// has its goroutine.
type watchedModel struct {
	pipeline.StagedInferer
	current liveInput
	mu      sync.Mutex
	seen    []liveInput
}

func (w *watchedModel) Encode(m modality.Kind, input []float32) error {
	w.current.values[m] = slices.Clone(input)
	return w.StagedInferer.Encode(m, input)
}

func (w *watchedModel) Finish(present modality.Set, out *model.Output) error {
	w.current.present = present
	w.mu.Lock()
	w.seen = append(w.seen, w.current)
	w.mu.Unlock()
	w.current = liveInput{}
	return w.StagedInferer.Finish(present, out)
}

// liveConfig is a daemon on free ports whose sensors stand where the simulator's
// do.
func liveConfig(t *testing.T, dir string) pipeline.Config {
	t.Helper()
	cfg := pipeline.DefaultConfig()
	cfg.StateDir = filepath.Join(dir, "state")
	s := &cfg.Sensors
	pipeline.DriverSettings[*camera.TCPConfig](&s.Camera).Listen = testenv.FreeAddr(t)
	s.LiDAR.Driver, s.LiDAR.LatencyMS = "ouster", 50
	ouster := pipeline.DriverSettings[*lidar.OusterConfig](&s.LiDAR)
	ouster.Listen, ouster.MetadataFile = testenv.FreeAddr(t), filepath.Join(dir, "ouster.json")
	ti := pipeline.DriverSettings[*radar.TISerialConfig](&s.Radar)
	ti.CommandPort, ti.DataPort, ti.ConfigFile = filepath.Join(dir, "radar-command"), filepath.Join(dir, "radar-data"), filepath.Join(dir, "iwr6843.cfg")
	writeFile(t, ti.ConfigFile, configs.RadarProfile)
	s.CSI.Driver = "atheros"
	pipeline.DriverSettings[*csi.AtherosConfig](&s.CSI).Listen = testenv.FreeAddr(t)
	cfg.Extrinsics.RoomFromCamera = &frame.CameraPose{PositionM: [3]float64{0, 0, 0.90}}
	cfg.Extrinsics.RoomFromLiDAR = &frame.SensorPose{PositionM: [3]float64{0, 0, 0.95}}
	cfg.Extrinsics.RoomFromRadar = &frame.SensorPose{PositionM: [3]float64{0, 0, 0.85}}
	cfg.Bus.NATS.Listen, cfg.Bus.MQTT.Listen, cfg.Bus.WebSocket.Listen = testenv.FreeAddr(t), "", ""
	cfg.Web.Enabled = false
	return cfg
}

// recordLive runs a daemon for some seconds.
func recordLive(t *testing.T, modelDir string) *liveRun {
	t.Helper()
	run := &liveRun{cfg: liveConfig(t, t.TempDir())}
	net, card, err := shipped.Open(modelDir)
	if err != nil {
		t.Fatal(err)
	}
	inf, err := pipeline.NewInferer(net, card)
	if err != nil {
		t.Fatal(err)
	}
	watched := &watchedModel{StagedInferer: inf.(pipeline.StagedInferer)}
	var mu sync.Mutex
	core, err := pipeline.New(pipeline.Options{Config: run.cfg, Version: version(), Model: watched, Tap: func(s *sensors.Sample) {
		mu.Lock()
		run.samples[s.Modality] = append(run.samples[s.Modality], s)
		mu.Unlock()
	}})
	if err != nil {
		t.Fatal(err)
	}
	watched.mu.Lock()
	watched.seen, watched.current = nil, liveInput{} // the trial's
	watched.mu.Unlock()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- core.Run(ctx) }()
	select {
	case <-core.Ready():
	case err = <-ended:
		t.Fatal(err)
	}
	address, _, _ := core.Bus().Addresses()
	nc, err := nats.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("posefuse."+run.cfg.Room+".pose", func(m *nats.Msg) {
		var p message.Pose
		if err := json.Unmarshal(m.Data, &p); err != nil {
			t.Errorf("pose: %v", err)
		}
		run.poses = append(run.poses, p)
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	player := livePlayer(t, &run.cfg, 95)
	start := time.Now()
	away := map[time.Duration]func(){
		5500 * time.Millisecond: func() { player.Stop(modality.Camera) },
		6500 * time.Millisecond: func() { player.Start(modality.Camera); player.Stop(modality.Radar) },
		7100 * time.Millisecond: func() { player.Start(modality.Radar); player.Stop(modality.LiDAR) },
		7600 * time.Millisecond: func() { player.Start(modality.LiDAR) },
	}
	for at, do := range away {
		timer := time.AfterFunc(time.Until(start.Add(at)), do)
		defer timer.Stop()
	}
	if err := player.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := nc.Drain(); err != nil {
		t.Error(err)
	}
	testenv.Wait(t, "the connection is drained", nc.IsClosed)
	stop()
	if err := testenv.Receive(t, "the daemon ends", ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	run.inputs = watched.seen
	for m := range run.samples {
		slices.SortStableFunc(run.samples[m], func(a, b *sensors.Sample) int { return int(a.CaptureNS - b.CaptureNS) })
	}
	return run
}

// livePlayer plays a patient in a whole room on the sensors of a configuration.
func livePlayer(t *testing.T, cfg *pipeline.Config, frames int) *replay.Player {
	t.Helper()
	w := sim.WholeRoom(sim.ScanRows, sim.MeasuredClutter)
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi", FramesPerClip: frames, Subjects: []int{5}, Activities: []int{12}, World: &w})
	if err != nil {
		t.Fatal(err)
	}
	s := &cfg.Sensors
	ouster, ti := pipeline.DriverSettings[*lidar.OusterConfig](&s.LiDAR), pipeline.DriverSettings[*radar.TISerialConfig](&s.Radar)
	player, err := replay.NewPlayer(replay.Config{
		Data: ds, Lead: 2 * time.Second,
		Camera: &replay.CameraConfig{Addr: pipeline.DriverSettings[*camera.TCPConfig](&s.Camera).Listen},
		LiDAR:  &replay.LiDARConfig{Format: replay.LiDAROuster, Addr: ouster.Listen, MetadataPath: ouster.MetadataFile},
		Radar:  &replay.RadarConfig{CommandPath: ti.CommandPort, DataPath: ti.DataPort},
		CSI:    &replay.CSIConfig{Format: replay.CSIAtheros, Addr: pipeline.DriverSettings[*csi.AtherosConfig](&s.CSI).Listen},
	})
	if err != nil {
		t.Fatal(err)
	}
	return player
}

// liveTick is a pose with the samples that its tick took.
type liveTick struct {
	input  *liveInput
	sample [modality.Count]*sensors.Sample // of the camera, LiDAR and radar; nil: none
	csi    []*sensors.Sample               // nil if they cannot be told from the pose
}

// regular returns the ticks from the first with a sensor up to the first that a
// recording of frames cannot hold: one that shows a set of keypoints which is no
// tick's own.
func (r *liveRun) regular() []liveTick {
	var ticks []liveTick
	used, inputs := map[*sensors.Sample]bool{}, r.inputs
	for i := range r.poses {
		tick, present := r.tick(&r.poses[i])
		if present != 0 {
			if len(inputs) == 0 {
				break
			}
			tick.input, inputs = &inputs[0], inputs[1:]
		}
		if len(ticks) == 0 && tick.sample == [modality.Count]*sensors.Sample{} {
			continue
		}
		if s := tick.sample[modality.Camera]; s != nil {
			used[s] = true
			for _, other := range r.samples[modality.Camera] {
				if other.CaptureNS < s.CaptureNS && !used[other] {
					return ticks
				}
			}
		}
		ticks = append(ticks, tick)
	}
	return ticks
}

// tick returns the samples of a pose, and which of its sensors could be used.
func (r *liveRun) tick(p *message.Pose) (tick liveTick, present modality.Set) {
	for m := range modality.Count {
		v := p.Modalities[m.Letter()]
		if v.SkewMS == nil {
			continue
		}
		if v.State == "fused" {
			present |= modality.Of(m)
		}
		skewNS := int64(math.Round(*v.SkewMS * 1e6))
		if m == modality.CSI {
			tick.csi = r.packets(p.CaptureNS, skewNS)
			continue
		}
		for _, s := range r.samples[m] {
			if d := s.CaptureNS - p.CaptureNS - skewNS; max(d, -d) <= 1000 { // told in microseconds
				tick.sample[m] = s
			}
		}
	}
	return tick, present
}

// packets returns the ten packets nearest to a tick, or nil if they do not have
// the mean skew that the pose tells.
func (r *liveRun) packets(tickNS, skewNS int64) []*sensors.Sample {
	near := slices.Clone(r.samples[modality.CSI])
	off := func(s *sensors.Sample) int64 { return max(s.CaptureNS-tickNS, tickNS-s.CaptureNS) }
	slices.SortStableFunc(near, func(a, b *sensors.Sample) int { return int(off(a) - off(b)) })
	if len(near) < model.CSIPackets {
		return nil
	}
	near = near[:model.CSIPackets]
	slices.SortFunc(near, func(a, b *sensors.Sample) int { return int(a.CaptureNS - b.CaptureNS) })
	sum := int64(0)
	for _, s := range near {
		sum += s.CaptureNS - tickNS
	}
	if d := sum/model.CSIPackets - skewNS; max(d, -d) > 1000 {
		return nil
	}
	return near
}

// compare loads the ticks as a recording and compares the inputs.
func (r *liveRun) compare(t *testing.T, modelDir string, ticks []liveTick) {
	t.Helper()
	clip := &tickClip{ticks: ticks, rig: frame.Rig{Camera: frame.Simulated.Lens()}}
	e := &r.cfg.Extrinsics
	clip.rig.RoomFromCamera, clip.rig.RoomFromLiDAR, clip.rig.RoomFromRadar = e.RoomFromCamera.RoomFromCamera(), e.RoomFromLiDAR.RoomFromSensor(), e.RoomFromRadar.RoomFromSensor()
	_, card, err := shipped.Open(modelDir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := train.Load(t.Context(), tickSet{clip}, []recording.Key{clip.Key()}, card.Config, train.LoadOptions{Window: card.Window, Stage: train.PersonStage(card.TrainedIn())})
	if err != nil {
		t.Fatal(err)
	}
	b := d.NewBatch(1)
	var compared [modality.Count]int
	missing := 0
	for _, ref := range d.Samples {
		row := d.Clips[ref.Clip].Frames[ref.Row] // a network for any room takes no tick with nobody
		tick := &ticks[row]
		if tick.input == nil {
			continue
		}
		d.Fill(b, 0, ref)
		offline := [modality.Count][]float32{b.Camera, b.LiDAR, b.Radar, b.CSI}
		for m := range modality.Count {
			if m == modality.CSI && tick.csi == nil {
				continue
			}
			if got, want := b.Present[0].Has(m), tick.input.present.Has(m); got != want {
				t.Fatalf("tick %d: %s takes part offline: %t, live: %t", row+1, m, got, want)
			}
			if !b.Present[0].Has(m) {
				missing++
				continue
			}
			for i, v := range tick.input.values[m] {
				if math.Float32bits(v) != math.Float32bits(offline[m][i]) {
					t.Fatalf("tick %d: value %d of %s is %g live and %g offline; ticks before it:\n%s", row+1, i, m, v, offline[m][i], tookPart(ticks[max(row-12, 0):row+1]))
				}
			}
			compared[m]++
		}
	}
	t.Logf("%d ticks; inputs of camera, LiDAR, radar and WiFi that are equal: %v, times that a sensor took no part: %d", len(ticks), compared, missing)
	for m, n := range compared {
		if n < len(ticks)/2 {
			t.Errorf("%s: only %d of %d ticks could be compared", modality.Kind(m), n, len(ticks))
		}
	}
}

// tookPart lists which sensors ticks took, and how far apart their samples are, ms.
func tookPart(ticks []liveTick) string {
	var b strings.Builder
	for i := range ticks {
		for m, s := range ticks[i].sample {
			if s != nil {
				fmt.Fprintf(&b, "%s %d.%03d  ", modality.Kind(m).Letter(), s.CaptureNS/1e9, s.CaptureNS/1e6%1000)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// tickClip is a recording of ticks.
type tickClip struct {
	ticks []liveTick
	rig   frame.Rig
}

func (c *tickClip) Key() recording.Key                    { return recording.Key{Subject: 1, Activity: 1} }
func (c *tickClip) Len() int                              { return len(c.ticks) }
func (c *tickClip) Rig() frame.Rig                        { return c.rig }
func (c *tickClip) Truth(int) (p recording.Pose, e error) { return p, nil }

func (c *tickClip) Frame(i int, f *recording.Frame) error {
	tick := &c.ticks[i]
	f.LiDAR, f.MmWave, f.Scores = f.LiDAR[:0], f.MmWave[:0], f.Scores[:0]
	for m, s := range tick.sample {
		if s == nil {
			f.Absent |= modality.Of(modality.Kind(m))
			continue
		}
		f.CaptureNS[m] = s.CaptureNS
		switch modality.Kind(m) {
		case modality.Camera:
			f.RGB, f.Scores = s.Keypoints.XY, append(f.Scores, s.Keypoints.Score[:]...)
		case modality.LiDAR:
			for _, v := range s.Cloud.XYZ {
				f.LiDAR = append(f.LiDAR, float64(v))
			}
		case modality.Radar:
			for _, p := range s.Radar.Points {
				f.MmWave = append(f.MmWave, float64(p.X), float64(p.Y), float64(p.Z), float64(p.Doppler), float64(p.SNRdB))
			}
		case modality.CSI:
		}
	}
	f.CSIAmp = make([]float64, model.CSIValues)
	if tick.csi == nil {
		return nil
	}
	f.Absent &^= modality.Of(modality.CSI)
	var h [][]complex64
	for _, s := range tick.csi {
		h = append(h, s.CSI.H)
	}
	return model.CSIAmplitude(f.CSIAmp, h)
}

// tickSet is the data set of one clip.
type tickSet struct{ clip *tickClip }

func (s tickSet) Keys() []recording.Key                      { return []recording.Key{s.clip.Key()} }
func (s tickSet) Open(recording.Key) (recording.Clip, error) { return s.clip, nil }
func (s tickSet) Describe() string                           { return "a live run" }
