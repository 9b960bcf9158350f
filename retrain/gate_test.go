package retrain

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"posefuse/model/registry"
)

func TestGate(t *testing.T) {
	// fig is a comparison whose change has a standard error of se per cent by so
	// many units; none knows nothing of chance.
	fig := func(set, group string, before, after, se float64, units int) comparison {
		return comparison{registry.Figure{Set: set, Group: group, Frames: 100, Units: units, Of: clips, BeforeMM: before, AfterMM: after}, se, float64(max(units-1, 0))}
	}
	better := fig(NewSet, allSensors, 100, 80, 2, 6)
	same := fig(OldSet, allSensors, 60, 60, 0.5, 9)
	for _, c := range []struct {
		name   string
		of     []comparison
		passed bool
		reason string
	}{
		{"better everywhere", []comparison{better, same}, true, "-20.0 %"},
		{"a single clip by chance", []comparison{better, same, fig(OldSet, "activity A12", 100, 132, 15, 40)}, true, "1 have too few recordings to tell, the highest is old recordings, activity A12"},
		{"a clip beyond chance", []comparison{better, same, fig(OldSet, "activity A12", 100, 200, 15, 40)}, false, "old recordings, activity A12"},
		{"an activity of which nothing is known", []comparison{better, same, fig(NewSet, "activity A01", 100, 200, 0, 1)}, true, "too few"},
		{"not by the margin", []comparison{fig(NewSet, allSensors, 100, 98.5, 0.1, 6), same}, false, "margin of 2 %"},
		{"just by the margin", []comparison{fig(NewSet, allSensors, 100, 97.9, 0.01, 6), same}, true, "better"},
		{"by the margin, or by chance", []comparison{fig(NewSet, allSensors, 100, 95, 3, 6), same}, false, "cannot tell whether it is better"},
		{"one clip", []comparison{fig(NewSet, allSensors, 100, 50, 0, 1), same}, false, "one clip tells nothing of chance: record more"},
		{"worse with one set of sensors", []comparison{better, same, fig(NewSet, "coalition W", 200, 240, 1, 9)}, false, "coalition W, 240.0 mm instead of 200.0"},
		{"forgot a little", []comparison{better, fig(OldSet, allSensors, 60, 63, 0.5, 9)}, false, "worse by more than 2 %: old recordings, all"},
		{"forgot, as far as can be told", []comparison{better, fig(OldSet, allSensors, 60, 63, 5, 9)}, false, "as far as can be told"},
		{"forgot no more than the limit", []comparison{better, fig(OldSet, allSensors, 60, 60.5, 5, 9)}, true, "better"},
		{"perhaps forgot, by one clip", []comparison{better, fig(OldSet, allSensors, 60, 60.5, 0, 1)}, false, "--old-judge"},
		{"labels that nothing agrees with", []comparison{fig(NewSet, allSensors, 404, 300, 2, 6), fig(OldSet, allSensors, 76, 76, 0.5, 9)}, false, "they are doubtful"},
		{"a room that is hard", []comparison{fig(NewSet, allSensors, 220, 150, 2, 6), same}, true, "better"},
		{"not a number", []comparison{better, fig(OldSet, allSensors, 60, math.NaN(), 1, 9)}, false, "nothing can be said"},
		{"no frames", []comparison{better, {Figure: registry.Figure{Set: OldSet, Group: allSensors}}}, false, "0 frames"},
		{"old recordings only", []comparison{fig(OldSet, allSensors, 60, 50, 1, 9)}, false, "no labelled recording"},
		{"nothing", nil, false, "no labelled recording"},
	} {
		g := Rule{MarginPercent: 2, LimitPercent: 2}.Judge(c.of, "edge/1", time.Unix(0, 0))
		if g.Passed != c.passed || !strings.Contains(g.Reason, c.reason) || g.Against != "edge/1" {
			t.Errorf("%s: %+v, want %v and %q", c.name, g, c.passed, c.reason)
		}
	}
}

