package retrain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/sensors/modality"
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

// Judge decides by the errors of both models. Chance is known: the error of all
// sensors on the new set must have fallen by more than the margin, shown by a
// one-sided bound of 95 %; that on the old set must not have risen by more than the
// limit, by two units at least; and no coalition or activity may be shown to have
// risen by more than the limit, at a level of 5 % for all of them together (Holm).
// Where there is too little to tell, the verdict says so.
func (r Rule) Judge(of []comparison, against string, at time.Time) *registry.Gate {
	g := &registry.Gate{Time: at.UTC().Format(time.RFC3339), Against: against, MarginPercent: r.MarginPercent, LimitPercent: r.LimitPercent}
	chances := make([]float64, len(of))
	for i := range of {
		c := &of[i]
		if !finite(c.AfterMM) || !finite(c.BeforeMM) || c.Frames == 0 {
			g.Reason = fmt.Sprintf("%s, %s: %g mm before and %g mm after on %d frames: nothing can be said", c.Set, c.Group, c.BeforeMM, c.AfterMM, c.Frames)
			return g
		}
		c.interval()
		chances[i] = c.above(r.LimitPercent)
	}
	for i, worse := range holm(chances) {
		c := &of[i]
		c.Verdict = registry.CannotTell
		switch in := c.Interval; {
		case worse:
			c.Verdict = registry.Worse
		case in != nil && in.HighPercent < -r.MarginPercent:
			c.Verdict = registry.Better
		case in != nil && in.HighPercent <= r.LimitPercent:
			c.Verdict = registry.NotWorse
		}
		g.Figures = append(g.Figures, c.Figure)
	}
	g.Reason = r.reason(g.Figures)
	if g.Reason == "" {
		g.Passed = true
		g.Reason = r.praise(g.Figures)
	}
	return g
}

// doubtful is how many times the serving model's error on old recordings that on
// new ones may be: what is judged by wrong labels is better when it has learned
// them, so labels that no model of use could be so far from are left to a person.
const doubtful = 4

// reason says why a candidate does not pass, "" if it does.
func (r Rule) reason(figures []registry.Figure) string {
	var target, kept, worst *registry.Figure
	for i := range figures {
		f := &figures[i]
		switch {
		case f.Group == allSensors && f.Set == NewSet:
			target = f
		case f.Group == allSensors && f.Set == OldSet:
			kept = f
		}
		if f.Verdict == registry.Worse && (worst == nil || f.ChangePercent() > worst.ChangePercent()) {
			worst = f
		}
	}
	switch {
	case target == nil:
		return "no labelled recording of the new kind to judge by"
	case kept != nil && target.BeforeMM > doubtful*kept.BeforeMM:
		return fmt.Sprintf("the labels of the new recordings are %.0f mm from what the serving model sees, those of old recordings %.0f: they are doubtful (another frame, person or time?), and what learns them looks better by them", target.BeforeMM, kept.BeforeMM)
	case worst != nil && worst.Set == NewSet && worst.Group == allSensors, target.ChangePercent() > -r.MarginPercent:
		return fmt.Sprintf("not better by the margin of %g %%: %s", r.MarginPercent, describe(target))
	case worst != nil:
		return fmt.Sprintf("worse by more than %g %%: %s", r.LimitPercent, describe(worst))
	case kept != nil && kept.Verdict == registry.CannotTell && kept.ChangePercent() > r.LimitPercent:
		return fmt.Sprintf("worse by more than %g %%, as far as can be told: %s", r.LimitPercent, describe(kept))
	case target.Verdict != registry.Better:
		return fmt.Sprintf("cannot tell whether it is better by the margin of %g %%: %s; %s", r.MarginPercent, describe(target), more(target, "record more labelled sessions"))
	case kept != nil && kept.Interval == nil:
		return fmt.Sprintf("cannot tell whether it is worse by more than %g %%: %s; %s", r.LimitPercent, describe(kept), more(kept, "judge by more old recordings (--old-judge)"))
	}
	return ""
}

// more says what would tell.
func more(f *registry.Figure, how string) string {
	if f.Interval == nil {
		return "one " + singular[f.Of] + " tells nothing of chance: " + how
	}
	return how
}

// singular of registry.Figure.Of.
var singular = map[string]string{people: "person", clips: "clip"}

// praise says how much better a candidate is, and what could not be told.
func (r Rule) praise(figures []registry.Figure) string {
	unknown := 0
	worst := &figures[0]
	for i := range figures {
		if figures[i].Verdict == registry.CannotTell {
			unknown++
		}
		if figures[i].ChangePercent() > worst.ChangePercent() {
			worst = &figures[i]
		}
	}
	text := fmt.Sprintf("better: %s; none of %d groups is worse by more than %g %%", describe(&figures[0]), len(figures), r.LimitPercent)
	if unknown > 0 {
		text += fmt.Sprintf(", %d have too few recordings to tell, the highest is %s (more --old-judge, or record them)", unknown, describe(worst))
	}
	return text
}

