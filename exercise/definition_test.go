package exercise

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestBuiltinDefinitions(t *testing.T) {
	defs, err := Definitions()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range defs {
		got = append(got, d.Activity)
		if d.OfSide != "" && !strings.Contains(d.Name, string(d.OfSide)) {
			t.Errorf("%s: side %s is not in the name %q", d.Activity, d.OfSide, d.Name)
		}
	}
	if want := "A01 A06 A07 A08 A09 A10 A11 A12 A13 A14 A15 A16 A24 A25 A26"; strings.Join(got, " ") != want {
		t.Errorf("definitions %v, want %s", got, want)
	}
}

// TestSidedPairsAgree: the left and the right definition differ in nothing but
// the side, the names and the tempo.
func TestSidedPairsAgree(t *testing.T) {
	for _, pair := range [][2]string{{"a07", "a08"}, {"a09", "a10"}, {"a13", "a14"}, {"a15", "a16"}, {"a24", "a25"}} {
		var bodies [2]string
		for i, file := range pair {
			text, err := os.ReadFile("definitions/" + file + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			_, rest, ok := strings.Cut(string(text), "of_side: ")
			if !ok {
				t.Fatalf("%s has no side", file)
			}
			for line := range strings.Lines(rest) {
				if !strings.HasPrefix(line, "tempo_s:") && !strings.HasPrefix(line, "mirror:") && line != "left\n" && line != "right\n" {
					bodies[i] += line
				}
			}
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s and %s differ:\n%s\n%s", pair[0], pair[1], bodies[0], bodies[1])
		}
	}
}

const goodDefinition = `
version: 1
revision: 1
activity: A06
name: mark time
count: {signal: thighElevation, side: max, neutral: 5, target: 60}
range: {signal: thighElevation, side: max}
tempo_s: {p10: 0.5, median: 0.6, p90: 0.8}
requires:
  - {signal: trunkLean, measure: max, below: 30}
rules:
  - {key: trunk_lean, signal: trunkLean, measure: peak, above: 10, weight: 30, sensors: RL}
`

// TestDefinitionIsData: an activity no code knows is loaded and used.
func TestDefinitionIsData(t *testing.T) {
	d, err := ParseDefinition([]byte(goodDefinition))
	if err != nil {
		t.Fatal(err)
	}
	if d.Activity != "A06" || d.Count.Name != "thighElevation" || d.Count.Side != "max" || d.Rules[0].Name != "trunkLean" {
		t.Errorf("%+v", d)
	}
	if _, err := NewTracker(Config{Definitions: []*Definition{d}, Exercises: []string{"A06"}}, nopOutput{}); err != nil {
		t.Error(err)
	}
}

func TestDefinitionErrors(t *testing.T) {
	for _, tc := range []struct{ name, old, new, want string }{
		{"unknown key", "name: mark time", "name: mark time\nspeed: 3", "speed"},
		{"version", "version: 1", "version: 2", "version"},
		{"no revision", "revision: 1", "revision: 0", "revision"},
		{"activity", "activity: A06", "activity: march", "activity"},
		{"no name", "name: mark time", "name: ''", "name"},
		{"side", "name: mark time", "name: mark time\nof_side: both", "of_side"},
		{"signal", "range: {signal: thighElevation", "range: {signal: thighHeight", "thighHeight"},
		{"no side for a limb", "range: {signal: thighElevation, side: max}", "range: {signal: thighElevation}", "side"},
		{"own without side", "range: {signal: thighElevation, side: max}", "range: {signal: thighElevation, side: own}", "own"},
		{"side of the trunk", "{signal: trunkLean, measure: max", "{signal: trunkLean, side: left, measure: max", "trunkLean"},
		{"target", "target: 60", "target: 5", "target"},
		{"target not a number", "target: 60", "target: .nan", "target"},
		{"tempo", "median: 0.6", "median: 6", "tempo_s"},
		{"measure", "measure: max", "measure: middle", "measure"},
		{"no bound", "below: 30", "", "above and below"},
		{"two bounds", "below: 30", "below: 30, above: 3", "above and below"},
		{"key", "key: trunk_lean", "key: Trunk Lean", "key"},
		{"twist", "key: trunk_lean, signal: trunkLean", "key: twist, signal: trunkTwist", "trunkTwist"},
		{"sensors", "sensors: RL", "sensors: RX", "sensors"},
		{"line of a rule", "signal: trunkLean, measure: peak", "signal: trunkBend, measure: peak", "line 12: rules[0]"},
		{"rest", "name: mark time", "name: mark time\nset_rest_s: -2", "set_rest_s"},
		{"side told without a side", "name: mark time", "name: mark time\nside_by: [{signal: trunkSide, measure: mean}]", "side_by"},
		{"two documents", "version: 1", "version: 1\n---\nversion: 1", ""},
	} {
		text := strings.Replace(goodDefinition, tc.old, tc.new, 1)
		if text == goodDefinition {
			t.Fatalf("%s: nothing replaced", tc.name)
		}
		d, err := ParseDefinition([]byte(text))
		if err == nil || d != nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one that names %q", tc.name, err, tc.want)
		}
	}
	if _, err := ParseDefinition(nil); err == nil {
		t.Error("an empty file is accepted")
	}
}

func TestLoadDefinitionsErrors(t *testing.T) {
	file := &fstest.MapFile{Data: []byte(goodDefinition)}
	for name, tc := range map[string]struct {
		fsys fstest.MapFS
		want string
	}{
		"twice":  {fstest.MapFS{"d/a.yaml": file, "d/b.yaml": file}, "d/b.yaml"},
		"broken": {fstest.MapFS{"d/a.yaml": {Data: []byte("version: x")}}, "d/a.yaml"},
		"empty":  {fstest.MapFS{"d/readme.txt": file}, "d"},
		"absent": {fstest.MapFS{}, "d"},
		"pipe":   {fstest.MapFS{"d/a.yaml": {Data: []byte(goodDefinition), Mode: fs.ModeNamedPipe}}, "regular file"},
		"large":  {fstest.MapFS{"d/a.yaml": {Data: make([]byte, maxDefinition+1)}}, "has more than"},
	} {
		if _, err := LoadDefinitions(tc.fsys, "d"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseDefinition: no input makes the parser panic, and what it accepts
// makes a working tracker.
func FuzzParseDefinition(f *testing.F) {
	f.Add([]byte(goodDefinition))
	files, err := builtin.ReadDir("definitions")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range files {
		text, err := builtin.ReadFile("definitions/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ParseDefinition(text)
		if err != nil {
			return
		}
		if _, err := NewTracker(Config{Definitions: []*Definition{d}}, nopOutput{}); err != nil {
			t.Fatalf("an accepted definition makes no tracker: %v", err)
		}
	})
}