// TestGateKnowsChance draws gates whose 30 groups are all by the limit worse, or by
// the margin better, and no more: candidates that chance makes look worse, or
// better, are rare, and those that are much worse for one group are found.
func TestGateKnowsChance(t *testing.T) {
	const draws, groups, persons = 150, 30, 8
	rule := Rule{MarginPercent: 2, LimitPercent: 2}
	rng := rand.New(rand.NewPCG(1, 2))
	gate := func(newChange, oldChange, bad float64) *registry.Gate {
		var of []comparison
		for g := range groups {
			change, set, group := oldChange, OldSet, fmt.Sprintf("coalition %d", g)
			switch g {
			case 0:
				set, group, change = NewSet, allSensors, newChange
			case 1:
				group = allSensors
				change = -10 // shown
			case 2:
				change += bad
			}
			s := &scored{}
			for range persons {
				before := 80 + 30*rng.Float64()
				s.before += before
				after := before * (1 + change/100 + 0.08*rng.NormFloat64())
				s.after += after
				s.frames++
				s.units = append(s.units, paired{before, after})
			}
			c := comparison{Figure: s.figure(set, group, people)}
			c.se, c.df = spread(s.units)
			of = append(of, c)
		}
		return rule.Judge(of, registry.Shipped, time.Unix(0, 0))
	}
	worse, lucky, found := 0, 0, 0
	for range draws {
		g := gate(-30, 2, 0)
		if strings.Contains(g.Reason, "worse by more") && !g.Passed {
			worse++
		}
		if gate(-2, -5, 0).Passed {
			lucky++
		}
		if g = gate(-30, -5, 60); !g.Passed && strings.Contains(g.Reason, "coalition 2,") {
			found++
		}
	}
	t.Logf("of %d: called worse by chance %d, better by chance %d; found %d of those worse by 55 %%", draws, worse, lucky, found)
	if share := float64(worse) / draws; share > 0.08 {
		t.Errorf("%.3f of the candidates are called worse by chance, want about %g", share, level)
	}
	if share := float64(lucky) / draws; share > 0.08 {
		t.Errorf("%.3f of the candidates are called better by chance, want about %g", share, level)
	}
	if share := float64(found) / draws; share < 0.95 {
		t.Errorf("%.3f of the candidates with a much worse coalition are found", share)
	}
}

// TestSpreadsOfFewClips: the error of a ratio by hand, and that of an activity of
// one clip from the others.
func TestSpreadsOfFewClips(t *testing.T) {
	// Ratios 0.8 and 1.0 of equal weight: 0.9 on average, residuals ∓10 of 100.
	if se, df := spread([]paired{{100, 80}, {100, 100}}); math.Abs(se-10) > 1e-9 || df != 1 {
		t.Errorf("two units: %g %% with %g degrees of freedom", se, df)
	}
	for _, one := range [][]paired{nil, {{100, 80}}} {
		if se, df := spread(one); se != 0 || df != 0 {
			t.Errorf("%v: %g, %g", one, se, df)
		}
	}
	// Activities that differ much, clips of one that do not: the spread is that
	// within, ±1 %.
	var each [][]paired
	for k := range 4 {
		b := 100 * float64(k+1)
		each = append(each, []paired{{100, b - 1}, {100, b + 1}})
	}
	if sd, df := pooled(each); math.Abs(sd-math.Sqrt2) > 1e-9 || df != 4 {
		t.Errorf("within activities: %g, %g", sd, df)
	}
	if sd, df := pooled([][]paired{{{100, 90}}, {{100, 100}}, {{100, 110}}}); math.Abs(sd-10) > 1e-9 || df != 2 {
		t.Errorf("one clip each: %g, %g", sd, df)
	}
}

// TestHolm compares with the method's definition.
func TestHolm(t *testing.T) {
	if got := holm([]float64{0.04, 0.01, 0.001, 0.9}); !slices.Equal(got, []bool{false, true, true, false}) {
		t.Errorf("%v", got) // 0.001 < 0.0125, 0.01 < 0.0167, 0.04 > 0.025
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 0, 20).Draw(t, "chances")
		for i, worse := range holm(p) {
			smaller := 0
			for _, q := range p {
				if q < p[i] {
					smaller++
				}
			}
			if worse && p[i] > level || p[i] <= level/float64(len(p)) && !worse {
				t.Fatalf("%g of %v, %d smaller: %v", p[i], p, smaller, worse)
			}
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
