package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/hub"
	"posefuse/internal/hubtest"
	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/train"
)

// youngModel writes a checkpoint of a small network of camera and radar that has
// seen little and puts everybody 4 cm aside, and knows how far off it is.
func youngModel(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	cfg := modeltest.Small()
	cfg.Modalities = "RM"
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi", FramesPerClip: 60})
	if err != nil {
		t.Fatal(err)
	}
	load := func(subjects ...int) *train.Data {
		var keys []recording.Key
		for _, s := range subjects {
			keys = append(keys, recording.Key{Subject: s, Activity: 12}, recording.Key{Subject: s, Activity: 13})
		}
		d, failure := train.Load(ctx, ds, keys, cfg, train.LoadOptions{Window: model.Causal, Stride: 2})
		if failure != nil {
			t.Fatal(failure)
		}
		return d
	}
	net, err := model.New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err = train.Run(ctx, net, load(1, 2, 3), train.Options{Epochs: 40, Batch: 20, LR: 2e-3, MeanStart: true, Seed: 1, Dropout: 0.3}); err != nil {
		t.Fatal(err)
	}
	for _, p := range net.Parameters() {
		if p.Name == "head.fc.bias" {
			for i := 0; i < len(p.Value); i += 3 {
				p.Value[i] += 0.04
			}
		}
	}
	card := model.Card{Name: "young", Version: "1", Window: model.Causal, Data: "little"}
	if card.KnownErrors, err = train.MeasureErrors(ctx, net, load(31, 32), "two others"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "young")
	if _, err = model.SaveCheckpoint(dir, net, card); err != nil {
		t.Fatal(err)
	}
	return dir
}

// workerEnv names, for a run of this test program as a worker, login, folder and
// the real program, one a line.
const workerEnv = "TEST_WORKER"

// littleWork is what a worker of a test adds to a retraining, so that it takes
// seconds.
var littleWork = []string{"--old-clips", "6", "--old-judge", "6", "--epochs", "8", "--batch", "16", "--stride", "2", "--lr", "0.00015", "--gentle=false"}

// TestWorkerProcess is no test but the worker that others kill.
func TestWorkerProcess(t *testing.T) {
	of := strings.Split(os.Getenv(workerEnv), "\n")
	if len(of) != 3 {
		return
	}
	nc, err := nats.Connect(of[0], nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{dir: of[1], name: "big", cpu: 2, memory: 2048, log: slog.New(slog.NewTextHandler(os.Stderr, nil)), opt: quick, keep: 100 * time.Millisecond,
		command: func(ctx context.Context, args []string) (*exec.Cmd, error) {
			cmd := exec.CommandContext(ctx, of[2], append(args, littleWork...)...)
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			return cmd, nil
		}}
	c, err := hub.NewCounter(nc, w.name, w.opt)
	if err != nil {
		t.Fatal(err)
	}
	w.run(context.Background(), []*hub.Counter{c})
}

// startWorker runs a worker in a process of its own.
func startWorker(t *testing.T, login, dir string) (cmd *exec.Cmd, said *lockedBuffer) {
	t.Helper()
	said = &lockedBuffer{}
	cmd = exec.Command(os.Args[0], "-test.run=^TestWorkerProcess$")
	cmd.Env = append(os.Environ(), workerEnv+"="+strings.Join([]string{login, dir, binary(t)}, "\n"))
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("worker in %s:\n%s", dir, said)
		}
	})
	return cmd, said
}

