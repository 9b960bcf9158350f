package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"posefuse/configs"
	"posefuse/pipeline"
	"posefuse/recording/sim"
	"posefuse/replay"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/radar"
)

// demoProgramme is what the simulated patient of a daemon without configuration
// does.
var demoProgramme = sim.Programme{Subject: 5, Seed: 1, Sets: []sim.ProgrammeSet{
	{Activity: 12, Reps: 6}, {Activity: 13, Reps: 5}, {Activity: 14, Reps: 5}, {Activity: 11, Reps: 6},
	{Activity: 9, Reps: 5}, {Activity: 10, Reps: 5}, {Activity: 7, Reps: 5}, {Activity: 8, Reps: 5},
}}

// prepareDemo points the configuration at the fake sensors.
func prepareDemo(cfg *pipeline.Config) error {
	if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	cfg.Sensors.LiDAR.Driver = "ouster"
	pipeline.DriverSettings[*lidar.OusterConfig](&cfg.Sensors.LiDAR).MetadataFile = filepath.Join(cfg.StateDir, "ouster.json")
	cfg.Sensors.LiDAR.LatencyMS = 50 // half a turn: the sweep is stamped in its middle and received at its end
	ti := pipeline.DriverSettings[*radar.TISerialConfig](&cfg.Sensors.Radar)
	ti.CommandPort = filepath.Join(cfg.StateDir, "radar-command")
	ti.DataPort = filepath.Join(cfg.StateDir, "radar-data")
	ti.ConfigFile = filepath.Join(cfg.StateDir, "iwr6843.cfg")
	if err := os.WriteFile(ti.ConfigFile, configs.RadarProfile, 0o640); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	cfg.Extrinsics.RoomFromCamera = &pipeline.CameraPose{PositionM: [3]float64{0, 0, 0.90}}
	cfg.Extrinsics.RoomFromLiDAR = &pipeline.SensorPose{PositionM: [3]float64{0, 0, 0.95}}
	cfg.Extrinsics.RoomFromRadar = &pipeline.SensorPose{PositionM: [3]float64{0, 0, 0.85}}
	cfg.Exercise.Enabled = true
	return cfg.Check()
}

func demoPlayer(cfg pipeline.Config, log *slog.Logger) (*replay.Player, error) {
	s := &cfg.Sensors
	ouster, ti := pipeline.DriverSettings[*lidar.OusterConfig](&s.LiDAR), pipeline.DriverSettings[*radar.TISerialConfig](&s.Radar)
	return replay.NewPlayer(replay.Config{
		Data: demoProgramme, Loop: true, Pause: -1, Log: log.With("part", "simulator"),
		Camera: &replay.CameraConfig{Addr: pipeline.DriverSettings[*camera.TCPConfig](&s.Camera).Listen},
		LiDAR:  &replay.LiDARConfig{Format: replay.LiDAROuster, Addr: ouster.Listen, MetadataPath: ouster.MetadataFile},
		Radar:  &replay.RadarConfig{CommandPath: ti.CommandPort, DataPath: ti.DataPort},
		CSI:    &replay.CSIConfig{Format: replay.CSIAtheros, Addr: pipeline.DriverSettings[*csi.AtherosConfig](&s.CSI).Listen},
	})
}
