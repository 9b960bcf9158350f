package timesync

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// TestReferenceDies: the camera goes and comes back; the next sensor becomes
// the reference and no tick jumps.
func TestReferenceDies(t *testing.T) {
	fakes := frameSet(30*time.Millisecond, 250)
	fakes[0].alive = func(i int) bool { return i < 60 || i > 160 }
	fakes[1].phase += 12 * time.Millisecond // the LiDAR runs on another phase
	ticks, st := drive(t, Config{Sensors: allSensors()[:3]}, fakes[:3], 24*time.Second)
	if !st.Locked || st.Reference != modality.Camera {
		t.Fatalf("reference at the end: %+v", st)
	}
	var onLiDAR int
	for i, g := range ticks {
		if i > 12 {
			if d := g.time - ticks[i-1].time; d < 98*ms || d > 102*ms {
				t.Fatalf("tick %d comes %d ns after the one before", g.seq, d)
			}
		}
		if g.time > 9*second && g.time < 16*second {
			onLiDAR++
			if abs(g.skew[modality.LiDAR]) > ms {
				t.Errorf("tick %d: LiDAR skew %d ns while it is the reference", g.seq, g.skew[modality.LiDAR])
			}
		}
		if g.time > 19*second && abs(g.skew[modality.Camera]) > ms {
			t.Errorf("tick %d: camera skew %d ns after its return", g.seq, g.skew[modality.Camera])
		}
	}
	if onLiDAR < 60 {
		t.Fatalf("%d ticks on the LiDAR", onLiDAR)
	}
}

// TestPhaseLockUnderJitter: jitter of the reference does not make frames skip.
func TestPhaseLockUnderJitter(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	jitter := make([]time.Duration, 400)
	for i := range jitter {
		jitter[i] = time.Duration(rng.NormFloat64() * 4e6)
	}
	fakes := frameSet(43*time.Millisecond, 290)[:2]
	for k := range fakes {
		fakes[k].captureOffset = func(i int) time.Duration { return jitter[i+3*k] }
		fakes[k].delay = fixed(20 * time.Millisecond)
	}
	ticks, _ := drive(t, Config{Sensors: allSensors()[:2]}, fakes, 28*time.Second)
	for i, g := range ticks {
		if g.time < 1500*ms {
			continue
		}
		if g.sample[0] == nil || g.sample[1] == nil {
			t.Fatalf("tick %d: %v", g.seq, g.state)
		}
		if g.sample[0].Seq != g.sample[1].Seq || g.sample[0].Seq != ticks[i-1].sample[0].Seq+1 {
			t.Fatalf("tick %d: frames %d and %d", g.seq, g.sample[0].Seq, g.sample[1].Seq)
		}
	}
}

// TestLongRunFollowsSkewedSensor: a camera at 9.99 Hz is followed for minutes.
func TestLongRunFollowsSkewedSensor(t *testing.T) {
	fakes := []fake{{m: modality.Camera, period: 100100 * time.Microsecond, phase: 20 * time.Millisecond, delay: fixed(8 * time.Millisecond), frames: 3000}}
	ticks, st := drive(t, Config{Sensors: allSensors()[:1]}, fakes, 290*time.Second)
	for i, g := range ticks {
		if g.time < 2*second {
			continue
		}
		if g.sample[0] == nil || g.sample[0].Seq != ticks[i-1].sample[0].Seq+1 {
			t.Fatalf("tick %d: %s", g.seq, g.state[0])
		}
	}
	if rate := float64(len(ticks)) / 290; rate < 9.8 || rate > 10.2 {
		t.Errorf("%d ticks in 290 s", len(ticks))
	}
	if o := st.Sensors[0].Outcomes; o.Surplus+o.Late > 10 {
		t.Errorf("samples left over: %+v", o)
	}
}