// TestLearnsByItself: a room records a session and asks its hub's workers to learn
// from it. The first worker is killed in mid-training, the link is down, another
// goes on from the epoch that the first one kept; what comes back passes the gate,
// runs in the shadow and serves, and no pose is lost on the way.
func TestLearnsByItself(t *testing.T) {
	testenv.Slow(t)
	people, rooms := testenv.FreePort(t), testenv.FreePort(t)
	h := hubtest.Start(t, t.TempDir(), people, rooms, nil)
	link := hubtest.NewLink(t, rooms)
	login := strings.Replace(h.ClientURL(), "nats://", "nats://room1-worker:worker-secret@", 1)
	t.Setenv("POSEFUSE_BUS_HUB_URL", fmt.Sprintf("nats://127.0.0.1:%d", link.Port))
	t.Setenv("POSEFUSE_BUS_HUB_USER", "room1")
	t.Setenv("POSEFUSE_BUS_HUB_PASSWORD", "room1-secret")
	judge := filepath.Join(t.TempDir(), "judge")
	posefuse(t, "simulate", "--out", judge, "--subjects", "21,22,23,24,25,26", "--activities", "12", "--frames", "40")
	r := startRoom(t, "ouster", simulatedPlaces+"record: {enabled: true, free_gib: 0}\nretrain: {workers: true, judge: ["+judge+"]}\n")
	state, ask := filepath.Join(r.dir, "state"), []string{"--nats", "nats://" + r.nats}
	live := r.subscribeNATS(t)
	nc, err := nats.Connect("nats://" + r.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	events := make(chan *nats.Msg, 1000)
	if _, err = nc.ChanSubscribe("posefuse.room1.model.event", events); err != nil {
		t.Fatal(err)
	}
	if err = nc.Flush(); err != nil {
		t.Fatal(err)
	}
	posefuse(t, "models", "add", youngModel(t), "--state", state)
	posefuse(t, append([]string{"models", "promote", "young/1"}, ask...)...)
	r.play(t, recording.Key{Subject: 1, Activity: 12})
	from := awaitPose(t, live, 0, "RM")

	posefuse(t, append([]string{"record", "start", "--subject", "P1", "--consent"}, ask...)...)
	awaitRecorded(t, ask, 1200)
	posefuse(t, append([]string{"record", "stop"}, ask...)...)

	control := func(what string) (s retrainStatus) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
		defer cancel()
		m, failure := nc.RequestWithContext(ctx, "posefuse.room1.ctl.retrain."+what, nil)
		if failure != nil {
			t.Fatal(failure)
		}
		if err = json.Unmarshal(m.Data, &s); err != nil {
			t.Fatalf("%s: %v: %s %v", what, err, m.Data, m.Header)
		}
		return s
	}
	if s := control("start"); !s.Running || len(s.Sessions) != 1 {
		t.Fatalf("%+v", s)
	}
	first, said := startWorker(t, login, t.TempDir())
	// The second epoch is told when the state after the first is written; what is
	// kept then may be from before.
	testenv.Wait(t, "two epochs of the first worker", func() bool { return strings.Contains(said.String(), " epoch=2 ") })
	kept := strings.Count(said.String(), "kept the state")
	testenv.Wait(t, "the first worker to keep its state", func() bool { return strings.Count(said.String(), "kept the state") >= kept+2 })
	link.Cut()
	if err = first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	_, saidBy := startWorker(t, login, t.TempDir())
	time.Sleep(2 * time.Second) // the link is down
	link.Mend()
	var s retrainStatus
	testenv.Wait(t, "the end of the retraining", func() bool {
		time.Sleep(200 * time.Millisecond) // it takes a while
		s = control("status")
		return !s.Running
	})
	if s.Report.State != "promoted" {
		t.Fatalf("%+v\nfirst worker: %s\nsecond: %s", s.Report, said, saidBy)
	}
	served := s.Report.Model
	of, err := registry.Open(state, nil).Entry(registry.ID{Name: served.Name, Version: served.Version})
	if err != nil || of.Gate == nil || !slices.Equal(of.Gate.Sessions, s.Sessions) {
		t.Errorf("%v, %+v learned from %v by the registry", err, of, s.Sessions)
	}
	promoted := 0
	for len(events) > 0 {
		var e message.ModelEvent
		if err = json.Unmarshal((<-events).Data, &e); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s %s: %s", e.Type, e.Model.Version, e.Reason)
		if e.Type == "promoted" && e.Model.Name == served.Name && e.Model.Version == served.Version {
			promoted++
		}
	}
	if promoted != 1 {
		t.Errorf("%d events tell that %s %s serves, want one", promoted, served.Name, served.Version)
	}
	if !strings.Contains(said.String(), " epoch=1 ") || strings.Contains(saidBy.String(), " epoch=1 ") {
		t.Error("the second worker did not go on from where the first one was")
	}
	testenv.Wait(t, "a pose of the new model", func() bool {
		p := live.latest()
		return p.Model.Version == served.Version && p.Model.SHA256 == served.SHA256
	})
	seen := map[string]bool{}
	last := ""
	for i, p := range live.snapshot()[from:] {
		if i > 0 && p.Model.Version != last && seen[p.Model.Version] {
			t.Errorf("pose %d is of version %s again", p.Seq, p.Model.Version)
		}
		last = p.Model.Version
		seen[last] = true
	}
	live.check(t, "NATS") // no seq is missing
	if len(seen) != 2 {
		t.Errorf("poses are of the versions %v, want the young one's and the new one's", seen)
	}
	if out := posefuse(t, "models", "show", served.Name+"/"+served.Version, "--state", state); !strings.Contains(out, "by worker big") {
		t.Errorf("the registry does not tell who made it: %s", out)
	}
}
