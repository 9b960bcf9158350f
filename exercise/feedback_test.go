package exercise

import (
	"strings"
	"testing"

	"posefuse/message"
)

// TestEverySentenceIsThere: each language says every fault, reason, exercise
// and counted signal of the built-in definitions, and nothing that is not used.
func TestEverySentenceIsThere(t *testing.T) {
	defs, err := Definitions()
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]bool{keyShallow: true, keyWrongSide: true, keyWrongExercise: true, keyTooFast: true, keyTooSlow: true, keyFastDescent: true, keyUneven: true}
	exercises, signals := map[string]bool{}, map[string]bool{}
	for _, d := range defs {
		exercises[d.Activity], signals[d.Count.Name] = true, true
		for _, r := range d.Rules {
			faults[r.Key] = true
		}
	}
	reasons := map[string]bool{whyTooSmall: true, whyTooShort: true, whyTooLong: true}
	for _, lang := range Languages {
		p, err := loadPhrases(lang)
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			want map[string]bool
			have map[string]string
		}{"fault": {faults, p.Faults}, "reason": {reasons, p.Incomplete}, "exercise": {exercises, p.Exercises}, "signal": {signals, p.Signals}} {
			for k := range c.want {
				if c.have[k] == "" {
					t.Errorf("messages.%s.json: no %s %s", lang, what, k)
				}
			}
			for k, text := range c.have {
				if !c.want[k] {
					t.Errorf("messages.%s.json: %s %s is used by nothing", lang, what, k)
				}
				if strings.Count(text, "{") != strings.Count(text, "{measured}")+strings.Count(text, "{limit}") {
					t.Errorf("messages.%s.json: %s %s: %q", lang, what, k, text)
				}
			}
		}
	}
	if _, err := loadPhrases("tlh"); err == nil || !strings.Contains(err.Error(), "de") {
		t.Errorf("an unknown language: %v", err)
	}
}

func TestSay(t *testing.T) {
	p, err := loadPhrases("en")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    message.Fault
		own  string
		want string
	}{
		{message.Fault{Key: "trunk_lean", Measured: 24.3, Limit: 15, Unit: "deg"}, "", "Keep the trunk upright: it leans by 24°, at most 15°."},
		{message.Fault{Key: "too_fast", Measured: 0.84, Limit: 1.2, Unit: "s"}, "", "Slower: 0.8 s a repetition, at least 1.2 s."},
		{message.Fault{Key: "shallow", Measured: 0.31, Limit: 0.48}, "", "Go further: 31 %, at least 48 % is wanted."},
		{message.Fault{Key: "heels_up", Measured: 0.05, Limit: 0.02, Unit: "m"}, "", "Something is not as it should be: 5 cm, limit 2 cm."},
		{message.Fault{Key: "heels_up", Measured: 0.05, Limit: 0.02, Unit: "m"}, "Heels down ({measured}).", "Heels down (5 cm)."},
	} {
		if got := p.say(c.f, c.own).Text; got != c.want {
			t.Errorf("%s: %q, want %q", c.f.Key, got, c.want)
		}
	}
}
