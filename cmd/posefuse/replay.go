package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"posefuse/recording/mmfi"
	"posefuse/recording/session"
	"posefuse/recording/sim"
	"posefuse/replay"
	"posefuse/sensors/modality"
)

type replayCmd struct {
	Session string `arg:"" optional:"" placeholder:"SESSION" help:"Recorded session, by name or path: its poses are made again here, without a daemon, unless --sensors."`
	sessionFlags

	MMFi    string        `name:"mmfi" placeholder:"DIR" help:"MM-Fi folder to play. Without it the simulator plays."`
	Preset  string        `default:"mmfi" enum:"easy,mmfi,mmfi-2,hard,clean" help:"Simulator preset: ${enum}."`
	Seed    uint64        `default:"1" help:"Simulator seed."`
	Clips   []string      `placeholder:"PATTERN" help:"Clips to play, in this order, e.g. S05/A12 or A13; all if empty."`
	Loop    bool          `help:"Start over after the last clip."`
	Speed   float64       `default:"1" help:"2 plays twice as fast."`
	Pause   time.Duration `default:"1.5s" help:"Between clips, so that temporal windows start over; negative for none."`
	Lead    time.Duration `default:"4s" help:"Before the first frame, so that the daemon can connect and start the radar."`
	Without []string      `placeholder:"SENSOR" help:"Sensors not to play: camera, lidar, radar, csi."`
	Fault   []string      `placeholder:"SENSOR:FAULTS" sep:"none" help:"Faults, e.g. radar:loss=0.05,jitter=20ms,cut=10s+5s,restart=20s,step=30s-2s,seed=7; may be given several times."`
	Log     string        `placeholder:"FILE" help:"Write each frame's capture time as JSON lines, to match published poses to frames."`

	Camera   string `default:"127.0.0.1:7010" help:"Keypoint port of the daemon."`
	LiDAR    string `name:"lidar" help:"UDP address of the daemon's LiDAR driver; 127.0.0.1:7502 for ouster, 127.0.0.1:56301 for livox."`
	LiDARAs  string `name:"lidar-as" default:"auto" enum:"auto,ouster,livox" help:"LiDAR to play: ouster needs simulated scans, livox takes any cloud; auto is livox for --mmfi and sessions."`
	Beams    int    `name:"lidar-beams" default:"32" enum:"32,128" help:"Beams of the simulator's LiDAR: 27,000 or 107,000 points a sweep."`
	Crop     bool   `name:"lidar-crop" help:"Let the simulator's LiDAR send the person and a few hundred points around, as MM-Fi's clouds are stored, in place of the whole room."`
	Clutter  int    `name:"radar-clutter" default:"156" help:"Mean points a frame that the simulator's radar sees of what stands still; 0 is a radar that removes them."`
	Metadata string `default:"posefuse-state/ouster.json" help:"Where to write the Ouster metadata that the daemon reads."`
	RadarCmd string `name:"radar-command" default:"posefuse-state/radar-command" help:"Link to the radar's command terminal."`
	RadarDat string `name:"radar-data" default:"posefuse-state/radar-data" help:"Link to the radar's data terminal."`
	CSI      string `name:"csi" help:"Address for CSI: the daemon's TCP port (sensors.csi.<driver>.listen, 127.0.0.1:7020), or the UDP address to send nexmon datagrams to (127.0.0.1:5500)."`
	CSIPipe  string `name:"csi-pipe" placeholder:"PATH" help:"Named pipe for CSI instead: records, or a capture of nexmon datagrams for a daemon that may not capture from an interface (pcap_file)."`
	CSIAs    string `name:"csi-as" default:"atheros" enum:"atheros,nexmon,intel5300,esp32,feitcsi" help:"WiFi card to play: ${enum}."`

	JSON bool `name:"json" help:"Print what was sent as JSON."`
}

// Help shows the command's example.
func (replayCmd) Help() string {
	return "Example: recordings into a daemon started with configs/replay.yaml\n\n" +
		"  posefuse run --config configs/replay.yaml\n" +
		"  posefuse replay --mmfi data/sim --clips S05/A12 --fault lidar:loss=0.01\n\n" +
		"A recorded session: equal samples and model give equal poses, bit for bit, at any speed\n\n" +
		"  posefuse replay 20261130T101500Z --fast --poses poses.jsonl\n\n" +
		"Its raw bytes through the drivers: the exit code is 3 if they decode something otherwise than when it was recorded\n\n" +
		"  posefuse replay 20261130T101500Z --raw --fast\n\n" +
		"Without --mmfi the simulator sends the whole room, as real sensors do; recordings are\nsent as they are stored."
}

