package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"posefuse/configs"
	"posefuse/pipeline"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/replay"
)

// programme is what the simulated patient of a daemon without configuration
// does: sets of exercises, one after the other, for ever.
type programme struct {
	subject int
	sets    []struct{ activity, reps int }
	seed    uint64
}

var demoProgramme = programme{subject: 5, seed: 1, sets: []struct{ activity, reps int }{
	{12, 6}, {13, 5}, {14, 5}, {11, 6}, {9, 5}, {10, 5}, {7, 5}, {8, 5},
}}

// Keys lists the sets in order.
func (p programme) Keys() []recording.Key {
	var keys []recording.Key
	for _, s := range p.sets {
		keys = append(keys, recording.Key{Subject: p.subject, Activity: s.activity})
	}
	return keys
}

// Open simulates the sensors for one set.
func (p programme) Open(k recording.Key) (recording.Clip, error) {
	for _, s := range p.sets {
		if k.Subject != p.subject || k.Activity != s.activity {
			continue
		}
		motion := sim.NewSet(p.seed, k, s.reps, sim.MotionOptions{})
		return sim.NewClip(sim.Config{Seed: p.seed, Preset: "mmfi", FramesPerClip: motion.Frames()}, motion)
	}
	return nil, fmt.Errorf("clip %s is not part of the programme", k)
}

// Describe says that it is simulated.
func (p programme) Describe() string { return sim.Statement + ", exercise programme" }

// prepareDemo points the configuration at the fake sensors.
func prepareDemo(cfg *pipeline.Config) error {
	if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	cfg.Sensors.LiDAR.Driver, cfg.Sensors.LiDAR.Ouster.MetadataFile = "ouster", filepath.Join(cfg.StateDir, "ouster.json")
	cfg.Sensors.LiDAR.LatencyMS = 50 // half a turn: the sweep is stamped in its middle and received at its end
	cfg.Sensors.Radar.TISerial.CommandPort = filepath.Join(cfg.StateDir, "radar-command")
	cfg.Sensors.Radar.TISerial.DataPort = filepath.Join(cfg.StateDir, "radar-data")
	cfg.Sensors.Radar.TISerial.ConfigFile = filepath.Join(cfg.StateDir, "iwr6843.cfg")
	if err := os.WriteFile(cfg.Sensors.Radar.TISerial.ConfigFile, configs.RadarProfile, 0o640); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	cfg.Extrinsics.RoomFromCamera = &pipeline.CameraPose{PositionM: [3]float64{0, 0, 0.90}}
	cfg.Extrinsics.RoomFromLiDAR = &pipeline.SensorPose{PositionM: [3]float64{0, 0, 0.95}}
	cfg.Extrinsics.RoomFromRadar = &pipeline.SensorPose{PositionM: [3]float64{0, 0, 0.85}}
	cfg.Exercise.Enabled = true
	return cfg.Check()
}

func demoPlayer(cfg pipeline.Config, log *slog.Logger) (*replay.Player, error) {
	return replay.NewPlayer(replay.Config{
		Data: demoProgramme, Loop: true, Pause: -1, Log: log.With("part", "simulator"),
		Camera: &replay.CameraConfig{Addr: cfg.Sensors.Camera.KeypointsTCP.Listen},
		LiDAR:  &replay.LiDARConfig{Format: replay.LiDAROuster, Addr: cfg.Sensors.LiDAR.Ouster.Listen, MetadataPath: cfg.Sensors.LiDAR.Ouster.MetadataFile},
		Radar:  &replay.RadarConfig{CommandPath: cfg.Sensors.Radar.TISerial.CommandPort, DataPath: cfg.Sensors.Radar.TISerial.DataPort},
		CSI:    &replay.CSIConfig{Format: replay.CSIAtheros, Addr: cfg.Sensors.CSI.Atheros.Listen},
	})
}
