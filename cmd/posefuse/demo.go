package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"posefuse/configs"
	"posefuse/frame"
	"posefuse/pipeline"
	"posefuse/recording/sim"
	"posefuse/replay"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
)

// demoProgramme is what the simulated patient of a daemon without configuration
// does.
var demoProgramme = sim.Programme{Subject: 5, Seed: 1, World: &demoWorld, Sets: []sim.ProgrammeSet{
	{Activity: 12, Reps: 6}, {Activity: 13, Reps: 5}, {Activity: 14, Reps: 5}, {Activity: 11, Reps: 6},
	{Activity: 9, Reps: 5}, {Activity: 10, Reps: 5}, {Activity: 7, Reps: 5}, {Activity: 8, Reps: 5},
}}

// demoWorld is the whole room, as real sensors send it.
var demoWorld = sim.WholeRoom(sim.ScanRows, sim.MeasuredClutter)

// demoExercises is what the patient's programme asks for.
func demoExercises() string {
	words := make([]string, len(demoProgramme.Sets))
	for i, s := range demoProgramme.Sets {
		words[i] = fmt.Sprintf("A%02d", s.Activity)
	}
	return strings.Join(words, ",")
}

// othersSimulated is the word of --others for sensors that are played beside a
// real camera.
const othersSimulated = "simulated"

// prepareDemo makes the room of a daemon without a configuration: on fake
// sensors, or with a real camera, alone unless others says so.
func prepareDemo(room *runRoom, others bool) error {
	cfg := &room.Config
	cfg.Exercise.Enabled = true
	cfg.Exercise.Exercise = demoExercises()
	switch {
	case room.camera == "":
		room.simulated = modality.All
	case others:
		room.simulated = modality.All &^ modality.Of(modality.Camera)
	default:
		cfg.Sensors.LiDAR.Enabled, cfg.Sensors.Radar.Enabled, cfg.Sensors.CSI.Enabled = false, false, false
		return cfg.Check()
	}
	dir, err := room.deviceFolder()
	if err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	cfg.Sensors.LiDAR.Driver = "ouster"
	pipeline.DriverSettings[*lidar.OusterConfig](&cfg.Sensors.LiDAR).MetadataFile = filepath.Join(dir, "ouster.json")
	cfg.Sensors.LiDAR.LatencyMS = 50 // half a turn: the sweep is stamped in its middle and received at its end
	ti := pipeline.DriverSettings[*radar.TISerialConfig](&cfg.Sensors.Radar)
	ti.CommandPort = filepath.Join(dir, "radar-command")
	ti.DataPort = filepath.Join(dir, "radar-data")
	ti.ConfigFile = filepath.Join(dir, "iwr6843.cfg")
	if err := os.WriteFile(ti.ConfigFile, configs.RadarProfile, 0o640); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	cfg.Extrinsics.RoomFromCamera = &frame.CameraPose{PositionM: [3]float64{0, 0, 0.90}}
	cfg.Extrinsics.RoomFromLiDAR = &frame.SensorPose{PositionM: [3]float64{0, 0, 0.95}}
	cfg.Extrinsics.RoomFromRadar = &frame.SensorPose{PositionM: [3]float64{0, 0, 0.85}}
	return cfg.Check()
}

// deviceFolder makes the folder of the simulated devices: the state folder, or a
// temporary one where that takes nothing.
func (r *runRoom) deviceFolder() (dir string, err error) {
	if err = os.MkdirAll(r.StateDir, 0o750); err == nil {
		err = unix.Access(r.StateDir, unix.W_OK)
	}
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		r.temporary, err = os.MkdirTemp("", "posefuse-demo-*")
		return r.temporary, err
	}
	return r.StateDir, err
}

// demoPlayer plays the simulated sensors of the room.
func demoPlayer(room runRoom, log *slog.Logger) (*replay.Player, error) {
	s := &room.Sensors
	ouster, ti := pipeline.DriverSettings[*lidar.OusterConfig](&s.LiDAR), pipeline.DriverSettings[*radar.TISerialConfig](&s.Radar)
	cfg := replay.Config{
		Data: demoProgramme, Loop: true, Pause: -1, Log: log.With("part", "simulator"),
		LiDAR: &replay.LiDARConfig{Format: replay.LiDAROuster, Addr: ouster.Listen, MetadataPath: ouster.MetadataFile},
		Radar: &replay.RadarConfig{CommandPath: ti.CommandPort, DataPath: ti.DataPort},
		CSI:   &replay.CSIConfig{Format: replay.CSIAtheros, Addr: pipeline.DriverSettings[*csi.AtherosConfig](&s.CSI).Listen},
	}
	if room.simulated.Has(modality.Camera) {
		cfg.Camera = &replay.CameraConfig{Addr: pipeline.DriverSettings[*camera.TCPConfig](&s.Camera).Listen}
	}
	return replay.NewPlayer(cfg)
}
