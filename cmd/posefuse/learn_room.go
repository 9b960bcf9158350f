package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"posefuse/configs"
	"posefuse/frame"
	"posefuse/recording"
	"posefuse/recording/session"
	"posefuse/recording/sim"
	"posefuse/replay"
)

// learnPerson is who exercises in the new room; nobody of the shipped model's
// training has this body in it.
const learnPerson = 37

// learnWorld is a room that the shipped model does not know: the radar hangs at the
// side, camera and LiDAR stand where training rarely put them, and the person is
// small and stands aside. LiDAR and radar stand off from where they were measured
// to be by what MM-Fi's do (one standard deviation of sim's presets), in all
// sessions alike.
func learnWorld() sim.World {
	w := sim.WholeRoom(sim.ScanRows, 1.25*sim.MeasuredClutter)
	w.Name = "learning demonstration"
	w.Camera.RoomFromCamera = frame.CameraPose{PositionM: [3]float64{0.4, 0, 2.1}, TiltDeg: -22}
	w.LiDAR.RoomFromLiDAR.PositionM = [3]float64{-1.0, 0.1, 0.55}
	w.Radar.RoomFromRadar.PositionM = [3]float64{1.1, 0.2, 1.95}
	w.Misplaced = sim.Misplaced{Fixed: true, LiDARShiftM: sim.Vec{0.028, -0.028, 0.028}, LiDARYawDeg: 1.5, RadarShiftM: sim.Vec{-0.055, 0.055, 0.055}}
	w.Person = sim.PersonWorld{RightM: 0.9, FartherM: 0.9, TurnDeg: 35, HeightM: 1.42}
	return w
}

// learnSim is what is simulated in the new room: equal seeds give equal movements
// and noise. Whole are clouds as the sensor sends them; on the disk they would take
// a megabyte a frame, so what is written there is cropped as MM-Fi's.
func learnSim(seed uint64, whole bool, frames int, activities []int) (*sim.Dataset, error) {
	w := learnWorld()
	w.LiDAR.WholeSweep = whole
	return sim.NewDataset(sim.Config{Seed: seed, Preset: "hard", FramesPerClip: frames, Subjects: []int{learnPerson}, Activities: activities, World: &w})
}

// learnDaemon is a daemon in the new room, this program, on fake sensors.
type learnDaemon struct {
	dir                                     string
	cmd                                     *exec.Cmd
	nats, web, camera, lidar, csi           string
	radarCommand, radarData, ousterMetadata string
}

func (d *learnDaemon) state() string { return filepath.Join(d.dir, "state") }

// startLearnDaemon starts it and waits until it is healthy.
func startLearnDaemon(ctx context.Context, dir string) (*learnDaemon, error) {
	d := &learnDaemon{dir: dir, radarCommand: filepath.Join(dir, "radar-command"), radarData: filepath.Join(dir, "radar-data"), ousterMetadata: filepath.Join(dir, "ouster.json")}
	var mqtt, websocket string
	for _, a := range []*string{&d.nats, &d.web, &d.camera, &d.lidar, &d.csi, &mqtt, &websocket} {
		var err error
		if *a, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	profile := filepath.Join(dir, "iwr6843.cfg")
	w := learnWorld()
	text := fmt.Sprintf(`state_dir: %q
record: {enabled: true, free_gib: 0}
sensors:
  camera: {keypoints_tcp: {listen: %q}}
  lidar: {driver: ouster, latency_ms: 50, ouster: {listen: %q, metadata_file: %q}}
  radar: {ti_serial: {data_port: %q, command_port: %q, config_file: %q}}
  csi: {driver: atheros, atheros: {listen: %q}}
bus: {nats: {listen: %q}, mqtt: {listen: %q}, websocket: {listen: %q}}
web: {listen: %q}
extrinsics:
  room_from_camera: {position_m: %s, tilt_deg: %g}
  room_from_lidar: {position_m: %s}
  room_from_radar: {position_m: %s}
`, d.state(), d.camera, d.lidar, d.ousterMetadata, d.radarData, d.radarCommand, profile, d.csi, d.nats, mqtt, websocket, d.web,
		place(w.Camera.RoomFromCamera.PositionM), w.Camera.RoomFromCamera.TiltDeg, place(w.LiDAR.RoomFromLiDAR.PositionM), place(w.Radar.RoomFromRadar.PositionM))
	file := filepath.Join(dir, "posefuse.yaml")
	if err := errors.Join(os.WriteFile(profile, configs.RadarProfile, 0o600), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "daemon.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the daemon has it
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d.cmd = exec.CommandContext(ctx, self, "run", "--config", file) //nolint:gosec // this program
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(os.Interrupt) }
	if err = d.cmd.Start(); err != nil {
		return nil, err
	}
	if err = d.healthy(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: see %s", err, log.Name()), d.stop())
	}
	return d, nil
}

func place(p [3]float64) string { return fmt.Sprintf("[%g, %g, %g]", p[0], p[1], p[2]) }

// freeAddr returns an address of this machine that nobody uses at the moment.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// startPatience is how long a daemon may take to start on a busy machine.
const startPatience = 2 * time.Minute

func (d *learnDaemon) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.web+"/healthz", http.NoBody)
		if err != nil {
			return err
		}
		if r, err := http.DefaultClient.Do(q); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the daemon did not start")
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (d *learnDaemon) stop() error {
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return d.cmd.Wait()
}

