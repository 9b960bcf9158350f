package calibration

import (
	"math"
	"math/rand/v2"
	"testing"

	"posefuse/recording/sim"
	"posefuse/sensors"
)

// pace is where the simulated person walks, with stops: unevenly.
func pace(tS float64) [2]float64 {
	stop := func(v float64) float64 { return math.Tanh(2 * math.Sin(v)) }
	return [2]float64{0.9*stop(tS/0.9) + 0.15*math.Sin(tS/0.6), 3.2 + 0.8*stop(tS/1.25+0.5)}
}

// samplesOf are what the sensors give of a walk, each late by its delay, ns.
func samplesOf(steps []walkStep, delay map[string]int64) []*sensors.Sample {
	var all []*sensors.Sample
	for i := range steps {
		s := &steps[i]
		all = append(all, &sensors.Sample{Sensor: "lidar", CaptureNS: s.atNS + delay["lidar"], Cloud: &sensors.PointCloud{XYZ: s.cloud}})
		if s.seen {
			all = append(all, &sensors.Sample{Sensor: "camera", CaptureNS: s.atNS + delay["camera"], Keypoints: &s.keys})
		}
		all = append(all, &sensors.Sample{Sensor: "radar", CaptureNS: s.atNS + delay["radar"], Radar: &s.radar})
	}
	return all
}

// TestDelaysOfASimulatedWalk: of what the sensors of a room really give, whole
// sweeps with furniture, keypoints with their errors and detections, the delays
// put in are found within 20 ms wherever the peak is sharp, and it is between
// camera and LiDAR.
func TestDelaysOfASimulatedWalk(t *testing.T) {
	world := sim.WholeRoom(32, 0)
	steps := simulatedWalk(t, world, 28, 4, pace)
	delay := map[string]int64{"lidar": 55e6, "camera": 130e6, "radar": 0}
	w := NewWatcher(rigOf(&world))
	for _, s := range samplesOf(steps, delay) {
		w.Take(s)
	}
	// WiFi: the channel of a point that moves, which many paths reach.
	var packets []*sensors.Sample
	r := rand.New(rand.NewPCG(1, 9))
	for i := range 2800 {
		at := pace(float64(i) / 100)
		h := make([]complex64, 3*114)
		for k := range h {
			f := 2 * math.Pi / 0.055 * (1 + 7e-5*float64(k%114)) // radians a metre, channel 36
			far := math.Hypot(at[0]-float64(k/114)*0.1, at[1]) + math.Hypot(at[0]-1, at[1]-3)
			h[k] = complex(float32(3+math.Cos(f*far)+0.01*r.NormFloat64()), float32(math.Sin(f*far)))
		}
		packets = append(packets, &sensors.Sample{Sensor: "csi", CaptureNS: int64(i)*10e6 + 100e6 + 20e6, CSI: &sensors.CSIPacket{Antennas: 3, Measured: 3, Subcarriers: 114, H: h}})
	}
	delay["csi"] = 20e6
	for _, s := range packets {
		w.Take(s)
	}
	for _, d := range Delays(w.Motions()) {
		want := float64(delay[d.Then]-delay[d.First]) / 1e6
		t.Logf("%+v, true %+.0f", d, want)
		if d.Sharp && math.Abs(d.MS-want) > 20 {
			t.Errorf("%s to %s: %.1f ms ± %.1f, want %.1f", d.First, d.Then, d.MS, d.StdMS, want)
		}
		if !d.Sharp && d.First == "lidar" && d.Then == "camera" {
			t.Errorf("no sharp peak: %+v", d)
		}
	}
}

// TestDelaysWhereNobodyWalks: somebody stands there.
func TestDelaysWhereNobodyWalks(t *testing.T) {
	world := sim.WholeRoom(32, 0)
	steps := simulatedWalk(t, world, 14, 4, func(float64) [2]float64 { return [2]float64{0.2, 3} })
	w := NewWatcher(rigOf(&world))
	for _, s := range samplesOf(steps, nil) {
		w.Take(s)
	}
	for _, d := range Delays(w.Motions()) {
		t.Logf("%+v", d)
		if d.Sharp {
			t.Errorf("%+v", d)
		}
	}
}
