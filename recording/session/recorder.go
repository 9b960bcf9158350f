package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"posefuse/frame"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/skeleton"
)

// ChunkInterval is how much a crash can cost: what is older is on the disk.
const ChunkInterval = time.Second

// Clock is the daemon's room clock.
type Clock interface {
	NowNS() int64
	WallAt(ns int64) time.Time
}

// Config sets up a Recorder.
type Config struct {
	Root      string // folder of the sessions
	Keep      Retention
	FreeBytes int64         // recording pauses while less is left on the disk
	Segment   time.Duration // length of a file; 10 minutes if 0
	Clock     Clock
	Log       *slog.Logger // nil: none

	disk disk // tests have another one
}

// Request starts a session.
type Request struct {
	Subject string `json:"subject"` // pseudonym, required
	Consent bool   `json:"consent"` // required: the person agreed to be recorded
	Note    string `json:"note,omitempty"`
	// Raw are the sensors of which what the drivers read is recorded, too, by name
	// of the modality; nil: those of the configuration.
	Raw []string `json:"raw"`
}

// maxNote is the most characters of a note.
const maxNote = 500

// Room is what a session tells of the room.
type Room struct {
	Name       string
	Version    string // of the daemon
	Model      string
	Setup      json.RawMessage
	Rig        *frame.Rig // nil: not known
	Background []byte     // what was learned of the room; may be empty
}

// Recorder records sessions, one at a time. Sample, Pose, Exercise and Raw never wait
// and may be called at any time.
type Recorder struct {
	cfg    Config
	rules  atomic.Pointer[Rules]
	mu     sync.Mutex // of Start, Stop and last
	active atomic.Pointer[run]
	last   Status // of the session that ended
	files  rawFiles
}

// NewRecorder returns a recorder that records nothing yet. It does no I/O.
func NewRecorder(cfg Config) *Recorder {
	if cfg.Segment == 0 {
		cfg.Segment = 10 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.disk == nil {
		cfg.disk = osDisk{}
	}
	r := &Recorder{cfg: cfg}
	r.SetRules(Rules{Keep: cfg.Keep, FreeBytes: cfg.FreeBytes, Segment: cfg.Segment})
	return r
}

// Rules are what of a Config may change while a session is recorded.
type Rules struct {
	Keep      Retention
	FreeBytes int64         // recording pauses while less is left on the disk
	Segment   time.Duration // length of a file
}

// SetRules changes the rules: at once for the running session, at the next start
// for the sessions that are kept.
func (r *Recorder) SetRules(rules Rules) { r.rules.Store(&rules) }

// Start begins a session. The error wraps ErrInvalid, ErrBusy, or says why nothing
// can be written.
func (r *Recorder) Start(q Request, room Room) (Info, error) {
	if err := CheckSubject(q.Subject); err != nil {
		return Info{}, err
	}
	if !q.Consent {
		return Info{}, fmt.Errorf("%w: consent is not given: nothing is recorded of who has not agreed to it", ErrInvalid)
	}
	if len(q.Note) > maxNote {
		return Info{}, fmt.Errorf("%w: a note of %d characters: at most %d", ErrInvalid, len(q.Note), maxNote)
	}
	raw, err := checkRaw(q.Raw)
	if err != nil {
		return Info{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.active.Load(); x != nil {
		return Info{}, fmt.Errorf("session %s: %w; stop it first", x.info.ID, ErrBusy)
	}
	x, err := r.begin(q, raw, room)
	if err != nil {
		return Info{}, err
	}
	r.startRaw(x)
	go x.loop()
	r.cfg.Log.Info("recording", "session", x.info.ID)
	return x.started, nil
}

// begin makes the session's folder and its first segment.
func (r *Recorder) begin(q Request, raw [modality.Count]bool, room Room) (*run, error) {
	if err := os.MkdirAll(r.cfg.Root, 0o750); err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	held, err := lock(r.cfg.Root)
	if err != nil {
		return nil, err
	}
	x := newRun(r, held, q, room)
	x.raw = raw
	if err = errors.Join(held.Truncate(0), x.create()); err != nil {
		_ = held.Close()
		return nil, err
	}
	return x, nil
}

// Stop ends the session and returns what it holds. Without one it says so.
func (r *Recorder) Stop() (Info, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.active.Load()
	if x == nil {
		return Info{}, fmt.Errorf("%w: nothing is being recorded", ErrInvalid)
	}
	x.gate.Lock()
	x.ended = true // from now on offers are refused
	x.gate.Unlock()
	close(x.stop)
	<-x.done
	r.active.Store(nil)
	r.last = x.status()
	r.last.State = StateIdle
	r.cfg.Log.Info("recorded", "session", x.info.ID, "messages", r.last.Messages, "bytes", r.last.Bytes)
	return x.info, x.err
}

// tidyEvery is how often the rule of retention is applied, besides before each
// session.
const tidyEvery = time.Hour

// Run applies the rule of retention until ctx ends, then stops the session, if
// there is one.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		r.tidy()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return r.Close()
		}
	}
}