// Run plays the chosen clips on fake sensors until they end.
func (c replayCmd) Run(ctx context.Context, out io.Writer) error {
	if c.Speed == 0 { // nothing would move
		return errors.New("--speed 0: nothing would move; 1 plays as recorded")
	}
	if c.Raw {
		return c.playRaw(ctx, out)
	}
	if c.Session != "" && !c.Sensors {
		return c.playSession(ctx, out)
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	var frames *lineFile
	if c.Log != "" {
		if frames, err = createLines(c.Log); err != nil {
			return err
		}
		defer func() { _ = frames.close() }() // after an error; else closed below
		cfg.OnFrame = func(e replay.FrameEvent) {
			frames.write(map[string]any{"clip": e.Clip.String(), "pass": e.Pass, "frame": e.Frame + 1, "capture_time": e.Capture.UTC().Format(time.RFC3339Nano)})
		}
	}
	p, err := replay.NewPlayer(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "playing %d clips of %s\n", len(cfg.Clips), cfg.Data.Describe())
	if err = p.Run(ctx); err != nil {
		return err
	}
	counts := p.Counts()
	if c.JSON {
		err = printCountsJSON(os.Stdout, counts)
	} else {
		printCounts(os.Stderr, counts)
	}
	if ctx.Err() == nil { // else somebody stopped it
		err = errors.Join(err, undelivered(counts))
	}
	return errors.Join(err, frames.close())
}

func (c replayCmd) config() (replay.Config, error) {
	cfg := replay.Config{Lead: c.Lead, Loop: c.Loop, Speed: c.Speed, Pause: c.Pause, Faults: map[modality.Kind]replay.Faults{},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	switch {
	case c.Session != "":
		dir, err := session.Find(filepath.Join(c.State, session.Folder), c.Session)
		if err != nil {
			return cfg, err
		}
		if cfg.Data, err = session.NewDataset([]string{dir}); err != nil {
			return cfg, err
		}
	case c.MMFi != "":
		dir, err := openMMFi(c.MMFi)
		if err != nil {
			return cfg, err
		}
		cfg.Data = dir
	default:
		world := sim.WholeRoom(c.Beams, float64(c.Clutter))
		world.LiDAR.WholeSweep = !c.Crop
		ds, err := sim.NewDataset(sim.Config{Seed: c.Seed, Preset: c.Preset, World: &world})
		if err != nil {
			return cfg, err
		}
		cfg.Data = ds
	}
	if len(c.Clips) == 0 {
		cfg.Clips = cfg.Data.Keys()
	}
	for _, pattern := range c.Clips {
		keys, err := mmfi.Match(cfg.Data, pattern)
		if err != nil {
			return cfg, err
		}
		cfg.Clips = append(cfg.Clips, keys...)
	}
	for _, text := range c.Fault {
		m, f, err := replay.ParseFaults(text)
		if err != nil {
			return cfg, err
		}
		cfg.Faults[m] = f
	}
	return cfg, c.sensors(&cfg)
}

// sensors adds the fake sensors that --without does not name.
func (c replayCmd) sensors(cfg *replay.Config) error {
	off := map[string]bool{"camera": false, "lidar": false, "radar": false, "csi": false}
	for _, name := range c.Without {
		if _, known := off[name]; !known {
			return fmt.Errorf("--without %s: use camera, lidar, radar or csi", name)
		}
		off[name] = true
	}
	recorded := c.MMFi != "" || c.Session != ""
	if !off["camera"] {
		cfg.Camera = &replay.CameraConfig{Addr: c.Camera}
	}
	if !off["lidar"] {
		as := replay.LiDARFormat(c.LiDARAs)
		if c.LiDARAs == "auto" {
			as = replay.LiDAROuster
			if recorded {
				as = replay.LiDARLivox
			}
		}
		if as == replay.LiDAROuster && recorded {
			return errors.New("--lidar-as ouster: recordings hold clouds, and an Ouster sends scans; use livox, or play the simulator")
		}
		lidar := replay.LiDARConfig{Format: as, Addr: orDefault(c.LiDAR, "127.0.0.1:56301")}
		if as == replay.LiDAROuster {
			lidar.Addr, lidar.MetadataPath, lidar.Beams = orDefault(c.LiDAR, "127.0.0.1:7502"), c.Metadata, c.Beams
		}
		cfg.LiDAR = &lidar
	}
	if !off["radar"] {
		cfg.Radar = &replay.RadarConfig{CommandPath: c.RadarCmd, DataPath: c.RadarDat}
	}
	if !off["csi"] {
		addr := "127.0.0.1:7020"
		switch {
		case c.CSIPipe != "" && c.CSI != "":
			return errors.New("--csi and --csi-pipe: give one of the two")
		case c.CSIPipe != "":
			addr = ""
		case c.CSIAs == "nexmon":
			addr = "127.0.0.1:5500"
		}
		cfg.CSI = &replay.CSIConfig{Format: replay.CSIFormat(c.CSIAs), Addr: orDefault(c.CSI, addr), Path: c.CSIPipe}
	}
	for _, path := range []string{c.Metadata, c.RadarCmd, c.RadarDat, c.CSIPipe} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("create folder for %s: %w", path, err)
		}
	}
	return nil
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
