package experiment

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/jsonfile"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/study/baseline"
	"posefuse/train"
)

// tiny is the smallest grid that fills every table: networks and clips are as
// small as they can be.
const tiny = `
name: tiny
data: {kind: simulated, preset: mmfi, seed: 3, frames_per_clip: 12, subjects: [3, 4, 7, 9, 11, 20, 24], activities: [2, 3], validation_subjects: 1}
size: custom
network:
  camera: {channels: 8, widths: [3, 3, 3, 3], dropout: 0.1}
  lidar: {points: 32, planes: [8, 8], strides: [1, 8], neighbours: [4, 4]}
  radar: {points: 16, planes: [8, 8], strides: [1, 4], neighbours: [4, 4]}
  csi: {height: 16, width: 8, base: 4, blocks: [1, 1, 1, 1], heads: 1, mlp: 1, dropout: 0}
training: {epochs: 2, batch: 8, lr: 0.002, decay_every: 1, weight_decay: 0.0001, mean_start: true, stride: 3, val_stride: 4}
settings: {awc: {window: 1, fisher_batches: 1}}
protocols: [1]
splits: [s1]
fusions: [concat]
methods: [none, awc]
baselines: [average]
seeds: [1, 2]
first_seeds: {variants: 1}
subsets: [RL, RLMW]
alpha_grid: [[10000, 0]]
windows: [1, 2]
variants: [{name: per sample, method: awc, settings: {awc: {per_sample: true}}}]
tuning:
  epochs: 1
  trials:
    none: [{lr: 0.002, coefficient: 0}, {lr: 0.004}]
    awc: [{lr: 0.002, coefficient: 1000}, {lr: 0.004}]
`

func open(t *testing.T, text, out string, opt Options) *Experiment {
	t.Helper()
	f, err := Parse([]byte(text), "")
	if err != nil {
		t.Fatal(err)
	}
	opt.Out = out
	e, err := Open(f, opt)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// reportOf returns the bytes of every file of a report.
func reportOf(t *testing.T, out string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && d.Name() == "cells" {
				return fs.SkipDir
			}
			return err
		}
		name, err := filepath.Rel(out, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInterruptedExperimentGivesTheSameReport(t *testing.T) {
	testenv.NoRace(t, "two grids of trainings: run without the race detector, which train has")
	whole, parts := t.TempDir(), t.TempDir()
	e := open(t, tiny, whole, Options{})
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Report(); err != nil {
		t.Fatal(err)
	}
	// Ended in the middle of cells, each time a little further.
	trained := 0
	for _, stopAt := range []int{3, 17, 40, 1 << 30} {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		e := open(t, tiny, parts, Options{
			Progress: func(Progress) {
				if calls++; calls == stopAt {
					cancel()
				}
			},
			Finished: func(Cell, float64, float64) { trained++ },
		})
		err := e.Run(ctx)
		cancel()
		if stopAt < 1<<30 && !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at call %d: %v", stopAt, err)
		}
		if stopAt == 1<<30 && err != nil {
			t.Fatal(err)
		}
		if stopAt < 1<<30 { // a report of a part must not fail either
			if s, err := e.Summarize(); err == nil && s.Missing == 0 {
				t.Fatalf("nothing is missing after a stop at call %d", stopAt)
			} else if err == nil {
				_ = s.Markdown()
			}
			continue
		}
		if _, err := e.Report(); err != nil {
			t.Fatal(err)
		}
	}
	want, got := reportOf(t, whole), reportOf(t, parts)
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s differs from the undisturbed run's", name)
		}
	}
	if len(got) != len(want) || len(want) < 10 {
		t.Errorf("%d files, the undisturbed run has %d", len(got), len(want))
	}
	cells, err := os.ReadDir(filepath.Join(parts, "cells"))
	if err != nil {
		t.Fatal(err)
	}
	if trained != len(cells) {
		t.Errorf("%d cells were trained for %d folders", trained, len(cells))
	}

	// Nothing is trained for the tables alone.
	again := open(t, tiny, whole, Options{Finished: func(c Cell, _, _ float64) { t.Errorf("%s was trained again", c) }})
	if err = again.Load(); err != nil {
		t.Fatal(err)
	}
	s, err := again.Report()
	if err != nil {
		t.Fatal(err)
	}
	if b := reportOf(t, whole)[ReportFile]; !bytes.Equal(b, want[ReportFile]) {
		t.Error("the report made again differs")
	}
	checkReport(t, s, string(want[ReportFile]))
}

