package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"posefuse/internal/jsonfile"
	"posefuse/message"
	"posefuse/model/registry"
	"posefuse/pipeline"
	"posefuse/recording/session"
)

// roomRetrainer retrains a daemon's model in a process of its own, on request or
// once a day.
type roomRetrainer struct {
	cfg   pipeline.RetrainConfig
	state string
	log   *slog.Logger

	// unkept says why the state folder takes nothing, nil if it does.
	unkept  func() error
	command func(ctx context.Context, args []string) (*exec.Cmd, error)
	tell    func(*message.Retrain)
	// promote makes a candidate serve that passed the gate, after a sane run in the
	// shadow.
	promote func(ctx context.Context, id registry.ID, why string) error
	away    *awayRetrainer // gives the work to a hub's workers; nil: it is done here

	mu       sync.Mutex
	ctx      context.Context    //nolint:containedctx // the daemon's, of what requests start
	cancel   context.CancelFunc // of the one that runs; nil: none does
	sessions []string           // it learns from
	last     *message.Retrain   // told last
	side     *sync.WaitGroup
}

// newRoomRetrainer returns the retrainer of a room.
func newRoomRetrainer(core *pipeline.Core, cfg *pipeline.Config, log *slog.Logger) *roomRetrainer {
	link := &daemonLink{core.Bus().Conn(), cfg.Room}
	reg := registry.Open(cfg.StateDir, nil)
	r := &roomRetrainer{cfg: cfg.Retrain, state: cfg.StateDir, log: log.With("part", "retrain"), unkept: core.StateProblem, command: thisProgram, tell: link.report,
		promote: func(ctx context.Context, id registry.ID, why string) error {
			return retrainCmd{Shadow: defaultShadowTicks}.promote(ctx, reg, id, why, link)
		}}
	if cfg.Retrain.Workers {
		r.away = newAwayRetrainer(core.Bus().Conn(), cfg, r.log)
	}
	return r
}

// defaultShadowTicks are those of retrain --shadow-ticks.
const defaultShadowTicks = 200

// thisProgram returns a run of this program that is interrupted, not killed, when
// ctx ends, so that it keeps its state.
func thisProgram(ctx context.Context, args []string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // this program
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd, nil
}

// run answers requests and keeps the daily time until ctx ends.
func (r *roomRetrainer) run(ctx context.Context, handle func(string, func([]byte) ([]byte, error)) error, side *sync.WaitGroup) {
	r.mu.Lock()
	r.ctx, r.side = ctx, side
	r.mu.Unlock()
	err := errors.Join(handle("retrain.start", r.start), handle("retrain.status", r.status), handle("retrain.cancel", r.stop))
	if err != nil {
		r.log.Error("retraining cannot be asked for", "error", err)
	}
	if r.cfg.At != "" {
		side.Go(func() { r.daily(ctx) })
	}
	if r.away == nil {
		return
	}
	if q := r.away.pending(); q != nil {
		r.log.Info("going on with what a hub's worker was asked for", "sessions", q.Sessions)
		if err = r.begin(*q); err != nil { //nolint:contextcheck // what it starts ends with the daemon, as on request
			r.log.Error("retraining does not go on", "error", err)
		}
	}
}

// retrainRequest is the request of ctl.retrain.start.
type retrainRequest struct {
	// Sessions by name; empty: all that are complete.
	Sessions []string `json:"sessions"`
	// Candidate leaves what passes the gate for a person to promote.
	Candidate bool `json:"candidate,omitempty"`
}

// start answers ctl.retrain.start.
func (r *roomRetrainer) start(request []byte) ([]byte, error) {
	var q retrainRequest
	if len(bytes.TrimSpace(request)) > 0 {
		d := json.NewDecoder(bytes.NewReader(request))
		d.DisallowUnknownFields()
		if err := d.Decode(&q); err != nil {
			return nil, fmt.Errorf(`retrain.start: %w; send e.g. {"sessions":["20261130T101500Z"]}`, err)
		}
	}
	if err := r.begin(q); err != nil {
		return nil, err
	}
	return r.status(nil)
}

