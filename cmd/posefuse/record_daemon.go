package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/message"
	"posefuse/pipeline"
	"posefuse/recording/session"
)

// roomRecorder joins a daemon to the recorder of its sessions.
type roomRecorder struct {
	*session.Recorder
	core   *pipeline.Core
	room   string
	raw    atomic.Pointer[[]string] // what record.raw says
	before string                   // the newest session of the state folder as the daemon began
}

// newRoomRecorder returns the recorder of a room, nil if record.enabled is false.
func newRoomRecorder(core *pipeline.Core, cfg *pipeline.Config, log *slog.Logger) *roomRecorder {
	c := cfg.Record
	if !c.Enabled {
		return nil
	}
	r := &roomRecorder{core: core, room: cfg.Room, Recorder: session.NewRecorder(session.Config{
		Root:  filepath.Join(cfg.StateDir, session.Folder),
		Clock: core.Clock(),
		Log:   log.With("part", "recorder"),
	})}
	r.obey(&c)
	core.OnReload(pipeline.Reloadable{Keys: []string{"record.keep_days", "record.keep_gib", "record.free_gib", "record.segment_min", "record.raw"},
		Prepare: func(next *pipeline.Config) (func(), error) {
			return func() { r.obey(&next.Record) }, nil
		}})
	if list, err := session.List(filepath.Join(cfg.StateDir, session.Folder)); err == nil && len(list) > 0 {
		r.before = list[len(list)-1].Info.ID
	}
	core.Record(r)
	return r
}

// obey takes over what of the configuration holds while the daemon runs.
func (r *roomRecorder) obey(c *pipeline.RecordConfig) {
	r.SetRules(recordRules(c))
	r.raw.Store(&c.Raw)
}

// recordRules are those of the configuration.
func recordRules(c *pipeline.RecordConfig) session.Rules {
	const gib = 1 << 30
	return session.Rules{
		Keep:      session.Retention{Days: c.KeepDays, Bytes: int64(c.KeepGiB * gib)},
		FreeBytes: int64(c.FreeGiB * gib),
		Segment:   time.Duration(c.SegmentMin * float64(time.Minute)),
	}
}

// run starts the recorder's service; it ends with ctx, and so does the session.
func (r *roomRecorder) run(ctx context.Context, log *slog.Logger, side *sync.WaitGroup) {
	if err := r.serve(); err != nil {
		log.Error("sessions cannot be recorded", "error", err)
		return
	}
	side.Go(func() {
		if err := r.Run(ctx); err != nil {
			log.Error("session is not whole", "error", err)
		}
	})
}

// serve answers requests and takes the exercises of the room.
func (r *roomRecorder) serve() error {
	b := r.core.Bus()
	for name, h := range map[string]func([]byte) ([]byte, error){
		"record.start":  r.start,
		"record.stop":   r.stop,
		"record.status": func([]byte) ([]byte, error) { return json.Marshal(r.Status()) },
	} {
		if err := b.HandleControl(name, h); err != nil {
			return err
		}
	}
	for _, what := range []string{"event", "summary"} {
		if _, err := b.Conn().Subscribe("posefuse."+r.room+".exercise."+what, func(m *nats.Msg) { r.Exercise(m.Data) }); err != nil {
			return fmt.Errorf("exercises are not recorded: %w", err)
		}
	}
	return nil
}

func (r *roomRecorder) start(request []byte) ([]byte, error) {
	var q session.Request
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, fmt.Errorf(`record.start: %w; send {"subject":"P017","consent":true}`, err)
	}
	if err := r.core.StateProblem(); err != nil {
		return nil, fmt.Errorf("nothing is recorded: %w", err)
	}
	now, err := r.core.Recordable()
	if err != nil {
		return nil, err
	}
	if q.Raw == nil {
		q.Raw = *r.raw.Load()
	}
	if now.Setup.Drivers, err = r.core.RawSetup(q.Raw); err != nil {
		return nil, fmt.Errorf("%w: %w", session.ErrInvalid, err)
	}
	setup, err := json.Marshal(now.Setup)
	if err != nil {
		return nil, err
	}
	info, err := r.Start(q, session.Room{Name: r.room, Version: version(), Model: now.Model, Setup: setup, Rig: now.Rig, Background: now.Background})
	if err != nil {
		return nil, err
	}
	return json.Marshal(brief(&info))
}

func (r *roomRecorder) stop([]byte) ([]byte, error) {
	info, err := r.Stop()
	if err != nil {
		return nil, err
	}
	return json.Marshal(brief(&info))
}

// Health implements pipeline.Recorder.
func (r *roomRecorder) Health() message.PartHealth {
	if r.core.StateProblem() != nil {
		return message.PartHealth{Part: "recorder", Code: "read_only", Severity: "error", Text: "no session can be recorded: see state"}
	}
	s := r.Status()
	h := message.PartHealth{Part: "recorder", Code: s.Code, Severity: "ok", Text: s.Text}
	switch {
	case s.Code != "ok":
		h.Severity = "error"
	case s.State == session.StateRecording:
		h.Code, h.Text = s.State, "session "+s.Session+" of "+s.Subject
	default:
		h.Code, h.Text = s.State, "nothing is recorded"
		if last := cmp.Or(s.Session, r.before); last != "" {
			h.Text += "; the last session is " + last
		}
	}
	return h
}

// sessionBrief is what is told of a session in lists and replies.
type sessionBrief struct {
	ID       string            `json:"id"`
	State    string            `json:"state,omitempty"`
	Room     string            `json:"room,omitempty"`
	Subject  string            `json:"subject,omitempty"`
	Started  time.Time         `json:"started,omitzero"`
	Seconds  float64           `json:"seconds"`
	Messages uint64            `json:"messages"`
	Bytes    int64             `json:"bytes"`
	Dropped  map[string]uint64 `json:"dropped,omitempty"`
	Lost     uint64            `json:"lost,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func brief(i *session.Info) sessionBrief {
	n, _ := i.Messages()
	return sessionBrief{ID: i.ID, State: i.State, Room: i.Room, Subject: i.Subject, Started: i.Started, Seconds: i.Duration().Round(time.Millisecond).Seconds(),
		Messages: n, Bytes: i.Bytes(), Dropped: i.Dropped, Lost: i.Lost}
}

// errNoDaemon is what a request without an answer means.
var errNoDaemon = errors.New("nobody answers")
