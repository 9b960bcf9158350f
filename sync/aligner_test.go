package timesync

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

const ms = int64(time.Millisecond)

// got is a copy of what a test needs of a tick.
type got struct {
	seq            uint64
	time, ready    int64
	state          [4]State
	sample         [4]*sensors.Sample
	skew, lastByte [4]int64
	filled         [4]int
	camera, csi    []*sensors.Sample
}

func copyTick(t *Tick) got {
	g := got{seq: t.Seq, time: t.TimeNS, ready: t.ReadyNS}
	for m := range t.Slots {
		s := &t.Slots[m]
		g.state[m], g.sample[m], g.skew[m], g.filled[m], g.lastByte[m] = s.State, s.Sample, s.SkewNS, s.Filled, s.LastByteNS
	}
	g.camera = slices.Clone(t.Slots[modality.Camera].Window)
	g.csi = slices.Clone(t.Slots[modality.CSI].Window)
	return g
}

// fake is a sensor whose frame i is captured at phase + i*period and arrives
// delay later. It lives while alive(i) says so.
type fake struct {
	m              modality.Kind
	period, phase  time.Duration
	delay          func(i int) time.Duration
	alive          func(i int) bool
	frames         int
	captureOffset  func(i int) time.Duration
	duplicateEvery int
}

func fixed(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func (f fake) run(ctx context.Context, c Clock, a *Aligner) {
	for i := 0; i < f.frames; i++ {
		capture := int64(f.phase) + int64(i)*int64(f.period)
		if f.captureOffset != nil {
			capture += int64(f.captureOffset(i))
		}
		wait := time.Duration(capture+int64(f.delay(i))-c.NowNS()) * time.Nanosecond
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, 4)): // one after the other, never at once
		}
		if f.alive != nil && !f.alive(i) {
			continue
		}
		s := &sensors.Sample{Modality: f.m, Seq: uint64(i), CaptureNS: max(capture, 1), ReceiveNS: c.NowNS()}
		a.Push(s)
		if f.duplicateEvery > 0 && i%f.duplicateEvery == 0 {
			d := *s
			a.Push(&d)
		}
	}
}

func allSensors() []SensorConfig {
	return []SensorConfig{{Modality: modality.Camera}, {Modality: modality.LiDAR}, {Modality: modality.Radar}, {Modality: modality.CSI}}
}

// frameSet is four sensors whose frames share instants, CSI packets centred on them.
func frameSet(phase time.Duration, frames int) []fake {
	return []fake{
		{m: modality.Camera, period: 100 * time.Millisecond, phase: phase, delay: fixed(5 * time.Millisecond), frames: frames},
		{m: modality.LiDAR, period: 100 * time.Millisecond, phase: phase, delay: fixed(20 * time.Millisecond), frames: frames},
		{m: modality.Radar, period: 100 * time.Millisecond, phase: phase, delay: fixed(12 * time.Millisecond), frames: frames},
		{m: modality.CSI, period: 10 * time.Millisecond, phase: phase - 45*time.Millisecond, delay: fixed(time.Millisecond), frames: 10 * frames},
	}
}

// drive runs an aligner against fakes for a while, in a synctest bubble.
func drive(t *testing.T, cfg Config, fakes []fake, d time.Duration) (ticks []got, st Stats) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := cfg
		cfg.Clock = NewClock()
		a, err := NewAligner(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		for _, f := range fakes {
			go f.run(ctx, cfg.Clock, a)
		}
		if err := a.Run(ctx, func(tk *Tick) { ticks = append(ticks, copyTick(tk)) }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		st = a.Stats()
	})
	checkTicks(t, ticks, cfg)
	for _, s := range st.Sensors {
		if s.Outcomes.In != s.Outcomes.Sum() {
			t.Errorf("%s: in %d, outcomes sum to %d: %+v", s.Name, s.Outcomes.In, s.Outcomes.Sum(), s.Outcomes)
		}
	}
	return ticks, st
}

// checkTicks asserts what holds for every run: seq +1, time increasing at
// 8..12 ticks a second, nothing given out after the hold or before its time.
func checkTicks(t *testing.T, ticks []got, cfg Config) {
	t.Helper()
	hold := cfg.Hold
	if hold == 0 {
		hold = DefaultHold
	}
	for i, g := range ticks {
		if g.seq != uint64(i+1) {
			t.Fatalf("tick %d has seq %d", i, g.seq)
		}
		if g.ready < g.time || g.ready > g.time+int64(hold) {
			t.Fatalf("tick %d at %d ns given out at %d ns, hold %v", g.seq, g.time, g.ready, hold)
		}
		if i > 0 {
			d := g.time - ticks[i-1].time
			if d < 80*ms || d > 120*ms {
				t.Fatalf("tick %d comes %d ns after the one before", g.seq, d)
			}
		}
		if g.camera != nil && len(g.camera) != CameraWindow || g.csi != nil && len(g.csi) != CSIWindow {
			t.Fatalf("tick %d: windows of %d and %d", g.seq, len(g.camera), len(g.csi))
		}
		for m, s := range g.state {
			if (s == Fused) != (g.sample[m] != nil) {
				t.Fatalf("tick %d: %s in state %s with sample %v", g.seq, modality.Kind(m), s, g.sample[m])
			}
		}
	}
}

