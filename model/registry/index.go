package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// indexSchema is the version of registry.json.
const indexSchema = 1

// maxIndex bounds registry.json, bytes: some ten thousand versions.
const maxIndex = 64 << 20

// ID names a version of a model. Both are names of folders.
type ID struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// String returns "name/version".
func (id ID) String() string { return id.Name + "/" + id.Version }

// ParseID reads "name/version".
func ParseID(s string) (ID, error) {
	name, version, _ := strings.Cut(s, "/")
	id := ID{name, version}
	if err := id.check(); err != nil {
		return ID{}, fmt.Errorf("model %q: %w", s, err)
	}
	return id, nil
}

var folderName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}$`)

func (id ID) check() error {
	if !folderName.MatchString(id.Name) || !folderName.MatchString(id.Version) {
		return errors.New("want NAME/VERSION, each of 1 to 64 letters, digits and ._+- that does not start with a dot")
	}
	return nil
}

// State is what became of a version.
type State string

// The states. A version is added as a candidate, may run in the shadow of the
// serving one, and is promoted or rejected. What another one replaced is retired.
const (
	Candidate State = "candidate"
	Shadow    State = "shadow"
	Promoted  State = "promoted"
	Retired   State = "retired"
	Rejected  State = "rejected"
)

// Entry is one version.
type Entry struct {
	ID
	State   State  `json:"state"`
	Reason  string `json:"reason"`  // a sentence: why it is in this state
	Changed string `json:"changed"` // RFC 3339, when the state was reached
	Added   string `json:"added"`   // RFC 3339

	SHA256     string             `json:"sha256"`      // of the weights file
	CardSHA256 string             `json:"card_sha256"` // of card.json
	Parent     string             `json:"parent"`      // sha256 of the weights it was trained from; "" if none
	Data       string             `json:"data"`        // what it was trained on
	Metrics    map[string]float64 `json:"metrics,omitempty"`

	Gate   *Gate       `json:"gate,omitempty"`   // the newest comparison with the serving model
	Shadow *ShadowRun  `json:"shadow,omitempty"` // the newest run on live ticks
	Past   []PastState `json:"past,omitempty"`   // states before, oldest first
}

// PastState is a state that a version has left.
type PastState struct {
	State   State  `json:"state"`
	Reason  string `json:"reason"`
	Changed string `json:"changed"`
}

// Gate is how a candidate did against the model that served, on labelled
// recordings.
type Gate struct {
	Time    string `json:"time"`    // RFC 3339
	Against string `json:"against"` // the serving one, "name/version" or Shipped
	Passed  bool   `json:"passed"`
	Reason  string `json:"reason"`
	// MarginPercent is by how much the error had to fall, LimitPercent by how
	// much it might rise on one coalition or activity.
	MarginPercent float64  `json:"margin_percent"`
	LimitPercent  float64  `json:"limit_percent"`
	Figures       []Figure `json:"figures"`
	// Sessions are the room's recorded ones, by name, that it learned from.
	Sessions []string `json:"sessions,omitempty"`
}

// Figure is the mean joint error of both models on one part of the recordings.
type Figure struct {
	Set      string  `json:"set"`   // what the recordings are: "new", "old"
	Group    string  `json:"group"` // "all", "coalition RL", "activity A12"
	Frames   int     `json:"frames"`
	BeforeMM float64 `json:"before_mm"` // of the serving model
	AfterMM  float64 `json:"after_mm"`  // of the candidate
	// Units are the people or clips (Of) by which chance is judged.
	Units    int             `json:"units,omitempty"`
	Of       string          `json:"of,omitempty"`
	Interval *ChangeInterval `json:"interval,omitempty"` // nil: too few units to tell
	Verdict  Verdict         `json:"verdict,omitempty"`  // "" where the gate ended before
}

// ChangeInterval holds one-sided bounds of a figure's change, each with 95 %
// confidence.
type ChangeInterval struct {
	LowPercent  float64 `json:"low_percent"`
	HighPercent float64 `json:"high_percent"`
}

// Verdict is what can be said of a figure.
type Verdict string

// The verdicts: the error fell by more than the margin, rose by no more than the
// limit, rose by more; each shown beyond chance, or not.
const (
	Better     Verdict = "better"
	NotWorse   Verdict = "not worse"
	Worse      Verdict = "worse"
	CannotTell Verdict = "cannot tell"
)

// ChangePercent is by how much the candidate's error is larger.
func (f Figure) ChangePercent() float64 {
	if f.BeforeMM == 0 {
		return 0
	}
	return 100 * (f.AfterMM/f.BeforeMM - 1)
}

// ShadowRun is how far a candidate was from the serving model on live ticks.
type ShadowRun struct {
	Time     string    `json:"time"`    // RFC 3339, of its end
	Against  string    `json:"against"` // the serving one
	Ticks    int       `json:"ticks"`   // on which both gave a pose
	Errors   int       `json:"errors"`  // on which the candidate gave none, or one that is not finite
	MeanMM   float64   `json:"mean_mm"` // distance of joints between both
	JointsMM []float64 `json:"joints_mm"`
	Sane     bool      `json:"sane"`
	Partial  bool      `json:"partial,omitempty"` // it ended before all ticks were seen
	Reason   string    `json:"reason"`
}

// Index is the content of registry.json.
type Index struct {
	Schema int `json:"schema"`
	// Serving is the promoted version, "name/version", or Shipped; "" as Shipped.
	Serving string `json:"serving"`
	// Before are the versions that served earlier, oldest first.
	Before  []string `json:"before,omitempty"`
	Entries []*Entry `json:"entries"` // in the order they were added
}

// readIndex reads registry.json and refuses what no registry writes.
func readIndex(f io.Reader) (*Index, error) {
	b, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxIndex {
		return nil, fmt.Errorf("more than %d bytes: is it a registry?", maxIndex)
	}
	x := &Index{}
	if err := json.Unmarshal(b, x); err != nil {
		return nil, fmt.Errorf("the file is damaged: %w; restore it from a backup, or move it away and add the models anew", err)
	}
	if x.Schema != indexSchema {
		return nil, fmt.Errorf("schema %d, this build reads %d: use the build that wrote it", x.Schema, indexSchema)
	}
	return x, x.check()
}

// check reports an index that contradicts itself.
func (x *Index) check() error {
	seen := map[ID]bool{}
	for _, e := range x.Entries {
		switch {
		case e == nil:
			return errors.New("an entry is null")
		case seen[e.ID]:
			return fmt.Errorf("two entries are called %s", e.ID)
		case !slices.Contains([]State{Candidate, Shadow, Promoted, Retired, Rejected}, e.State):
			return fmt.Errorf("model %s: state %q is none", e.ID, e.State)
		case (e.State == Promoted) != (e.ID.String() == x.Serving):
			return fmt.Errorf("model %s is %s, and %s serves", e.ID, e.State, x.ServingName())
		}
		if err := e.ID.check(); err != nil {
			return fmt.Errorf("model %s: %w", e.ID, err)
		}
		seen[e.ID] = true
	}
	if s := x.ServingName(); s != Shipped && x.ref(s) == nil {
		return fmt.Errorf("model %s serves and has no entry", s)
	}
	return nil
}

// ServingName returns the version that serves, or Shipped.
func (x *Index) ServingName() string {
	if x.Serving == "" {
		return Shipped
	}
	return x.Serving
}

// Earlier returns the version that a roll-back tries first, or Shipped; "" if there
// is nothing to go back to.
func (x *Index) Earlier() string {
	if x.ServingName() == Shipped {
		return ""
	}
	for _, ref := range slices.Backward(x.Before) {
		if ref == Shipped {
			break
		}
		if e := x.ref(ref); e != nil && e.State != Rejected {
			return ref
		}
	}
	return Shipped
}

// chain lists what serves and what served before, newest first.
func (x *Index) chain() []string {
	out := []string{x.ServingName()}
	for _, ref := range slices.Backward(x.Before) {
		out = append(out, ref)
	}
	return out
}

// Find returns the entry of a version, nil if there is none.
func (x *Index) find(id ID) *Entry { return x.ref(id.String()) }

func (x *Index) ref(name string) *Entry {
	for _, e := range x.Entries {
		if e.ID.String() == name {
			return e
		}
	}
	return nil
}

// get is find with an error that says what to do.
func (x *Index) get(id ID) (*Entry, error) {
	if e := x.find(id); e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("model %s %w: add it first (posefuse models add)", id, ErrUnknown)
}

// move gives an entry another state.
func (e *Entry) move(to State, reason string) {
	e.Past = append(e.Past, PastState{e.State, e.Reason, e.Changed})
	e.State, e.Reason, e.Changed = to, reason, now()
}
