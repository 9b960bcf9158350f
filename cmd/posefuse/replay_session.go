package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"posefuse/message"
	"posefuse/model/shipped"
	"posefuse/pipeline"
	"posefuse/recording/session"
)

// sessionFlags are those of posefuse replay that a session needs.
type sessionFlags struct {
	State   string        `default:"posefuse-state" placeholder:"DIR" help:"The state_dir that the session is in."`
	Sensors bool          `help:"Send the session to a running daemon as fake sensors, as recordings are; its page then shows it."`
	Raw     bool          `help:"Send a session's raw bytes through the drivers again, and hold what they decode against what was recorded."`
	Model   string        `placeholder:"PATH" help:"Checkpoint to make the session's poses with; the shipped one if empty."`
	Fast    bool          `help:"Play a session as fast as this machine can; the poses are the same."`
	From    time.Duration `help:"Begin a session that long after its beginning."`
	To      time.Duration `help:"End a session that long after its beginning."`
	Poses   string        `placeholder:"FILE" help:"Write the poses made of a session as JSON lines."`
}

// replaySummary is what is told of a session that was played.
type replaySummary struct {
	Session    string  `json:"session"`
	Model      string  `json:"model"`
	Passes     int     `json:"passes"`
	Poses      int     `json:"poses"`
	WithJoints int     `json:"with_joints"`
	SessionS   float64 `json:"session_s"`
	TookS      float64 `json:"took_s"`
	// SHA256 is that of the poses as JSON lines, the last pass's: equal for equal
	// poses.
	SHA256 string `json:"poses_sha256"`
	// Of the poses that were published while the session was recorded.
	Compared int      `json:"compared"`
	MeanMM   *float64 `json:"mean_difference_mm,omitempty"` // of the joints
	Warnings []string `json:"warnings,omitempty"`
	Lost     uint64   `json:"lost,omitempty"`
}

// maxWarnings is how many of a session's warnings are told.
const maxWarnings = 5

// playSession makes the poses of a recorded session again.
func (c replayCmd) playSession(ctx context.Context, out io.Writer) error {
	if c.MMFi != "" || len(c.Clips) > 0 || len(c.Fault) > 0 || len(c.Without) > 0 {
		return errors.New("a session is played through the aligner, not by fake sensors: leave out --mmfi, --clips, --fault and --without, or add --sensors")
	}
	dir, err := session.Find(filepath.Join(c.State, session.Folder), c.Session)
	if err != nil {
		return err
	}
	var poses *bufio.Writer
	if c.Poses != "" {
		f, ferr := os.Create(c.Poses)
		if ferr != nil {
			return fmt.Errorf("--poses: %w", ferr)
		}
		poses = bufio.NewWriter(f)
		defer f.Close() //nolint:errcheck // flushed below
	}
	s := replaySummary{Session: filepath.Base(dir)}
	var check session.Check
	for again := true; again; again = c.Loop && ctx.Err() == nil && err == nil {
		check, err = c.playOnce(ctx, dir, poses, &s)
	}
	if poses != nil {
		err = errors.Join(err, poses.Flush())
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	s.Lost = check.Lost
	if err := c.printSession(out, &s); err != nil {
		return err
	}
	return lossOf(&check)
}

func (c replayCmd) printSession(out io.Writer, s *replaySummary) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(s)
	}
	for _, w := range s.Warnings {
		_, _ = fmt.Fprintln(os.Stderr, w)
	}
	text := fmt.Sprintf("session %s, model %s: %d poses, %d with joints, of %.1f s in %.1f s\nsha256 of the poses %s\n", s.Session, s.Model, s.Poses, s.WithJoints, s.SessionS, s.TookS, s.SHA256)
	if s.MeanMM != nil {
		text += fmt.Sprintf("joints are %.1f mm from those published when it was recorded (%d poses)\n", *s.MeanMM, s.Compared)
	}
	_, err := io.WriteString(out, text)
	return err
}

// pass is one run of a session.
type pass struct {
	summary *replaySummary
	poses   *bufio.Writer // nil: not asked for
	sum     hash.Hash
	made    []timedPose
	total   float64 // millimetres, over compared poses
	tick    time.Duration
}

// timedPose is what is compared of a pose.
type timedPose struct {
	atNS   int64
	frame  string
	joints [17][3]float64
}

