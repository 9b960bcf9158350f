package sim

import (
	"math"
	"strings"
	"testing"

	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

func TestDegradationValidate(t *testing.T) {
	tests := []struct {
		d    Degradation
		want string // part of the error, "" for none
	}{
		{Degradation{Kind: DarkRoom, Severity: 1}, ""},
		{Degradation{Kind: "fog", Severity: 1}, "dark-room"},
		{Degradation{Kind: DarkRoom}, "severity 0"},
		{Degradation{Kind: DarkRoom, Severity: 4}, "severity 4"},
		{Degradation{Kind: DarkRoom, Severity: 1, StartS: 5, EndS: 4}, "not after"},
		{Degradation{Kind: DarkRoom, Severity: 1, StartS: math.NaN()}, "not after"},
		{Degradation{Kind: ModalityMissing, Severity: 1}, "camera, lidar, radar or csi"},
		{Degradation{Kind: ModalityMissing, Severity: 1, Modality: "csi"}, ""},
		{Degradation{Kind: ExtrinsicShock, Severity: 1, Modality: "csi"}, "no extrinsics"},
	}
	for _, tt := range tests {
		err := tt.d.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.d, err, tt.want)
		}
	}
}

// degradedFrames makes frames of a clip with and without a degradation that
// starts at frame 10 and ends before frame 20, with the seed and preset given.
func degradedFrames(t *testing.T, preset string, d Degradation) (without, with func(i int) *recording.Frame, clip *Clip) {
	t.Helper()
	d.StartS, d.EndS = 1, 2
	make := func(ds ...Degradation) *Clip {
		return newTestClip(t, preset, asymmetric(), func(cfg *Config, p *Preset) {
			cfg.Degradations = ds
			p.Radar.EmptyScale = 0
		})
	}
	frameOf := func(c *Clip) func(i int) *recording.Frame {
		return func(i int) *recording.Frame {
			var f recording.Frame
			if err := c.Frame(i, &f); err != nil {
				t.Fatal(err)
			}
			return &f
		}
	}
	clip = make(d)
	return frameOf(make()), frameOf(clip), clip
}

func sameFloats(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}

// changed reports per modality whether two frames differ.
func changed(a, b *recording.Frame) [modality.Count]bool {
	return [modality.Count]bool{
		a.RGB != b.RGB, !sameFloats(a.LiDAR, b.LiDAR), !sameFloats(a.MmWave, b.MmWave),
		!sameFloats(a.CSIAmp, b.CSIAmp) || !sameFloats(a.CSIPhase, b.CSIPhase),
	}
}

// Each degradation touches its own sensors only, and only in its interval.
func TestDegradationsAreConfined(t *testing.T) {
	type modalities = [modality.Count]bool
	tests := []struct {
		d    Degradation
		want modalities
	}{
		{Degradation{Kind: DarkRoom, Severity: 3}, modalities{true, false, false, false}},
		{Degradation{Kind: Occluder, Severity: 2}, modalities{true, true, true, true}},
		// Not yet in front of the other within this second, and not mistaken for it.
		{Degradation{Kind: SecondPerson, Severity: 3}, modalities{false, true, true, true}},
		{Degradation{Kind: WiFiInterference, Severity: 3}, modalities{false, false, false, true}},
		{Degradation{Kind: WiFiZeroCells, Severity: 3}, modalities{false, false, false, true}},
		{Degradation{Kind: RadarClutter, Severity: 2}, modalities{false, false, true, false}},
		{Degradation{Kind: RadarInterference, Severity: 3}, modalities{false, false, true, false}},
		{Degradation{Kind: LiDARDirt, Severity: 1}, modalities{false, true, false, false}},
		{Degradation{Kind: LiDARBlindSector, Severity: 3}, modalities{false, true, false, false}},
		{Degradation{Kind: ExtrinsicShock, Severity: 1, Modality: "camera"}, modalities{true, false, false, false}},
		{Degradation{Kind: ExtrinsicShock, Severity: 1, Modality: "lidar"}, modalities{false, true, false, false}},
		{Degradation{Kind: ExtrinsicShock, Severity: 1, Modality: "radar"}, modalities{false, false, true, false}},
		{Degradation{Kind: ClockFault, Severity: 2, Modality: "radar"}, modalities{false, false, true, false}},
		{Degradation{Kind: ClockFault, Severity: 2, Modality: "csi"}, modalities{false, false, false, true}},
		{Degradation{Kind: ModalityMissing, Severity: 1, Modality: "lidar"}, modalities{false, true, false, false}},
		{Degradation{Kind: ModalityMissing, Severity: 1, Modality: "csi"}, modalities{false, false, false, true}},
	}
	for _, tt := range tests {
		t.Run(string(tt.d.Kind)+" "+tt.d.Modality, func(t *testing.T) {
			without, with, _ := degradedFrames(t, "mmfi", tt.d)
			var inside modalities
			for i := 12; i < 18; i++ { // sensors have their own times: keep off the edges
				for m, c := range changed(without(i), with(i)) {
					inside[m] = inside[m] || c
				}
			}
			if inside != tt.want {
				t.Errorf("inside the interval these sensors change: %v, want %v", inside, tt.want)
			}
			for _, i := range []int{0, 8, 23, 40} {
				if got := changed(without(i), with(i)); got != (modalities{}) {
					t.Errorf("frame %d, outside the interval, changes: %v", i, got)
				}
			}
		})
	}
}

