package timesync

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// TestStandstill: after a consumer that hangs for 3 s the ticks go on in the
// present, without a gap in seq.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		a := newTestAligner(t, c, SensorConfig{Modality: modality.Camera})
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		var seqs, times []int64
		_ = a.Run(ctx, func(tk *Tick) {
			if tk.Seq == 20 {
				time.Sleep(3 * time.Second)
			}
			seqs, times = append(seqs, int64(tk.Seq)), append(times, tk.TimeNS)
		})
		for i := range seqs {
			if seqs[i] != int64(i+1) || i > 0 && times[i] <= times[i-1] {
				t.Fatalf("tick %d: seq %d at %d", i, seqs[i], times[i])
			}
		}
		if st := a.Stats(); st.Resyncs != 1 || 8*second-times[len(times)-1] > 200*ms {
			t.Errorf("resyncs %d, newest tick at %d ns of 8 s", st.Resyncs, times[len(times)-1])
		}
	})
}

// steady returns a function that delivers one frame of all sensors and builds
// its tick; samples are made beforehand.
func steadyTick(t testing.TB) func() {
	c := &manualClock{}
	a := newTestAligner(t, c, allSensors()...)
	a.running, a.tickNS = true, 100*ms
	const n = 1024
	pool := make([]sensors.Sample, n*13)
	i, seq := 0, uint64(0)
	next := func(m modality.Kind, at int64) {
		s := &pool[i%len(pool)]
		i++
		seq++
		*s = sensors.Sample{Modality: m, Seq: seq, CaptureNS: at, ReceiveNS: at}
		c.now = max(c.now, at)
		a.Push(s)
	}
	return func() {
		at := a.tickNS
		for k := range int64(10) {
			if k == 5 {
				next(modality.Camera, at)
				next(modality.LiDAR, at)
				next(modality.Radar, at)
			}
			next(modality.CSI, at-45*ms+k*10*ms)
		}
		if _, ready := a.advance(); !ready {
			t.Fatal("tick not ready although everything is there")
		}
	}
}

func TestSteadyTickDoesNotAllocate(t *testing.T) {
	tick := steadyTick(t)
	for range 100 {
		tick()
	}
	if n := testenv.AllocsPerRun(200, tick); n != 0 {
		t.Errorf("%v allocations per tick", n)
	}
}

func BenchmarkTick(b *testing.B) {
	tick := steadyTick(b)
	for b.Loop() {
		tick()
	}
}
