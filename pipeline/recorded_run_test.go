package pipeline

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// The tests of this file hold on to the poses of one minute: a simulated person
// in front of four sensors, their frames in the sensors' own wire bytes, decoded,
// stamped, aligned and inferred as live. Everything is drawn from a fixed seed
// and runs on a fake clock, so that every bit of every pose is known in advance
// and a change that must not change a pose can show that it did not.

const (
	recordedSeed  = 2026
	recordedTicks = 600
	// More than the ticks need: the last one waits for what comes after it.
	recordedFrames = recordedTicks + 20
)

// recordedSums are the SHA-256 of the poses, by CPU path and network. The paths
// multiply and add in different orders, so each has its own bits. They hold for
// GOAMD64=v1, in which the compiler fuses nothing; the number of threads does
// not matter.
//
// A sum changes if a pose does. Only who means to change poses may replace it.
var recordedSums = map[string]recordedSum{
	"avx512 edge":    {600, "4e4b127b91c339c778078b44adbb970e502d5cc945dff0d73d24f580d08b6587"},
	"avx512 paper":   {600, "158200c1069680677d9e9aad138eafc61b6527b8a85f6d146d4400e6a0ac4fe0"},
	"avx2 edge":      {600, "b70dd489c15387d313393188fe4dae01f346c65c6d0f387b2d7095fbbfdb9181"},
	"avx2 paper":     {600, "911e4242ffec6ed14a5e15019720bad9f03d11e11da6ed31ab0081777987a456"},
	"portable edge":  {600, "d00ec848b62c1a1af6bea125e45822fd915875cf29383f294959b1f6e54c0dfb"},
	"portable paper": {20, "8661067848824391c2e837e7284687a7455a09df55f16e7b92fcc77f81749de4"}, // as long as 400 elsewhere
}

// recordedSum is the sum over the first ticks of the run.
type recordedSum struct {
	ticks int
	sum   string
}

// TestRecordedRunEdge infers the run with the small network of the paper's recipe.
func TestRecordedRunEdge(t *testing.T) {
	testenv.SlowRace(t)
	net, card, err := model.LoadCheckpoint("../model/checkpoints/paper")
	if err != nil {
		t.Fatal(err)
	}
	inferRecorded(t, "edge", net, card)
}

// TestRecordedRunPaper infers it with the paper's network, whose layers take
// other kernels, and weights that were never trained.
func TestRecordedRunPaper(t *testing.T) {
	testenv.NoRace(t, "hundreds of GFLOP")
	testenv.Slow(t)
	cfg, err := model.NamedConfig("paper")
	if err != nil {
		t.Fatal(err)
	}
	net, err := model.New(cfg, recordedSeed)
	if err != nil {
		t.Fatal(err)
	}
	inferRecorded(t, "paper", net, model.Card{Name: "paper", Version: "1", Config: cfg, Window: model.Causal})
}

