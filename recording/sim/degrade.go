package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"posefuse/sensors/modality"
)

// DegradationKind names one of the situations of simulator.md 10.
type DegradationKind string

// The degradations. Each comment says what severity 1, 2 and 3 mean.
const (
	DarkRoom          DegradationKind = "dark-room"          // camera: core noise x1.5, x2.5, x4; miss 5, 20, 40 %; nobody found 0, 20, 70 %
	Occluder          DegradationKind = "occluder"           // a box hides knees down, hips down, half the body
	SecondPerson      DegradationKind = "second-person"      // standing 1.5 m aside, walking past, crossing in front
	WiFiInterference  DegradationKind = "wifi-interference"  // 5, 20, 50 % of packets lost, burst or level jump
	WiFiZeroCells     DegradationKind = "wifi-zero-cells"    // 0.1, 1, 10 % of cells are zero (minus infinity dB)
	RadarClutter      DegradationKind = "radar-clutter"      // 5, 15, 30 points at a fixed place, changing Doppler
	RadarInterference DegradationKind = "radar-interference" // noise floor +3, +6, +10 dB in bursts of 1 s
	LiDARDirt         DegradationKind = "lidar-dirt"         // 30, 50, 80 % of returns lost
	LiDARBlindSector  DegradationKind = "lidar-blind-sector" // 20 degrees blind, centred 20, 10, 0 degrees off forward
	ExtrinsicShock    DegradationKind = "extrinsic-shock"    // Modality's sensor turned by 2, 5, 10 degrees
	ClockFault        DegradationKind = "clock-fault"        // Modality late by 20, 50, 200 ms, drifting 50, 200, 1000 ppm, pausing 0, 0.3, 1 s every 10 s
	ModalityMissing   DegradationKind = "modality-missing"   // Modality's stream ends
)

// degradationKinds lists all kinds in a fixed order, for drawing and checking.
var degradationKinds = []DegradationKind{
	DarkRoom, Occluder, SecondPerson, WiFiInterference, WiFiZeroCells, RadarClutter,
	RadarInterference, LiDARDirt, LiDARBlindSector, ExtrinsicShock, ClockFault, ModalityMissing,
}

// DegradationKinds returns the names of all kinds.
func DegradationKinds() []DegradationKind { return slices.Clone(degradationKinds) }

// Degradation is one disturbance of a clip, over an interval of its time.
type Degradation struct {
	Kind     DegradationKind `yaml:"kind" json:"kind"`
	StartS   float64         `yaml:"start_s" json:"start_s"`
	EndS     float64         `yaml:"end_s" json:"end_s"`       // 0: until the end
	Severity int             `yaml:"severity" json:"severity"` // 1, 2 or 3
	// Modality is the sensor concerned, for ExtrinsicShock (camera, lidar or
	// radar), ClockFault and ModalityMissing; the other kinds imply theirs.
	Modality string `yaml:"modality" json:"modality,omitempty"`
}

// ActiveAt reports whether tS, seconds since the first frame, lies inside.
func (d Degradation) ActiveAt(tS float64) bool {
	return tS >= d.StartS && (d.EndS <= 0 || tS < d.EndS)
}

// Sensor returns the one sensor that the degradation is about, modality.Count
// if it is about what several see.
func (d Degradation) Sensor() modality.Kind {
	kind := string(d.Kind)
	switch {
	case d.Kind == DarkRoom:
		return modality.Camera
	case strings.HasPrefix(kind, "lidar-"):
		return modality.LiDAR
	case strings.HasPrefix(kind, "radar-"):
		return modality.Radar
	case strings.HasPrefix(kind, "wifi-"):
		return modality.CSI
	}
	if m, ok := modalityByName(d.Modality); ok {
		return m
	}
	return modality.Count
}

// needsModality reports whether the kind cannot tell its sensor by itself.
func (d Degradation) needsModality() bool {
	return d.Kind == ExtrinsicShock || d.Kind == ClockFault || d.Kind == ModalityMissing
}

