package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"posefuse/message"
)

// retrainStages are those that a retraining may report.
var retrainStages = []string{"loading", "training", "judging", "done", "stopped", "failed"}

// retraining answers ctl.retrain.report: the process that retrains tells how it
// goes, and the daemon, whose word the room's clients take, publishes it.
func (m *modelControl) retraining(request []byte) ([]byte, error) {
	var r message.Retrain
	if err := parseRequest(request, &r); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains(retrainStages, r.Stage):
		return nil, fmt.Errorf("stage %q: want one of %v", r.Stage, retrainStages)
	case !(r.Share >= 0 && r.Share <= 1):
		return nil, fmt.Errorf("share %g: want 0 to 1", r.Share)
	case r.Epoch < 0 || r.Epochs < 0:
		return nil, fmt.Errorf("epoch %d of %d: want none below 0", r.Epoch, r.Epochs)
	case r.Stage == "done" && (r.Model == nil || !slices.Contains([]string{"candidate", "promoted", "rejected"}, r.State)):
		return nil, errors.New("a retraining that is done needs its model and what became of it: candidate, promoted or rejected")
	}
	r.Schema, r.Room = message.RetrainSchema, m.core.cfg.Room
	r.Time = m.core.clock.WallAt(m.core.clock.NowNS()).UTC().Format(time.RFC3339Nano)
	if err := m.bus.PublishRetrain(&r); err != nil {
		return nil, err
	}
	if r.Stage == "done" && r.State != "promoted" { // that is told by who promotes
		m.tell(r.State, *r.Model, r.Reason, nil)
	}
	return []byte("{}"), nil
}
