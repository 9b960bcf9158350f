package model

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/sensors/modality"
)

// cameraNet returns a network with random statistics whose only encoder is R.
func cameraNet(t testing.TB, cfg Config) *Runtime {
	t.Helper()
	cfg.Modalities = "R"
	net, err := New(cfg, 11)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for _, b := range net.Buffers() {
		for i := range b.Value {
			b.Value[i] = 0.5 + rng.Float32()
		}
	}
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func tinyCamera() Config {
	c := Edge()
	c.Camera.Channels = 12
	return c
}

// carryingCamera is that of a head that reads the newest keypoints from the feature.
func carryingCamera() Config {
	c := tinyCamera().Room()
	c.Head = ReprojectionHead
	return c
}

func randomFrame(rng *rand.Rand, rt *Runtime) []float32 {
	f := make([]float32, rt.net.Config.KeypointFrame())
	for i := range f {
		f[i] = 2*rng.Float32() - 1
	}
	return f
}

// closeFeatures fails unless the features agree to 1e-5 of their size.
func closeFeatures(t rapid.TB, what string, got, want []float32) {
	var size float64
	for _, v := range want {
		size = max(size, float64(v), float64(-v))
	}
	if d := maxDiff(got, want); !(d <= 1e-5*max(1, size)) {
		t.Fatalf("%s: differs by %g, size %g", what, d, size)
	}
}

// windowOf lays out the last CameraWindow of the frames, the first repeated
// where there are fewer.
func windowOf(frames [][]float32) []float32 {
	w := make([]float32, 0, KeypointsValues)
	for i := len(frames) - CameraWindow; i < len(frames); i++ {
		w = append(w, frames[max(i, 0)]...)
	}
	return w
}

// TestCameraStreamEqualsWindows pushes random streams and compares every
// position with the window form, from the padded first frame on.
func TestCameraStreamEqualsWindows(t *testing.T) {
	var configs []Config
	for _, widths := range [][]int{{3, 3, 3, 3}, {9, 9}, {1, 81}, {81}, {3, 27}} {
		cfg := tinyCamera()
		cfg.Camera.Widths = widths
		configs = append(configs, cfg)
	}
	for _, cfg := range append(configs, carryingCamera()) {
		rt := cameraNet(t, cfg)
		s, err := rt.NewCameraStream()
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		var frames [][]float32
		for i := range 260 {
			if i == 170 {
				frames = nil // a gap: the window starts over
			}
			frames = append(frames, randomFrame(rng, rt))
			if len(frames) == 1 {
				err = s.Restart(frames[0])
			} else {
				err = s.Push(frames[len(frames)-1])
			}
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Clone(s.Feature())
			closeFeatures(t, "position", got, rt.inst.encoders[modality.Camera].forward(windowOf(frames), 1))
		}
	}
}

// The sizes that are used, at a few positions: from the padded start to beyond a
// window.
func TestCameraStreamOfNamedSizes(t *testing.T) {
	for _, cfg := range []Config{Edge(), Paper()} {
		rt := cameraNet(t, cfg)
		s, err := rt.NewCameraStream()
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(4, 2))
		var frames [][]float32
		for i := range CameraWindow + 30 {
			frames = append(frames, randomFrame(rng, rt))
			if i == 0 {
				err = s.Restart(frames[0])
			} else {
				err = s.Push(frames[i])
			}
			if err != nil {
				t.Fatal(err)
			}
			if i%22 == 0 {
				got := slices.Clone(s.Feature())
				closeFeatures(t, cfg.Size, got, rt.inst.encoders[modality.Camera].forward(windowOf(frames), 1))
			}
		}
	}
}

