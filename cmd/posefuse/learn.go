package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/model/shipped"
	"posefuse/recording/sim"
	"posefuse/retrain"
	"posefuse/train"
)

type learnCmd struct {
	Out   string `default:"./posefuse-learn" placeholder:"DIR" help:"New folder for sessions, models and logs."`
	Small bool   `help:"Short sessions and trainings: shows the way in some minutes; the figures mean little."`
	Seed  uint64 `default:"1" help:"Seed of movements and noise."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (learnCmd) Help() string {
	return "The learning demonstration. The shipped model meets a simulated room that it does not know: the radar moved, more\n" +
		"noise, a small person, sensors where training rarely put them. A daemon records three sessions there; the model is\n" +
		"retrained on them, must pass the gate, runs in the shadow and is promoted by itself. Then the same without labels, and\n" +
		"with labels that are wrong, which the gate must reject. Takes 20 to 30 minutes on two cores.\n\n" +
		"Example:\n\n  posefuse learn --out /tmp/learn"
}

// learnSize is how much is done.
type learnSize struct {
	frames   int   // of each clip
	sessions []int // activities of each
	judge    []int // activities that the gate is given, too
	unseen   []int // activities of the sessions that nobody is trained or judged by
	flags    []string
}

func (c learnCmd) size() learnSize {
	if c.Small {
		return learnSize{frames: 100, sessions: []int{12, 13}, judge: []int{12, 22}, unseen: []int{12, 13},
			flags: []string{"--old-clips", "8", "--old-judge", "9", "--epochs", "2", "--stride", "6", "--old-stride", "6", "--batch", "16", "--shadow-ticks", "20"}}
	}
	return learnSize{frames: 200, sessions: []int{2, 9, 12, 13, 22}, judge: []int{2, 9, 12, 13, 17, 22}, unseen: []int{2, 5, 9, 12, 13, 14, 17, 20, 22, 26},
		flags: []string{"--shadow-ticks", "100", "--frames", "60", "--old-clips", "640", "--old-stride", "6", "--stride", "1", "--epochs", "6"}}
}

// learnResult is what the command prints.
type learnResult struct {
	Sessions int          `json:"sessions"`
	Runs     []learnRun   `json:"runs"`
	TookS    float64      `json:"took_s"`
	World    sim.World    `json:"world"`
	Size     learnSizeOut `json:"size"`
}

type learnSizeOut struct {
	SessionS float64 `json:"session_s"`
	Small    bool    `json:"small"`
}

// learnRun is one retraining and what it gave.
type learnRun struct {
	Name   string         `json:"name"`
	State  registry.State `json:"state"`
	Reason string         `json:"reason"`
	// Unseen are sessions of the room that no model was trained or judged by, Old
	// the gate's old rooms.
	Unseen registry.Figure  `json:"unseen"`
	Old    *registry.Figure `json:"old,omitempty"`
	TookS  float64          `json:"took_s"`
}

// Run demonstrates.
func (c learnCmd) Run(ctx context.Context) error {
	begin := time.Now()
	out, err := filepath.Abs(c.Out)
	if err != nil {
		return err
	}
	if _, err = os.Stat(out); err == nil {
		return fmt.Errorf("--out %s is there already: name a new folder", c.Out)
	}
	if err = os.MkdirAll(out, 0o750); err != nil {
		return err
	}
	demo := &learnDemo{cmd: c, size: c.size(), out: out}
	r := learnResult{Sessions: demoSessions, World: learnWorld(), Size: learnSizeOut{float64(len(demo.size.sessions)*demo.size.frames) / 10, c.Small}}
	if r.Runs, err = demo.run(ctx); err != nil {
		return err
	}
	r.TookS = time.Since(begin).Seconds()
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	for i := range r.Runs {
		r.Runs[i].print()
	}
	fmt.Printf("%d sessions of %.0f s, in %.0f s altogether; everything is in %s\n", r.Sessions, r.Size.SessionS, r.TookS, out)
	return nil
}

func (r *learnRun) print() {
	fmt.Printf("%s: %s\n  unseen sessions of the room: %s\n", r.Name, r.State, changed(&r.Unseen))
	if r.Old != nil {
		fmt.Printf("  old rooms: %s\n", changed(r.Old))
	}
	fmt.Printf("  the gate: %s\n  %.0f s\n", r.Reason, r.TookS)
}

// changed is a figure in words.
func changed(f *registry.Figure) string {
	text := fmt.Sprintf("%.1f mm before, %.1f mm after (%+.1f %%", f.BeforeMM, f.AfterMM, f.ChangePercent())
	if in := f.Interval; in != nil {
		text += fmt.Sprintf("; with 95 %% confidence above %+.1f %%, and below %+.1f %%, by %d %s", in.LowPercent, in.HighPercent, f.Units, f.Of)
	}
	return text + ")"
}

// demoSessions is how many sessions are recorded.
const demoSessions = 3

// learnDemo is one demonstration.
type learnDemo struct {
	cmd              learnCmd
	size             learnSize
	out              string
	sessions, labels []string
	wrong            []string // labels
	judge            string
}

// run records, and retrains in the three ways.
func (l *learnDemo) run(ctx context.Context) (runs []learnRun, err error) {
	daemon, err := startLearnDaemon(ctx, l.out)
	if err != nil {
		return nil, err
	}
	running := true
	defer func() {
		if running {
			err = errors.Join(err, daemon.stop())
		}
	}()
	if err = l.prepare(ctx, daemon); err != nil {
		return nil, err
	}
	live, stop := context.WithCancel(ctx)
	defer stop()
	sensors, err := l.play(live, daemon)
	if err != nil {
		return nil, err
	}
	r, err := l.retrain(ctx, "three labelled sessions", daemon.state(), l.labels, "--nats", "nats://"+daemon.nats)
	if err != nil {
		return nil, err
	}
	runs = append(runs, r)
	stop()
	<-sensors
	running = false
	if err = daemon.stop(); err != nil {
		return nil, fmt.Errorf("the daemon: %w", err)
	}
	for _, v := range []struct {
		name   string
		labels []string
	}{{"the same without labels", nil}, {"the same with wrong labels", l.wrong}} {
		state := filepath.Join(l.out, fmt.Sprintf("state-%d", len(runs)+1))
		if r, err = l.retrain(ctx, v.name, state, v.labels); err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// wrongBy is by how much the wrong labels are off, metres in the camera's frame.
var wrongBy = [3]float64{0.3, -0.2, 0.3}

// prepare records the sessions and writes what the gate is given.
func (l *learnDemo) prepare(ctx context.Context, daemon *learnDaemon) error {
	for i := range demoSessions {
		data, err := learnSim(l.cmd.Seed+uint64(i), true, l.size.frames, l.size.sessions)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "recording session %d of %d, %d s\n", i+1, demoSessions, len(l.size.sessions)*l.size.frames/10)
		dir, labels, err := daemon.record(ctx, data, i+1)
		if err != nil {
			return fmt.Errorf("session %d: %w", i+1, err)
		}
		wrong := filepath.Join(l.out, fmt.Sprintf("wrong-%d.csv", i+1))
		if err = writeLabels(wrong, data, wrongBy); err != nil {
			return err
		}
		l.sessions, l.labels, l.wrong = append(l.sessions, dir), append(l.labels, labels), append(l.wrong, wrong)
	}
	data, err := learnSim(l.cmd.Seed+100, false, l.size.frames, l.size.judge)
	if err != nil {
		return err
	}
	l.judge = filepath.Join(l.out, "judge")
	return data.Write(ctx, l.judge, sim.WriteOptions{})
}

// play lets the person go on before the sensors until ctx ends, so that a candidate
// has somebody to be compared on.
func (l *learnDemo) play(ctx context.Context, daemon *learnDaemon) (done <-chan struct{}, err error) {
	data, err := learnSim(l.cmd.Seed+200, true, l.size.frames, l.size.sessions)
	if err != nil {
		return nil, err
	}
	p, err := daemon.player(data, true)
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "posefuse: the simulated sensors stopped:", err)
		}
	}()
	return ended, nil
}

// retrain retrains what serves in a state folder and measures the outcome.
func (l *learnDemo) retrain(ctx context.Context, name, state string, labels []string, more ...string) (learnRun, error) {
	fmt.Fprintf(os.Stderr, "%s\n", name)
	begin := time.Now()
	args := []string{"retrain", "--state", state, "--judge", l.judge, "--no-gentle", "--cpu", "2", "--memory", "2048", "--seed", strconv.FormatUint(l.cmd.Seed, 10), "--json"}
	for i, s := range l.sessions {
		args = append(args, "--session", s)
		if labels != nil {
			args = append(args, "--labels", labels[i])
		}
	}
	self, err := os.Executable()
	if err != nil {
		return learnRun{}, err
	}
	cmd := exec.CommandContext(ctx, self, append(append(args, l.size.flags...), more...)...) //nolint:gosec // this program
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err = cmd.Run(); err != nil {
		return learnRun{}, fmt.Errorf("%s: posefuse retrain: %w", name, err)
	}
	var r retrainResult
	if err = json.Unmarshal(out.Bytes(), &r); err != nil {
		return learnRun{}, fmt.Errorf("%s: posefuse retrain: %w", name, err)
	}
	run := learnRun{Name: name, State: r.State, Reason: r.Gate.Reason, TookS: time.Since(begin).Seconds()}
	for i := range r.Gate.Figures {
		if f := &r.Gate.Figures[i]; f.Set == retrain.OldSet && run.Old == nil {
			run.Old = f
		}
	}
	run.Unseen, err = l.unseen(ctx, registry.Open(state, nil), r.Model)
	return run, err
}

// unseen compares a version with the shipped model on sessions of the room that
// neither was trained or judged by.
func (l *learnDemo) unseen(ctx context.Context, reg *registry.Registry, id registry.ID) (f registry.Figure, err error) {
	after, _, err := reg.Load(id)
	if err != nil {
		return f, err
	}
	before, card, err := shipped.Load()
	if err != nil {
		return f, errors.Join(err, after.Close())
	}
	defer func() { err = errors.Join(err, before.Close(), after.Close()) }()
	data, err := learnSim(l.cmd.Seed+300, true, l.size.frames, l.size.unseen)
	if err != nil {
		return f, err
	}
	loaded, err := loadAll(ctx, data, before, card)
	if err != nil {
		return f, err
	}
	return retrain.Compare(ctx, "unseen", before, after, loaded)
}

// loadAll prepares every second frame of a data set.
func loadAll(ctx context.Context, data *sim.Dataset, net *model.Network, card model.Card) (*train.Data, error) {
	return train.Load(ctx, data, data.Keys(), net.Config, train.LoadOptions{Window: card.Window, Stride: 2})
}