// Validate checks kind, severity, interval and modality.
func (d Degradation) Validate() error {
	if !slices.Contains(degradationKinds, d.Kind) {
		names := make([]string, len(degradationKinds))
		for i, k := range degradationKinds {
			names[i] = string(k)
		}
		return fmt.Errorf("unknown degradation %q: use one of %s", d.Kind, strings.Join(names, ", "))
	}
	if d.Severity < 1 || d.Severity > 3 {
		return fmt.Errorf("degradation %s: severity %d: use 1, 2 or 3", d.Kind, d.Severity)
	}
	if math.IsNaN(d.StartS) || math.IsNaN(d.EndS) || d.EndS > 0 && d.EndS <= d.StartS {
		return fmt.Errorf("degradation %s: end %g s is not after start %g s", d.Kind, d.EndS, d.StartS)
	}
	if d.needsModality() {
		m, ok := modalityByName(d.Modality)
		if !ok {
			return fmt.Errorf("degradation %s: modality %q: use camera, lidar, radar or csi", d.Kind, d.Modality)
		}
		if d.Kind == ExtrinsicShock && m == modality.CSI {
			return fmt.Errorf("degradation %s: modality csi has no extrinsics: use camera, lidar or radar", d.Kind)
		}
	}
	return nil
}

func modalityByName(name string) (modality.Kind, bool) {
	for m := range modality.Count {
		if m.String() == name {
			return m, true
		}
	}
	return 0, false
}

// bySeverity picks the value for severity 1, 2 or 3.
func bySeverity(severity int, v1, v2, v3 float64) float64 {
	switch severity {
	case 1:
		return v1
	case 2:
		return v2
	}
	return v3
}

// degradations is the list of one clip, with the questions sensors ask.
type degradations []Degradation

// severity returns the severity of kind at time tS, 0 if it is not active. Of
// several the worst counts.
func (ds degradations) severity(kind DegradationKind, tS float64) int {
	worst := 0
	for i := range ds {
		if d := &ds[i]; d.Kind == kind && d.Severity > worst && d.ActiveAt(tS) {
			worst = d.Severity
		}
	}
	return worst
}

// missing reports whether the stream of modality m has ended at tS.
func (ds degradations) missing(m modality.Kind, tS float64) bool {
	for i := range ds {
		if d := &ds[i]; d.Kind == ModalityMissing && d.Modality == m.String() && d.ActiveAt(tS) {
			return true
		}
	}
	return false
}

// shockRad returns the yaw by which the sensor of m has been pushed at tS.
func (ds degradations) shockRad(m modality.Kind, tS float64) float64 {
	yaw := 0.0
	for i := range ds {
		if d := &ds[i]; d.Kind == ExtrinsicShock && d.Modality == m.String() && d.ActiveAt(tS) {
			yaw += bySeverity(d.Severity, 2, 5, 10) * math.Pi / 180
		}
	}
	return yaw
}

const (
	clockPausePeriodS = 10
	framePeriodS      = 0.1
)

// frameTime returns the instant of frame i, seconds since the first.
func frameTime(i int) float64 { return float64(float64(i) * framePeriodS) }

// faultyClock returns which frame the sensor of m really delivers for frame i
// and by how many seconds its content is off: a late clock shows the past.
func (ds degradations) faultyClock(m modality.Kind, i int) (frame int, shiftS float64) {
	frame = i
	for k := range ds {
		d := &ds[k]
		tS := frameTime(i)
		if d.Kind != ClockFault || d.Modality != m.String() || !d.ActiveAt(tS) {
			continue
		}
		since := tS - d.StartS
		pauseS := bySeverity(d.Severity, 0, 0.3, 1)
		if in := math.Mod(since, clockPausePeriodS); in < pauseS {
			// A paused sensor repeats the frame at which it stopped.
			frame = max(0, int(math.Round((tS-in)/framePeriodS)))
		}
		shiftS -= bySeverity(d.Severity, 0.020, 0.050, 0.200)
		shiftS -= float64(since * bySeverity(d.Severity, 50, 200, 1000) * 1e-6)
	}
	return frame, shiftS
}

// drawDegradation draws the disturbance of one clip of the preset "hard", or
// none: start in the first half, lasting at least a quarter of the clip.
func drawDegradation(s *Stream, share, lengthS float64) (Degradation, bool) {
	if s.Float64() >= share {
		return Degradation{}, false
	}
	d := Degradation{
		Kind:     degradationKinds[s.Intn(len(degradationKinds))],
		Severity: 1 + s.Intn(3),
		StartS:   float64(s.Float64() * lengthS / 2),
	}
	d.EndS = d.StartS + float64(lengthS/4) + float64(s.Float64()*lengthS/4)
	if d.needsModality() {
		n := int(modality.Count)
		if d.Kind == ExtrinsicShock {
			n-- // CSI, the last, has no extrinsics
		}
		d.Modality = modality.Kind(s.Intn(n)).String()
	}
	return d, true
}
