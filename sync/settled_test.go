package timesync

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// announcement is a copy of what Settled was told.
type announcement struct {
	m              modality.Kind
	tick, at, last int64
	sample         *sensors.Sample
	window         []*sensors.Sample
}

// listen returns a configuration that collects announcements.
func listen(all *[]announcement, now func() int64) Config {
	return Config{Sensors: allSensors(), Settled: func(m modality.Kind, tickNS int64, s *Slot) {
		*all = append(*all, announcement{m, tickNS, now(), s.LastByteNS, s.Sample, slices.Clone(s.Window)})
	}}
}

// TestSettledAsSoonAsDelivered: steady sensors are announced the moment the
// last sample of their part arrives, each once, and the tick holds the same.
func TestSettledAsSoonAsDelivered(t *testing.T) {
	var all []announcement
	var start time.Time
	cfg := listen(&all, func() int64 { return int64(time.Since(start)) })
	fakes := frameSet(30*time.Millisecond, 60)
	plain, _ := drive(t, Config{Sensors: allSensors()}, fakes, 5*time.Second)
	var ticks []got
	synctest.Test(t, func(t *testing.T) {
		start = time.Now()
		cfg.Clock = NewClock()
		a, err := NewAligner(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for _, f := range fakes {
			go f.run(ctx, cfg.Clock, a)
		}
		if err := a.Run(ctx, func(tk *Tick) { ticks = append(ticks, copyTick(tk)) }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
	if len(ticks) != len(plain) {
		t.Fatalf("%d ticks with announcements, %d without", len(ticks), len(plain))
	}
	byTick := map[int64][]announcement{}
	for _, a := range all {
		byTick[a.tick] = append(byTick[a.tick], a)
	}
	for i, g := range ticks {
		if g.time != plain[i].time || g.ready != plain[i].ready || g.state != plain[i].state || g.skew != plain[i].skew {
			t.Fatalf("tick %d differs from the one without announcements", g.seq)
		}
		if g.time < 2*second {
			continue
		}
		var seen [modality.Count]int
		for _, a := range byTick[g.time] {
			seen[a.m]++
			if a.sample != g.sample[a.m] {
				t.Errorf("tick %d: %s is announced with another sample", g.seq, a.m)
			}
			if w := map[modality.Kind][]*sensors.Sample{modality.Camera: g.camera, modality.CSI: g.csi}[a.m]; !slices.Equal(a.window, w) {
				t.Errorf("tick %d: %s is announced with another window", g.seq, a.m)
			}
			if a.at != a.last {
				t.Errorf("tick %d: %s is announced %d ns after its last byte", g.seq, a.m, a.at-a.last)
			}
			if a.at >= g.ready {
				t.Errorf("tick %d: %s is announced at %d, the tick at %d", g.seq, a.m, a.at, g.ready)
			}
		}
		// CSI comes last, so its part and the tick are settled together.
		if seen != [modality.Count]int{1, 1, 1, 0} {
			t.Errorf("tick %d: announcements %v", g.seq, seen)
		}
	}
}

// TestAnnouncementsChangeNothing: whatever sensors do, ticks and counters are
// those of an aligner that announces nothing.
func TestAnnouncementsChangeNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var fakes []fake
		for m := range modality.Count {
			seed := rapid.Uint64().Draw(rt, "seed")
			period := 100 * time.Millisecond
			if m == modality.CSI {
				period = 10 * time.Millisecond
			}
			// Sensors arrive on different nanoseconds of four, spread over
			// many, so that the scheduler orders next to nothing.
			spread := rapid.Int64Range(ms, 80*ms).Draw(rt, "delay")
			jitter := rapid.Int64Range(ms, 60*ms).Draw(rt, "jitter")
			loss := rapid.Float64Range(0, 0.3).Draw(rt, "loss")
			roll := func(i int, salt uint64) *rand.Rand { return rand.New(rand.NewPCG(seed^salt, uint64(i))) }
			fakes = append(fakes, fake{m: m, period: period, frames: int(3 * time.Second / period),
				delay:         func(i int) time.Duration { return time.Duration(roll(i, 1).Int64N(spread)&^3 + int64(m)) },
				alive:         func(i int) bool { return roll(i, 2).Float64() >= loss },
				captureOffset: func(i int) time.Duration { return time.Duration(roll(i, 3).Int64N(jitter) &^ 3) }})
		}
		var all []announcement
		cfg := listen(&all, func() int64 { return 0 })
		ticks, stats := drive(t, cfg, fakes, 3*time.Second)
		// Where a sample arrives in the very nanosecond a tick is given out,
		// either order is right, and the scheduler picks: one of a few runs
		// must then have picked the same.
		const runs = 20
		var differ string
		for range runs {
			want, wantStats := drive(t, Config{Sensors: allSensors()}, fakes, 3*time.Second)
			if differ = difference(ticks, want); differ == "" && !reflect.DeepEqual(stats, wantStats) {
				differ = fmt.Sprintf("%+v; without announcements %+v", stats, wantStats)
			}
			if differ == "" {
				break
			}
		}
		if differ != "" {
			rt.Fatalf("no equal among %d runs: %s", runs, differ)
		}
		for _, a := range all {
			if a.sample == nil {
				rt.Fatalf("%s is announced without a sample", a.m)
			}
		}
	})
}

// difference says where two runs gave out other ticks.
func difference(ticks, want []got) string {
	if len(ticks) != len(want) {
		return fmt.Sprintf("%d ticks, without announcements %d", len(ticks), len(want))
	}
	for i := range ticks {
		for m := range ticks[i].sample {
			a, b := ticks[i].sample[m], want[i].sample[m]
			if (a == nil) != (b == nil) || a != nil && a.Seq != b.Seq {
				return fmt.Sprintf("tick %d, %s: %v, without announcements %v", i+1, modality.Kind(m), a, b)
			}
		}
	}
	return ""
}

// TestSuperseded: a sample that breaks its sensor's period and is nearer to the
// tick is announced after the one that seemed to be the tick's.
func TestSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []announcement
		cfg := listen(&all, func() int64 { return 0 })
		clock := NewClock()
		cfg.Clock, cfg.NoPhaseLock = clock, true
		a, err := NewAligner(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 190*time.Millisecond)
		defer cancel()
		var tick got
		go func() {
			for i, at := range []time.Duration{60, 110, 150} { // of the tick at 100 ms: 40 before, 10 and 50 after
				time.Sleep(at*time.Millisecond - time.Duration(clock.NowNS()))
				a.Push(&sensors.Sample{Modality: modality.LiDAR, Seq: uint64(i), CaptureNS: clock.NowNS(), ReceiveNS: clock.NowNS()})
				// The camera stays silent, so that the tick waits.
				a.Push(&sensors.Sample{Modality: modality.Camera, Seq: uint64(i), CaptureNS: int64(i+1) * ms, ReceiveNS: clock.NowNS()})
			}
		}()
		_ = a.Run(ctx, func(tk *Tick) { tick = copyTick(tk) })
		synctest.Wait()
		var seqs []uint64
		for _, x := range all {
			if x.m == modality.LiDAR && x.tick == 100*ms {
				seqs = append(seqs, x.sample.Seq)
			}
		}
		if !slices.Equal(seqs, []uint64{0, 1, 1}) || tick.time != 100*ms || tick.sample[modality.LiDAR].Seq != 1 {
			t.Errorf("announced %v, the tick at %d ns holds %+v", seqs, tick.time, tick.sample[modality.LiDAR])
		}
	})
}