func (c replayCmd) playOnce(ctx context.Context, dir string, poses *bufio.Writer, s *replaySummary) (session.Check, error) {
	info, err := session.Read(dir)
	if err != nil {
		return session.Check{}, err
	}
	setup, err := pipeline.ParseSetup(info.Setup)
	if err != nil {
		return session.Check{}, fmt.Errorf("session %s: %w", info.ID, err)
	}
	background, err := session.Background(dir)
	if err != nil {
		return session.Check{}, err
	}
	inferer, err := openInferer(c.Model)
	if err != nil {
		return session.Check{}, err
	}
	p := &pass{summary: s, poses: poses, sum: sha256.New(), tick: setup.Sync.TickPeriod()}
	*s = replaySummary{Session: s.Session, Passes: s.Passes + 1, Model: inferer.Card().Name + " " + inferer.Card().Version}
	r, err := pipeline.NewReplay(pipeline.ReplayOptions{Setup: setup, AnchorNS: info.AnchorNS, Background: background, Model: inferer, Pose: p.pose, Warn: p.warn})
	if err != nil {
		return session.Check{}, err
	}
	check, err := c.feed(ctx, dir, r, p)
	if ferr := r.Finish(); err == nil {
		err = ferr
	}
	p.finish()
	return check, err
}

// feed gives the session to the replay, at the pace that was asked for.
func (c replayCmd) feed(ctx context.Context, dir string, r *pipeline.Replay, p *pass) (session.Check, error) {
	start, first := time.Now(), int64(-1)
	info, err := session.Read(dir)
	if err != nil {
		return session.Check{}, err
	}
	part := session.Part{Topics: []string{session.TopicCamera, session.TopicLiDAR, session.TopicRadar, session.TopicCSI, session.TopicPose}}
	if len(info.Segments) > 0 && c.From > 0 {
		part.FromNS = info.Segments[0].FromNS + int64(c.From)
	}
	if len(info.Segments) > 0 && c.To > 0 {
		part.ToNS = info.Segments[0].FromNS + int64(c.To)
	}
	_, check, err := session.Visit(dir, part, func(e *session.Event) error {
		if first < 0 {
			first = e.AtNS
		}
		p.summary.SessionS = float64(e.AtNS-first) / 1e9
		if !c.Fast {
			due := start.Add(time.Duration(float64(e.AtNS-first) / c.Speed))
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(due)):
			}
		}
		if err = ctx.Err(); err != nil {
			return err
		}
		if e.Sample == nil {
			return p.recorded(e.Text)
		}
		return r.Push(e.Sample, e.AtNS)
	})
	p.summary.TookS = time.Since(start).Seconds()
	return check, err
}

// pose takes a pose that was made.
func (p *pass) pose(text []byte, m *message.Pose) error {
	p.summary.Poses++
	p.sum.Write(text)
	p.sum.Write([]byte{'\n'})
	if m.JointsM != nil {
		p.summary.WithJoints++
		p.made = append(p.made, timedPose{m.CaptureNS, m.Frame, *m.JointsM})
	}
	if p.poses == nil {
		return nil
	}
	_, err := p.poses.Write(append(text, '\n'))
	return err
}

func (p *pass) warn(err error) {
	if len(p.summary.Warnings) < maxWarnings {
		p.summary.Warnings = append(p.summary.Warnings, err.Error())
	}
}

// recorded compares a pose of the recording with the newest one made, if they are
// of one tick.
func (p *pass) recorded(text []byte) error {
	var m message.Pose
	if err := message.UnmarshalPose(text, &m); err != nil {
		return err
	}
	if m.JointsM == nil {
		return nil
	}
	for i := len(p.made) - 1; i >= 0; i-- {
		made := &p.made[i]
		if m.CaptureNS-made.atNS > int64(p.tick/2) {
			break
		}
		if made.atNS-m.CaptureNS > int64(p.tick/2) || made.frame != m.Frame {
			continue
		}
		for j := range made.joints {
			a, b := &made.joints[j], &m.JointsM[j]
			p.total += 1000 * math.Sqrt((a[0]-b[0])*(a[0]-b[0])+(a[1]-b[1])*(a[1]-b[1])+(a[2]-b[2])*(a[2]-b[2])) / 17
		}
		p.summary.Compared++
		break
	}
	return nil
}

func (p *pass) finish() {
	p.summary.SHA256 = hex.EncodeToString(p.sum.Sum(nil))
	if p.summary.Compared > 0 {
		mean := p.total / float64(p.summary.Compared)
		p.summary.MeanMM = &mean
	}
}

// openInferer loads a checkpoint, the shipped one if path is empty.
func openInferer(path string) (pipeline.Inferer, error) {
	net, card, err := shipped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--model: %w", err)
	}
	inferer, err := pipeline.NewInferer(net, card)
	return inferer, errors.Join(err, net.Close()) // the inferer keeps what it needs
}