func (r *Recorder) tidy() {
	deleted, err := Tidy(r.cfg.Root, r.rules.Load().Keep, time.Now())
	if len(deleted) > 0 {
		r.cfg.Log.Info("old sessions deleted", "sessions", deleted)
	}
	if err != nil {
		r.cfg.Log.Warn("old sessions are not deleted", "error", err)
	}
}

// Close stops the session, if there is one.
func (r *Recorder) Close() error {
	if r.active.Load() == nil {
		return nil
	}
	_, err := r.Stop()
	return err
}

// Sample takes a sample of a sensor. It is not changed and may be kept.
func (r *Recorder) Sample(s *sensors.Sample) {
	x := r.active.Load()
	if x == nil {
		return
	}
	size := int64(1024)
	switch {
	case s.Cloud != nil:
		size += 4 * int64(len(s.Cloud.XYZ))
	case s.CSI != nil:
		size += 8 * int64(len(s.CSI.H))
	}
	x.offer(item{kind: int(s.Modality), atNS: r.cfg.Clock.NowNS(), publishNS: s.CaptureNS, sample: s, size: size})
}

// Pose takes a pose as it is published, of a tick at captureNS; joints, which may
// be nil, are in the frame that frameName names. Nothing is kept of the arguments.
func (r *Recorder) Pose(text []byte, captureNS int64, frameName string, joints *skeleton.Pose) {
	x := r.active.Load()
	if x == nil {
		return
	}
	var p *poseItem
	select {
	case p = <-x.poses:
	default:
		p = &poseItem{}
	}
	p.text, p.frame, p.known = append(p.text[:0], text...), frameName, joints != nil
	if joints != nil {
		p.joints = *joints
	}
	x.offer(item{kind: kindPose, atNS: r.cfg.Clock.NowNS(), publishNS: captureNS, pose: p, size: int64(len(text)) + 1024})
}

// Exercise takes an event or a summary of an exercise as it is published.
func (r *Recorder) Exercise(text []byte) {
	x := r.active.Load()
	if x == nil || !json.Valid(text) {
		return
	}
	now := r.cfg.Clock.NowNS()
	x.offer(item{kind: kindExercise, atNS: now, publishNS: now, pose: &poseItem{text: append([]byte(nil), text...)}, size: int64(len(text)) + 1024})
}

// create makes folder, session.json and first segment.
func (x *run) create() error {
	r := x.r
	r.tidy()
	for n := 1; ; n++ {
		x.info.ID = x.info.Started.UTC().Format("20060102T150405Z")
		if n > 1 {
			x.info.ID += fmt.Sprint("-", n)
		}
		x.dir = filepath.Join(r.cfg.Root, x.info.ID)
		err := os.Mkdir(x.dir, 0o700)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) || n == 100 {
			return fmt.Errorf("sessions: %w", err)
		}
	}
	_, err := x.held.WriteAt([]byte(x.info.ID+"\n"), 0)
	if err == nil {
		err = x.info.write(x.dir)
	}
	if err == nil {
		err = x.open(x.r.cfg.Clock.NowNS())
	}
	if err != nil {
		_ = os.RemoveAll(x.dir) // nothing is in it
		_, todo := trouble(err)
		return fmt.Errorf("session %s cannot be written: %w; %s", x.info.ID, err, todo)
	}
	x.started = x.info
	return nil
}