// TestSlowConsumer: a consumer that needs 180 ms for ticks of 100 ms gets the
// newest ones, and every tick is given out or counted; one long tick alone
// skips nothing.
func TestSlowConsumer(t *testing.T) {
	for _, c := range []struct {
		name          string
		busy          func(seq uint64) time.Duration
		minSkip       uint64
		maxSkip       uint64
		worst, median time.Duration // age of the ticks when given out
	}{
		{"always", func(uint64) time.Duration { return 180 * time.Millisecond }, 80, 100, 520 * time.Millisecond, 160 * time.Millisecond},
		{"once", func(seq uint64) time.Duration {
			if seq == 50 {
				return 450 * time.Millisecond
			}
			return 5 * time.Millisecond
		}, 0, 0, 460 * time.Millisecond, 60 * time.Millisecond},
		{"never", func(uint64) time.Duration { return 95 * time.Millisecond }, 0, 0, 100 * time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := NewClock()
				a := newTestAligner(t, clock, allSensors()...)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				for _, f := range frameSet(30*time.Millisecond, 200) {
					go f.run(ctx, clock, a)
				}
				var age []int64
				var before int64
				_ = a.Run(ctx, func(tk *Tick) {
					if tk.TimeNS <= before || int(tk.Seq) != len(age)+1 {
						t.Errorf("tick %d at %d ns after %d", tk.Seq, tk.TimeNS, before)
					}
					before = tk.TimeNS
					age = append(age, tk.ReadyNS-tk.TimeNS)
					time.Sleep(c.busy(tk.Seq))
				})
				synctest.Wait()
				st := a.Stats()
				if st.Skipped < c.minSkip || st.Skipped > c.maxSkip || st.Resyncs != 0 {
					t.Errorf("%d ticks skipped, want %d to %d; %d resyncs", st.Skipped, c.minSkip, c.maxSkip, st.Resyncs)
				}
				if (st.SkippedNS != 0) != (c.maxSkip > 0) {
					t.Errorf("last skip at %d ns", st.SkippedNS)
				}
				if sum := st.Ticks + st.Skipped; sum < 195 || sum > 201 {
					t.Errorf("%d ticks given out and %d skipped in 20 s at 10 Hz", st.Ticks, st.Skipped)
				}
				slices.Sort(age)
				if worst, mid := time.Duration(age[len(age)-1]), time.Duration(age[len(age)/2]); worst > c.worst || mid > c.median {
					t.Errorf("ticks given out %v (median %v) after their time, want at most %v (%v)", worst, mid, c.worst, c.median)
				}
				for _, s := range st.Sensors {
					if s.Outcomes.In != s.Outcomes.Sum() {
						t.Errorf("%s: in %d, outcomes %+v", s.Name, s.Outcomes.In, s.Outcomes)
					}
				}
			})
		})
	}
}
