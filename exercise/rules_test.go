package exercise

import (
	"testing"

	"posefuse/message"
)

type nopOutput struct{}

func (nopOutput) Event(*message.ExerciseEvent)     {}
func (nopOutput) Notice(string, string)            {}
func (nopOutput) Summary(*message.ExerciseSummary) {}

// TestFaultNeedsTwoOfThree: one bad repetition is noise, two of three are a
// fault, two good ones clear it; the margin makes the borderline.
func TestFaultNeedsTwoOfThree(t *testing.T) {
	limit := 15.0
	steps := []struct {
		value   float64
		verdict string // of the returned finding, empty if none
		raised  bool
	}{
		{22, "", false}, {10, "", false}, {22, verdictFault, true}, {18, verdictBorderline, true},
		{10, "", true}, {10, "", false}, {22, "", false}, {17, verdictBorderline, false}, {22, verdictFault, true},
	}
	r := &ruleState{rule: Rule{Key: "trunk_lean", Signal: Signal{Name: "trunkLean"}, Measure: AtPeak, Above: &limit}}
	for i, st := range steps {
		s := turnedTrunk(standing(), rotX(st.value))
		p := span{frames: []track{{smooth: s}}, cal: &calibration{}}
		f, found := r.judge(p, accuracy{coalition: "RLMW"}) // margin 6 degrees
		if found != (st.verdict != "") || found && (f.Verdict != st.verdict || f.Limit != 15 || f.Unit != "deg") || r.raised != st.raised {
			t.Errorf("step %d, %v degrees: found %v %+v, raised %v", i, st.value, found, f, r.raised)
		}
	}
	if f, found := r.sum(); !found || f.Measured != 18 || f.Limit != 15 { // the median, whose error is 2.5
		t.Errorf("of the set: %+v %v", f, found)
	}
}

// TestSensorsDecideWhatIsJudged: without camera and LiDAR no angle is.
func TestSensorsDecideWhatIsJudged(t *testing.T) {
	limit := 15.0
	s := turnedTrunk(standing(), rotX(40))
	p := span{frames: []track{{smooth: s}}, cal: &calibration{}}
	for coalition, want := range map[string]bool{"": true, "R": true, "LM": true, "MW": false, "W": false, "-": false} {
		r := &ruleState{rule: Rule{Key: "trunk_lean", Signal: Signal{Name: "trunkLean"}, Measure: AtPeak, Above: &limit}}
		r.judge(p, accuracy{coalition: coalition})
		if _, found := r.judge(p, accuracy{coalition: coalition}); found != want {
			t.Errorf("coalition %q: found %v", coalition, found)
		}
	}
}

// TestRulesUseTheDifferenceFromNeutral: a person who always leans by 12
// degrees is judged by what is added to it.
func TestRulesUseTheDifferenceFromNeutral(t *testing.T) {
	limit := 15.0
	cal := &calibration{standing: true, neutral: turnedTrunk(standing(), rotX(12))}
	cal.lengths = lengthsOf(&cal.neutral)
	r := &ruleState{rule: Rule{Key: "trunk_lean", Signal: Signal{Name: "trunkLean"}, Measure: AtPeak, Above: &limit}}
	for _, lean := range []float64{22, 22} { // 9 more than nominal standing
		p := span{frames: []track{{smooth: turnedTrunk(standing(), rotX(lean))}}, cal: cal}
		if f, found := r.judge(p, accuracy{}); found {
			t.Errorf("lean %v of a person who leans by 12: %+v", lean, f)
		}
	}
}

func TestTopFault(t *testing.T) {
	got := topFault([]weighted{
		{message.Fault{Key: "tempo", Verdict: verdictFault}, 10},
		{message.Fault{Key: "balance", Verdict: verdictFault}, 40},
		{message.Fault{Key: "doubtful", Verdict: verdictBorderline}, 50},
	})
	if len(got) != 1 || got[0].Key != "balance" {
		t.Errorf("%+v", got)
	}
	if got := topFault(nil); got == nil || len(got) != 0 {
		t.Errorf("no findings give %v, want an empty list", got)
	}
}

// TestUneven: repetitions of different size are told, what the poses' error makes
// of equal ones is not.
func TestUneven(t *testing.T) {
	s := &set{run: &run{def: &Definition{Range: Range{Signal{Name: "kneeFlexion", Side: "mean"}}}}}
	for _, c := range []struct {
		ranges    []float64
		coalition string
		want      bool
	}{
		{[]float64{100, 102, 98, 100, 101}, "", false},
		{[]float64{100, 140, 98, 70, 101}, "", true},
		{[]float64{100, 140, 98, 70, 101}, "RLMW", true},
		{[]float64{30, 36, 30, 24, 30, 35}, "", true},
		{[]float64{30, 36, 30, 24, 30, 35}, "RLMW", false}, // 5 degrees are within the error
		{[]float64{100, 140, 70}, "", false},               // too few
		{nil, "", false},
	} {
		f, got := s.uneven(c.ranges, accuracy{coalition: c.coalition})
		if got != c.want || got && (f.Key != keyUneven || f.Measured <= f.Limit) {
			t.Errorf("%v, %q: %v %+v, want %v", c.ranges, c.coalition, got, f, c.want)
		}
	}
}
