package retrain

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/train"
)

// Names of the sets that the gate looks at.
const (
	NewSet = "new" // labelled recordings like those trained on
	OldSet = "old" // what the serving model was judged by
)

// Rule is what a candidate must do to be promoted.
type Rule struct {
	MarginPercent float64 // by which its error on the new set must be lower
	LimitPercent  float64 // by which it may be higher for a coalition or an activity
}

// Check reports a rule that is none.
func (r Rule) Check() error {
	if !(r.MarginPercent > 0 && r.MarginPercent < 100) || !(r.LimitPercent >= 0 && r.LimitPercent < 100) {
		return fmt.Errorf("gate: a margin of %g %% and a limit of %g %%: want a margin above 0 and a limit from 0, both below 100", r.MarginPercent, r.LimitPercent)
	}
	return nil
}

// Judge decides by the figures of both models. The group "all" of the new set
// must fall by the margin; nothing else may rise above the limit.
func (r Rule) Judge(figures []registry.Figure, against string, at time.Time) *registry.Gate {
	g := &registry.Gate{Time: at.UTC().Format(time.RFC3339), Against: against, MarginPercent: r.MarginPercent, LimitPercent: r.LimitPercent, Figures: figures}
	var target, worst *registry.Figure
	for i := range figures {
		f := &figures[i]
		if !finite(f.AfterMM) || !finite(f.BeforeMM) || f.Frames == 0 {
			g.Reason = fmt.Sprintf("%s, %s: %g mm before and %g mm after on %d frames: nothing can be said", f.Set, f.Group, f.BeforeMM, f.AfterMM, f.Frames)
			return g
		}
		if f.Set == NewSet && f.Group == allSensors {
			target = f
		}
		if worst == nil || f.ChangePercent() > worst.ChangePercent() {
			worst = f
		}
	}
	switch {
	case target == nil:
		g.Reason = "no labelled recording of the new kind to judge by"
	case target.ChangePercent() > -r.MarginPercent:
		g.Reason = fmt.Sprintf("not better by the margin of %g %%: %.1f mm instead of %.1f on new recordings (%+.1f %%)", r.MarginPercent, target.AfterMM, target.BeforeMM, target.ChangePercent())
	case worst.ChangePercent() > r.LimitPercent:
		g.Reason = fmt.Sprintf("worse by more than %g %%: %s recordings, %s, %.1f mm instead of %.1f (%+.1f %%)", r.LimitPercent, worst.Set, worst.Group, worst.AfterMM, worst.BeforeMM, worst.ChangePercent())
	default:
		g.Passed = true
		g.Reason = fmt.Sprintf("better: %.1f mm instead of %.1f on new recordings (%+.1f %%); the worst of %d groups is %s recordings, %s (%+.1f %%)",
			target.AfterMM, target.BeforeMM, target.ChangePercent(), len(figures), worst.Set, worst.Group, worst.ChangePercent())
	}
	return g
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// allSensors is the group of all sensors and activities of a set.
const allSensors = "all"

// compare evaluates both models on a set.
func compare(ctx context.Context, set string, before, after *model.Network, data *train.Data) ([]registry.Figure, error) {
	var reports [2]*train.Report
	for i, net := range []*model.Network{before, after} {
		rep, err := train.Evaluate(ctx, net, data, nil, net.Config.Mask().Subsets(), data.Describe(), nil)
		if err != nil {
			return nil, fmt.Errorf("evaluate on %s recordings: %w", set, err)
		}
		reports[i] = rep
	}
	b, a := reports[0], reports[1]
	full := before.Config.Mask().String()
	figures := []registry.Figure{figure(set, allSensors, b.Coalitions[full], a.Coalitions[full])}
	for _, name := range slices.Sorted(maps.Keys(b.Coalitions)) {
		if name != full {
			figures = append(figures, figure(set, "coalition "+name, b.Coalitions[name], a.Coalitions[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Activities)) {
		figures = append(figures, figure(set, "activity "+name, b.Activities[name], a.Activities[name]))
	}
	return figures, nil
}

func figure(set, group string, before, after train.Score) registry.Figure {
	return registry.Figure{Set: set, Group: group, Frames: min(before.Frames, after.Frames), BeforeMM: before.MPJPEMM, AfterMM: after.MPJPEMM}
}
