package pipeline

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/model"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// cameraOnly returns two engines on one small network, the first with cached
// activations, as live, the second without.
func cameraOnly(t *testing.T) (live, whole *engine) {
	t.Helper()
	cfg := model.Edge()
	cfg.Modalities, cfg.Camera.Channels = "R", 24
	net, err := model.New(cfg, 4)
	if err != nil {
		t.Fatal(err)
	}
	card := model.Card{Name: "stream", Version: "1", Config: cfg, Window: model.Causal}
	inf, err := NewInferer(net, card)
	if err != nil {
		t.Fatal(err)
	}
	rt, err := model.NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	if live, err = newEngine(inf, true); err != nil {
		t.Fatal(err)
	}
	if whole, err = newEngine(runtimeInferer{Runtime: rt, card: card}, true); err != nil {
		t.Fatal(err)
	}
	return live, whole
}

// TestLivePosesDoNotDependOnTheStream drives the aligner with cameras that do
// what cameras do and infers every tick with and without cached activations.
func TestLivePosesDoNotDependOnTheStream(t *testing.T) {
	for name, c := range map[string]struct {
		period, jitter time.Duration
		lost           func(i int) bool // frames that never come
		delay          func(i int) time.Duration
		// Share of ticks that need a whole window: a hole needs one when it
		// leaves the window, for its place is then filled from the other side.
		wholeAtMost float64
	}{
		"10 Hz":            {100 * time.Millisecond, 5 * time.Millisecond, nil, nil, 0.02},
		"9.97 Hz":          {100300 * time.Microsecond, 3 * time.Millisecond, nil, nil, 0.02},
		"30 Hz":            {33333 * time.Microsecond, 0, nil, nil, 0.1},
		"frames lost":      {100 * time.Millisecond, 0, func(i int) bool { return i%23 == 7 }, nil, 0.05},
		"long gaps":        {100 * time.Millisecond, 0, func(i int) bool { return i%90 > 60 }, nil, 0.1},
		"frames come late": {100 * time.Millisecond, 0, nil, func(i int) time.Duration { return time.Duration(i%31/30) * 150 * time.Millisecond }, 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(8, 8))
			var ticks []timesync.Tick
			synctest.Test(t, func(t *testing.T) {
				clock := timesync.NewClock()
				a, err := timesync.NewAligner(timesync.Config{Clock: clock, Period: 100 * time.Millisecond,
					Sensors: []timesync.SensorConfig{{Name: "camera", Modality: modality.Camera, Period: c.period}}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
				defer cancel()
				go func() {
					for i := 0; ctx.Err() == nil; i++ {
						s := &sensors.Sample{Modality: modality.Camera, Seq: uint64(i), CaptureNS: clock.NowNS() + int64(rng.Float64()*float64(c.jitter)),
							Keypoints: &sensors.Keypoints{Width: 640, Height: 480}}
						for j := range s.Keypoints.XY {
							s.Keypoints.XY[j] = [2]float64{640 * rng.Float64(), 480 * rng.Float64()}
						}
						if c.lost == nil || !c.lost(i) {
							wait := c.jitter + time.Millisecond
							if c.delay != nil {
								wait += c.delay(i)
							}
							go func() {
								time.Sleep(wait)
								s.ReceiveNS = clock.NowNS()
								a.Push(s)
							}()
						}
						time.Sleep(c.period)
					}
				}()
				if err := a.Run(ctx, func(tick *timesync.Tick) {
					c := *tick
					c.Slots[modality.Camera].Window = slices.Clone(c.Slots[modality.Camera].Window)
					ticks = append(ticks, c)
				}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // until the camera's goroutines are gone
			})
			// Outside of the bubble, which the kernel's threads must not be in.
			live, whole := cameraOnly(t)
			posed := 0
			for i := range ticks {
				var x, y result
				if _, err := live.run(&ticks[i], nil, nil, &x); err != nil {
					t.Fatal(err)
				}
				if _, err := whole.run(&ticks[i], nil, nil, &y); err != nil {
					t.Fatal(err)
				}
				if x.present != y.present {
					t.Fatalf("tick %d: %v with the stream, %v without", i, x.present, y.present)
				}
				if x.present == 0 {
					continue
				}
				posed++
				for j := range x.joints {
					for k, v := range x.joints[j] {
						if d := math.Abs(v - y.joints[j][k]); !(d < 1e-5) {
							t.Fatalf("tick %d joint %d: poses differ by %g m", i, j, d)
						}
					}
				}
			}
			st := live.inf.(runtimeInferer).CameraStreamStats()
			t.Logf("%d ticks, %d poses: %+v", len(ticks), posed, st)
			if posed < len(ticks)/2 || float64(st.Whole) > c.wholeAtMost*float64(posed) {
				t.Errorf("%d whole windows in %d poses", st.Whole, posed)
			}
		})
	}
}
