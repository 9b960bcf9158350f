package person

import (
	"math"
	"math/rand/v2"
	"testing"

	"posefuse/sensors/modality"
)

// radarScene is a radar's frames: a person's detections around a place that
// moves, and static clutter with a Doppler of a bin or two.
type radarScene struct {
	r       *rand.Rand
	clutter [][2]float64
}

func (s *radarScene) frame(at [2]float64, there bool) (xyz, doppler []float32, own int) {
	put := func(x, y, z, v float64) {
		xyz = append(xyz, float32(x), float32(y), float32(z))
		doppler = append(doppler, float32(v))
	}
	if there {
		for own = range 6 + s.r.IntN(15) {
			put(at[0]+0.15*s.r.NormFloat64(), at[1]+0.1*s.r.NormFloat64(), 1+0.4*s.r.NormFloat64(), 0.6*s.r.NormFloat64())
		}
		own++
	}
	for _, c := range s.clutter {
		put(c[0]+0.03*s.r.NormFloat64(), c[1]+0.03*s.r.NormFloat64(), 0.7, 0.13*float64(s.r.IntN(3)-1))
	}
	return xyz, doppler, own
}

// TestRadarAlone: without LiDAR and camera the radar's own detections are told
// from clutter, and the person is followed.
func TestRadarAlone(t *testing.T) {
	s := radarScene{r: rand.New(rand.NewPCG(1, 2))}
	for range 30 {
		s.clutter = append(s.clutter, [2]float64{-2 + 4*s.r.Float64(), 4 + 2*s.r.Float64()})
	}
	f := NewFinder(Config{})
	person, kept, right, found := 0, 0, 0, 0
	for k := range int64(400) {
		atNS := 1e9 + k*1e8
		at := [2]float64{0.5 * math.Sin(float64(k)/40), 2.6}
		xyz, doppler, own := s.frame(at, k >= 100)
		got := f.Radar(atNS, xyz, doppler, nil)
		track, ok := f.Track(atNS)
		if k < 100 {
			if ok || len(got) > 0 {
				t.Fatalf("frame %d: nobody there, %d detections, track %+v", k, len(got), track)
			}
			continue
		}
		if k < 110 {
			continue
		}
		person += own
		for _, i := range got {
			kept++
			if i < own {
				right++
			}
		}
		if ok && distance2(track.PlaceM, at) < 0.3*0.3 && track.From == modality.Of(modality.Radar) {
			found++
		}
	}
	t.Logf("kept %.1f %% of the person's, %.1f %% of what is kept is clutter; followed in %d of 290 frames", 100*float64(right)/float64(person), 100-100*float64(right)/float64(kept), found)
	if float64(right) < 0.95*float64(person) || float64(right) < 0.95*float64(kept) || found < 285 {
		t.Error("want 95 % of the detections, 5 % clutter and the person followed within 0.3 m")
	}
	for k := range int64(30) {
		xyz, doppler, _ := s.frame([2]float64{}, false)
		f.Radar(41e9+k*1e8, xyz, doppler, nil)
	}
	if track, ok := f.Track(44e9); ok {
		t.Errorf("gone for three seconds: %+v", track)
	}
}

// TestCameraAlone: the rays of the ankles meet the floor where the person
// stands, also with one foot lifted.
func TestCameraAlone(t *testing.T) {
	for _, at := range [][2]float64{{0, 2}, {0.5, 3}, {-1, 4.5}} {
		f := NewFinder(Config{})
		w := newWalker(1, 8, 7, stands(at[0], at[1]))
		for k := range int64(20) {
			w.set(float64(k) / 10)
			origin, joints, ankles := w.rays()
			f.Rays(1e9+k*1e8, origin, joints, ankles)
		}
		track, ok := f.Track(3e9)
		if !ok || distance2(track.PlaceM, w.pelvisM()) > 0.3*0.3 || track.From != modality.Of(modality.Camera) || track.HeightM != 0 {
			t.Errorf("%+v, %v; the pelvis is at %.2f", track, ok, w.pelvisM())
		}
		if _, ok := f.Track(5e9); ok {
			t.Error("not seen for two seconds, still there")
		}
	}
}

// TestRaysOfNoUse: directions that are no number, straight down or too few start
// nothing and break nothing.
func TestRaysOfNoUse(t *testing.T) {
	nan := math.NaN()
	for name, dirs := range map[string][][3]float64{
		"none":          nil,
		"two":           {{0, 1, 0}, {0, 1, -0.1}},
		"straight down": {{0, 0, -1}, {0, 0, -1}, {0, 0, -1}},
		"no number":     {{nan, nan, nan}, {nan, 1, 0}, {0, nan, 0}},
		"all round":     {{1, 0, -0.1}, {-1, 0, -0.1}, {0, 1, -0.1}, {0, -1, -0.1}},
	} {
		f := NewFinder(Config{})
		for k := range int64(5) {
			f.Rays(1e9+k*1e8, [3]float64{0, 0, 1}, dirs, dirs)
		}
		if track, ok := f.Track(1.5e9); ok {
			t.Errorf("%s: %+v", name, track)
		}
	}
}
