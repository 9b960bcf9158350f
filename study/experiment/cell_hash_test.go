package experiment

import (
	"encoding/json"
	"strings"
	"testing"

	"posefuse/model"
	"posefuse/train"
)

// otherConstants are settings in which no constant has its default.
const otherConstants = `settings: {awc: {alpha_superior: 7, alpha_inferior: 2.5e-7, window: 3, fisher_batches: 4, per_sample: true, half: false, smoothing: batch},
  ogm_ge_alpha: 0.4, agm_alpha: 2, resample_alpha: 3000000, warmup: 2, modulate_epochs: 9, blend_every: 5, blend_trial: 2, inforeg_beta: 0.5}`

// Finished trainings are found by the hashes of their cells. These are of the
// program before it had a table of methods.
func TestCellsKeepTheirHashes(t *testing.T) {
	for _, c := range []struct{ method, defaults, others string }{
		{"none", "1995f207e2a4", "1995f207e2a4"},
		{"awc", "d9467d927c06", "f2100e20fb81"},
		{"ogm-ge", "7a7bfde78755", "5dc0edcf2503"},
		{"agm", "30a95a2aedf4", "bcaa4c3533ad"},
		{"g-blending", "626e50e143dd", "e132fc894837"},
		{"modality-level", "118a53b21f23", "3dbb01c3f54d"},
		{"mmpareto", "84da28dcbe79", "84da28dcbe79"},
		{"inforeg", "0d0a0c09c275", "45c2fc2a2856"},
	} {
		if got := cellOf(t, c.method, "").Hash(); got != c.defaults {
			t.Errorf("%s with defaults: %s, want %s", c.method, got, c.defaults)
		}
		if got := cellOf(t, c.method, otherConstants).Hash(); got != c.others {
			t.Errorf("%s with other constants: %s, want %s", c.method, got, c.others)
		}
	}
}

// cellOf returns a method's cell under an experiment file's settings, whatever
// the simulator makes.
func cellOf(t *testing.T, method, settings string) Cell {
	t.Helper()
	text := strings.Replace(tiny, "settings: {awc: {window: 1, fisher_batches: 1}}", settings, 1)
	f, err := Parse([]byte(text), "")
	if err != nil {
		t.Fatal(err)
	}
	return methodCell(f, method, f.Settings)
}

func methodCell(f *File, method string, set train.MethodSettings) Cell {
	e := &Experiment{File: f, source: Source{Clips: 1}}
	return e.cell(1, "s1", model.ConcatHead, "RLMW", method, choice{set, f.Training}, 1)
}

// Another value of a constant makes another cell of the methods that read it
// and of no other.
func TestConstantsPartCells(t *testing.T) {
	register(t, probe)
	for _, d := range train.Methods {
		base := cellOf(t, d.Name, "")
		for _, c := range train.Methods.Constants() {
			var set train.MethodSettings
			set.Set(c, other(c))
			reads := false
			for _, own := range d.Constants {
				reads = reads || own == c
			}
			f, err := Parse([]byte(tiny), "")
			if err != nil {
				t.Fatal(err)
			}
			if parted := methodCell(f, d.Name, set).Hash() != base.Hash(); parted != reads {
				t.Errorf("%s with another %s: another cell is %t, want %t", d.Name, c.Key, parted, reads)
			}
		}
	}
}

// other returns a value that is not the constant's default.
func other(c *train.Constant) any {
	switch v := c.Default.(type) {
	case float64:
		return v + 1
	case int:
		return v + 1
	case bool:
		return !v
	}
	for _, w := range c.Words {
		if w != c.Default {
			return w
		}
	}
	return nil
}

var probeStrength = &train.Constant{Key: "probe.strength", Option: "probe-strength", Default: 1.5}

// probe is a method of these tests.
var probe = &train.MethodDescriptor{Name: "probe", Label: "Probe", Constants: []*train.Constant{probeStrength},
	Tuned: train.Tuned{Means: "strength", Set: func(set *train.MethodSettings, v float64) { set.Set(probeStrength, v) }},
	Needs: train.Needs{HeldOut: true}, Generation: 3, New: func(train.MethodSettings) train.Method { return nil }}

func register(t *testing.T, d *train.MethodDescriptor) {
	before := train.Methods
	train.Methods = append(before[:len(before):len(before)], d)
	t.Cleanup(func() { train.Methods = before })
}

// A method needs its row in the table and nothing here.
func TestMethodOfTheTable(t *testing.T) {
	text := strings.NewReplacer("methods: [none, awc]", "methods: [none, awc, probe]", "    none:", "    probe: [{lr: 0.002, coefficient: 4}, {lr: 0.003}]\n    none:",
		"settings: {", "settings: {probe: {strength: 2}, ").Replace(tiny)
	if _, err := Parse([]byte(text), ""); err == nil || !strings.Contains(err.Error(), "field probe not found") {
		t.Fatalf("a method that is not in the table: %v", err)
	}
	plain := cellOf(t, train.Plain, "").Hash()
	register(t, probe)
	f, err := Parse([]byte(text), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Settings.Float(probeStrength); got != 2 {
		t.Errorf("the file's strength is %g, want 2", got)
	}
	if got := cellOf(t, train.Plain, "").Hash(); got != plain {
		t.Errorf("the cell of plain training is now %s, was %s", got, plain)
	}
	e := &Experiment{File: f, source: Source{Clips: 1}}
	cells := e.tuningCells(model.ConcatHead, "probe")
	if a, b := cells[0][0], cells[1][0]; a.Settings.Float(probeStrength) != 4 || b.Settings.Float(probeStrength) != 2 || a.Generation != 3 {
		t.Errorf("the trials are\n%+v\n%+v", a, b)
	}
	b, err := json.Marshal(cells[0][0])
	if err != nil || !strings.Contains(string(b), `,"probe":{"strength":4}}`) {
		t.Errorf("the cell is %s (%v), want the strength in its settings", b, err)
	}
	if got := methodTitle("probe"); got != "Probe" {
		t.Errorf("tables call it %q", got)
	}
	for part, want := range map[string]string{
		"strength: 2}": "probe.strength -1", "validation_subjects: 1": "held-out subjects", "strength: 2": "field probe.weakness not found",
	} {
		with := map[string]string{"strength: 2}": "strength: -1}", "validation_subjects: 1": "validation_subjects: 0", "strength: 2": "weakness: 2"}[part]
		if _, err := Parse([]byte(strings.Replace(text, part, with, 1)), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %s", with, err, want)
		}
	}
}
