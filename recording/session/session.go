// Package session keeps what a room saw: it records samples, poses and exercises
// of a running daemon into folders of MCAP files, brings back what a crash left,
// deletes by age, size or person, and gives recorded sessions back in time order.
//
// A session is a folder <state>/sessions/<id> with
//
//	session.json      what it is: Info
//	000001.mcap ...   segments; one that is being written ends in .part
//
// It belongs to one pseudonym, and nothing is recorded without consent. What drivers
// read of their wires is part of it for the sensors that were asked for; pictures
// never are.
//
// Times are those of the room clock, ns, unless a name says otherwise. A message's
// log time in the files is the session's AnchorNS plus the room time at which the
// sample was handed on, so that a step of the wall clock during a session neither
// reorders nor stretches it; the channel /clock tells of such steps.
package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"posefuse/frame"
	"posefuse/internal/jsonfile"
)

// Folder is where sessions lie in a daemon's state.
const Folder = "sessions"

// Schema is the name of the format of session.json.
const Schema = "posefuse.session.v1"

// States of a session.
const (
	Recording = "recording" // or left so by a crash, until it is recovered
	Complete  = "complete"
	Recovered = "recovered" // after a crash or damage
)

// Names within a session's folder.
const (
	infoFile   = "session.json"
	segmentExt = ".mcap"
	partExt    = ".part"    // of a segment that is being written
	damagedExt = ".damaged" // of one as it was before it was recovered
)

// Info is what session.json holds.
type Info struct {
	Schema   string     `json:"schema"`
	ID       string     `json:"id"`
	Room     string     `json:"room"`
	State    string     `json:"state"`
	Subject  string     `json:"subject"` // pseudonym
	Consent  Consent    `json:"consent"`
	Note     string     `json:"note,omitempty"`
	Started  time.Time  `json:"started"`           // wall clock
	Stopped  *time.Time `json:"stopped,omitempty"` // null while it is recorded, or if nobody stopped it
	AnchorNS int64      `json:"anchor_ns"`         // Unix time of room time zero as the session began, ns
	Version  string     `json:"version"`           // of the daemon
	Model    string     `json:"model,omitempty"`   // name and version as it began

	Raw []string `json:"raw,omitempty"` // sensors whose raw bytes were asked for, by name of the modality

	Segments []Segment         `json:"segments"`
	Dropped  map[string]uint64 `json:"dropped,omitempty"` // by reason: what was not recorded
	Lost     uint64            `json:"lost,omitempty"`    // messages that damage took, as far as known
	// Rig is where the sensors stood, as the daemon took them to; null: not known.
	Rig *frame.Rig `json:"rig,omitempty"`
	// Setup is what the daemon needs to make poses of the samples again.
	Setup json.RawMessage `json:"setup,omitempty"`
}

// Consent says that the person agreed to be recorded.
type Consent struct {
	Given bool      `json:"given"`
	Noted time.Time `json:"noted"`
}

// Segment is one file of a session.
type Segment struct {
	File     string            `json:"file"`
	Bytes    int64             `json:"bytes"`
	Messages map[string]uint64 `json:"messages"` // by channel
	FromNS   int64             `json:"from_ns"`  // room clock
	ToNS     int64             `json:"to_ns"`
}

// Messages returns how many messages the session holds, and by channel.
func (i *Info) Messages() (n uint64, by map[string]uint64) {
	by = map[string]uint64{}
	for _, s := range i.Segments {
		for topic, k := range s.Messages {
			by[topic] += k
			n += k
		}
	}
	return n, by
}

// Bytes returns the size of the segments.
func (i *Info) Bytes() (n int64) {
	for _, s := range i.Segments {
		n += s.Bytes
	}
	return n
}

// Duration returns the time from the first message to the last.
func (i *Info) Duration() time.Duration {
	var from, to int64
	for k, s := range i.Segments {
		if k == 0 || s.FromNS < from {
			from = s.FromNS
		}
		to = max(to, s.ToNS)
	}
	return time.Duration(to - from)
}

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such session")
	ErrBusy     = errors.New("it is being recorded")
	ErrInvalid  = errors.New("refused")
)

var (
	idPattern      = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$`)
	subjectPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,31}$`)
)

// CheckSubject refuses what cannot be a pseudonym.
func CheckSubject(s string) error {
	if !subjectPattern.MatchString(s) {
		return fmt.Errorf("%w: subject %q: give a pseudonym of letters, digits, - and _, at most 32, such as P017; no name and no birthday", ErrInvalid, s)
	}
	return nil
}

// Read reads the session.json of a session's folder.
func Read(dir string) (Info, error) {
	var i Info
	b, err := os.ReadFile(filepath.Join(dir, infoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return i, fmt.Errorf("%s: %w: it has no %s", dir, ErrNotFound, infoFile)
	}
	if err != nil {
		return i, fmt.Errorf("session: %w", err)
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("%s: %w; posefuse sessions recover makes it anew from the segments", filepath.Join(dir, infoFile), err)
	}
	if i.Schema != Schema {
		return i, fmt.Errorf("%s: its schema is %q and this program knows %q; use a newer one", filepath.Join(dir, infoFile), i.Schema, Schema)
	}
	return i, nil
}

func (i *Info) write(dir string) error { return jsonfile.Write(filepath.Join(dir, infoFile), i) }

// Find returns the folder of a session by its name below root, or by its path.
func Find(root, name string) (string, error) {
	dir := name
	if !strings.ContainsRune(name, filepath.Separator) {
		if !idPattern.MatchString(name) {
			return "", fmt.Errorf("%w: session %q: give the name that posefuse sessions list shows, or a path", ErrInvalid, name)
		}
		dir = filepath.Join(root, name)
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return "", fmt.Errorf("%w: %s; posefuse sessions list shows what there is", ErrNotFound, dir)
	}
	return dir, nil
}

// Entry is one folder of a list.
type Entry struct {
	Dir  string
	Info Info
	Err  error // why Info says nothing
}

// List returns the sessions below root, the oldest first. One that cannot be read
// is in the list with the reason.
func List(root string) ([]Entry, error) {
	dirs, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	var out []Entry
	for _, d := range dirs {
		if !d.IsDir() || !idPattern.MatchString(d.Name()) {
			continue
		}
		e := Entry{Dir: filepath.Join(root, d.Name())}
		if e.Info, e.Err = Read(e.Dir); e.Err != nil {
			e.Info = Info{ID: d.Name()}
		}
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b Entry) int {
		if c := a.Info.Started.Compare(b.Info.Started); c != 0 {
			return c
		}
		return strings.Compare(a.Dir, b.Dir)
	})
	return out, nil
}

// segmentFiles returns the names of a session's segments in order: whole ones and
// parts.
func segmentFiles(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if e.Type().IsRegular() && strings.HasSuffix(strings.TrimSuffix(name, partExt), segmentExt) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// LeftBehind reports whether a file of a session's folder is not needed elsewhere:
// what was damaged before it was recovered.
func LeftBehind(name string) bool { return strings.HasSuffix(name, damagedExt) }
