package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/calibration"
	"posefuse/internal/testenv"
	"posefuse/recording/sim"
	"posefuse/replay"
)

// toAndFro is where somebody is who walks with sudden stops, not so fast that the
// search of the LiDAR loses them at every turn.
func toAndFro(tS float64) (rightM, fartherM float64) {
	stop := func(v float64) float64 { return math.Tanh(2 * math.Sin(v)) }
	return 0.8*stop(tS/1.1) + 0.12*math.Sin(tS/0.6), 0.1 + 0.7*stop(tS/1.5+0.5)
}

// TestSyncThroughTheDrivers: somebody walks before fake sensors whose capture
// times agree, but the configuration takes 120 ms from the camera's; the command
// reads them through the real drivers and says so.
func TestSyncThroughTheDrivers(t *testing.T) {
	testenv.Slow(t) // half a minute of fake sensors
	testenv.NoRace(t, "it keeps time with fake sensors that send whole rooms")
	w := sim.DefaultWorld()
	w.LiDAR.WholeSweep = true
	clip := walkBefore(t, w, 300, toAndFro)
	cameraAt, lidarAt := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	file := filepath.Join(t.TempDir(), "room.yaml")
	writeFile(t, file, fmt.Appendf(nil, "sensors:\n  camera: {latency_ms: 120, keypoints_tcp: {listen: %q}}\n  lidar: {driver: livox, livox: {listen: %q}}\n  radar: {enabled: false}\n  csi: {enabled: false}\n", cameraAt, lidarAt))
	player, err := replay.NewPlayer(replay.Config{Data: clip, Loop: true, Pause: -1, Camera: &replay.CameraConfig{Addr: cameraAt}, LiDAR: &replay.LiDARConfig{Format: replay.LiDARLivox, Addr: lidarAt}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	played := make(chan error, 1)
	go func() { played <- player.Run(ctx) }()
	var out bytes.Buffer
	err = doctorCmd{Sync: true, Config: file, For: 28e9, JSON: true}.Run(t.Context(), &out)
	stop()
	if playErr := testenv.Receive(t, "the end of the player", played); playErr != nil {
		t.Error(playErr)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var r syncReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v\n%s", r, r.text())
	// A Livox's sweep is stamped in its middle, and the fakes send all at once.
	d := r.Delays[0]
	if d.First == "lidar" {
		d.MS = -d.MS
	}
	if !d.Sharp || math.Abs(d.MS-120) > 60 {
		t.Errorf("%+v, want the lidar 120 ms behind the camera", r.Delays)
	}
}

// TestSyncSays what is known, what is not and what to set.
func TestSyncSays(t *testing.T) {
	r := newSyncReport(40e9, []calibration.Delay{
		{First: "camera", Then: "lidar", MS: 118.4, StdMS: 4, Peak: 0.93, Second: 0.41, WidthMS: 620, Sharp: true},
		{First: "camera", Then: "csi", Why: "nobody moved enough"},
	}, []calibration.Latency{{Sensor: "camera", Known: true}, {Sensor: "lidar", NowMS: 50, MS: 168.4, Known: true}, {Sensor: "csi"}})
	for _, want := range []string{
		"lidar  is 118 ms ± 4 behind camera, peak 0.93, next 0.41, 620 ms wide: sharp",
		"! camera and csi    no sharp peak: nobody moved enough",
		"  sensors.camera.latency_ms: stays 0",
		"! sensors.lidar.latency_ms: set 168, now 50",
		"! sensors.csi.latency_ms: not known, stays 0",
	} {
		if !strings.Contains(r.text(), want) {
			t.Errorf("%q is missing in\n%s", want, r.text())
		}
	}
	dir := t.TempDir()
	one := filepath.Join(dir, "one.yaml")
	writeFile(t, one, []byte("sensors: {lidar: {enabled: false}, radar: {enabled: false}, csi: {enabled: false}}\n"))
	for want, c := range map[string]doctorCmd{
		"--config":              {Sync: true},
		"1 sensors switched on": {Sync: true, Config: one},
		"want 12s to 10m0s":     {Sync: true, Config: one, For: 2e9},
		"it goes with --sync":   {Config: one},
		"no such file":          {Sync: true, Config: filepath.Join(dir, "none.yaml")},
	} {
		if err := c.Run(t.Context(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