// begin starts a retraining beside the caller.
func (r *roomRetrainer) begin(q retrainRequest) error {
	if err := r.unkept(); err != nil {
		return fmt.Errorf("nothing is learned: %w", err)
	}
	root := filepath.Join(r.state, session.Folder)
	if len(q.Sessions) == 0 {
		var err error
		if q.Sessions, err = completeSessions(root); err != nil {
			return err
		}
	}
	for _, name := range q.Sessions {
		if name != filepath.Base(name) {
			return fmt.Errorf("session %q: want its name, as posefuse sessions list tells it", name)
		}
		if _, err := session.Find(root, name); err != nil {
			return err
		}
	}
	if len(q.Sessions) == 0 {
		return errors.New("there is no complete session to learn from: posefuse record start")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		return errors.New("a retraining runs already: ctl.retrain.status, ctl.retrain.cancel")
	}
	ctx, cancel := context.WithCancel(r.ctx)
	r.cancel, r.sessions = cancel, q.Sessions
	r.last = &message.Retrain{Stage: "loading"}
	r.side.Go(func() {
		defer cancel()
		r.retrain(ctx, q)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cancel = nil
	})
	return nil
}

// completeSessions names the sessions that hold poses and are complete, the oldest
// first.
func completeSessions(root string) (names []string, err error) {
	all, err := session.List(root)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Err != nil || s.Info.State != session.Complete {
			continue
		}
		if _, by := s.Info.Messages(); by[session.TopicPose] > 0 {
			names = append(names, s.Info.ID)
		}
	}
	return names, nil
}

// retrainStatus is the reply of ctl.retrain.status.
type retrainStatus struct {
	Running  bool             `json:"running"`
	Sessions []string         `json:"sessions,omitempty"` // of the one that runs, or ran last
	Report   *message.Retrain `json:"report,omitempty"`   // as published last
}

// status answers ctl.retrain.status.
func (r *roomRetrainer) status([]byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return json.Marshal(retrainStatus{r.cancel != nil, r.sessions, r.last})
}

// stop answers ctl.retrain.cancel.
func (r *roomRetrainer) stop([]byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel == nil {
		return nil, errors.New("no retraining runs")
	}
	r.cancel()
	return []byte(`{"cancelling":true}`), nil
}

// report tells how it goes.
func (r *roomRetrainer) report(m *message.Retrain) {
	r.mu.Lock()
	r.last = m
	r.mu.Unlock()
	r.tell(m)
}

// retrain runs the process and makes the candidate serve.
func (r *roomRetrainer) retrain(ctx context.Context, q retrainRequest) {
	r.log.Info("retraining", "sessions", q.Sessions)
	var result *retrainResult
	var err error
	if r.away != nil {
		result, err = r.away.retrain(ctx, &q, r.report)
	} else {
		result, err = r.process(ctx, q.Sessions)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		if r.away != nil && r.ctx.Err() == nil {
			r.away.withdraw(r.ctx) //nolint:contextcheck // the request's has ended, the daemon's has not
			r.log.Info("retraining was taken back from the hub")
			r.report(&message.Retrain{Stage: "stopped"})
			return
		}
		r.log.Info("retraining was stopped; the same sessions go on from there")
		r.report(&message.Retrain{Stage: "stopped"})
		return
	case err == nil && result.Gate.Passed && !q.Candidate:
		err = r.promote(ctx, result.Model, result.Gate.Reason)
	}
	if err != nil {
		r.log.Error("retraining failed", "error", err)
		r.report(&message.Retrain{Stage: "failed", Reason: err.Error()})
		return
	}
	e, err := registry.Open(r.state, nil).Entry(result.Model)
	if err != nil {
		r.log.Error("retraining failed", "error", err)
		r.report(&message.Retrain{Stage: "failed", Reason: err.Error()})
		return
	}
	state := string(e.State)
	if e.State == registry.Shadow {
		state = string(registry.Candidate) // it was stopped there, and waits for a person
	}
	r.log.Info("retrained", "model", e.ID.String(), "state", state, "reason", e.Reason)
	r.report(&message.Retrain{Stage: "done", Share: 1, Epoch: result.Epochs, Epochs: result.Epochs, State: state, Reason: e.Reason,
		Model: &message.PoseModel{Name: e.Name, Version: e.Version, SHA256: e.SHA256}})
}

