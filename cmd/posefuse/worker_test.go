package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/hub"
	"posefuse/internal/hubtest"
	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/pipeline/bus"
)

// hubRoom is a room's bus at a hub.
type hubRoom struct {
	hub  *server.Server
	link *hubtest.Link
	bus  *bus.Bus
}

func newHubRoom(t *testing.T) *hubRoom {
	t.Helper()
	people, rooms := testenv.FreePort(t), testenv.FreePort(t)
	h := &hubRoom{hub: hubtest.Start(t, t.TempDir(), people, rooms, nil), link: hubtest.NewLink(t, rooms)}
	cfg := bus.DefaultConfig()
	cfg.NATS.Listen, cfg.MQTT.Listen, cfg.WebSocket.Listen = "", "", ""
	cfg.Hub = bus.HubConfig{URL: fmt.Sprintf("nats://127.0.0.1:%d", h.link.Port), User: "room1", Password: "room1-secret"}
	var err error
	if h.bus, err = bus.Open(cfg, bus.Options{Room: "room1", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.bus.Close() })
	return h
}

// quick is less patient than people are.
var quick = hub.Options{Retry: 50 * time.Millisecond, Ask: 2 * time.Second, Ack: 2 * time.Second}

// gives makes a room's retrainer give its work to the hub.
func (h *hubRoom) gives(r *roomRetrainer) {
	r.away = &awayRetrainer{state: r.state, room: "room1", log: r.log, poll: 20 * time.Millisecond,
		open: func(ctx context.Context) (*hub.Desk, error) {
			return hub.OpenDesk(ctx, h.bus.Conn(), hub.Domain, quick)
		}}
}

// login is that of the room's workers.
func (h *hubRoom) login() string {
	return strings.Replace(h.hub.ClientURL(), "nats://", "nats://room1-worker:worker-secret@", 1)
}

