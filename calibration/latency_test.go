package calibration

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestLatencies(t *testing.T) {
	sharp := func(first, then string, ms float64) Delay {
		return Delay{First: first, Then: then, MS: ms, StdMS: 2, Sharp: true}
	}
	for name, c := range map[string]struct {
		now    map[string]float64
		delays []Delay
		want   map[string]float64
		known  []string
	}{
		"the LiDAR is late":       {map[string]float64{"camera": 0, "lidar": 0, "radar": 5}, []Delay{sharp("camera", "lidar", 52), sharp("lidar", "radar", -50)}, map[string]float64{"camera": 0, "lidar": 52, "radar": 5}, []string{"camera", "lidar", "radar"}},
		"the camera is too early": {map[string]float64{"camera": 120, "lidar": 50, "radar": 5}, []Delay{sharp("camera", "lidar", 120), sharp("camera", "radar", 121)}, map[string]float64{"camera": 0, "lidar": 50, "radar": 5}, []string{"camera", "lidar", "radar"}},
		"two, none can be less":   {map[string]float64{"camera": 0, "lidar": 0}, []Delay{sharp("camera", "lidar", 80)}, map[string]float64{"camera": 0, "lidar": 80}, []string{"camera", "lidar"}},
		"in step":                 {map[string]float64{"camera": 3, "lidar": 50}, []Delay{sharp("camera", "lidar", 6)}, map[string]float64{"camera": 3, "lidar": 50}, []string{"camera", "lidar"}},
		"one is not known":        {map[string]float64{"camera": 0, "lidar": 0, "csi": 7}, []Delay{sharp("camera", "lidar", 30), {First: "lidar", Then: "csi", MS: 400, Why: whyWide}}, map[string]float64{"camera": 0, "lidar": 30, "csi": 7}, []string{"camera", "lidar"}},
		"nothing is known":        {map[string]float64{"camera": 4, "lidar": 9}, []Delay{{First: "camera", Then: "lidar", Why: whyStill}}, map[string]float64{"camera": 4, "lidar": 9}, nil},
	} {
		var now []Latency
		for _, s := range []string{"camera", "lidar", "radar", "csi"} {
			if ms, ok := c.now[s]; ok {
				now = append(now, Latency{Sensor: s, NowMS: ms, MS: ms})
			}
		}
		known := 0
		for _, l := range Latencies(now, c.delays) {
			if l.MS != c.want[l.Sensor] {
				t.Errorf("%s: %+v, want %g", name, l, c.want[l.Sensor])
			}
			if l.Known {
				known++
			}
		}
		if known != len(c.known) {
			t.Errorf("%s: %d known, want %v", name, known, c.known)
		}
	}
}

// TestLatenciesAgree: whatever the sensors' delays are, after the change the
// capture times of all that are known agree, and no latency is negative.
func TestLatenciesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"camera", "lidar", "radar", "csi"}
		n := rapid.IntRange(2, 4).Draw(t, "sensors")
		var now []Latency
		truth := make([]float64, n)
		for i := range n {
			truth[i] = rapid.Float64Range(0, 300).Draw(t, "true latency")
			ms := rapid.Float64Range(0, 300).Draw(t, "set latency")
			now = append(now, Latency{Sensor: names[i], NowMS: ms, MS: ms})
		}
		var delays []Delay
		for i := range n {
			for j := i + 1; j < n; j++ {
				d := Delay{First: names[i], Then: names[j], MS: truth[j] - now[j].NowMS - truth[i] + now[i].NowMS, StdMS: rapid.Float64Range(0.1, 9).Draw(t, "deviation")}
				d.Sharp = j == i+1 || rapid.Bool().Draw(t, "sharp")
				delays = append(delays, d)
			}
		}
		got := Latencies(now, delays)
		for i, l := range got {
			if !l.Known || l.MS < 0 {
				t.Fatalf("%+v", got)
			}
			slack := 2 * max(sameMS, 2*l.StdMS, 2*got[0].StdMS)
			if math.Abs((truth[i]-l.MS)-(truth[0]-got[0].MS)) > slack+1e-6 {
				t.Fatalf("%+v does not undo %v", got, truth)
			}
		}
	})
}