// inferRecorded infers the run tick by tick and compares the sum of what would
// be published: the coalition and the joints' bits.
func inferRecorded(t *testing.T, size string, net *model.Network, card model.Card) {
	t.Helper()
	steps := recordedRun(t)
	inf, err := NewInferer(net, card)
	if err != nil {
		t.Fatal(err)
	}
	if err = net.Close(); err != nil {
		t.Error(err)
	}
	e, err := newEngine(inf, true)
	if err != nil {
		t.Fatal(err)
	}
	key := model.CPUPath() + " " + size
	want, known := recordedSums[key]
	if !known {
		want.ticks = recordedTicks
	}
	sum := sha256.New()
	var res result
	var row []byte
	full, poses := 0, map[[model.NumJoints][3]float64]bool{}
	for i := range want.ticks {
		for _, s := range steps[i].settled {
			e.settled(s.modality, &s.slot, nil)
		}
		if unusable, err := e.run(&steps[i].tick, nil, nil, &res); err != nil || unusable != 0 {
			t.Fatalf("tick %d: %v unusable, error %v", i+1, unusable, err)
		}
		row = append(row[:0], byte(res.present))
		if res.present != 0 {
			for _, xyz := range res.joints {
				for _, v := range xyz {
					row = binary.LittleEndian.AppendUint64(row, math.Float64bits(v))
				}
			}
			poses[res.joints] = true
		}
		sum.Write(row)
		if res.present == modality.All {
			full++
		}
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d of %d poses are of all four modalities, %d poses differ", full, want.ticks, len(poses))
	// A run of gaps or of one pose again and again would prove nothing.
	if least := want.ticks * 11 / 12; full < least || len(poses) < least {
		t.Errorf("%d poses of all four modalities and %d different ones in %d ticks, want at least %d", full, len(poses), want.ticks, least)
	}
	got := fmt.Sprintf("%x", sum.Sum(nil))
	entry := fmt.Sprintf("%q: {%d, %q},", key, want.ticks, got)
	switch {
	case known && got != want.sum:
		t.Errorf("THE POSES CHANGED: the sum over %d ticks on path %s is\n%s\nnot %s", want.ticks, model.CPUPath(), entry, want.sum)
	case !known && model.CPUPath() == "neon":
		testenv.LeaveOut(t, "poses are not compared: no sum is recorded for neon; this machine's is "+entry)
	case !known:
		t.Errorf("no sum is recorded for path %s; if this code's poses are right, add\n%s", model.CPUPath(), entry)
	}
}

// recordedStep is what the aligner told the tick loop: which modalities were
// settled early, then the tick.
type recordedStep struct {
	settled []settledSlot
	tick    timesync.Tick
}

type settledSlot struct {
	modality modality.Kind
	slot     timesync.Slot
}

// recordedRun returns the steps of the run. They are made once: no test changes
// them.
func recordedRun(t *testing.T) []recordedStep {
	t.Helper()
	recorded.once.Do(func() { recorded.steps = align(t, arrivals(decoded(t))) })
	if len(recorded.steps) != recordedTicks {
		t.Fatalf("%d ticks are recorded, want %d", len(recorded.steps), recordedTicks)
	}
	return recorded.steps
}

var recorded struct {
	once  sync.Once
	steps []recordedStep
}

// align gives the samples to the aligner of a live daemon at their times. No two
// arrive at the same time, so nothing depends on which goroutine runs first.
func align(t *testing.T, arrivals []arrival) (steps []recordedStep) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		clock := timesync.NewClock()
		var step recordedStep
		cfg := timesync.Config{Clock: clock, Settled: func(m modality.Kind, _ int64, s *timesync.Slot) {
			step.settled = append(step.settled, settledSlot{m, keep(s)})
		}}
		var models [modality.Count]*timesync.ClockModel
		for m := range modality.Count {
			cfg.Sensors = append(cfg.Sensors, timesync.SensorConfig{Modality: m})
			models[m] = timesync.NewClockModel(timesync.ModelConfig{})
		}
		a, err := timesync.NewAligner(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var aligner sync.WaitGroup
		aligner.Go(func() {
			if err := a.Run(ctx, func(tick *timesync.Tick) {
				step.tick = *tick
				for m := range tick.Slots {
					step.tick.Slots[m] = keep(&tick.Slots[m])
				}
				steps = append(steps, step)
				step = recordedStep{}
				if len(steps) == recordedTicks {
					cancel()
				}
			}); err != nil {
				t.Error(err)
			}
		})
		for _, x := range arrivals {
			time.Sleep(x.at - time.Duration(clock.NowNS()))
			x.sample.ReceiveNS = clock.NowNS()
			models[x.sample.Modality].Stamp(x.sample)
			a.Push(x.sample)
		}
		cancel()
		aligner.Wait()
	})
	return steps
}

// keep copies a slot, whose window the aligner uses again.
func keep(s *timesync.Slot) timesync.Slot {
	c := *s
	c.Window = slices.Clone(s.Window)
	return c
}

// arrival is a sample on its way, with the time since the run's start at which
// it comes.
type arrival struct {
	at     time.Duration
	sample *sensors.Sample
}

// arrivals decides the fate of each sample and returns those that come, in the
// order in which they do.
func arrivals(samples []*sensors.Sample) []arrival {
	var out []arrival
	for _, s := range samples {
		i := int(s.Seq)
		draw := sim.NewStream(recordedSeed, "recorded-run fate "+s.Modality.String(), i)
		delay := 4*time.Millisecond + time.Duration(draw.Intn(int(8*time.Millisecond)))
		switch fate := draw.Intn(200); {
		case fate == 0, s.Modality == modality.Radar && i >= 300 && i < 309: // lost; unplugged for a moment
			continue
		case fate == 1: // held up somewhere
			delay += 150 * time.Millisecond
		}
		out = append(out, arrival{capture(s.Modality, i) + delay, s})
	}
	slices.SortStableFunc(out, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	for i := range out[1:] {
		out[i+1].at = max(out[i+1].at, out[i].at+1)
	}
	return out
}

// capture returns when sample i of a sensor is captured: CSI packets ten times
// as often as frames, each a little off its time.
func capture(m modality.Kind, i int) time.Duration {
	draw := sim.NewStream(recordedSeed, "recorded-run jitter "+m.String(), i)
	if m == modality.CSI {
		return csiPhase + time.Duration(i)*framePeriod/mmfi.CSIPackets + time.Duration(draw.Intn(int(2*time.Millisecond)))
	}
	return framePhases[m] + time.Duration(i)*framePeriod + time.Duration(draw.Intn(int(6*time.Millisecond)))
}

const framePeriod = 100 * time.Millisecond

// The sensors are not synchronised: each starts at its own time. The first
// packet of a frame comes half a period before it.
var framePhases = [modality.Count]time.Duration{modality.Camera: 137 * time.Millisecond, modality.LiDAR: 151 * time.Millisecond, modality.Radar: 128 * time.Millisecond}

const csiPhase = 96 * time.Millisecond

// deviceNS returns what a sensor's own clock shows at a time of the run: each
// was switched on at another time and runs fast by some parts per million.
func deviceNS(m modality.Kind, at time.Duration) int64 {
	on := [...]int64{modality.Camera: 1_800_000_000e9, modality.LiDAR: 3600e9, modality.Radar: 0, modality.CSI: 777e9}[m]
	ppm := [...]int64{modality.Camera: 0, modality.LiDAR: 11, modality.Radar: -40, modality.CSI: 25}[m]
	return on + int64(at) + int64(at)/1e6*ppm
}