// reportLine is a line of retrain --report.
type reportLine struct {
	Progress *message.Retrain `json:"progress,omitempty"`
	Result   *retrainResult   `json:"result,omitempty"`
}

// process runs posefuse retrain and tells its progress.
func (r *roomRetrainer) process(ctx context.Context, sessions []string) (*retrainResult, error) {
	args := []string{"retrain", "--state", r.state, "--report", "--candidate",
		"--cpu", strconv.FormatFloat(r.cfg.Cores, 'g', -1, 64), "--memory", strconv.Itoa(r.cfg.MemoryMiB)}
	for _, s := range sessions {
		args = append(args, "--session", s)
	}
	for _, dir := range r.cfg.Judge {
		args = append(args, "--judge", dir)
	}
	cmd, err := r.command(ctx, args)
	if err != nil {
		return nil, err
	}
	return runRetrain(cmd, r.report)
}

// runRetrain runs posefuse retrain --report and tells its progress.
func runRetrain(cmd *exec.Cmd, report func(*message.Retrain)) (*retrainResult, error) {
	said := &tail{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err = cmd.Start(); err != nil {
		return nil, fmt.Errorf("posefuse retrain: %w", err)
	}
	result := follow(out, report)
	if err = cmd.Wait(); err != nil {
		return nil, fmt.Errorf("posefuse retrain: %w: %s", err, said.last())
	}
	if result == nil || result.Gate == nil {
		return nil, errors.New("posefuse retrain ended without a result")
	}
	return result, nil
}

// follow reads what the process reports until it ends.
func follow(out io.Reader, report func(*message.Retrain)) (result *retrainResult) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20) // the figures of a gate are long
	for lines.Scan() {
		var l reportLine
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		if l.Progress != nil {
			report(l.Progress)
		}
		if l.Result != nil {
			result = l.Result
		}
	}
	return result
}

// tail keeps the end of what a process writes.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 4096
	t.b = append(t.b, p...)
	t.b = t.b[max(len(t.b)-most, 0):]
	return len(p), nil
}

// last is the last line.
func (t *tail) last() string {
	b := bytes.TrimSpace(t.b)
	return string(b[bytes.LastIndexAny(b, "\n\r")+1:])
}

// learnedFile says below the state folder what was learned from by itself.
const learnedFile = "retrain/daily.json"

// learned is its content.
type learned struct {
	Newest string `json:"newest"` // session
}

// daily retrains at the time of day of the configuration, if there is a new
// session, until ctx ends.
func (r *roomRetrainer) daily(ctx context.Context) {
	for {
		t := time.NewTimer(untilDaily(r.cfg.At, time.Now()))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if err := r.ifNew(); err != nil { //nolint:contextcheck // what it starts ends with the daemon, as on request
			r.log.Error("the daily retraining did not start", "error", err)
		}
	}
}

// untilDaily is the time from now to the next such time of day.
func untilDaily(at string, now time.Time) time.Duration {
	clock, _ := time.Parse(pipeline.DailyTime, at) // checked with the configuration
	next := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, now.Location())
	if !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	return next.Sub(now)
}

// ifNew begins a retraining if a session was recorded since the last.
func (r *roomRetrainer) ifNew() error {
	names, err := completeSessions(filepath.Join(r.state, session.Folder))
	if err != nil || len(names) == 0 {
		return err
	}
	file := filepath.Join(r.state, learnedFile)
	var before learned
	if b, readErr := os.ReadFile(file); readErr == nil {
		_ = json.Unmarshal(b, &before) // what is broken knows nothing
	}
	newest := names[len(names)-1]
	if newest <= before.Newest {
		r.log.Info("no new session to learn from", "newest", newest)
		return nil
	}
	if err = r.begin(retrainRequest{}); err != nil {
		return err
	}
	if err = os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return jsonfile.Write(file, learned{newest})
}