// TestNoSensorsStillTicks: without any sample the ticks come on time, all stale.
func TestNoSensorsStillTicks(t *testing.T) {
	ticks, _ := drive(t, Config{Sensors: allSensors()[:3]}, nil, 10*time.Second+50*time.Millisecond)
	if len(ticks) != 100 {
		t.Fatalf("%d ticks in 10.05 s", len(ticks))
	}
	for _, g := range ticks {
		if g.ready != g.time || g.state != [4]State{Stale, Stale, Stale, Off} {
			t.Fatalf("tick %d: given out %d ns late, %v", g.seq, g.ready-g.time, g.state)
		}
	}
}

// TestSilentSensorCostsAtMostTheHold: a sensor that falls silent is waited
// for, at most one hold a tick, until it is stale, and no longer.
func TestSilentSensorCostsAtMostTheHold(t *testing.T) {
	fakes := frameSet(30*time.Millisecond, 100)[:2]
	fakes[1].alive = func(i int) bool { return i < 30 }
	ticks, _ := drive(t, Config{Sensors: allSensors()[:2]}, fakes, 9*time.Second)
	waited := 0
	for _, g := range ticks {
		if g.time < 1500*ms {
			continue
		}
		switch wait := g.ready - g.time; {
		case wait > 30*ms:
			waited++
			if g.state[1] != Late {
				t.Errorf("tick %d waited %d ns with the LiDAR %s", g.seq, wait, g.state[1])
			}
		case g.time > 3700*ms && (wait > 6*ms || g.state[1] != Stale):
			t.Errorf("tick %d waited %d ns, LiDAR %s", g.seq, wait, g.state[1])
		}
	}
	if waited < 3 || waited > 6 {
		t.Errorf("%d ticks waited for the silent sensor, stale is 500 ms", waited)
	}
}

// TestSlowSensorLeavesGaps: a 5 Hz LiDAR is fused on every second tick and
// never waited for on the others.
func TestSlowSensorLeavesGaps(t *testing.T) {
	fakes := frameSet(30*time.Millisecond, 100)[:2]
	fakes[1].period = 200 * time.Millisecond
	ticks, _ := drive(t, Config{Sensors: allSensors()[:2]}, fakes, 9*time.Second)
	fused := 0
	for _, g := range ticks[15:] {
		switch g.state[1] {
		case Fused:
			fused++
		case Gap:
			if g.ready-g.time > 6*ms {
				t.Errorf("tick %d waited %d ns for a LiDAR that could not come", g.seq, g.ready-g.time)
			}
		default:
			t.Errorf("tick %d: %s", g.seq, g.state[1])
		}
	}
	if n := len(ticks) - 15; fused < n/2-1 || fused > n/2+1 {
		t.Errorf("fused on %d of %d ticks", fused, n)
	}
}

func newTestAligner(t testing.TB, c Clock, sc ...SensorConfig) *Aligner {
	t.Helper()
	a, err := NewAligner(Config{Clock: c, Sensors: sc})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOutcomeOfEverySample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		a := newTestAligner(t, c, SensorConfig{Modality: modality.LiDAR})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second+10*time.Millisecond)
		defer cancel()
		go func() {
			time.Sleep(1005 * time.Millisecond) // the tick at 1000 ms is out: nothing was live
			push := func(seq uint64, at int64) {
				a.Push(&sensors.Sample{Modality: modality.LiDAR, Seq: seq, CaptureNS: at * ms, ReceiveNS: c.NowNS()})
			}
			push(1, 990)                         // late, the tick is gone
			push(1, 990)                         // duplicate
			push(2, 400)                         // stale
			push(3, 5000)                        // early
			time.Sleep(94500 * time.Microsecond) // 1099.5 ms: both are there before the tick
			push(4, 1080)                        // surplus: the next is nearer
			push(5, 1099)                        // fused at 1100 ms
			a.Push(&sensors.Sample{Modality: modality.CSI, CaptureNS: 1100 * ms})
		}()
		if err := a.Run(ctx, func(*Tick) {}); err != nil {
			t.Fatal(err)
		}
		st := a.Stats()
		want := Outcomes{In: 6, Fused: 1, Late: 1, Early: 1, Surplus: 1, Stale: 1, Duplicate: 1}
		if got := st.Sensors[0].Outcomes; got != want {
			t.Errorf("outcomes %+v, want %+v", got, want)
		}
		if st.Unrouted != 1 {
			t.Errorf("unrouted %d, want 1", st.Unrouted)
		}
	})
}

func TestOverflowDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		a := newTestAligner(t, c, SensorConfig{Modality: modality.Radar, Queue: 4})
		time.Sleep(time.Second)
		for i := range uint64(10) { // not running: nothing is taken out
			a.Push(&sensors.Sample{Modality: modality.Radar, Seq: i, CaptureNS: c.NowNS() + int64(i), ReceiveNS: c.NowNS()})
		}
		o := a.Stats().Sensors[0].Outcomes
		if o.DroppedOverflow != 6 || o.Pending != 4 || o.In != o.Sum() {
			t.Errorf("outcomes %+v", o)
		}
		if got := a.inputs[modality.Radar].q.at(0).sample.Seq; got != 6 {
			t.Errorf("oldest sample kept is %d, want 6", got)
		}
	})
}

// TestManyPushers: samples from many goroutines, all accounted for.
func TestManyPushers(t *testing.T) {
	c := NewClock()
	a := newTestAligner(t, c, allSensors()...)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := uint64(0); ctx.Err() == nil; i++ {
				now := c.NowNS()
				a.Push(&sensors.Sample{Modality: modality.Kind(g % 4), Seq: i*8 + uint64(g), CaptureNS: now, ReceiveNS: now})
				a.Stats()
				time.Sleep(time.Millisecond)
			}
		})
	}
	last := int64(0)
	if err := a.Run(ctx, func(tk *Tick) {
		if tk.TimeNS <= last {
			t.Errorf("tick %d at %d after %d", tk.Seq, tk.TimeNS, last)
		}
		last = tk.TimeNS
	}); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for _, s := range a.Stats().Sensors {
		if s.Outcomes.In != s.Outcomes.Sum() || s.Outcomes.In == 0 {
			t.Errorf("%s: %+v", s.Name, s.Outcomes)
		}
	}
	if err := a.Run(ctx, func(*Tick) {}); err != nil {
		t.Errorf("second run: %v", err)
	}
}

// TestArrivalOrderDoesNotMatter: transport delays, as long as they stay inside
// the hold and keep each sensor's order, do not change what a tick holds.
func TestArrivalOrderDoesNotMatter(t *testing.T) {
	base, _ := drive(t, Config{Sensors: allSensors()}, frameSet(30*time.Millisecond, 60), 5*time.Second)
	rapid.Check(t, func(rt *rapid.T) {
		fakes := frameSet(30*time.Millisecond, 60)
		for m := range fakes {
			limit := 55
			if m == int(modality.CSI) {
				limit = 9 // its last packet is captured 45 ms after the tick
			}
			delays := rapid.SliceOfN(rapid.IntRange(0, limit), 64, 64).Draw(rt, "delays")
			fakes[m].delay = func(i int) time.Duration { return time.Duration(delays[i%64])*time.Millisecond + time.Microsecond }
		}
		ticks, _ := drive(t, Config{Sensors: allSensors()}, fakes, 5*time.Second)
		if len(ticks) != len(base) {
			rt.Fatalf("%d ticks instead of %d", len(ticks), len(base))
		}
		for i, g := range ticks {
			// The lock's first corrections depend on what had come by then.
			if g.time < 2*second {
				continue
			}
			for m := range g.sample {
				b := base[i].sample[m]
				if g.sample[m] == nil || b == nil || g.sample[m].Seq != b.Seq {
					rt.Fatalf("tick %d, %s: %v (%s) instead of %v", g.seq, modality.Kind(m), g.sample[m], g.state[m], b)
				}
			}
			for k := range g.csi {
				if g.csi[k].Seq != base[i].csi[k].Seq {
					rt.Fatalf("tick %d: packet %d is %d instead of %d", g.seq, k, g.csi[k].Seq, base[i].csi[k].Seq)
				}
			}
		}
	})
}

