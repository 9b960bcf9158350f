package hub

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

// jobSchema is the name of the format of a job.
const jobSchema = "posefuse.job.v1"

// Job is a retraining that a room asks for.
type Job struct {
	Schema   string    `json:"schema"`
	ID       string    `json:"id"`
	Room     string    `json:"room"`
	Version  string    `json:"version"` // of the room's program
	Created  time.Time `json:"created"`
	Sessions []Session `json:"sessions"`
	Judge    []Parcel  `json:"judge"` // labelled recordings to judge by
	Model    Model     `json:"model"` // that serves, to be trained further
}

// Session is a recorded session of a job.
type Session struct {
	Name   string `json:"name"`
	Parcel Parcel `json:"parcel"`
}

// Model is a checkpoint of a job.
type Model struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the weights
	// Parcel is its folder; nil for the model inside the program.
	Parcel *Parcel `json:"parcel,omitempty"`
}

// Word is what a worker says of a job last.
type Word struct {
	Worker   string          `json:"worker"`
	Time     time.Time       `json:"time"`
	Try      int             `json:"try"`                // how often the job was given to a worker
	Progress json.RawMessage `json:"progress,omitempty"` // of the retraining, see message.Retrain
	// Checkpoint is where the training stands, for whoever goes on with it.
	Checkpoint *Ref `json:"checkpoint,omitempty"`
	// Result and Failed end a job: what came of it, or why nothing did.
	Result *Ref   `json:"result,omitempty"`
	Failed string `json:"failed,omitempty"`
}

// Ended reports whether the worker is done with the job.
func (w *Word) Ended() bool { return w.Result != nil || w.Failed != "" }

// Result is what came of a job.
type Result struct {
	Candidate Parcel          `json:"candidate"` // its checkpoint's folder
	Report    json.RawMessage `json:"report"`    // what posefuse retrain reported
}

// Checkpoint is the state of a training that is not done.
type Checkpoint struct {
	Version string `json:"version"` // of the worker's program
	State   Parcel `json:"state"`
}

// idPattern is that of a job's ID, which is part of a subject.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}$`)

// check refuses a job whose names lead elsewhere.
func (j *Job) check() error {
	if j.Schema != jobSchema {
		return fmt.Errorf("job %s: its schema is %q and this program knows %q: both sides need the same version", j.ID, j.Schema, jobSchema)
	}
	if !idPattern.MatchString(j.ID) {
		return fmt.Errorf("job %q %w: no name of a job", j.ID, ErrDamaged)
	}
	names := []string{j.Room, j.Model.Name, j.Model.Version}
	for _, s := range j.Sessions {
		names = append(names, s.Name)
	}
	for _, n := range names {
		if !plainName.MatchString(n) {
			return fmt.Errorf("job %s %w: %q is no name", j.ID, ErrDamaged, n)
		}
	}
	return nil
}
