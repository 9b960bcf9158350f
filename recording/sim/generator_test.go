package sim

import (
	"encoding/binary"
	"errors"
	"hash"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// sameFrame reports whether two frames are bit-identical.
func sameFrame(a, b *recording.Frame) bool { return changed(a, b) == [modality.Count]bool{} }

func mustFrame(t testing.TB, c recording.Clip, i int) *recording.Frame {
	t.Helper()
	var f recording.Frame
	if err := c.Frame(i, &f); err != nil {
		t.Fatal(err)
	}
	return &f
}

// A frame is the same alone, in sequence, in any order, with reused memory,
// from another clip of the same key, and on any number of goroutines.
func TestFramesDoNotDependOnOrder(t *testing.T) {
	cfg := Config{Seed: 9, Preset: "mmfi", Degradations: []Degradation{
		{Kind: SecondPerson, Severity: 2, StartS: 1, EndS: 2},
		{Kind: WiFiInterference, Severity: 3, StartS: 2},
		{Kind: Occluder, Severity: 1, StartS: 3},
	}}
	key := recording.Key{Subject: 23, Activity: 9}
	open := func() *Clip {
		d, err := NewDataset(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c, err := d.Clip(key)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const frames = 60
	c := open()
	sequence := make([]*recording.Frame, frames)
	for i := range sequence {
		sequence[i] = mustFrame(t, c, i)
	}
	other := open()
	var f recording.Frame
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(frames) {
		if err := other.Frame(i, &f); err != nil {
			t.Fatal(err)
		}
		if !sameFrame(&f, sequence[i]) {
			t.Fatalf("frame %d differs out of order", i)
		}
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			var f recording.Frame
			for i := range frames {
				i = (i*7 + w*13) % frames
				if err := other.Frame(i, &f); err != nil || !sameFrame(&f, sequence[i]) {
					t.Errorf("goroutine %d frame %d differs (error %v)", w, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if sameFrame(sequence[0], sequence[1]) {
		t.Error("frames 0 and 1 are the same")
	}
}

// FrameOf fills what is asked and leaves the rest alone.
func TestFrameOf(t *testing.T) {
	c := newTestClip(t, "mmfi", asymmetric(), nil)
	full := mustFrame(t, c, 5)
	for m, which := range []modality.Set{modality.Of(modality.Camera), modality.Of(modality.LiDAR), modality.Of(modality.Radar), modality.Of(modality.CSI)} {
		var f recording.Frame
		if err := c.FrameOf(5, which, &f); err != nil {
			t.Fatal(err)
		}
		want := [modality.Count]bool{true, true, true, true}
		want[m] = false
		if got := changed(full, &f); got != want {
			t.Errorf("only %v: differs in %v", modality.Kind(m), got)
		}
	}
}

// Changing one sensor's parameters leaves the others as they are.
func TestSensorsAreIndependent(t *testing.T) {
	a := newTestClip(t, "mmfi", asymmetric(), nil)
	b := newTestClip(t, "mmfi", asymmetric(), func(_ *Config, p *Preset) { p.Radar.SNRdB -= 3 })
	if got := changed(mustFrame(t, a, 4), mustFrame(t, b, 4)); got != [4]bool{false, false, true, false} {
		t.Errorf("a weaker radar changes %v", got)
	}
}

func TestFrameNumbers(t *testing.T) {
	c := newTestClip(t, "mmfi", NewProcedural(1, recording.Key{Subject: 1, Activity: 1}, MotionOptions{}), nil)
	if c.Len() != mmfi.FramesPerClip {
		t.Errorf("%d frames", c.Len())
	}
	for _, i := range []int{297, 5000, 100000} { // a live simulator runs on
		if f := mustFrame(t, c, i); len(f.LiDAR) == 0 || math.IsNaN(f.RGB[0][0]) {
			t.Errorf("frame %d is empty", i)
		}
		if _, err := c.Truth(i); err != nil {
			t.Error(err)
		}
	}
	errs := []error{
		c.Frame(-1, &recording.Frame{}), c.Scan(-1, &Scan{}), c.CSIComplex(-1, &CSIFrame{}), c.Radar(-1, &sensors.RadarFrame{}),
	}
	_, err := c.Truth(-1)
	errs = append(errs, err)
	_, err = c.CleanTruth(-1)
	errs = append(errs, err)
	_, err = c.Keypoints(-1, &sensors.Keypoints{})
	errs = append(errs, err)
	for k, err := range errs {
		if !errors.Is(err, ErrNegativeFrame) || !strings.Contains(err.Error(), "E01/S01/A01") {
			t.Errorf("call %d: error %v", k, err)
		}
	}
}

// Mirrored movement gives mirrored exact clouds and key points, but not
// mirrored CSI: the transmitter is on one side.
func TestMirroredMotion(t *testing.T) {
	change := func(_ *Config, p *Preset) { p.LiDAR.BackgroundMin, p.LiDAR.BackgroundMax = 0, 0 }
	a := mustFrame(t, newTestClip(t, "clean", asymmetric(), change), 6)
	b := mustFrame(t, newTestClip(t, "clean", mirrored(asymmetric()), change), 6)
	pair := [numKeypoints]int{0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15}
	for j := range a.RGB {
		m := b.RGB[pair[j]]
		if math.Abs(a.RGB[j][0]-(640-m[0])) > 1e-9 || math.Abs(a.RGB[j][1]-m[1]) > 1e-9 {
			t.Errorf("key point %d at %v, mirrored %v", j, a.RGB[j], m)
		}
	}
	// Time within the sweep runs the other way in the mirror, so a moving hand
	// may differ by a millimetre or two.
	cells := map[[2]int]float64{}
	for k := 0; k < len(a.LiDAR); k += 3 {
		cells[cellOf(a.LiDAR[k], a.LiDAR[k+1], a.LiDAR[k+2])] = a.LiDAR[k]
	}
	missing := 0
	for k := 0; k < len(b.LiDAR); k += 3 {
		x, ok := cells[cellOf(b.LiDAR[k], -b.LiDAR[k+1], b.LiDAR[k+2])]
		if !ok {
			missing++
		} else if math.Abs(x-b.LiDAR[k]) > 0.004 {
			t.Errorf("point %v, mirrored x %g", b.LiDAR[k:k+3], x)
		}
	}
	if len(a.LiDAR) < 600 || missing > len(b.LiDAR)/3/50 || math.Abs(float64(len(a.LiDAR)-len(b.LiDAR))) > 30 {
		t.Errorf("%d and %d values, %d points without mirror image", len(a.LiDAR), len(b.LiDAR), missing)
	}
	// The first antenna is the transmitter's mirror image; the others are not.
	same := 0
	const first = CSITones * CSIPackets
	for k := first; k < len(a.CSIAmp); k++ {
		if math.Abs(a.CSIAmp[k]-b.CSIAmp[k]) < 1e-9 {
			same++
		}
	}
	if same > first/10 {
		t.Errorf("%d of %d CSI cells of antennas 1 and 2 are the same in the mirror", same, 2*first)
	}
}

// cellOf returns the half columns from forward and the row of a point.
func cellOf(x, y, z float64) [2]int {
	return [2]int{
		int(math.Round(2*azimuthColumn(math.Atan2(y, x))) - 2*lidarForwardCol + 1),
		int(math.Round(grid.altitudeRow(math.Atan2(z, math.Hypot(x, y))))),
	}
}

func TestExtrinsicsStatistics(t *testing.T) {
	var lidarShift, yaw, radarShift []float64
	latest, earliest := 0.0, 0.0
	for s := 1; s <= 40; s++ {
		for a := 1; a <= 27; a += 2 {
			m := still()
			m.key = recording.Key{Subject: s, Activity: a}
			e := newTestClip(t, "mmfi", m, nil).Extrinsics()
			lidarShift = append(lidarShift, e.LiDARShiftM[:]...)
			radarShift = append(radarShift, e.RadarShiftM[:]...)
			yaw = append(yaw, e.LiDARYawRad*180/math.Pi)
			latest, earliest = max(latest, e.LiDARTimeS), min(earliest, e.LiDARTimeS)
		}
	}
	for _, tt := range []struct {
		what      string
		got, want float64
	}{
		{"lidar shift", deviation(lidarShift), .028}, {"radar shift", deviation(radarShift), .055}, {"yaw", deviation(yaw), 1.5},
	} {
		if math.Abs(tt.got-tt.want) > 0.08*tt.want {
			t.Errorf("%s: standard deviation %.4f, want %g", tt.what, tt.got, tt.want)
		}
	}
	if latest > .060 || latest < .058 || earliest < -.060 || earliest > -.058 {
		t.Errorf("time offset %g..%g, want -0.06..0.06", earliest, latest)
	}
	if e := newTestClip(t, "easy", still(), nil).Extrinsics(); e != (Extrinsics{}) {
		t.Errorf("easy has wrong extrinsics: %+v", e)
	}
}

func TestNoAllocationPerFrame(t *testing.T) {
	c := newTestClip(t, "mmfi", NewProcedural(1, recording.Key{Subject: 3, Activity: 12}, MotionOptions{}), nil)
	f := recording.Frame{LiDAR: make([]float64, 0, 1<<14), MmWave: make([]float64, 0, 1<<12)}
	i := 0
	run := func() {
		if err := c.Frame(i%297, &f); err != nil {
			t.Fatal(err)
		}
		i++
	}
	run()
	// The scratch pool may be emptied by the collector, or at random under
	// the race detector.
	if got := testenv.AllocsPerRun(100, run); got >= 1 && !testenv.Race {
		t.Errorf("%g allocations per frame", got)
	}
}

func TestConfigErrors(t *testing.T) {
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{Preset: "extreme"}, "clean, easy, hard, mmfi"},
		{Config{Subjects: []int{0}}, "subject 0"},
		{Config{Subjects: []int{41}}, "subject 41"},
		{Config{Activities: []int{28}}, "activity 28"},
		{Config{FramesPerClip: -1}, "frames_per_clip"},
		{Config{Degradations: []Degradation{{Kind: "fog", Severity: 1}}}, "degradations[0]"},
	}
	for _, tt := range tests {
		if _, err := NewDataset(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want %q", tt.cfg, err, tt.want)
		}
		if _, err := NewClip(tt.cfg, still()); err == nil {
			t.Errorf("NewClip accepts %+v", tt.cfg)
		}
	}
}

func TestDatasetKeys(t *testing.T) {
	d, err := NewDataset(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if keys := d.Keys(); len(keys) != 1080 || keys[0] != (recording.Key{Subject: 1, Activity: 1}) || keys[1079] != (recording.Key{Subject: 40, Activity: 27}) {
		t.Errorf("%d keys, %v to %v", len(keys), keys[0], keys[len(keys)-1])
	}
	d, err = NewDataset(Config{Subjects: []int{7, 3, 7}, Activities: []int{12, 1}, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	want := []recording.Key{{Subject: 3, Activity: 1}, {Subject: 3, Activity: 12}, {Subject: 7, Activity: 1}, {Subject: 7, Activity: 12}}
	if got := d.Keys(); len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("keys %v, want %v", got, want)
	}
	if _, err := d.Open(recording.Key{Subject: 1, Activity: 1}); err == nil || !strings.Contains(err.Error(), "E01/S01/A01") {
		t.Errorf("opening a clip that is not there: %v", err)
	}
	for _, part := range []string{Statement, "seed 4", "preset mmfi", "not MM-Fi"} {
		if !strings.Contains(d.Describe(), part) {
			t.Errorf("%q lacks %q", d.Describe(), part)
		}
	}
}

// The golden hashes of 20 frames per modality. They change only together with
// Version: the same configuration must give the same files for ever. The body
// moves by a formula, so that only the sensors are held.
func TestGoldenFrames(t *testing.T) {
	want := [modality.Count]string{
		goldenCamera, goldenLidar, goldenRadar, goldenCSI,
	}
	for m, got := range goldenHashes(t, "mmfi") {
		if got != want[m] {
			t.Errorf("%v: hash %s, want %s", modality.Kind(m), got, want[m])
		}
	}
}

const (
	goldenCamera = "a2badab4d25c9b89b1e17a363df6590f36ab1c4103be44526cc8639239ff0cba"
	goldenLidar  = "ff303f8dce51ce1aec98717e176924d2c27ceaaf4e75c7383ab9c20a50f350d1"
	goldenRadar  = "26115d73457425311e1674f0d767ff318fd6c339c4ccb88fceb1c3f7cbfaae38"
	goldenCSI    = "5c841200ef6c38a5ec8b569f38f89a6127767a4d4d0761b24e90a99d58073df5"
)

func hashFloats(h hash.Hash, v []float64) {
	var b [8]byte
	for _, x := range v {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(x))
		h.Write(b[:])
	}
}

// With a library of recorded movement the clips of its activities are recorded
// ones, the others procedural, and all of them give frames.
func TestDatasetWithMocap(t *testing.T) {
	d, err := NewDataset(Config{Seed: 1, Mocap: loadShared(t), Subjects: []int{4}, Activities: []int{12, 20}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(d.Describe(), "motion-capture") {
		t.Errorf("description %q does not say that movement is recorded", d.Describe())
	}
	for activity, source := range map[int]string{12: "mocap", 20: "procedural"} {
		c, err := d.Clip(recording.Key{Subject: 4, Activity: activity})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Motion().Source(); !strings.HasPrefix(got, source) {
			t.Errorf("A%02d moves by %q, want %s", activity, got, source)
		}
		for _, i := range []int{0, 296, 900} {
			if f := mustFrame(t, c, i); len(f.LiDAR) < 3*500 || math.IsNaN(f.RGB[0][0]) {
				t.Errorf("A%02d frame %d: %d lidar values", activity, i, len(f.LiDAR))
			}
		}
	}
}
