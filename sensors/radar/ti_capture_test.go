package radar

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// result is what a stream decoded to.
type result struct {
	Frames  []*Frame
	Rejects map[Reason]int
	Junk    uint64
}

// decodeChunks feeds b in pieces whose sizes come from next.
func decodeChunks(layout Layout, b []byte, next func() int) result {
	r := result{Rejects: map[Reason]int{}}
	d := NewDecoder(layout, func(f *Frame) { r.Frames = append(r.Frames, cloneFrame(f)) }, func(x Reason) { r.Rejects[x]++ })
	for len(b) > 0 {
		n := min(max(next(), 1), len(b))
		d.Feed(0, b[:n])
		b = b[n:]
	}
	d.End(0)
	r.Junk = d.JunkBytes()
	return r
}

// cloneFrame copies what emit was given, whose memory is the decoder's. What is
// empty becomes nil.
func cloneFrame(f *Frame) *Frame {
	g := *f
	g.Points, g.Spherical, g.TargetIndex, g.Heights = some(f.Points), some(f.Spherical), some(f.TargetIndex), some(f.Heights)
	g.Targets, g.Other = some(f.Targets), some(f.Other)
	for i := range g.Targets {
		g.Targets[i].Covariance = some(f.Targets[i].Covariance)
	}
	for i := range g.Other {
		g.Other[i].Payload = bytes.Clone(f.Other[i].Payload)
	}
	if f.Presence != nil {
		g.Presence = new(*f.Presence)
	}
	if f.Stats != nil {
		g.Stats = new(*f.Stats)
	}
	if f.Temperature != nil {
		g.Temperature = new(*f.Temperature)
	}
	return &g
}