// works runs a worker whose process is a shell script until the test or stop ends
// it.
func (h *hubRoom) works(t *testing.T, w *worker, script string) (stop func()) {
	t.Helper()
	nc, err := nats.Connect(h.login())
	if err != nil {
		t.Fatal(err)
	}
	w.opt, w.log, w.keep = quick, slog.New(slog.DiscardHandler), 50*time.Millisecond
	c, err := hub.NewCounter(nc, w.name, w.opt)
	if err != nil {
		t.Fatal(err)
	}
	w.command = func(ctx context.Context, args []string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
		cmd.WaitDelay = time.Second
		return cmd, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var side sync.WaitGroup
	side.Go(func() { w.run(ctx, []*hub.Counter{c}) })
	stop = sync.OnceFunc(func() { cancel(); side.Wait(); nc.Close() })
	t.Cleanup(stop)
	return stop
}

// checkpoint is a folder with version 2 of a small model.
func checkpoint(t *testing.T) string {
	t.Helper()
	cfg := modeltest.Small()
	cfg.Modalities = "M"
	net, err := model.New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "candidate")
	if _, err = model.SaveCheckpoint(dir, net, model.Card{Name: "small", Version: "2", Window: model.Causal}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// makes is a retraining that gives a candidate of $CANDIDATE.
const makes = `echo '{"progress":{"stage":"training","share":0.5,"epoch":1,"epochs":2}}'
test -f state/sessions/*/session.json || ls state/sessions/* >/dev/null || exit 9
mkdir -p state/models/small && cp -r "$CANDIDATE" state/models/small/2
echo '{"result":{"model":{"name":"small","version":"2"},"state":"candidate","epochs":2,"gate":{"against":"shipped","passed":%v,"reason":"%s"}}}'`

// awaitEnd waits until a retraining has ended and returns how.
func awaitEnd(t *testing.T, ask func(string, string) (retrainStatus, error)) (s retrainStatus) {
	t.Helper()
	testenv.Wait(t, "the end of the retraining", func() bool {
		var err error
		s, err = ask("status", "")
		return err == nil && !s.Running
	})
	return s
}

// leftAt lists what a worker's folder holds of jobs.
func leftAt(t *testing.T, w *worker) (left []string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(w.dir, jobFolder+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// TestRetrainedAway: a worker at the hub does the room's retraining, and the candidate serves if it passed the gate and is signed where that is
// wanted. Neither hub nor worker keep anything.
func TestRetrainedAway(t *testing.T) {
	t.Setenv("CANDIDATE", checkpoint(t))
	h := newHubRoom(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	damaged := makes + "\nprintf x >>state/models/small/2/card.json"
	for _, c := range []struct {
		name, script string
		signer       ed25519.PrivateKey
		keys         registry.Keys
		stage        string
		state        registry.State // "": not in the registry
		reason       string
	}{
		{"passed", fmt.Sprintf(makes, true, "better"), nil, nil, "done", registry.Promoted, "better"},
		{"not passed", fmt.Sprintf(makes, false, "not better"), nil, nil, "done", registry.Rejected, "not better"},
		{"signed", fmt.Sprintf(makes, true, "better"), private, registry.Keys{public}, "done", registry.Promoted, "better"},
		{"unsigned", fmt.Sprintf(makes, true, "better"), nil, registry.Keys{public}, "failed", "", "is not signed"},
		{"changed after it was signed", fmt.Sprintf(makes, true, "better") + "\ncp \"$CANDIDATE\"/../bad.sig state/models/small/2/card.json.sig", nil, registry.Keys{public}, "failed", "", "signature of none"},
		{"a damaged card", fmt.Sprintf(damaged, true, "better"), nil, nil, "failed", "", "card.json"},
		{"another than it says", strings.Replace(fmt.Sprintf(makes, true, "better"), `"version":"2"`, `"version":"../2"`, 1), nil, nil, "failed", "", "worker w1"},
		{"fails", `echo "posefuse: no labelled recordings to judge by" >&2; exit 1`, nil, nil, "failed", "", "worker w1: posefuse retrain: exit status 1: posefuse: no labelled"},
	} {
		r, _ := retrainer(t, "exit 9")
		h.gives(r)
		r.away.keys = c.keys
		if err = os.WriteFile(filepath.Join(os.Getenv("CANDIDATE"), "..", "bad.sig"), make([]byte, ed25519.SignatureSize), 0o600); err != nil {
			t.Fatal(err)
		}
		w := &worker{dir: t.TempDir(), name: "w1", signer: c.signer, cpu: 1, memory: 512}
		stop := h.works(t, w, c.script)
		ask := serve(t, r)
		if _, err = ask("start", ""); err != nil {
			t.Fatal(err)
		}
		s := awaitEnd(t, ask)
		if s.Report.Stage != c.stage || !strings.Contains(s.Report.Reason, c.reason) {
			t.Errorf("%s: %+v", c.name, s.Report)
		}
		e, err := registry.Open(r.state, nil).Entry(registry.ID{Name: "small", Version: "2"})
		if c.state == "" && !errors.Is(err, registry.ErrUnknown) || c.state != "" && (err != nil || e.State != c.state || e.Gate == nil) {
			t.Errorf("%s: the registry says %+v, %v", c.name, e, err)
		}
		stop()
		if left := leftAt(t, w); len(left) > 0 || r.away.read() != nil {
			t.Errorf("%s: left %v, %+v", c.name, left, r.away.read())
		}
	}
}

// TestTakenBack: a worker's progress is told; a cancelled retraining ends at the worker, which keeps nothing of
// it; a worker that was away meanwhile tidies when it comes back.
func TestTakenBack(t *testing.T) {
	h := newHubRoom(t)
	r, _ := retrainer(t, "exit 9")
	h.gives(r)
	ask := serve(t, r)
	w := &worker{dir: t.TempDir(), name: "w1", cpu: 1, memory: 512}
	stop := h.works(t, w, `echo '{"progress":{"stage":"training"}}'; exec sleep 600`)
	begin := func() {
		t.Helper()
		if _, err := ask("start", ""); err != nil {
			t.Fatal(err)
		}
		testenv.Wait(t, "progress", func() bool {
			s, err := ask("status", "")
			return err == nil && s.Report != nil && s.Report.Stage == "training"
		})
	}
	cancel := func() {
		t.Helper()
		if _, err := ask("cancel", ""); err != nil {
			t.Fatal(err)
		}
		if s := awaitEnd(t, ask); s.Report.Stage != "stopped" || r.away.read() != nil {
			t.Errorf("%+v, %+v", s.Report, r.away.read())
		}
	}
	begin()
	cancel()
	testenv.Wait(t, "the worker to delete the job", func() bool { return len(leftAt(t, w)) == 0 })
	begin()
	stop()
	if left := leftAt(t, w); len(left) != 1 {
		t.Errorf("a worker that is stopped has %v, want its job, to go on", left)
	}
	cancel()
	h.works(t, w, "exit 9")
	testenv.Wait(t, "the worker to tidy", func() bool { return len(leftAt(t, w)) == 0 })
}

// TestDaemonGoesOnWaiting: a daemon that was stopped while a worker had its job
// takes the result when it runs again, without asking twice.
func TestDaemonGoesOnWaiting(t *testing.T) {
	t.Setenv("CANDIDATE", checkpoint(t))
	h := newHubRoom(t)
	r, _ := retrainer(t, "exit 9")
	h.gives(r)
	ctx, cancel := context.WithCancel(t.Context())
	var side sync.WaitGroup
	r.run(ctx, func(string, func([]byte) ([]byte, error)) error { return nil }, &side)
	if err := r.begin(retrainRequest{}); err != nil {
		t.Fatal(err)
	}
	posted := func(r *roomRetrainer) func() bool {
		return func() bool { x := r.away.read(); return x != nil && x.Posted }
	}
	testenv.Wait(t, "the job at the hub", posted(r))
	if found, err := jobOf(r.state, "P1"); err != nil || len(found) != 1 || found[0].remove() == nil {
		t.Errorf("what forget finds: %+v, %v; want the copies, which it cannot delete", found, err)
	}
	if found, err := jobOf(r.state, "P2"); err != nil || len(found) != 0 {
		t.Errorf("what forget finds of another: %+v, %v", found, err)
	}
	cancel()
	side.Wait()
	id := r.away.read().ID
	again := &roomRetrainer{cfg: r.cfg, state: r.state, log: r.log, unkept: r.unkept, tell: r.tell, promote: r.promote}
	h.gives(again)
	ask := serve(t, again)
	if s, err := ask("status", ""); err != nil || !s.Running || len(s.Sessions) != 2 || r.away.read().ID != id {
		t.Errorf("%+v, %v, job %+v, want %s", s, err, r.away.read(), id)
	}
	h.works(t, &worker{dir: t.TempDir(), name: "w1", cpu: 1, memory: 512}, fmt.Sprintf(makes, true, "better"))
	if s := awaitEnd(t, ask); s.Report.State != string(registry.Promoted) {
		t.Errorf("%+v", s.Report)
	}
}

// TestAnotherServesMeanwhile: what the gate compared the candidate with serves no
// more when it comes back, so a person decides.
func TestAnotherServesMeanwhile(t *testing.T) {
	t.Setenv("CANDIDATE", checkpoint(t))
	h := newHubRoom(t)
	r, _ := retrainer(t, "exit 9")
	h.gives(r)
	ask := serve(t, r)
	if _, err := ask("start", ""); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "the job at the hub", func() bool { x := r.away.read(); return x != nil && x.Posted })
	other := candidate(t, r.state, "other", "1", 2)
	if _, err := registry.Open(r.state, nil).Promote(other, "by hand", nil); err != nil {
		t.Fatal(err)
	}
	h.works(t, &worker{dir: t.TempDir(), name: "w1", cpu: 1, memory: 512}, fmt.Sprintf(makes, true, "better"))
	if s := awaitEnd(t, ask); s.Report.State != string(registry.Candidate) || s.Report.Model.Name != "small" {
		t.Errorf("%+v", s.Report)
	}
}

func TestNoDisk(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{hub.ErrDamaged, false},
		{fmt.Errorf("x: %w", &hub.SpaceError{Dir: "/"}), true},
		{fmt.Errorf("x: %w", &os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}), true},
		{errors.Join(errors.New("x"), syscall.EROFS), true},
	} {
		if noDisk(c.err) != c.want {
			t.Errorf("%v: %v", c.err, !c.want)
		}
	}
}
