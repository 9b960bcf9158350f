package session

import (
	"fmt"
	"time"
)

// States of a recorder.
const (
	StateIdle      = "idle"
	StateRecording = "recording"
)

// slowAfter is how long the disk may take over one thing before the recorder says
// that it is slow, and lossFor how long it speaks of a loss.
const (
	slowAfter = 700 * time.Millisecond
	lossFor   = 10 * time.Second
)

// Status is what a recorder does.
type Status struct {
	State    string            `json:"state"`
	Session  string            `json:"session,omitempty"` // the one being recorded, or the last one
	Subject  string            `json:"subject,omitempty"`
	Since    *time.Time        `json:"since,omitempty"`
	Messages uint64            `json:"messages"`
	Bytes    int64             `json:"bytes"`         // on the disk
	Raw      []string          `json:"raw,omitempty"` // sensors whose raw bytes are recorded, too
	Dropped  map[string]uint64 `json:"dropped,omitempty"`
	// Code is "ok", or what is wrong: "disk_full", "read_only", "unwritable",
	// "slow", "dropping"; Text says it for people, with what to do.
	Code string `json:"code"`
	Text string `json:"text,omitempty"`
}

// Status returns what the recorder does. It does not wait for the disk.
func (r *Recorder) Status() Status {
	if x := r.active.Load(); x != nil {
		return x.status()
	}
	if !r.mu.TryLock() { // a session is being started or stopped
		return Status{State: StateIdle, Code: "ok"}
	}
	defer r.mu.Unlock()
	s := r.last
	s.State, s.Code, s.Text = StateIdle, "ok", ""
	return s
}

func (x *run) status() Status {
	s := Status{State: StateRecording, Session: x.started.ID, Subject: x.started.Subject, Since: &x.started.Started,
		Messages: x.messages.Load(), Bytes: x.bytes.Load(), Dropped: x.drops(), Raw: x.started.Raw, Code: "ok"}
	now := x.r.cfg.Clock.NowNS()
	busy := x.busySince.Load()
	switch p := x.problem.Load(); {
	case p != nil:
		var todo string
		s.Code, todo = trouble(*p)
		s.Text = fmt.Sprintf("nothing is recorded: %v; %s", *p, todo)
	case busy != 0 && now-busy > int64(slowAfter):
		s.Code = "slow"
		s.Text = fmt.Sprintf("the disk has taken nothing for %.1f s; what waits longer than the queue holds is lost: use a faster disk for state_dir", time.Duration(now-busy).Seconds())
	case x.droppedNS.Load() != 0 && now-x.droppedNS.Load() < int64(lossFor):
		s.Code = "dropping"
		s.Text = fmt.Sprintf("more comes than the disk takes, %v were not recorded: use a faster disk for state_dir", s.Dropped)
	}
	return s
}