// checkReport looks for what every report on simulated data must say.
func checkReport(t *testing.T, s *Summary, report string) {
	t.Helper()
	for _, want := range []string{"Simulated sensors (generator", "preset mmfi, seed 3", "not MM-Fi", "Mean-pose baseline", "sim MPJPE, mm", "paper, MM-Fi", "14 of the split's 560 clips",
		"## Tuning", "## Table 1", "## Table 3", "## Table 4", "## Figure 6", "## Variants", "## Contributions", "53.87 / 35.09", "52.93 / 34.96", "AWC – no balancing", "R+L+M+W – R+L", "(1 seed)", "figure4-sim-p1-s1-concat-awc"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if strings.Contains(report, "NaN") || strings.Contains(report, "missing") {
		t.Error("the report has a hole")
	}
	if !s.Simulated || s.Source.SHA256 == "" {
		t.Errorf("source %+v", s.Source)
	}
	for _, r := range slices.Concat(s.Table1, s.Table3, s.Table4, s.Figure6, s.Variants) {
		seeds := 2
		if r.Name == "per sample" {
			seeds = 1 // first_seeds
		}
		if in, ok := r.Metrics["sim_mpjpe_mm"]; !ok || in.N != seeds || !(in.Mean > 0) {
			t.Errorf("row %q: %+v", r.Name, r.Metrics)
		}
	}
	// The same training in two tables has the same figure.
	if s.Table3[1].Modalities != "RLMW" || s.Table3[1].Metrics["sim_mpjpe_mm"] != s.Table1[0].Metrics["sim_mpjpe_mm"] {
		t.Errorf("all modalities: %+v in Table 3, %+v in Table 1", s.Table3[1].Metrics, s.Table1[0].Metrics)
	}
}

func TestBadFilesAreRefusedByKey(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "name: tiny", "name: tiny\nmethod: awc", "field method not found"},
		{"unknown key inside", "epochs: 2,", "epoch: 2,", "field epoch not found"},
		{"unknown key of a variant", "{per_sample: true}", "{per_samples: true}", "variants[0].settings"},
		{"kind", "kind: simulated", "kind: real", "data.kind"},
		{"no folder", "kind: simulated", "kind: mmfi", "data.path"},
		{"subject", "subjects: [3,", "subjects: [41,", "data.subjects"},
		{"method", "methods: [none, awc]", "methods: [none, pmr]", "methods"},
		{"fusion", "fusions: [concat]", "fusions: [gate]", "fusions"},
		{"baseline", "baselines: [average]", "baselines: [mean]", "baselines"},
		{"split", "splits: [s1]", "splits: [s4]", "splits"},
		{"protocol", "protocols: [1]", "protocols: [4]", "protocols"},
		{"no seeds", "seeds: [1, 2]", "seeds: []", "seeds"},
		{"too many first seeds", "{variants: 1}", "{variants: 3}", "first_seeds.variants: 3: there are 2 seeds"},
		{"first seeds of no subset", "{variants: 1}", "{subsets: {LM: 1}}", "first_seeds.subsets: LM"},
		{"seed twice", "seeds: [1, 2]", "seeds: [2, 2]", "seeds: 2 is there twice"},
		{"subset", "subsets: [RL,", "subsets: [RX,", "subsets"},
		{"alpha", "[[10000, 0]]", "[[10000, -1]]", "alpha_grid"},
		{"size", "size: custom", "size: huge", "size"},
		{"network", "channels: 8,", "channels: 0,", "network"},
		{"batch", "batch: 8,", "batch: 1,", "training"},
		{"other number of trials", "{lr: 0.002, coefficient: 1000}, {lr: 0.004}", "{lr: 0.002}", "tuning.trials.awc"},
		{"no trials", "    awc: [{lr: 0.002, coefficient: 1000}, {lr: 0.004}]\n", "", "tuning.trials.awc"},
		{"trials without a method", "    awc: [", "    agm: [{lr: 1}, {lr: 1}]\n    awc: [", "tuning.trials.agm"},
		{"tuning without validation", "validation_subjects: 1", "validation_subjects: 0", "validation_subjects"},
		{"two empty lists", "protocols: [1]\nsplits: [s1]", "protocols: []\nsplits: []", "protocols: the list is empty"},
		{"two first seeds", "{variants: 1}", "{baselines: 4, windows: 4, subsets: {RLMW: 4, RL: 4}}", "first_seeds.baselines"},
		{"first seeds of two subsets", "{variants: 1}", "{subsets: {RLMW: 4, RL: 4}}", "first_seeds.subsets.RL:"},
		{"two documents", "name: tiny", "name: tiny\n---\nname: other", ""},
	} {
		text := strings.Replace(tiny, c.old, c.new, 1)
		if text == tiny {
			t.Fatalf("%s: the test changes nothing", c.name)
		}
		_, err := Parse([]byte(text), "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := Parse(nil, ""); err == nil {
		t.Error("an empty file is no experiment")
	}
}