// TestPhaseLockOneFramePerTick: whatever the phase of the sensors, after the
// first second a tick holds one frame index of every sensor, CSI included.
func TestPhaseLockOneFramePerTick(t *testing.T) {
	for _, phase := range []time.Duration{0, 3, 17, 49, 50, 51, 77, 99} {
		ticks, st := drive(t, Config{Sensors: allSensors()}, frameSet(phase*time.Millisecond, 200), 15*time.Second)
		if !st.Locked || st.Reference != modality.Camera {
			t.Fatalf("phase %d ms: not locked on the camera: %+v", phase, st)
		}
		for i, g := range ticks {
			if g.time < 1100*ms {
				continue
			}
			frame := g.sample[modality.Camera].Seq
			for m, s := range g.sample {
				if s == nil {
					t.Fatalf("phase %d ms, tick %d: %s is %s", phase, g.seq, modality.Kind(m), g.state[m])
				}
			}
			if g.sample[modality.LiDAR].Seq != frame || g.sample[modality.Radar].Seq != frame {
				t.Fatalf("phase %d ms, tick %d: frames %d, %d, %d", phase, g.seq, frame, g.sample[1].Seq, g.sample[2].Seq)
			}
			for k, p := range g.csi {
				if p.Seq != frame*10+uint64(k) {
					t.Fatalf("phase %d ms, tick %d, packet %d: seq %d, frame is %d", phase, g.seq, k, p.Seq, frame)
				}
			}
			for k, c := range g.camera {
				if want := max(int(frame)-80+k, 0); int(c.Seq) != want {
					t.Fatalf("phase %d ms, tick %d: window entry %d is frame %d, want %d", phase, g.seq, k, c.Seq, want)
				}
			}
			if prev := ticks[i-1]; prev.time >= 1100*ms && frame != prev.sample[modality.Camera].Seq+1 {
				t.Fatalf("phase %d ms, tick %d: frame %d after %d", phase, g.seq, frame, prev.sample[modality.Camera].Seq)
			}
			if wait := g.ready - g.time; wait > 47*ms {
				t.Fatalf("tick %d waited %d ns although the last packet came after 46 ms", g.seq, wait)
			}
		}
	}
}

func TestDyingSensorChangesOnlyItsOwnState(t *testing.T) {
	const frames = 200
	ref, _ := drive(t, Config{Sensors: allSensors()}, frameSet(30*time.Millisecond, frames), 15*time.Second)
	for m := range modality.Count {
		if m == modality.Camera {
			continue // the phase reference: see TestReferenceDies
		}
		fakes := frameSet(30*time.Millisecond, frames)
		f := &fakes[m]
		perFrame := int(100 * time.Millisecond / f.period)
		f.alive = func(i int) bool { return i < 50*perFrame || i >= 100*perFrame }
		ticks, st := drive(t, Config{Sensors: allSensors()}, fakes, 15*time.Second)
		if len(ticks) != len(ref) {
			t.Fatalf("%s dies: %d ticks instead of %d", m, len(ticks), len(ref))
		}
		var stale int
		for i, g := range ticks {
			for o := range modality.Count {
				if o == m {
					continue
				}
				if g.state[o] != ref[i].state[o] || g.skew[o] != ref[i].skew[o] {
					t.Fatalf("%s dies: tick %d: %s is %s, skew %d", m, g.seq, o, g.state[o], g.skew[o])
				}
			}
			age := g.time - 30*ms - 50*100*ms // since the death
			back := g.time - 30*ms - 100*100*ms
			switch {
			case age > 0 && back < -60*ms && g.state[m] == Fused:
				t.Fatalf("%s dead for %d ms is fused", m, age/ms)
			case age > 700*ms && back < -60*ms:
				stale++
				if g.state[m] != Stale {
					t.Fatalf("%s dead for %d ms is %s", m, age/ms, g.state[m])
				}
			case back > 150*ms && g.state[m] != Fused:
				t.Fatalf("%s back for %d ms is %s", m, back/ms, g.state[m])
			}
		}
		if stale < 30 {
			t.Fatalf("only %d ticks saw the dead sensor", stale)
		}
		if st.Sensors[m].Outcomes.Fused == 0 {
			t.Fatal("nothing fused")
		}
	}
}