// player plays clips on the daemon's fake sensors.
func (d *learnDaemon) player(data recording.Dataset, loop bool) (*replay.Player, error) {
	return replay.NewPlayer(replay.Config{Data: data, Loop: loop, Pause: -1, Log: slog.New(slog.DiscardHandler),
		Camera: &replay.CameraConfig{Addr: d.camera},
		LiDAR:  &replay.LiDARConfig{Format: replay.LiDAROuster, Addr: d.lidar, MetadataPath: d.ousterMetadata},
		Radar:  &replay.RadarConfig{CommandPath: d.radarCommand, DataPath: d.radarData},
		CSI:    &replay.CSIConfig{Format: replay.CSIAtheros, Addr: d.csi},
	})
}

// record has the daemon's recorder record a session of the clips, and writes beside
// it the joints that were measured, from some seconds before. It returns the
// session's folder and the labels' file.
func (d *learnDaemon) record(ctx context.Context, data *sim.Dataset, number int) (dir, labels string, err error) {
	ask := daemonFlags{NATS: "nats://" + d.nats, Room: "room1"}
	p, err := d.player(data, false)
	if err != nil {
		return "", "", err
	}
	b, err := ask.ask(ctx, "record.start", session.Request{Subject: "P037", Consent: true, Note: "learning demonstration"})
	if err != nil {
		return "", "", err
	}
	if err = p.Run(ctx); err != nil {
		return "", "", err
	}
	if _, err = ask.ask(ctx, "record.stop", struct{}{}); err != nil {
		return "", "", err
	}
	var s sessionBrief
	if err = json.Unmarshal(b, &s); err != nil {
		return "", "", err
	}
	labels = filepath.Join(d.dir, fmt.Sprintf("labels-%d.csv", number))
	return filepath.Join(d.state(), session.Folder, s.ID), labels, writeLabels(labels, data, [3]float64{})
}

// writeLabels writes the true joints of the clips, one after the other, as a
// reference system measures them that stands off by some metres.
func writeLabels(file string, data *sim.Dataset, off [3]float64) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // flushed below
	w := csv.NewWriter(f)
	head := []string{"time_s", "frame"}
	for j := range 17 {
		for _, axis := range []string{"x", "y", "z"} {
			head = append(head, fmt.Sprintf("joint%d_%s_m", j, axis))
		}
	}
	if err = w.Write(head); err != nil {
		return err
	}
	n := 0
	for _, k := range data.Keys() {
		clip, err := data.Open(k)
		if err != nil {
			return err
		}
		for i := range clip.Len() {
			p, err := clip.Truth(i)
			if err != nil {
				return err
			}
			row := []string{strconv.FormatFloat(float64(n)*recording.FramePeriodMS/1000, 'g', -1, 64), "camera"}
			n++
			for _, joint := range p {
				for axis, v := range joint {
					row = append(row, strconv.FormatFloat(v+off[axis], 'g', 8, 64))
				}
			}
			if err = w.Write(row); err != nil {
				return err
			}
		}
	}
	w.Flush()
	return errors.Join(w.Error(), f.Close())
}
