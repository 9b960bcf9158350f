package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"posefuse/intake"
	"posefuse/message"
	"posefuse/skeleton"
)

// PoseConfig is what becomes of the network's poses before they are published.
type PoseConfig struct {
	// Filter smooths joints that do not move.
	Filter SwitchConfig `yaml:"filter"`
	// Bones learns the lengths of the person's bones from quiet standing and keeps
	// them.
	Bones SwitchConfig `yaml:"bones"`
}

// SwitchConfig turns something on.
type SwitchConfig struct {
	Enabled bool `yaml:"enabled"`
}

// bodyStage gives the poses of the ticks to the skeleton's stage and tells it when
// the person is a new one.
type bodyStage struct {
	do   skeleton.Options
	anew atomic.Bool // somebody asked for it

	mu      sync.Mutex // guards what follows; tick and reporter use it
	stage   *skeleton.Stage
	sinceNS int64 // of the person's track in the newest tick with one; 0 is none
}

// newBodyStage returns the stage of a configuration, nil if nothing is to be done.
func newBodyStage(c PoseConfig) *bodyStage {
	do := skeleton.Options{Filter: c.Filter.Enabled, Bones: c.Bones.Enabled}
	if do == (skeleton.Options{}) {
		return nil
	}
	return &bodyStage{do: do, stage: skeleton.NewStage(do)}
}

// take replaces the joints of a tick's result by what is known of the person, and
// reports whether their bones have the person's lengths.
func (b *bodyStage) take(atNS int64, in *intake.Intake, r *result) (calibrated bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.anew.Swap(false) {
		b.stage.NewPerson()
	}
	if track, there, _ := in.Person(); there && track.SinceNS != b.sinceNS {
		b.sinceNS = track.SinceNS
		b.stage.NewPerson()
	}
	return b.stage.Next(atNS, r.present, &r.joints)
}

// newNetwork says that the next poses come from another one.
func (b *bodyStage) newNetwork() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stage.NewNetwork()
}

// calibrate answers the request to learn the person anew.
func (b *bodyStage) calibrate([]byte) ([]byte, error) {
	if b == nil || !b.do.Bones {
		return nil, errors.New("pose.bones.enabled is false: there is nothing to calibrate")
	}
	b.anew.Store(true)
	return json.Marshal(map[string]bool{"calibrating": true})
}

// health says what is known of the person's body.
func (b *bodyStage) health() message.PartHealth {
	h := message.PartHealth{Part: "body", Code: stateOff, Severity: severityOK,
		Text: "poses are published as the network gives them: pose.filter.enabled and pose.bones.enabled are false"}
	if b == nil {
		return h
	}
	b.mu.Lock()
	l, known := b.stage.Lengths()
	delayS := b.stage.DelayS()
	b.mu.Unlock()
	filter := "the filter is off"
	if b.do.Filter {
		filter = fmt.Sprintf("the filter has made movement %.0f ms late over the last seconds", 1e3*delayS)
	}
	switch {
	case !b.do.Bones:
		h.Code, h.Text = "ok", filter
	case !known:
		h.Code, h.Text = "not_calibrated", "bones are not known yet: they are learned once the person stands quietly for 2 s; "+filter
	default:
		h.Code, h.Text = "calibrated", fmt.Sprintf("bones are known: legs and trunk measure %.2f m; %s", l.SizeM(), filter)
	}
	return h
}