// describe is a figure in words.
func describe(f *registry.Figure) string {
	text := fmt.Sprintf("%s recordings, %s, %.1f mm instead of %.1f (%+.1f %%", f.Set, f.Group, f.AfterMM, f.BeforeMM, f.ChangePercent())
	if in := f.Interval; in != nil {
		text += fmt.Sprintf(", between %+.1f and %+.1f by %d %s", in.LowPercent, in.HighPercent, f.Units, f.Of)
	}
	return text + ")"
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// allSensors is the group of all sensors and activities of a set.
const allSensors = "all"

// What the units of a figure are.
const (
	people = "people"
	clips  = "clips"
)

// Compare tells how the errors of all sensors of two models differ on data that
// neither was trained on.
func Compare(ctx context.Context, set string, before, after *model.Network, data *train.Data) (registry.Figure, error) {
	all, err := compare(ctx, set, before, after, data)
	if err != nil {
		return registry.Figure{}, err
	}
	all[0].interval()
	return all[0].Figure, nil
}

// compare evaluates both models on a set.
func compare(ctx context.Context, set string, before, after *model.Network, data *train.Data) ([]comparison, error) {
	var reports [2]*train.Report
	for i, net := range []*model.Network{before, after} {
		rep, err := train.Evaluate(ctx, net, data, nil, net.Config.Mask().Subsets(), data.Describe(), nil)
		if err != nil {
			return nil, fmt.Errorf("evaluate on %s recordings: %w", set, err)
		}
		reports[i] = rep
	}
	full := before.Config.Mask()
	masks := slices.DeleteFunc(full.Subsets(), func(m modality.Set) bool { return m == full })
	slices.SortFunc(masks, func(a, b modality.Set) int { return cmp.Compare(a.String(), b.String()) })
	var out []comparison
	for _, m := range append([]modality.Set{full}, masks...) {
		group := allSensors
		if m != full {
			group = "coalition " + m.String()
		}
		out = append(out, coalition(set, group, data, reports[0].PerClip[m.String()], reports[1].PerClip[m.String()]))
	}
	return append(out, activities(set, data, reports[0].PerClip[full.String()], reports[1].PerClip[full.String()])...), nil
}

// scored is a group of clips by whatever its key is.
type scored struct {
	frames        int
	before, after float64 // sums, mm
	units         []paired
}

func (s *scored) add(before, after train.Score) {
	n := float64(before.Frames)
	s.frames += before.Frames
	s.before, s.after = s.before+n*before.MPJPEMM, s.after+n*after.MPJPEMM
	s.units = append(s.units, paired{n * before.MPJPEMM, n * after.MPJPEMM})
}

func (s *scored) figure(set, group, of string) registry.Figure {
	n := math.Max(float64(s.frames), 1)
	return registry.Figure{Set: set, Group: group, Frames: s.frames, Units: len(s.units), Of: of, BeforeMM: s.before / n, AfterMM: s.after / n}
}

// leastPeople is the fewest people that are compared as such; the clips of fewer
// are, and what is said then holds for these people only.
const leastPeople = 5

// coalition compares both models on all clips with one set of sensors: its units
// are people, or the clips of a few.
func coalition(set, group string, data *train.Data, before, after []train.Score) comparison {
	whole, each := &scored{}, map[int]*scored{}
	for i, c := range data.Clips {
		if before[i].Frames == 0 {
			continue
		}
		if each[c.Key.Subject] == nil {
			each[c.Key.Subject] = &scored{}
		}
		each[c.Key.Subject].add(before[i], after[i])
		whole.add(before[i], after[i])
	}
	of := clips
	if len(each) >= leastPeople {
		of, whole.units = people, nil
		for _, k := range slices.Sorted(maps.Keys(each)) {
			whole.units = append(whole.units, paired{each[k].before, each[k].after})
		}
	}
	c := comparison{Figure: whole.figure(set, group, of)}
	c.se, c.df = spread(whole.units)
	return c
}

// activities compares both models on the clips of each activity.
func activities(set string, data *train.Data, before, after []train.Score) (out []comparison) {
	each := map[int]*scored{}
	for i, c := range data.Clips {
		if before[i].Frames == 0 {
			continue
		}
		if each[c.Key.Activity] == nil {
			each[c.Key.Activity] = &scored{}
		}
		each[c.Key.Activity].add(before[i], after[i])
	}
	keys := slices.Sorted(maps.Keys(each))
	var all [][]paired
	for _, k := range keys {
		all = append(all, each[k].units)
	}
	sd, df := pooled(all)
	for _, k := range keys {
		s := each[k]
		c := comparison{Figure: s.figure(set, fmt.Sprintf("activity A%02d", k), clips)}
		c.se, c.df = sd/math.Sqrt(float64(len(s.units))), df
		if len(s.units) >= ownSpread {
			c.se, c.df = spread(s.units)
		}
		out = append(out, c)
	}
	return out
}