// A stream that was not told what came before is right after one window.
func TestCameraStreamWithoutStart(t *testing.T) {
	rt := cameraNet(t, tinyCamera())
	s, err := rt.NewCameraStream()
	if err != nil {
		t.Fatal(err)
	}
	if s.Feature() != nil || s.Warm() {
		t.Error("an empty stream has a feature")
	}
	rng := rand.New(rand.NewPCG(3, 2))
	var frames [][]float32
	for i := range CameraWindow + 20 {
		frames = append(frames, randomFrame(rng, rt))
		if err := s.Push(frames[i]); err != nil {
			t.Fatal(err)
		}
		if s.Warm() != (i >= CameraWindow-1) {
			t.Fatalf("after %d frames: warm = %v", i+1, s.Warm())
		}
		if s.Warm() {
			got := slices.Clone(s.Feature())
			closeFeatures(t, "position", got, rt.inst.encoders[modality.Camera].forward(windowOf(frames), 1))
		}
	}
	if s.Push(frames[0][1:]) == nil || s.Restart(nil) == nil {
		t.Error("a short frame is accepted")
	}
	if _, err := s.Window(frames[0]); err == nil {
		t.Error("a short window is accepted")
	}
}

// TestCameraStreamFollowsLiveWindows lets everything happen that happens to
// the windows of a live camera: steps of one tick, ticks without the camera,
// frames that come late into the middle, jumps, another image size, the same
// window again. The feature must be that of the window every time.
func TestCameraStreamFollowsLiveWindows(t *testing.T) {
	runtimes := []*Runtime{cameraNet(t, tinyCamera()), cameraNet(t, carryingCamera())}
	rapid.Check(t, func(t *rapid.T) {
		rt := rapid.SampledFrom(runtimes).Draw(t, "runtime")
		enc := rt.inst.encoders[modality.Camera]
		s, err := rt.NewCameraStream()
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		frames := [][]float32{randomFrame(rng, rt)}
		ticks := rapid.IntRange(1, 130).Draw(t, "ticks")
		quiet := rapid.IntRange(0, 100).Draw(t, "quiet") // percent of plain steps
		for range ticks {
			event := rapid.IntRange(0, 7).Draw(t, "event")
			if rapid.IntRange(0, 99).Draw(t, "luck") < quiet {
				event = 0
			}
			switch event {
			default: // the next frame
				frames = append(frames, randomFrame(rng, rt))
			case 1: // the same window again
			case 2: // ticks without the camera
				for range rapid.IntRange(2, 6).Draw(t, "missed") {
					frames = append(frames, frames[len(frames)-1])
				}
				frames = append(frames, randomFrame(rng, rt))
			case 3: // a late frame replaces what stood in for it
				frames = slices.Clone(frames)
				frames[max(0, len(frames)-rapid.IntRange(1, 5).Draw(t, "late"))] = randomFrame(rng, rt)
				frames = append(frames, randomFrame(rng, rt))
			case 4: // a long gap
				frames = [][]float32{randomFrame(rng, rt)}
			case 5: // the whole window means something else
				for i := range frames {
					frames[i] = randomFrame(rng, rt)
				}
			case 7: // the oldest frame of the window is another
				if len(frames) > CameraWindow {
					frames = slices.Clone(frames[len(frames)-CameraWindow+1:])
					frames[0] = randomFrame(rng, rt)
				}
				frames = append(frames, randomFrame(rng, rt))
			case 6: // the newest frame is replaced
				frames = slices.Clone(frames)
				frames[len(frames)-1] = randomFrame(rng, rt)
			}
			w := windowOf(frames)
			got, err := s.Window(w)
			if err != nil {
				t.Fatal(err)
			}
			closeFeatures(t, "live window", slices.Clone(got), enc.forward(w, 1))
		}
		if st := s.Stats(); st.Streamed+st.Whole != uint64(ticks) {
			t.Fatalf("%d ticks, %+v", ticks, st)
		}
	})
}