func TestDataWithoutClipsIsRefusedBeforeTraining(t *testing.T) {
	for name, change := range map[string][2]string{
		"no test clip":       {"subjects: [3, 4, 7, 9, 11, 20, 24]", "subjects: [3, 11]"},
		"no activity":        {"activities: [2, 3]", "activities: [1]"},
		"nobody to train on": {"validation_subjects: 1", "validation_subjects: 40"},
	} {
		f, err := Parse([]byte(strings.Replace(tiny, change[0], change[1], 1)), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(f, Options{Out: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "clip") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeldOutSubjectsAreNotTrainedOnAndTestClipsAreNeither(t *testing.T) {
	e := open(t, tiny, t.TempDir(), Options{})
	r, err := e.File.Data.roles(1, "s1", e.dataset.Keys())
	if err != nil {
		t.Fatal(err)
	}
	held := map[int]bool{}
	for _, k := range r.val.keys {
		held[k.Subject] = true
	}
	if len(held) != 1 {
		t.Errorf("%d validation subjects, want 1", len(held))
	}
	for _, k := range r.train.keys {
		if held[k.Subject] {
			t.Errorf("%v is trained on, its subject is held out", k)
		}
		if slices.Contains(r.test.keys, k) {
			t.Errorf("%v is trained on and tested on", k)
		}
	}
	for _, k := range r.val.keys {
		if slices.Contains(r.test.keys, k) {
			t.Errorf("%v is chosen by and tested on", k)
		}
	}
}

// With the validation subjects given back, curves show the test subjects, and
// nothing that chooses by what a curve shows may see them.
func TestNothingChoosesByTestClips(t *testing.T) {
	e := open(t, strings.Replace(tiny, "validation_subjects: 1", "validation_subjects: 1, train_on_validation: true", 1), t.TempDir(), Options{})
	r, err := e.File.Data.roles(1, "s1", e.dataset.Keys())
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.newPools()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, baseline string
		test             bool
	}{{train.Plain, "", true}, {train.AWC, "", true}, {train.GBlending, "", false}, {train.Plain, baseline.AverageVarianceRow, false}} {
		cell := e.cell(1, "s1", model.ConcatHead, "RLMW", c.method, choice{e.File.Settings, e.File.Training}, 1)
		cell.Baseline = c.baseline
		d, err := e.dataOf(t.Context(), p, cell)
		if err != nil {
			t.Fatal(err)
		}
		shown := false
		if d.curve != nil {
			for _, clip := range d.curve.Clips {
				shown = shown || slices.Contains(r.test.keys, clip.Key)
			}
		}
		if shown != c.test {
			t.Errorf("%s %s: test clips beside the training is %t, want %t", c.method, c.baseline, shown, c.test)
		}
	}
}

func TestCellsPartOnlyByWhatTheyRead(t *testing.T) {
	e := open(t, tiny, t.TempDir(), Options{})
	ch := choice{e.File.Settings, e.File.Training}
	base := e.cell(1, "s1", model.ConcatHead, "RLMW", train.Plain, ch, 1)
	other := ch
	other.settings.Set(train.AWCAlphaSuperior, 7.0)
	other.settings.Set(train.Methods.Find(train.AGM).Constants[0], 7.0)
	if e.cell(1, "s1", model.ConcatHead, "RLMW", train.Plain, other, 1).Hash() != base.Hash() {
		t.Error("constants of other methods part plain trainings")
	}
	if e.cell(1, "s1", model.ConcatHead, "RLMW", train.AWC, other, 1).Hash() == e.cell(1, "s1", model.ConcatHead, "RLMW", train.AWC, ch, 1).Hash() {
		t.Error("AWC with other constants is the same cell")
	}
	seen := map[string]string{base.Hash(): "base"}
	slower := ch
	slower.training.LR = 0.001
	for name, c := range map[string]Cell{
		"seed": e.cell(1, "s1", model.ConcatHead, "RLMW", train.Plain, ch, 2), "protocol": e.cell(2, "s1", model.ConcatHead, "RLMW", train.Plain, ch, 1),
		"split": e.cell(1, "s2", model.ConcatHead, "RLMW", train.Plain, ch, 1), "head": e.cell(1, "s1", model.MLPHead, "RLMW", train.Plain, ch, 1),
		"modalities": e.cell(1, "s1", model.ConcatHead, "RL", train.Plain, ch, 1), "rate": e.cell(1, "s1", model.ConcatHead, "RLMW", train.Plain, slower, 1),
	} {
		if was, ok := seen[c.Hash()]; ok {
			t.Errorf("another %s gives the cell of %s", name, was)
		}
		seen[c.Hash()] = name
	}
}

// A variant differs from its method's row by what it sets and nothing else,
// also where the tuning chose the method's constants.
func TestVariantStartsFromTheTunedMethod(t *testing.T) {
	e := open(t, tiny, t.TempDir(), Options{})
	alpha := 1000.0
	e.picked[model.ConcatHead+" "+train.AWC] = Picked{Trials: []Tried{{}, {Trial: Trial{LR: 0.004, Coefficient: &alpha}}}, Best: 1}
	method := e.methodGroup(1, "s1", model.ConcatHead, train.AWC).cells[0]
	variant := e.variantGroup(e.File.Variants[0]).cells[0]
	if variant.Training.LR != 0.004 || variant.Settings.Float(train.AWCAlphaSuperior) != alpha || !variant.Settings.Bool(train.AWCPerSample) {
		t.Errorf("the variant trains with rate %g and %+v", variant.Training.LR, variant.Settings)
	}
	variant.Settings.Set(train.AWCPerSample, false)
	if variant.Hash() != method.Hash() {
		t.Errorf("the variant differs in more than it sets:\n%+v\n%+v", variant, method)
	}
}

func TestForeignAndBrokenResultsAreRefused(t *testing.T) {
	e := open(t, tiny, t.TempDir(), Options{})
	c := e.finalCells()[0]
	if err := os.MkdirAll(e.folder(c), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"broken": `{"cell":`, "foreign": `{"cell":"0123456789ab","evaluation":{}}`} {
		if err := os.WriteFile(filepath.Join(e.folder(c), "result.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := e.read(c); err == nil || !strings.Contains(err.Error(), "delete the folder") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A kill between a cell's result and the removal of its checkpoint leaves
// nothing for good.
func TestFinishedCellKeepsNoCheckpoint(t *testing.T) {
	e := open(t, tiny, t.TempDir(), Options{Finished: func(c Cell, _, _ float64) { t.Errorf("%s was trained again", c) }})
	c := e.finalCells()[0]
	left := filepath.Join(e.folder(c), checkpointFolder)
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "state.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := jsonfile.Write(filepath.Join(e.folder(c), "result.json"), Result{Cell: c.Hash(), Evaluation: &train.Report{}}); err != nil {
		t.Fatal(err)
	}
	p, err := e.newPools()
	if err != nil {
		t.Fatal(err)
	}
	if err = e.runAll(t.Context(), p, []Cell{c}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err = os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the checkpoint of a finished cell: %v, want none", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(tiny))
	f.Add([]byte("name: x\ntuning: {trials: {none: []}}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if file, err := Parse(b, ""); err == nil && (len(file.Seeds) == 0 || len(file.Methods) == 0) {
			t.Fatal("a file without a grid was taken")
		}
	})
}

func TestShippedFilesAreExperiments(t *testing.T) {
	paths, err := filepath.Glob("../../configs/experiments/*.yaml")
	if err != nil || len(paths) < 4 {
		t.Fatalf("%d files in configs/experiments (%v), want at least 4", len(paths), err)
	}
	for _, path := range paths {
		if _, err := ReadFile(path, ""); err != nil {
			t.Error(err)
		}
	}
}
