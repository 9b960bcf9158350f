package timesync

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// movedClock is a room clock that the test moves.
type movedClock struct{ ns int64 }

func (c *movedClock) NowNS() int64              { return c.ns }
func (c *movedClock) WallAt(ns int64) time.Time { return time.Unix(0, ns) }

// TestStepEqualsRun: the ticks of a live run come out again, to the nanosecond and
// the sample, when its samples are given to Step at the times at which they came.
func TestStepEqualsRun(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 7))
		// Odd nanoseconds, so that no two things happen at once.
		jitter := func(most time.Duration) func(int) time.Duration {
			d := make([]time.Duration, 500)
			for i := range d {
				d[i] = time.Duration(rng.Int64N(int64(most)))
			}
			return func(i int) time.Duration { return d[i] }
		}
		fakes := frameSet(time.Duration(rng.Int64N(1e8)), 40)
		for i := range fakes {
			fakes[i].delay = jitter(90 * time.Millisecond)
		}
		silent := rng.IntN(30)
		fakes[1].alive = func(i int) bool { return i < silent || i > silent+7 }
		var ticks, again []got
		type push struct {
			s  *sensors.Sample
			at int64
		}
		var pushes []push
		cfg := Config{Sensors: allSensors()}
		const length = 5 * time.Second
		synctest.Test(t, func(t *testing.T) {
			clock := NewClock()
			cfg := cfg
			cfg.Clock = clock
			a, err := NewAligner(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), length)
			defer cancel()
			var mu sync.Mutex
			for _, f := range fakes {
				go func() {
					for i := range f.frames {
						capture := int64(f.phase) + int64(i)*int64(f.period)
						select {
						case <-ctx.Done():
							return
						case <-time.After(time.Duration(capture + int64(f.delay(i)) - clock.NowNS())):
						}
						if f.alive != nil && !f.alive(i) {
							continue
						}
						s := &sensors.Sample{Modality: f.m, Seq: uint64(i), CaptureNS: max(capture, 1), ReceiveNS: clock.NowNS(), Keypoints: &sensors.Keypoints{}}
						mu.Lock()
						pushes = append(pushes, push{s, clock.NowNS()})
						mu.Unlock()
						a.Push(s)
					}
				}()
			}
			if err := a.Run(ctx, func(tk *Tick) { ticks = append(ticks, copyTick(tk)) }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		})
		clock := &movedClock{}
		cfg.Clock = clock
		a, err := NewAligner(cfg)
		if err != nil {
			t.Fatal(err)
		}
		take := func(tk *Tick) { again = append(again, copyTick(tk)) }
		wait := a.Step(take)
		for _, p := range append(pushes, push{at: int64(length) - 1}) {
			for clock.ns+int64(wait) <= p.at {
				clock.ns += int64(wait)
				wait = a.Step(take)
			}
			clock.ns = p.at
			if p.s != nil {
				a.Push(p.s)
			}
			wait = a.Step(take)
		}
		if len(ticks) < 40 || len(again) != len(ticks) {
			t.Fatalf("seed %d: %d ticks, live %d", seed, len(again), len(ticks))
		}
		for i := range ticks {
			if !reflect.DeepEqual(ticks[i], again[i]) {
				t.Fatalf("seed %d, tick %d:\n%+v\nlive\n%+v", seed, i, again[i], ticks[i])
			}
		}
		if st := a.Stats(); st.Sensors[modality.LiDAR].Outcomes.In == 0 {
			t.Errorf("seed %d: %+v", seed, st)
		}
	}
}
