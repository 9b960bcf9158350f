package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"posefuse/message"
	"posefuse/recording/session"
)

// Bounds of answers about sessions: a message of the bus is at most a mebibyte.
const (
	mostSessions = 200
	mostReplayS  = 20.0 // of poses, seconds
	mostPoses    = 1000
)

// sessionsRequest is what the requests of ctl.sessions carry.
type sessionsRequest struct {
	Session string  `json:"session"`
	FromS   float64 `json:"from_s"`
	LengthS float64 `json:"length_s"`
}

// sessionsReply answers ctl.sessions.list, the newest session first.
type sessionsReply struct {
	Sessions []sessionBrief `json:"sessions"`
	LeftOut  int            `json:"left_out,omitempty"` // older ones
}

// posesReply answers ctl.sessions.poses.
type posesReply struct {
	Session string         `json:"session"`
	Subject string         `json:"subject"`
	TotalS  float64        `json:"total_s"` // length of the session
	FromS   float64        `json:"from_s"`
	ToS     float64        `json:"to_s"` // where the poses end
	Poses   []recordedPose `json:"poses"`
}

// recordedPose is a pose of a session, metres to the millimetre.
type recordedPose struct {
	AtS       float64         `json:"at_s"` // from the session's begin
	Frame     string          `json:"frame"`
	Coalition string          `json:"coalition"`
	JointsM   *[17][3]float64 `json:"joints_m"`
}

// serveSessions answers requests about the sessions of a daemon's state.
func serveSessions(handle func(name string, h func([]byte) ([]byte, error)) error, stateDir string, log *slog.Logger) {
	root := filepath.Join(stateDir, session.Folder)
	err := errors.Join(
		handle("sessions.list", func([]byte) ([]byte, error) {
			r, err := listSessions(root)
			if err != nil {
				return nil, err
			}
			return json.Marshal(r)
		}),
		handle("sessions.poses", func(request []byte) ([]byte, error) {
			var q sessionsRequest
			if err := json.Unmarshal(request, &q); err != nil {
				return nil, fmt.Errorf(`sessions.poses: %w; send {"session":"20261130T101500Z","from_s":0,"length_s":20}`, err)
			}
			r, err := sessionPoses(root, q)
			if err != nil {
				return nil, err
			}
			return json.Marshal(r)
		}))
	if err != nil {
		log.Error("recorded sessions cannot be listed over NATS", "error", err)
	}
}

func listSessions(root string) (r sessionsReply, err error) {
	list, err := session.List(root)
	if err != nil {
		return r, err
	}
	slices.Reverse(list)
	r.LeftOut = max(len(list)-mostSessions, 0)
	r.Sessions = make([]sessionBrief, 0, len(list)-r.LeftOut)
	live := session.Live(root)
	for _, e := range list[:len(list)-r.LeftOut] {
		b := brief(&e.Info)
		switch {
		case e.Err != nil:
			b.State, b.Error = "unreadable", e.Err.Error()
		case b.State == session.Recording && b.ID != live:
			b.State = "interrupted"
		}
		r.Sessions = append(r.Sessions, b)
	}
	return r, nil
}

// sessionPoses reads the poses of some seconds of a session. Chunks that hold nothing
// of them are not read.
func sessionPoses(root string, q sessionsRequest) (r posesReply, err error) {
	if strings.ContainsAny(q.Session, `/\`) { // a path is for who is at the machine
		return r, fmt.Errorf("%w: session %q: give a name of the list", session.ErrInvalid, q.Session)
	}
	if !(q.FromS >= 0 && q.FromS < 1e7 && q.LengthS > 0) {
		return r, fmt.Errorf("%w: from_s %v, length_s %v: give a begin of 0 or more and a length above 0", session.ErrInvalid, q.FromS, q.LengthS)
	}
	dir, err := session.Find(root, q.Session)
	if err != nil {
		return r, err
	}
	info, err := session.Read(dir)
	if err != nil {
		return r, err
	}
	if len(info.Segments) == 0 {
		return r, fmt.Errorf("session %s has no ended file yet: end the recording, or run posefuse sessions recover %s", info.ID, info.ID)
	}
	begin := info.Segments[0].FromNS
	for _, s := range info.Segments {
		begin = min(begin, s.FromNS)
	}
	r = posesReply{Session: info.ID, Subject: info.Subject, TotalS: info.Duration().Seconds(), FromS: q.FromS, Poses: []recordedPose{}}
	r.ToS = min(q.FromS+min(q.LengthS, mostReplayS), max(r.TotalS, q.FromS))
	part := session.Part{Topics: []string{session.TopicPose}, FromNS: begin + int64(r.FromS*1e9), ToNS: max(begin+int64(r.ToS*1e9), 1)}
	_, _, err = session.Visit(dir, part, func(e *session.Event) error {
		at := float64(e.AtNS-begin) / 1e9
		if len(r.Poses) == mostPoses {
			r.ToS = at
			return errPosesFull
		}
		var p message.Pose
		if perr := message.UnmarshalPose(e.Text, &p); perr != nil {
			return fmt.Errorf("pose at %.3f s: %w", at, perr)
		}
		r.Poses = append(r.Poses, recordedPose{AtS: thousandths(at), Frame: p.Frame, Coalition: p.Coalition, JointsM: rounded(p.JointsM)})
		return nil
	})
	if errors.Is(err, errPosesFull) {
		err = nil
	}
	return r, err
}

// errPosesFull ends a visit that found as many poses as an answer holds.
var errPosesFull = errors.New("enough poses")

func thousandths(v float64) float64 { return math.Round(v*1000) / 1000 }

func rounded(joints *[17][3]float64) *[17][3]float64 {
	if joints == nil {
		return nil
	}
	out := *joints
	for j := range out {
		for k := range out[j] {
			out[j][k] = thousandths(out[j][k])
		}
	}
	return &out
}