// TestRandomSensorsKeepTheRules: whatever sensors do - loss, jitter, other
// rates, duplicates, delays beyond the hold - ticks keep their rules and every
// sample is accounted for (asserted by drive), and none is fused twice.
func TestRandomSensorsKeepTheRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var fakes []fake
		for m := range modality.Count {
			seed := rapid.Uint64().Draw(rt, "seed")
			loss := rapid.Float64Range(0, 0.9).Draw(rt, "loss")
			period := time.Duration(rapid.IntRange(5, 300).Draw(rt, "period ms")) * time.Millisecond
			spread := rapid.Int64Range(1, 200*ms).Draw(rt, "delay")
			jitter := rapid.Int64Range(1, 30*ms).Draw(rt, "jitter")
			roll := func(i int, salt uint64) *rand.Rand { return rand.New(rand.NewPCG(seed^salt, uint64(i))) }
			fakes = append(fakes, fake{
				m: m, period: period, frames: int(4 * time.Second / period),
				phase:          time.Duration(rapid.IntRange(0, 200).Draw(rt, "phase ms")) * time.Millisecond,
				delay:          func(i int) time.Duration { return time.Duration(roll(i, 1).Int64N(spread)) },
				alive:          func(i int) bool { return roll(i, 2).Float64() >= loss },
				captureOffset:  func(i int) time.Duration { return time.Duration(roll(i, 3).Int64N(jitter)) },
				duplicateEvery: rapid.IntRange(0, 5).Draw(rt, "duplicates"),
			})
		}
		noLock := rapid.Bool().Draw(rt, "no lock")
		ticks, _ := drive(t, Config{Sensors: allSensors(), NoPhaseLock: noLock}, fakes, 4*time.Second)
		seen := map[*sensors.Sample]uint64{}
		for i, g := range ticks {
			for m, s := range g.sample {
				if s == nil || m == int(modality.CSI) {
					continue
				}
				if first, ok := seen[s]; ok {
					rt.Fatalf("ticks %d and %d hold the same %s sample", first, g.seq, s.Modality)
				}
				seen[s] = g.seq
			}
			for k := 1; k < len(g.csi); k++ {
				if g.csi[k].CaptureNS < g.csi[k-1].CaptureNS {
					rt.Fatalf("tick %d: packets out of order", g.seq)
				}
			}
			for k := 1; k < len(g.camera); k++ {
				if d := g.camera[k].CaptureNS - g.camera[k-1].CaptureNS; d < 0 || d > int64(DefaultMaxGap) {
					rt.Fatalf("tick %d: window entries %d ns apart", g.seq, d)
				}
			}
			if noLock && i > 0 && g.time-ticks[i-1].time != 100*ms {
				rt.Fatalf("tick %d without lock: %d ns", g.seq, g.time-ticks[i-1].time)
			}
		}
	})
}

func TestConfigErrors(t *testing.T) {
	c := NewClock()
	for name, cfg := range map[string]Config{
		"no clock":       {Sensors: allSensors()},
		"no sensors":     {Clock: c},
		"twice":          {Clock: c, Sensors: []SensorConfig{{Modality: modality.Camera}, {Modality: modality.Camera}}},
		"modality":       {Clock: c, Sensors: []SensorConfig{{Modality: 9}}},
		"negative hold":  {Clock: c, Hold: -1, Sensors: allSensors()},
		"tiny period":    {Clock: c, Period: 1, Sensors: allSensors()},
		"negative queue": {Clock: c, Sensors: []SensorConfig{{Queue: -1}}},
	} {
		if a, err := NewAligner(cfg); err == nil || a != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// manualClock is a clock set by hand, for tests and benchmarks of one goroutine.
type manualClock struct{ now int64 }

func (m *manualClock) NowNS() int64              { return m.now }
func (m *manualClock) WallAt(ns int64) time.Time { return time.Unix(0, ns) }
