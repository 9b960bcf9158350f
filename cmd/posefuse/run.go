package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/nats-io/nats.go"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/model/shipped"
	"posefuse/pipeline"
	"posefuse/pipeline/bus"
	"posefuse/pipeline/web"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

type runCmd struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration. Without it: the defaults and simulated sensors."`
	Room   string `help:"Room name, over the configuration."`
	State  string `placeholder:"DIR" help:"Folder for state, over the configuration."`
	Camera string `placeholder:"DEVICE|URL|FILE" help:"Camera that takes pictures, over the configuration: /dev/video0, an http or rtsp address, a film, a picture or a folder of them. Pictures stay in memory."`
	Others string `enum:",off,simulated" default:"" help:"The other sensors of --camera without a configuration: off (the default), or simulated, whose person is not the one before the camera."`
}

// Help shows the command's example.
func (runCmd) Help() string {
	return "Examples:\n\n  posefuse run                                # simulated sensors, nothing to set up\n" +
		"  posefuse run --camera /dev/video0            # a webcam; the other sensors are off\n" +
		"  posefuse run --camera rtsp://192.168.1.20/stream1\n" +
		"  posefuse run --config /etc/posefuse/posefuse.yaml\n\n" +
		"The camera's pictures are never written or published. A password in an address is\n" +
		"visible in the list of processes; in a configuration, password_file keeps it out."
}

// Run starts the daemon and, without a configuration, fake sensors for it.
func (c runCmd) Run(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // which would end a program that does not
	defer signal.Stop(hangups)
	room, err := c.load()
	if err != nil {
		return err
	}
	if room.temporary != "" {
		defer os.RemoveAll(room.temporary) //nolint:errcheck // the system tidies what stays
	}
	cfg := room.Config
	level := new(slog.LevelVar)
	log, format := newLog(cfg.Log, level)
	// A reader of the log that goes away costs the log, not the daemon.
	signal.Ignore(syscall.SIGPIPE)
	pictures := cfg.Sensors.TakesPictures()
	if pictures {
		if err = errors.Join(keepMemoryOutOfDumps(), withholdCapabilities()); err != nil {
			log.Warn("privacy of the camera's pictures", "error", err)
		}
	}
	if slow := model.CPUNotice(); slow != "" {
		log.Warn("slow CPU path", "notice", slow)
	}
	if few := model.CoresNotice(); few != "" {
		log.Info("cores", "notice", few)
	}
	net, card, problems, err := openServing(&cfg)
	if err != nil {
		return err
	}
	for _, problem := range problems {
		log.Error("promoted model is not used, an older one serves", "error", problem)
	}
	keys, err := cfg.Model.Keys()
	if err != nil {
		return err
	}
	shareCores(cfg.Model.InferenceCores(), pictures)
	inferer, err := pipeline.NewInfererIn(net, card, cfg.Model.Precision)
	if err != nil {
		return err
	}
	_, room.notes = cfg.Arrangement(card)
	if err = net.Close(); err != nil { // the inferer keeps what it needs
		return err
	}
	var core *pipeline.Core
	core, err = pipeline.New(pipeline.Options{Config: cfg, Version: version(), Log: log, Model: inferer, Simulated: room.simulated,
		Registry: registry.Open(cfg.StateDir, keys), Shipped: shipped.Load, ModelProblem: problemText(problems),
		Reload: c.reloader(), SetLog: func(l pipeline.LogConfig) { setLevel(level, l.Level); format.Store(l.Format == "json") },
		Page: func(nc *nats.Conn, room string) http.Handler {
			return web.Handler(nc, room, web.Options{ShowImage: func() bool { return core.ShowsImage() }, Ask: askDaemon(func() *bus.Bus { return core.Bus() })})
		},
		Foxglove: showFoxglove, Guard: guardPage})
	if err != nil {
		return err
	}
	recorder := newRoomRecorder(core, &cfg, log)
	sets := newRoomHistory(core, &cfg, log)
	boundGarbage()
	ctx, stop := context.WithCancel(ctx)
	var side sync.WaitGroup
	defer side.Wait()
	defer stop()
	side.Go(func() {
		select {
		case <-core.Ready():
			c.afterStart(ctx, core, room, log, &side)
			newRoomRetrainer(core, &cfg, log).run(ctx, core.Bus().HandleControl, &side)
			serveSessions(core.Bus().HandleControl, cfg.StateDir, log)
			if recorder != nil {
				recorder.run(ctx, log, &side)
			}
			if sets != nil {
				if serveErr := sets.serve(); serveErr != nil {
					log.Error("patients' sets are not kept", "error", serveErr)
				}
				side.Go(func() { sets.keeper.Run(ctx) })
			}
		case <-ctx.Done():
		}
	})
	side.Go(func() { reloadOnHangup(ctx, core, hangups) })
	if room.simulated != 0 {
		player, playerErr := demoPlayer(room, log)
		if playerErr != nil {
			return playerErr
		}
		side.Go(func() {
			if runErr := player.Run(ctx); runErr != nil {
				log.Error("simulated sensors stopped", "error", runErr)
			}
		})
	}
	err = core.Run(ctx)
	if c.Config == "" && errors.Is(err, setting.ErrInUse) {
		err = fmt.Errorf("%w; without a configuration, keys come from the environment: bus.nats.listen is %s", err, pipeline.EnvName("bus.nats.listen"))
	}
	return err
}

