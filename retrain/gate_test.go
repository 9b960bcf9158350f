package retrain

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"posefuse/model/registry"
)

func TestGate(t *testing.T) {
	fig := func(set, group string, before, after float64) registry.Figure {
		return registry.Figure{Set: set, Group: group, Frames: 100, BeforeMM: before, AfterMM: after}
	}
	better := fig(NewSet, allSensors, 100, 90)
	for _, c := range []struct {
		name    string
		figures []registry.Figure
		passed  bool
		reason  string
	}{
		{"better everywhere", []registry.Figure{better, fig(OldSet, allSensors, 60, 60)}, true, "-10.0 %"},
		{"just within the limit", []registry.Figure{better, fig(OldSet, "activity A12", 100, 101.9)}, true, "activity A12 (+1.9 %)"},
		{"not by the margin", []registry.Figure{fig(NewSet, allSensors, 100, 98.5)}, false, "margin of 2 %"},
		{"just by the margin", []registry.Figure{fig(NewSet, allSensors, 100, 97.9)}, true, "better"},
		{"worse with one set of sensors", []registry.Figure{better, fig(NewSet, "coalition W", 200, 205)}, false, "coalition W, 205.0 mm instead of 200.0"},
		{"forgot an activity", []registry.Figure{better, fig(OldSet, allSensors, 60, 59), fig(OldSet, "activity A20", 60, 63)}, false, "old recordings, activity A20"},
		{"not a number", []registry.Figure{better, fig(OldSet, allSensors, 60, math.NaN())}, false, "nothing can be said"},
		{"no frames", []registry.Figure{better, {Set: OldSet, Group: allSensors}}, false, "0 frames"},
		{"old recordings only", []registry.Figure{fig(OldSet, allSensors, 60, 50)}, false, "no labelled recording"},
		{"nothing", nil, false, "no labelled recording"},
	} {
		g := Rule{MarginPercent: 2, LimitPercent: 2}.Judge(c.figures, "edge/1", time.Unix(0, 0))
		if g.Passed != c.passed || !strings.Contains(g.Reason, c.reason) || g.Against != "edge/1" || len(g.Figures) != len(c.figures) {
			t.Errorf("%s: %+v, want %v and %q", c.name, g, c.passed, c.reason)
		}
	}
}

// TestGatePassesWhatItShould: a candidate passes exactly if the error on new
// recordings falls by the margin and none rises above the limit.
func TestGatePassesWhatItShould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := Rule{MarginPercent: rapid.Float64Range(0.1, 20).Draw(t, "margin"), LimitPercent: rapid.Float64Range(0, 20).Draw(t, "limit")}
		figures := []registry.Figure{{Set: NewSet, Group: allSensors}, {Set: OldSet, Group: allSensors}, {Set: OldSet, Group: "activity A01"}}
		passes := true
		for i := range figures {
			change := rapid.Float64Range(-50, 50).Draw(t, "change")
			if math.Abs(change+rule.MarginPercent) < 1e-6 || math.Abs(change-rule.LimitPercent) < 1e-6 {
				return // rounding decides
			}
			figures[i].Frames, figures[i].BeforeMM, figures[i].AfterMM = 1, 80, 80*(1+change/100)
			passes = passes && change < rule.LimitPercent && (i > 0 || change < -rule.MarginPercent)
		}
		if g := rule.Judge(figures, registry.Shipped, time.Unix(0, 0)); g.Passed != passes {
			t.Errorf("%+v of %+v: %+v", rule, figures, g)
		}
	})
}

func TestBudget(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		cores     float64
		wall, cpu time.Duration // since the last call
		want      time.Duration
	}{
		{0.5, 100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond},
		{0.5, time.Second, 100 * time.Millisecond, 0},
		{2, 100 * time.Millisecond, 200 * time.Millisecond, 0},
		{1, 100 * time.Millisecond, 200 * time.Millisecond, 100 * time.Millisecond},
		{0.01, time.Second, time.Second, longestPause},
	} {
		b := &Budget{cores: c.cores, wall: now, cpu: time.Minute}
		if got := b.pause(now.Add(c.wall), time.Minute+c.cpu); got != c.want {
			t.Errorf("%+v: pauses %v", c, got)
		}
	}
}

// TestBudgetEndsWithItsContext: a pause that is under way ends.
func TestBudgetEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Budget{cores: 1e-9, wall: time.Now(), cpu: -time.Hour}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		b.Wait(ctx)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the pause took %v, want that of the context", took)
		}
	})
}