func TestMissingModality(t *testing.T) {
	_, with, c := degradedFrames(t, "mmfi", Degradation{Kind: ModalityMissing, Severity: 1, Modality: "csi"})
	if v := with(15).CSIAmp[7]; !math.IsInf(v, -1) {
		t.Errorf("missing CSI is %v dB", v)
	}
	if got := c.Present(15); got != [4]bool{true, true, true, false} {
		t.Errorf("present %v", got)
	}
	if got := c.Present(25); got != [4]bool{true, true, true, true} {
		t.Errorf("present after the end %v", got)
	}
	_, with, c = degradedFrames(t, "mmfi", Degradation{Kind: ModalityMissing, Severity: 1, Modality: "camera"})
	if with(15).RGB != ([17][2]float64{}) {
		t.Error("missing camera delivers key points")
	}
	if found, err := c.Keypoints(15, &sensors.Keypoints{}); found || err != nil {
		t.Errorf("missing camera: found %v, error %v", found, err)
	}
}

func TestClockFault(t *testing.T) {
	ds := degradations{{Kind: ClockFault, Severity: 3, Modality: "lidar", StartS: 10}}
	if frame, shift := ds.faultyClock(lidar, 50); frame != 50 || shift != 0 {
		t.Errorf("before the fault: frame %d, shift %g", frame, shift)
	}
	if frame, shift := ds.faultyClock(radar, 150); frame != 150 || shift != 0 {
		t.Errorf("other sensor: frame %d, shift %g", frame, shift)
	}
	// 5 s in: 200 ms and 5 s of 1000 ppm late.
	if frame, shift := ds.faultyClock(lidar, 150); frame != 150 || math.Abs(shift+0.205) > 1e-9 {
		t.Errorf("5 s into the fault: frame %d, shift %g", frame, shift)
	}
	// A pause of 1 s starts at 20 s: frame 204 shows frame 200.
	if frame, _ := ds.faultyClock(lidar, 204); frame != 200 {
		t.Errorf("in the pause: frame %d, want 200", frame)
	}
}

func TestOccluderHidesFromLidar(t *testing.T) {
	_, with, _ := degradedFrames(t, "clean", Degradation{Kind: Occluder, Severity: 2})
	for f, k := with(15), 0; k < len(f.LiDAR); k += 3 {
		x, y, z := f.LiDAR[k], f.LiDAR[k+1], f.LiDAR[k+2]
		if x > 2.3 && x < 3.2 && math.Abs(y) < 0.3 && z < -0.1 {
			t.Fatalf("point (%g, %g, %g) lies behind the table", x, y, z)
		}
	}
}

func TestHardPreset(t *testing.T) {
	degraded := 0
	kinds := map[DegradationKind]bool{}
	for s := 1; s <= 40; s++ {
		for a := 1; a <= 27; a++ {
			m := still()
			m.key = recording.Key{Subject: s, Activity: a}
			for _, d := range newTestClip(t, "hard", m, nil).Degradations() {
				degraded++
				kinds[d.Kind] = true
				if err := d.Validate(); err != nil {
					t.Fatal(err)
				}
				if d.EndS > 29.7 {
					t.Fatalf("%+v ends after the clip", d)
				}
			}
		}
	}
	if share := float64(degraded) / 1080; math.Abs(share-0.3) > 0.05 {
		t.Errorf("%.3f of the clips degraded, want 0.3", share)
	}
	if len(kinds) != len(degradationKinds) {
		t.Errorf("%d kinds drawn, want %d", len(kinds), len(degradationKinds))
	}
}