// driverThreads is how many threads beside those of inference Go may run at
// once: one per sensor, and one for a detector of keypoints. With as many threads as cores a driver whose packet
// arrives during inference waits for Go's scheduler, up to 100 ms; with these
// the system's scheduler lets it run at once.
const driverThreads = int(modality.Count)

// shareCores gives inference its cores and the drivers threads of their own.
func shareCores(inference int, detector bool) {
	model.SetThreads(inference)
	threads := driverThreads
	if detector {
		threads++
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), inference) + threads)
	}
}

// maxGarbage is about how much garbage may pile up before Go collects it,
// bytes. By default it would be as much as lives, which doubles the memory of a
// large model for nothing: collecting beside weights is cheap, they hold no
// pointers.
const maxGarbage = 64 << 20

// boundGarbage returns what loading the model took and bounds what follows.
func boundGarbage() {
	debug.FreeOSMemory()
	if os.Getenv("GOGC") != "" {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(int(min(max(maxGarbage*100/max(m.HeapAlloc, 1), 10), 100)))
}

// runRoom is the room that a command line asks for.
type runRoom struct {
	pipeline.Config
	camera    string // of the command line, for people; "": that of the configuration
	simulated modality.Set
	temporary string                     // folder of the simulated devices that goes at the end; "": none
	notes     []pipeline.ArrangementNote // what is wrong with the sensors' places
}

// load reads the configuration; the demo's is made up around the defaults.
func (c runCmd) load() (runRoom, error) {
	var room runRoom
	cfg, err := pipeline.LoadConfig(c.Config, os.Environ())
	if err != nil {
		return room, err
	}
	if c.Others != "" && (c.Camera == "" || c.Config != "") {
		return room, errors.New("--others: it goes with --camera and without --config, which says itself which sensors there are")
	}
	if c.Camera != "" {
		if room.camera, err = c.useCamera(&cfg); err != nil {
			return room, fmt.Errorf("--camera: %w", err)
		}
	}
	if c.Room != "" {
		cfg.Room = c.Room
	}
	if c.State != "" {
		cfg.StateDir = c.State
	}
	room.Config = cfg
	if c.Config == "" {
		return room, prepareDemo(&room, c.Others == othersSimulated)
	}
	if err = cfg.Check(); err != nil { // the flags may have spoilt it
		return room, err
	}
	return room, checkExercise(cfg)
}

// useCamera makes the camera of the command line that of the room, and returns
// its name for people.
func (c runCmd) useCamera(cfg *pipeline.Config) (string, error) {
	choice, err := chooseCamera(c.Camera)
	if err != nil {
		return "", err
	}
	return choice.shown, choice.apply(cfg, true)
}

// afterStart prints where everything is and starts the exercise subscriber.
func (c runCmd) afterStart(ctx context.Context, core *pipeline.Core, room runRoom, log *slog.Logger, side *sync.WaitGroup) {
	cfg := room.Config
	at := addresses{page: core.WebURL()}
	at.nats, at.mqtt, _ = core.Bus().Addresses()
	tellStart(log, c.Config, &cfg, core.Status().Model, at)
	if !underJournal() {
		printBanner(os.Stdout, &room, at)
	}
	startExercise(ctx, core, &cfg, log, side)
}

// version returns the module's version, "0.0.0" for a build from a checkout.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version[1:]
	}
	return "0.0.0"
}
