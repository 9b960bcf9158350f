package train

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/mars"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

func radarOnly() model.Config {
	cfg := modeltest.Small()
	cfg.Modalities = "M"
	return cfg
}

func TestPartsShareNoFrameAndLeaveNoneOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3000).Draw(t, "frames")
		borders := []float64{0, float64(rapid.IntRange(1, 99).Draw(t, "percent")) / 100, 1}
		end := 0
		for i := range 2 {
			p := Part{borders[i], borders[i+1]}
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
			from, to := p.rows(n)
			if from != end || to < from {
				t.Fatalf("%v of %d frames is %d to %d, the part before it ended at %d", p, n, from, to, end)
			}
			end = to
		}
		if end != n {
			t.Fatalf("the last part ends at frame %d of %d", end, n)
		}
	})
	for _, c := range []struct{ n, train, val int }{{10, 6, 8}, {5, 3, 4}, {20, 12, 16}, {297, 178, 237}, {1, 0, 0}} {
		_, a := TrainPart.rows(c.n)
		b, d := ValPart.rows(c.n)
		e, f := TestPart.rows(c.n)
		if a != c.train || b != c.train || d != c.val || e != c.val || f != c.n {
			t.Errorf("%d frames: 0 to %d, %d to %d, %d to %d; want borders %d and %d", c.n, a, b, d, e, f, c.train, c.val)
		}
	}
	for _, p := range []Part{{0.5, 0.5}, {0.6, 0.2}, {-0.1, 1}, {0, 1.1}} {
		if err := p.Check(); err == nil {
			t.Errorf("took the part %v", p)
		}
	}
}

// TestRealRadarSplitsWithinClips loads the real recordings part by part: a
// data set with one sensor, for a network of one modality.
func TestRealRadarSplitsWithinClips(t *testing.T) {
	ds, err := mars.Open(testenv.Shared(t, "realdata/mars"), mars.Options{History: 2})
	if err != nil {
		t.Fatal(err)
	}
	keys := ds.Keys()[:2]
	total := 0
	var last *Data
	for _, p := range []Part{TrainPart, ValPart, TestPart} {
		d, loadErr := Load(t.Context(), ds, keys, radarOnly(), LoadOptions{Window: model.Causal, Part: p})
		if loadErr != nil {
			t.Fatal(loadErr)
		}
		for i, c := range d.Clips {
			if last != nil && c.Frames[0] != last.Clips[i].Frames[len(last.Clips[i].Frames)-1]+1 {
				t.Errorf("clip %s: part %v begins at frame %d, the one before ended at %d", c.Key, p, c.Frames[0], last.Clips[i].Frames[len(last.Clips[i].Frames)-1])
			}
			if c.Camera != nil || c.LiDAR != nil || c.CSI != nil {
				t.Errorf("clip %s holds sensors that the network does not have", c.Key)
			}
		}
		total += len(d.Samples)
		last = d
		sample := 4*(radarOnly().Radar.Points*model.RadarPointDim+model.OutputDim) + int(unsafe.Sizeof(SampleRef{})) + 8 + 1
		if got, want := d.Bytes(), int64(len(d.Samples)*sample); got != want {
			t.Errorf("part %v takes %d bytes, stated are %d", p, got, want)
		}
	}
	want := 0
	for _, k := range keys {
		c, openErr := ds.Open(k)
		if openErr != nil {
			t.Fatal(openErr)
		}
		want += c.Len()
	}
	if total != want {
		t.Errorf("%d frames in the three parts, the clips have %d", total, want)
	}
	b := last.NewBatch(2)
	last.Fill(b, 1, last.Samples[0])
	if b.Camera != nil || b.LiDAR != nil || b.CSI != nil || b.Present[1] != 1<<modality.Radar {
		t.Errorf("batch of a radar-only network: %d camera, %d LiDAR, %d CSI values, present %s", len(b.Camera), len(b.LiDAR), len(b.CSI), b.Present[1])
	}
	if !slices.Equal(b.Radar[len(b.Radar)/2:], last.Clips[0].Radar[:len(b.Radar)/2]) {
		t.Error("the radar of the second row is not that of the sample")
	}
	if _, err = Load(t.Context(), ds, keys, modeltest.Small(), LoadOptions{Window: model.Causal}); err == nil ||
		!strings.Contains(err.Error(), "camera keypoints (R) and LiDAR (L) and WiFi CSI (W), which MARS at") || !strings.Contains(err.Error(), "modalities M") {
		t.Errorf("a network of all modalities on radar: %v", err)
	}
}

func TestNetworksThatDoNotFitTheData(t *testing.T) {
	data := simulated(t, "clean", []recording.Key{{Subject: 1, Activity: 12}}, LoadOptions{Window: model.Causal, Stride: 10})
	radar, err := data.Only(1 << modality.Radar)
	if err != nil {
		t.Fatal(err)
	}
	if err = radar.CheckFits(radarOnly()); err != nil {
		t.Errorf("radar of a view: %v", err)
	}
	if err = data.CheckFits(radarOnly()); err != nil {
		t.Errorf("fewer modalities than the data has: %v", err)
	}
	if b := radar.NewBatch(1); b.Radar == nil || b.CSI != nil {
		t.Error("the view's batch holds other sensors than the radar")
	}
	if err = radar.CheckFits(modeltest.Small()); err == nil || !strings.Contains(err.Error(), "needs modality RLW") || !strings.Contains(err.Error(), "simulated") {
		t.Errorf("all modalities on the radar's view: %v", err)
	}
	if _, err = radar.Only(modality.All); err == nil {
		t.Error("a view has more than what it is a view of")
	}
	cfg := radarOnly()
	cfg.Radar.Points = 32
	if err = data.CheckFits(cfg); err == nil || !strings.Contains(err.Error(), "takes 32 points of modality M") {
		t.Errorf("another number of points: %v", err)
	}
	net, err := model.New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Evaluate(t.Context(), net, data, nil, nil, "", nil); err == nil || !strings.Contains(err.Error(), "32 points") {
		t.Errorf("evaluation: %v", err)
	}
}

