package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// fakeModel answers with a pose that tells which modalities it saw: joint 0 is
// (number of modalities, 2, 3), all others are (0, 1, 2).
type fakeModel struct {
	card model.Card
	err  error
	nan  bool
	seen atomic.Int64
}

func newFakeModel(name string) *fakeModel {
	return &fakeModel{card: model.Card{Name: name, Version: "1", SHA256: strings.Repeat("0", 64), Config: model.Edge(), Window: model.Causal}}
}

func (f *fakeModel) Card() model.Card { return f.card }

func (f *fakeModel) Infer(in *model.Input, out *model.Output) error {
	f.seen.Add(1)
	if f.err != nil {
		return f.err
	}
	out.Coalition = in.Present
	n := float32(0)
	for m := range modality.Count {
		if in.Present.Has(m) {
			n++
		}
	}
	for j := range model.NumJoints {
		out.Pose[3*j], out.Pose[3*j+1], out.Pose[3*j+2] = 0, 1, 2
	}
	out.Pose[0], out.Pose[1], out.Pose[2] = n, 2, 3
	if f.nan {
		out.Pose[7] = float32(math.NaN())
	}
	return nil
}

// Influence says that modality m moves the joints by m + 1 mm and that joint
// j is j mm uncertain.
func (f *fakeModel) Influence(present modality.Set, c *model.Influence) {
	*c = model.Influence{Of: present}
	for m := range modality.Count {
		if present.Has(m) {
			c.InfluenceMM[m] = float64(m + 1)
		}
	}
	for j := range c.SpreadMM {
		c.SpreadMM[j] = float64(j)
	}
}

// fakeSource emits samples at a fixed period until it is told to fail.
type fakeSource struct {
	modality modality.Kind
	period   time.Duration
	broken   atomic.Bool
	silent   atomic.Bool
}

func (f *fakeSource) Run(ctx context.Context, sink sensors.Sink) error {
	if f.broken.Load() {
		return errors.New("unplugged")
	}
	t := time.NewTicker(f.period)
	defer t.Stop()
	for seq := uint64(1); ; seq++ {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if f.broken.Load() {
			return errors.New("unplugged")
		}
		if f.silent.Load() {
			continue
		}
		s := &sensors.Sample{Sensor: f.modality.String(), Modality: f.modality, Seq: seq, ReceiveNS: sink.NowNS()}
		switch f.modality {
		case modality.Camera:
			s.Keypoints = &sensors.Keypoints{Width: 640, Height: 480}
		case modality.LiDAR:
			s.Cloud = &sensors.PointCloud{XYZ: make([]float32, 3*4000), Complete: 1}
		case modality.Radar:
			s.Radar = &sensors.RadarFrame{Points: []sensors.RadarPoint{{X: 3, Y: 1, Z: 2, Doppler: 0.5}}}
		case modality.CSI:
			s.CSI = &sensors.CSIPacket{Antennas: 3, Subcarriers: 114, H: make([]complex64, 342)}
		}
		sink.Emit(s)
	}
}

type daemonUnderTest struct {
	*Core
	sources [modality.Count]*fakeSource
	notes   *notes
	stop    func() error
}

// notes collects what the service manager was told.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(state string) error {
	n.mu.Lock()
	n.list = append(n.list, state)
	n.mu.Unlock()
	return nil
}

func (n *notes) count(state string) (c int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.list {
		if s == state {
			c++
		}
	}
	return c
}

// unsearched is the default configuration for sensors that show no shape of a
// person: the network is given their values as they come.
func unsearched() Config {
	cfg := DefaultConfig()
	cfg.Person.Enabled = false
	return cfg
}

func testConfig(t *testing.T) Config {
	cfg := unsearched()
	cfg.StateDir = t.TempDir()
	cfg.Sync.RateHz = 20
	cfg.Bus.NATS.Listen, cfg.Bus.MQTT.Listen, cfg.Bus.WebSocket.Listen = "127.0.0.1:0", "", ""
	cfg.Web.Listen = "127.0.0.1:0"
	return cfg
}

func startDaemon(t *testing.T, cfg Config, inf Inferer) *daemonUnderTest {
	t.Helper()
	return startDaemonLogging(t, cfg, inf, nil)
}

func startDaemonLogging(t *testing.T, cfg Config, inf Inferer, log *slog.Logger) *daemonUnderTest {
	t.Helper()
	d := &daemonUnderTest{notes: &notes{}}
	opt := Options{Config: cfg, Log: log, Version: "0.1.0", Model: inf, Notify: d.notes.add, WatchdogInterval: 400 * time.Millisecond}
	for m := range modality.Count {
		period := cfg.Sync.TickPeriod()
		if m == modality.CSI {
			period /= 10
		}
		d.sources[m] = &fakeSource{modality: m, period: period}
		opt.Sources[m] = d.sources[m]
	}
	d.start(t, opt)
	return d
}

// start runs the daemon until the test ends.
func (d *daemonUnderTest) start(t *testing.T, opt Options) {
	t.Helper()
	core, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	d.Core = core
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- core.Run(ctx) }()
	var once sync.Once
	var result error
	d.stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case result = <-done:
			case <-time.After(testenv.Patience):
				result = errors.New("the daemon does not stop")
			}
		})
		return result
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-core.Ready():
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
}

// subscribe returns the messages on posefuse.room1.<what>.
func (d *daemonUnderTest) subscribe(t *testing.T, what string) <-chan *nats.Msg {
	t.Helper()
	url, _, _ := d.Bus().Addresses()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	ch := make(chan *nats.Msg, 10_000)
	if _, err := nc.ChanSubscribe("posefuse.room1."+what, ch); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return ch
}

func next[T any](t *testing.T, ch <-chan *nats.Msg, cond func(*T) bool) *T {
	t.Helper()
	limit := time.After(testenv.Patience)
	for {
		select {
		case m := <-ch:
			v := new(T)
			if err := json.Unmarshal(m.Data, v); err != nil {
				t.Fatalf("%s: %v", m.Data, err)
			}
			if cond(v) {
				return v
			}
		case <-limit:
			t.Fatalf("no such message within %s", testenv.Patience)
		}
	}
}