// some clones a slice, nil for an empty one.
func some[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func decodeAll(layout Layout, b []byte) result {
	return decodeChunks(layout, b, func() int { return len(b) })
}

type sums struct {
	frames, first, last, points int
	x, y, z                     float64
	rejects                     map[Reason]int
	layout                      Layout
	platform                    uint32
}

func sumUp(r result) sums {
	s := sums{frames: len(r.Frames), rejects: r.Rejects}
	for i, f := range r.Frames {
		if i == 0 {
			s.first, s.layout, s.platform = int(f.FrameNumber), f.Layout, f.Platform
		}
		s.last = int(f.FrameNumber)
		s.points += len(f.Points)
		for _, p := range f.Points {
			s.x += float64(p.X)
			s.y += float64(p.Y)
			s.z += float64(p.Z)
		}
	}
	return s
}

var captureWant = map[string]sums{
	"xwr68xx_oob_sdk3.3_processed_stream.dat": {frames: 101, first: 209, last: 309, points: 825, x: 6.7576, y: 1410.2599, layout: Layout40, platform: 0xA6843},
	"iwr1443_oob_sdk2.1_scatter.dat":          {frames: 70, first: 19, last: 88, points: 769, x: 76.5840, y: 2109.0625, z: math.NaN(), layout: Layout36, platform: 0xA1443},
	"iwr1443_oob_sdk2.1_profile_stats.dat":    {frames: 44, first: 1412, last: 1455, points: 508, x: -344.7734, y: 1397.5273, z: math.NaN(), layout: Layout36, platform: 0xA1443},
	"awr1843_oob_sdk3.6_mer1.dat":             {frames: 100, first: 27879, last: 27978, points: 15573, x: -765.5744, y: 19658.8564, z: math.NaN(), layout: Layout40, platform: 0xA1843},
	"iwr6843_3d_people_counting_sdk3.5.bin":   {frames: 992, first: 1, last: 1000, points: 15552, x: math.NaN(), y: math.NaN(), z: math.NaN(), layout: Layout48, platform: 0xA6843, rejects: map[Reason]int{CutFrame: 1}},
	"vital_signs_lab_unknown_tlvs.bin":        {frames: 0, x: 0, y: 0, rejects: map[Reason]int{UnsupportedLayout: 248}},
}

func near(got, want float64) bool { return math.IsNaN(want) || math.Abs(got-want) < 2e-4 }

func checkSums(t *testing.T, got, want sums) {
	t.Helper()
	if want.rejects == nil {
		want.rejects = map[Reason]int{}
	}
	if got.frames != want.frames || got.first != want.first || got.last != want.last || got.points != want.points ||
		!near(got.x, want.x) || !near(got.y, want.y) || !near(got.z, want.z) ||
		got.layout != want.layout || got.platform != want.platform || !cmp.Equal(got.rejects, want.rejects) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestCaptures(t *testing.T) {
	for name, want := range captureWant {
		t.Run(name, func(t *testing.T) {
			b := recorded(t, name)
			whole := decodeAll(LayoutAuto, b)
			checkSums(t, sumUp(whole), want)
			if want.layout != LayoutAuto {
				checkSums(t, sumUp(decodeAll(want.layout, b)), want)
			}
			if !reflect.DeepEqual(whole, decodeChunks(LayoutAuto, b, func() int { return 1 })) {
				t.Error("byte by byte differs from at once")
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for range 5 {
				if !reflect.DeepEqual(whole, decodeChunks(LayoutAuto, b, func() int { return rng.IntN(300) })) {
					t.Error("random split differs from at once")
				}
			}
		})
	}
}

func TestCapture6843Details(t *testing.T) {
	r := decodeAll(LayoutAuto, recorded(t, "xwr68xx_oob_sdk3.3_processed_stream.dat"))
	f := r.Frames[0]
	if len(f.Points) != 7 {
		t.Fatalf("first frame has %d points, want 7", len(f.Points))
	}
	p := f.Points[0]
	if !near(float64(p.X), 0.01908) || !near(float64(p.Y), 0.08510) || p.Z != 0 || p.Doppler != 0 ||
		!near(float64(p.SNRdB), 18.1) || !near(float64(p.NoiseDB), 85.2) {
		t.Errorf("first point %+v", p)
	}
	empty, other2, stats := 0, 0, 0
	cycles := 0.0
	for i, f := range r.Frames {
		if len(f.Points) == 0 {
			empty++
		}
		for _, o := range f.Other {
			if o.Type == 2 {
				other2++
			}
		}
		if f.Stats != nil {
			stats++
		}
		if i > 0 {
			step := float64(f.CPUCycles-r.Frames[i-1].CPUCycles) / 200e6
			cycles += step
			if math.Abs(step-0.100001) > 3e-4 {
				t.Errorf("frame %d: cycle counter steps %.6f s", f.FrameNumber, step)
			}
		}
		if f.Bytes%32 != 0 {
			t.Errorf("frame %d has %d bytes, not padded to 32", f.FrameNumber, f.Bytes)
		}
	}
	if mean := cycles / 100; math.Abs(mean-0.100001) > 2e-6 {
		t.Errorf("cycle counter steps %.7f s on average", mean)
	}
	if empty != 4 || other2 != 101 || stats != 101 {
		t.Errorf("empty frames %d, range profiles %d, stats %d; want 4, 101, 101", empty, other2, stats)
	}
	if r.Junk != 0 {
		t.Errorf("%d junk bytes", r.Junk)
	}
}

func TestCapture1443Details(t *testing.T) {
	r := decodeAll(LayoutAuto, recorded(t, "iwr1443_oob_sdk2.1_scatter.dat"))
	p := r.Frames[0].Points[0]
	if len(r.Frames[0].Points) != 12 || !near(float64(p.X), -0.04102) || !near(float64(p.Y), 0.07031) ||
		p.Z != 0 || p.DopplerIndex != 0 || p.RangeIndex != 2 || p.Peak != 623 {
		t.Errorf("first of %d points: %+v", len(r.Frames[0].Points), p)
	}
	r = decodeAll(LayoutAuto, recorded(t, "iwr1443_oob_sdk2.1_profile_stats.dat"))
	if r.Junk != 280 {
		t.Errorf("junk %d bytes, want 280", r.Junk)
	}
	if diff := cmp.Diff(&Stats{2577, 8225, 73607, 0, 0, 12}, r.Frames[0].Stats); diff != "" {
		t.Error(diff)
	}
}

func TestCapture1843Details(t *testing.T) {
	r := decodeAll(LayoutAuto, recorded(t, "awr1843_oob_sdk3.6_mer1.dat"))
	f := r.Frames[0]
	p := f.Points[0]
	if !near(float64(p.X), -0.015) || !near(float64(p.Y), 0.04097) || !near(float64(p.SNRdB), 41.2) || !near(float64(p.NoiseDB), 70.6) {
		t.Errorf("first point %+v", p)
	}
	if diff := cmp.Diff(&Stats{1397, 45977, 82925, 0, 0, 1}, f.Stats); diff != "" {
		t.Error(diff)
	}
	want := &Temperature{Report: 0, TimeMS: 2878800, Celsius: [10]int16{28, 29, 29, 29, 29, 30, 31, 31, 31, 30}}
	if diff := cmp.Diff(want, f.Temperature); diff != "" {
		t.Error(diff)
	}
}

func TestCapturePeopleCountingDetails(t *testing.T) {
	r := decodeAll(LayoutAuto, recorded(t, "iwr6843_3d_people_counting_sdk3.5.bin"))
	var sumR, sumAz, sumEl float64
	withTargets, withIndex := 0, 0
	holes := 0
	least, most := math.Inf(1), 0.0
	for i, f := range r.Frames {
		for _, p := range f.Points {
			least, most = min(least, float64(p.SNRdB)), max(most, float64(p.SNRdB))
		}
		for _, s := range f.Spherical {
			sumR += float64(s.RangeM)
			sumAz += float64(s.AzimuthRad)
			sumEl += float64(s.ElevationRad)
		}
		if len(f.Targets) > 2 {
			t.Errorf("frame %d has %d targets", f.FrameNumber, len(f.Targets))
		}
		if len(f.Targets) > 0 {
			withTargets++
		}
		if len(f.TargetIndex) > 0 {
			withIndex++
		}
		if i > 0 && f.FrameNumber != r.Frames[i-1].FrameNumber+1 {
			holes++
			if r.Frames[i-1].FrameNumber != 45 || f.FrameNumber != 54 {
				t.Errorf("hole %d -> %d", r.Frames[i-1].FrameNumber, f.FrameNumber)
			}
		}
	}
	if math.Abs(sumR-25671.2055) > 0.01 || math.Abs(sumAz-5612.2199) > 0.01 || math.Abs(sumEl+911.99) > 0.01 {
		t.Errorf("sums range %.4f azimuth %.4f elevation %.4f", sumR, sumAz, sumEl)
	}
	// The detection threshold of the capture's .cfg is five times the noise.
	if math.Abs(least-10*math.Log10(5)) > 0.01 || math.Abs(most-28.13) > 0.01 {
		t.Errorf("SNR from %.2f to %.2f dB, want 6.99 to 28.13", least, most)
	}
	if holes != 1 || withTargets != 984 || withIndex != 984 {
		t.Errorf("holes %d, frames with targets %d, with index %d; want 1, 984, 984", holes, withTargets, withIndex)
	}
	s := r.Frames[0].Spherical
	if len(s) != 13 || !near(float64(s[0].RangeM), 1.707) && math.Abs(float64(s[0].RangeM)-1.707) > 6e-4 ||
		math.Abs(float64(s[0].AzimuthRad)-0.21) > 1e-5 || math.Abs(float64(s[0].ElevationRad)+0.22) > 1e-5 ||
		math.Abs(float64(s[0].DopplerMPS)+0.06972) > 1e-5 || math.Abs(float64(s[0].SNR)-10.76) > 1e-4 {
		t.Errorf("%d points, first %+v", len(s), s[0])
	}
	for _, f := range r.Frames {
		if len(f.Targets) == 0 {
			continue
		}
		g := f.Targets[0]
		if f.FrameNumber != 9 || len(f.Targets) != 1 || g.ID != 0 ||
			!near(float64(g.Pos[0]), 0.7597) || !near(float64(g.Pos[1]), 0.6592) || !near(float64(g.Pos[2]), -0.1523) ||
			!near(float64(g.Vel[0]), 0.1795) || !near(float64(g.Vel[1]), 0.1558) || !near(float64(g.Vel[2]), -0.0360) ||
			!near(float64(g.Confidence), 0.9) {
			t.Errorf("first targets in frame %d: %+v", f.FrameNumber, f.Targets)
		}
		break
	}
}