// spoiltClip is a clip with something wrong in its third frame.
type spoiltClip struct {
	spoil func(*recording.Frame, *recording.Pose)
}

func (spoiltClip) Key() recording.Key { return recording.Key{Subject: 3, Activity: 4} }
func (spoiltClip) Len() int           { return 5 }
func (c spoiltClip) Frame(i int, f *recording.Frame) error {
	*f = recording.Frame{LiDAR: make([]float64, 6), MmWave: make([]float64, 10), CSIAmp: make([]float64, model.CSIValues)}
	if i == 2 {
		c.spoil(f, &recording.Pose{})
	}
	return nil
}

func (c spoiltClip) Truth(i int) (p recording.Pose, err error) {
	if i == 2 {
		c.spoil(&recording.Frame{}, &p)
	}
	return p, nil
}

type spoiltDataset struct{ spoiltClip }

func (d spoiltDataset) Keys() []recording.Key                      { return []recording.Key{d.Key()} }
func (d spoiltDataset) Open(recording.Key) (recording.Clip, error) { return d.spoiltClip, nil }
func (d spoiltDataset) Describe() string                           { return "spoilt data" }

func TestMixedShapesAreNamed(t *testing.T) {
	for want, spoil := range map[string]func(*recording.Frame, *recording.Pose){
		"LiDAR holds 7 values, want rows of 3":   func(f *recording.Frame, _ *recording.Pose) { f.LiDAR = make([]float64, 7) },
		"radar holds 12 values, want rows of 5":  func(f *recording.Frame, _ *recording.Pose) { f.MmWave = make([]float64, 12) },
		"CSI holds 342 amplitudes, want 3420":    func(f *recording.Frame, _ *recording.Pose) { f.CSIAmp = make([]float64, 342) },
		"ground truth: joint 4 has coordinate +": func(_ *recording.Frame, p *recording.Pose) { p[4][1] = math.Inf(1) },
	} {
		ds := spoiltDataset{spoiltClip{spoil}}
		_, err := Load(t.Context(), ds, ds.Keys(), modeltest.Small(), LoadOptions{Window: model.Causal})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "clip S03/A04: frame 3") {
			t.Errorf("%v, want clip, frame and %q", err, want)
		}
	}
	ds := spoiltDataset{spoiltClip{func(f *recording.Frame, _ *recording.Pose) { f.CSIAmp = nil }}}
	if _, err := Load(t.Context(), ds, ds.Keys(), radarOnly(), LoadOptions{Window: model.Causal}); err != nil {
		t.Errorf("a broken sensor that the network does not have: %v", err)
	}
}

// TestPaddedWindowsAreCounted: a clip's edge stands in for frames it lacks, and
// nobody has to guess in how many samples.
func TestPaddedWindowsAreCounted(t *testing.T) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "clean", Subjects: []int{3}, Activities: []int{4}, FramesPerClip: 90})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		modalities string
		window     model.Window
		want       int
	}{{"R", model.Causal, 80}, {"R", model.Centred, 80}, {"L", model.Causal, 0}} {
		cfg := modeltest.Small()
		cfg.Modalities = c.modalities
		d, err := Load(t.Context(), ds, ds.Keys(), cfg, LoadOptions{Window: c.window})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Clips[0].PaddedCamera; got != c.want {
			t.Errorf("%s, %s: %d of 90 frames have a padded window, want %d", c.modalities, c.window, got, c.want)
		}
	}
}

// Keypoints are normalised by the size of the picture they lie in: a camera of more
// pixels with the same view gives the same input.
func TestKeypointsOfAnyPictureSize(t *testing.T) {
	load := func(world *sim.World) *Data {
		t.Helper()
		ds, err := sim.NewDataset(sim.Config{Seed: 1, FramesPerClip: 3, Subjects: []int{5}, Activities: []int{12}, World: world})
		if err != nil {
			t.Fatal(err)
		}
		cfg := modeltest.Small()
		cfg.Modalities = "R"
		d, err := Load(t.Context(), ds, ds.Keys(), cfg, LoadOptions{Window: model.Causal})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	large := sim.DefaultWorld()
	large.Camera.WidthPx, large.Camera.HeightPx = 1920, 1440
	large.Camera.FocalPx, large.Camera.CentreUPx, large.Camera.CentreVPx = 3*large.Camera.FocalPx, 960, 720
	a, b := load(nil).Clips[0].Camera, load(&large).Clips[0].Camera
	if len(a) == 0 || len(a) != len(b) {
		t.Fatalf("%d and %d values", len(a), len(b))
	}
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-6 {
			t.Fatalf("value %d is %g, in the larger picture %g", i, a[i], b[i])
		}
	}
}