// Shifted windows, a skipped tick and a late frame must not cost a whole
// window; a jump costs whole windows until the stream is full again.
func TestCameraStreamUse(t *testing.T) {
	rt := cameraNet(t, tinyCamera())
	s, err := rt.NewCameraStream()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 9))
	var frames [][]float32
	step := func(whole uint64) {
		t.Helper()
		if _, err := s.Window(windowOf(frames)); err != nil {
			t.Fatal(err)
		}
		if s.stats.Whole != whole {
			t.Fatalf("%d frames: %d whole windows, want %d", len(frames), s.stats.Whole, whole)
		}
	}
	for range 100 { // from the very first frame
		frames = append(frames, randomFrame(rng, rt))
		step(0)
	}
	if s.stats.Pushed != 100 {
		t.Errorf("%d frames pushed for 100 ticks", s.stats.Pushed)
	}
	frames = append(frames, frames[99], randomFrame(rng, rt)) // a tick without the camera
	step(0)
	frames[100] = randomFrame(rng, rt) // its frame comes late
	frames = append(frames, randomFrame(rng, rt))
	step(0)
	step(0)
	frames[60] = randomFrame(rng, rt) // the past changes, 43 frames ago
	whole := uint64(0)
	for range CameraWindow {
		frames = append(frames, randomFrame(rng, rt))
		if len(frames)-60 <= CameraWindow { // it is still in the window
			whole++
		}
		step(whole)
	}
	if whole != 38 {
		t.Errorf("%d windows hold the change", whole)
	}
}

func TestStreamedRuntimeEqualsWholeWindows(t *testing.T) {
	cfg := small()
	net, b := trained(t)
	whole, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	live, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	if err := live.StreamCamera(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 9))
	var frames [][]float32
	var want, got Output
	in := sample(cfg, b, 0)
	for i := range 120 {
		frames = append(frames, randomFrame(rng, live))
		if i == 50 {
			live.Refresh() // weights may change: the past is dropped
			frames = frames[:1]
		}
		in.Camera = windowOf(frames)
		if err := whole.Infer(in, &want); err != nil {
			t.Fatal(err)
		}
		if err := live.Infer(in, &got); err != nil {
			t.Fatal(err)
		}
		closeFeatures(t, "feature", got.Features[modality.Camera][:], want.Features[modality.Camera][:])
		if d := maxDiff(got.Pose[:], want.Pose[:]); d > 1e-5 {
			t.Fatalf("tick %d: poses differ by %g m", i, d)
		}
	}
	if st := live.CameraStreamStats(); st.Whole != 0 || st.Streamed != 120 {
		t.Errorf("%+v", st)
	}
	if whole.CameraStreamStats() != (CameraStreamStats{}) {
		t.Error("a runtime without a stream counts")
	}
	if n := testenv.AllocsPerRun(20, func() {
		copy(in.Camera, in.Camera[KeypointValues:])
		in.Camera[KeypointsValues-1]++
		if err := live.Infer(in, &got); err != nil {
			t.Fatal(err)
		}
	}); n != 0 && !testenv.Race {
		t.Errorf("%v allocations per inference", n)
	}
}

func TestCameraStreamNeedsTheCamera(t *testing.T) {
	cfg := small()
	cfg.Modalities = "LM"
	net, err := New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	if rt.StreamCamera() == nil {
		t.Error("a network without R streams the camera")
	}
}

// BenchmarkCamera compares a whole window with one more frame of a stream.
func BenchmarkCamera(b *testing.B) {
	for name, cfg := range map[string]Config{"paper": Paper(), "edge": Edge()} {
		rt := cameraNet(b, cfg)
		rng := rand.New(rand.NewPCG(3, 9))
		frame := randomFrame(rng, rt)
		window := windowOf([][]float32{frame})
		b.Run(name+"/window", func(b *testing.B) {
			for b.Loop() {
				rt.inst.encoders[modality.Camera].forward(window, 1)
			}
		})
		b.Run(name+"/stream", func(b *testing.B) {
			s, err := rt.NewCameraStream()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := s.Push(frame); err != nil {
					b.Fatal(err)
				}
				s.Feature()
			}
		})
		b.Run(name+"/live", func(b *testing.B) { // with the comparison of windows
			if err := rt.StreamCamera(); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				copy(window, window[KeypointValues:])
				window[KeypointsValues-1-i%KeypointValues]++
				if err := rt.Encode(modality.Camera, window); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
