package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/frame"
	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/pipeline"
	"posefuse/recording"
	"posefuse/recording/session"
	"posefuse/recording/sim"
)

// retrainer is a roomRetrainer whose process is a shell script, and the names of
// two complete sessions in its state folder.
func retrainer(t *testing.T, script string) (r *roomRetrainer, told func() []message.Retrain) {
	t.Helper()
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "clean", FramesPerClip: 12})
	if err != nil {
		t.Fatal(err)
	}
	clip, err := ds.Open(recording.Key{Subject: 4, Activity: 12})
	if err != nil {
		t.Fatal(err)
	}
	r = &roomRetrainer{cfg: pipeline.RetrainConfig{Cores: 0.5, MemoryMiB: 512, Judge: []string{"/data/judge"}}, state: t.TempDir(), log: slog.New(slog.DiscardHandler), unkept: func() error { return nil }}
	rig := frame.Rig{RoomFromCamera: frame.Transform{R: [3][3]float64{{1, 0, 0}, {0, 0, 1}, {0, -1, 0}}}}
	synctest.Test(t, func(t *testing.T) {
		for range 2 {
			recordPoses(t, clip, &rig, filepath.Join(r.state, session.Folder))
			time.Sleep(time.Second)
		}
	})
	r.command = func(ctx context.Context, args []string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
		cmd.Cancel = func() error { return cmd.Process.Kill() }
		return cmd, nil
	}
	var mu sync.Mutex
	var all []message.Retrain
	r.tell = func(m *message.Retrain) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, *m)
	}
	r.promote = func(_ context.Context, id registry.ID, why string) error {
		_, err := registry.Open(r.state, nil).Promote(id, why, nil)
		return err
	}
	return r, func() []message.Retrain {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// serve runs the retrainer and returns what its endpoints do.
func serve(t *testing.T, r *roomRetrainer) (ask func(name, request string) (retrainStatus, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var side sync.WaitGroup
	t.Cleanup(func() { cancel(); side.Wait() })
	handlers := map[string]func([]byte) ([]byte, error){}
	r.run(ctx, func(name string, h func([]byte) ([]byte, error)) error { handlers[name] = h; return nil }, &side)
	return func(name, request string) (s retrainStatus, err error) {
		b, err := handlers["retrain."+name]([]byte(request))
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		return s, err
	}
}

// candidate adds a version to the registry, as the process does.
func candidate(t *testing.T, state, name, version string, seed uint64) registry.ID {
	t.Helper()
	cfg := modeltest.Small()
	cfg.Modalities = "M"
	net, err := model.New(cfg, seed)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err = model.SaveCheckpoint(dir, net, model.Card{Name: name, Version: version, Window: model.Causal}); err != nil {
		t.Fatal(err)
	}
	e, err := registry.Open(state, nil).Add(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// TestRetrainOnRequest: the daemon starts the process on all sessions, tells its
// progress, and promotes what passed; a second request meanwhile is refused.
func TestRetrainOnRequest(t *testing.T) {
	r, told := retrainer(t, `echo '{"progress":{"stage":"training","share":0.5,"epoch":1,"epochs":2}}'; echo "$@" >&2; read x <"$GATE"; echo '{"result":{"model":{"name":"small","version":"2"},"state":"candidate","epochs":2,"gate":{"passed":true,"reason":"better"}}}'`)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := exec.Command("mkfifo", gate).Run(); err != nil {
		testenv.LeaveOut(t, "no mkfifo")
	}
	t.Setenv("GATE", gate)
	id := candidate(t, r.state, "small", "2", 1)
	ask := serve(t, r)
	if _, err := ask("cancel", ""); err == nil {
		t.Error("cancelled what does not run")
	}
	for request, want := range map[string]string{`{"sessions":["../x"]}`: "want its name", `{"sessions":["20200101T000000Z"]}`: "20200101T000000Z", `{"clips":1}`: "unknown field"} {
		if _, err := ask("start", request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", request, err, want)
		}
	}
	s, err := ask("start", "")
	if err != nil || !s.Running || len(s.Sessions) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err = ask("start", ""); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("a second one: %v", err)
	}
	testenv.Wait(t, "progress", func() bool { return len(told()) > 0 })
	if s, err = ask("status", ""); err != nil || s.Report.Stage != "training" || s.Report.Epoch != 1 {
		t.Errorf("%+v, %v", s.Report, err)
	}
	if err = exec.Command("sh", "-c", `echo go >"$GATE"`).Run(); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "the end", func() bool { s, err = ask("status", ""); return err == nil && !s.Running })
	last := told()[len(told())-1]
	if last.Stage != "done" || last.State != string(registry.Promoted) || last.Model == nil || last.Model.Name != id.Name || last.Model.Version != id.Version {
		t.Errorf("%+v", last)
	}
}

// TestRetrainCancelled: the process is interrupted, and that is told.
func TestRetrainCancelled(t *testing.T) {
	r, told := retrainer(t, `echo '{"progress":{"stage":"loading"}}'; exec sleep 600`)
	ask := serve(t, r)
	if _, err := ask("start", ""); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "progress", func() bool { return len(told()) > 0 })
	if _, err := ask("cancel", ""); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "the end", func() bool {
		s, err := ask("status", "")
		return err == nil && !s.Running && s.Report.Stage == "stopped"
	})
}

// TestRetrainThatFails: the process's last words are told.
func TestRetrainThatFails(t *testing.T) {
	r, _ := retrainer(t, `echo "posefuse: no labelled recordings to judge by" >&2; exit 1`)
	ask := serve(t, r)
	if _, err := ask("start", ""); err != nil {
		t.Fatal(err)
	}
	var s retrainStatus
	testenv.Wait(t, "the end", func() bool {
		s, _ = ask("status", "")
		return !s.Running && s.Report != nil && s.Report.Stage == "failed"
	})
	if !strings.Contains(s.Report.Reason, "no labelled recordings") {
		t.Errorf("%q", s.Report.Reason)
	}
}

func TestUntilDaily(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for at, want := range map[string]time.Duration{"12:01": time.Minute, "12:00": 24 * time.Hour, "03:30": 15*time.Hour + 30*time.Minute} {
		if got := untilDaily(at, now); got != want {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}

// TestDailyRetraining starts with the first session and not again without another.
func TestDailyRetraining(t *testing.T) {
	r, told := retrainer(t, `exit 1`)
	ask := serve(t, r)
	for range 2 {
		if err := r.ifNew(); err != nil {
			t.Fatal(err)
		}
		testenv.Wait(t, "the end", func() bool { s, err := ask("status", ""); return err == nil && !s.Running })
	}
	if n := len(told()); n != 1 {
		t.Errorf("%d retrainings, want 1", n)
	}
}
