// Package experiment runs grids of trainings and turns them into the tables
// and figures of the paper: a file says what to compare, each training is a
// cell with a folder of its own, an interrupted experiment goes on where it
// stopped, and the report is made from what the cells left behind.
package experiment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"posefuse/model"
	"posefuse/recording/mmfi"
	"posefuse/sensors/modality"
	"posefuse/study/baseline"
	"posefuse/train"
)

// File is an experiment file. Every key is explained in
// docs/experiments/README.md; unknown keys are refused.
type File struct {
	// Name heads the report.
	Name string `yaml:"name"`
	// Title says in one line what the experiment is to show.
	Title string `yaml:"title"`

	Data    Data         `yaml:"data"`
	Size    string       `yaml:"size"`    // paper, edge, or custom
	Network model.Config `yaml:"network"` // only with size: custom
	Window  model.Window `yaml:"window"`  // centred (default) or causal

	Training Training             `yaml:"training"`
	Settings train.MethodSettings `yaml:"settings"` // of the methods, where tuning does not choose

	// The grid of Table 1: every combination is trained with every seed.
	Protocols []int    `yaml:"protocols"`
	Splits    []string `yaml:"splits"`
	Fusions   []string `yaml:"fusions"`
	Methods   []string `yaml:"methods"`
	Baselines []string `yaml:"baselines"`
	Seeds     []uint64 `yaml:"seeds"`
	// Modalities of all networks but those of Subsets; RLMW if empty.
	Modalities string `yaml:"modalities"`

	// The rest is trained for the first protocol, split and fusion.
	Subsets  []string     `yaml:"subsets"`    // Table 3
	Alphas   [][2]float64 `yaml:"alpha_grid"` // Table 4: [superior, inferior]
	Windows  []int        `yaml:"windows"`    // Figure 6: K, epochs
	Variants []Variant    `yaml:"variants"`   // a method with other constants
	// FirstSeeds trains rows beside the methods with fewer seeds.
	FirstSeeds FirstSeeds `yaml:"first_seeds"`

	Tuning   Tuning   `yaml:"tuning"`
	Overhead Overhead `yaml:"overhead"` // Table 2
}

// Data says what the networks learn from.
type Data struct {
	Kind   string `yaml:"kind" json:"kind"`               // simulated, mmfi or mars
	Path   string `yaml:"path" json:"path,omitempty"`     // folder of mmfi or mars
	Preset string `yaml:"preset" json:"preset,omitempty"` // of the simulator
	Seed   uint64 `yaml:"seed" json:"seed,omitempty"`     // of the simulator
	Frames int    `yaml:"frames_per_clip" json:"frames_per_clip,omitempty"`
	// Subjects and Activities restrict the data; all if empty.
	Subjects   []int `yaml:"subjects" json:"subjects,omitempty"`
	Activities []int `yaml:"activities" json:"activities,omitempty"`
	// History is how many radar frames a sample of mars holds.
	History int `yaml:"history" json:"history,omitempty"`
	// ValidationSubjects is how many of the training subjects are held out to
	// choose by: for tuning, for the curves and for G-Blending.
	ValidationSubjects int `yaml:"validation_subjects" json:"validation_subjects"`
	// TrainOnValidation gives the validation subjects back for the final
	// trainings, as in the paper; their curves then show the test subjects.
	TrainOnValidation bool `yaml:"train_on_validation" json:"train_on_validation,omitempty"`
}

// Training is the recipe all cells share.
type Training struct {
	Epochs      int           `yaml:"epochs" json:"epochs"`
	Batch       int           `yaml:"batch" json:"batch"`
	LR          float64       `yaml:"lr" json:"lr"`
	DecayEvery  int           `yaml:"decay_every" json:"decay_every"` // epochs; 0 for a cosine
	WeightDecay float64       `yaml:"weight_decay" json:"weight_decay"`
	Dropout     float64       `yaml:"modality_dropout" json:"modality_dropout,omitempty"`
	MeanStart   bool          `yaml:"mean_start" json:"mean_start"`
	Stride      int           `yaml:"stride" json:"stride"`         // trains on every n-th frame
	ValStride   int           `yaml:"val_stride" json:"val_stride"` // evaluates on every n-th frame
	Replicas    int           `yaml:"replicas" json:"replicas"`
	TimeLimit   time.Duration `yaml:"time_limit" json:"time_limit_ns,omitempty"` // of one cell
	// Augment varies radar samples, for networks of the radar alone.
	Augment *Augment `yaml:"augment" json:"augment,omitempty"`
}

// Augment is train.Augment as keys of the file.
type Augment struct {
	RotateDeg  float64 `yaml:"rotate_deg" json:"rotate_deg"`
	ShiftM     float64 `yaml:"shift_m" json:"shift_m"`
	Mirror     bool    `yaml:"mirror" json:"mirror"`
	MirrorX    float64 `yaml:"mirror_x_m" json:"mirror_x_m"`
	DropPoints float64 `yaml:"drop_points" json:"drop_points"`
	JitterM    float64 `yaml:"jitter_m" json:"jitter_m"`
}

// FirstSeeds says how many of the seeds, from the first, each kind of row
// beside the methods is trained with; 0 for all of them.
type FirstSeeds struct {
	Baselines int `yaml:"baselines"`
	// Subsets says it for each subset by its letters.
	Subsets   map[string]int `yaml:"subsets"`
	AlphaGrid int            `yaml:"alpha_grid"`
	Windows   int            `yaml:"windows"`
	Variants  int            `yaml:"variants"`
}

// Variant is a balancing method with some constants of its own, as a row beside
// the grid; the others are those of the method's row.
type Variant struct {
	Name     string    `yaml:"name"`
	Method   string    `yaml:"method"`
	Settings yaml.Node `yaml:"settings"` // keys of File.Settings that differ
	LR       float64   `yaml:"lr"`       // the method's, as tuned, if 0
}

// apply sets what differs.
func (v *Variant) apply(to *train.MethodSettings) error {
	if v.Settings.Kind == 0 {
		return nil
	}
	return strict(&v.Settings, to)
}

// Tuning chooses each method's constants on the validation subjects: for each
// fusion, by the mean error over the tuning's seeds.
type Tuning struct {
	Trials map[string][]Trial `yaml:"trials"` // by method
	Seeds  []uint64           `yaml:"seeds"`
	Epochs int                `yaml:"epochs"` // training.epochs if 0
}

// Trial is one setting to try. Coefficient is the method's own constant, see
// train.Tuned; nil leaves it as the settings say.
type Trial struct {
	LR          float64  `yaml:"lr" json:"lr"`
	Coefficient *float64 `yaml:"coefficient" json:"coefficient,omitempty"`
}

// Overhead asks for Table 2; no rounds, no table.
type Overhead struct {
	// Size of the networks, paper or edge; the file's if empty. The bars of the
	// paper are about its own.
	Size    string   `yaml:"size"`
	Rounds  int      `yaml:"rounds"`
	Batch   int      `yaml:"batch"`
	Fusions []string `yaml:"fusions"`
	Subsets []string `yaml:"subsets"`
}

// Data kinds.
const (
	Simulated = "simulated"
	MMFi      = "mmfi"
	MARS      = "mars"
)

// defaults is what a file starts from.
func defaults() File {
	recipe := train.PaperRecipe()
	return File{
		Data:   Data{Preset: "mmfi", Seed: 1, History: 1},
		Size:   "edge",
		Window: model.Centred,
		Training: Training{Epochs: recipe.Epochs, Batch: recipe.Batch, LR: recipe.LR, DecayEvery: recipe.DecayEvery,
			WeightDecay: recipe.WeightDecay, MeanStart: true, Stride: 1, ValStride: 1, Replicas: 1},
		Modalities: modality.All.String(),
		Overhead:   Overhead{Batch: recipe.Batch, Fusions: heads, Subsets: []string{"RL", "RLM", "RLMW"}},
	}
}

// ReadFile reads and checks an experiment file. dataPath, unless empty, takes
// the place of data.path. The error names the file and the key.
func ReadFile(path, dataPath string) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read experiment: %w", err)
	}
	f, err := Parse(b, dataPath)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Parse is ReadFile for the bytes of one.
func Parse(b []byte, dataPath string) (*File, error) {
	f := defaults()
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty: see configs/experiments for examples")
		}
		return nil, fmt.Errorf("experiment file: %w", err)
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("experiment file: it holds more than one document")
	}
	if dataPath != "" {
		f.Data.Path = dataPath
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	return &f, nil
}

func (f *File) check() error {
	for _, part := range []func() error{f.checkData, f.checkTraining, f.checkGrid, f.checkRest, f.checkTuning} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) checkData() error {
	d := f.Data
	switch d.Kind {
	case Simulated:
		if d.Path != "" {
			return errors.New("data.path: simulated data has no folder; use kind: mmfi to read one that the simulator wrote")
		}
	case MMFi, MARS:
		if d.Path == "" {
			return fmt.Errorf("data.path: %s needs its folder; give it in the file or with --data", d.Kind)
		}
	default:
		return fmt.Errorf("data.kind %q: use %s, %s or %s", d.Kind, Simulated, MMFi, MARS)
	}
	for _, c := range []struct {
		key   string
		v, to []int
	}{{"subjects", d.Subjects, []int{1, mmfi.NumSubjects}}, {"activities", d.Activities, []int{1, mmfi.NumActivities}}} {
		for _, n := range c.v {
			if n < c.to[0] || n > c.to[1] {
				return fmt.Errorf("data.%s: %d is not from %d to %d", c.key, n, c.to[0], c.to[1])
			}
		}
	}
	if d.ValidationSubjects < 0 || d.Frames < 0 {
		return errors.New("data.validation_subjects and data.frames_per_clip: want 0 or more")
	}
	return nil
}

func (f *File) checkTraining() error {
	if f.Name == "" || strings.ContainsAny(f.Name, "/\\ ") {
		return fmt.Errorf("name %q: give the experiment a short name without spaces", f.Name)
	}
	if f.Size == "custom" {
		f.Network.Modalities, f.Network.Head = f.Modalities, model.ConcatHead
		if err := f.Network.Validate(); err != nil {
			return fmt.Errorf("network: %w", err)
		}
	} else if _, err := model.NamedConfig(f.Size); err != nil {
		return fmt.Errorf("size: %w", err)
	}
	if f.Window != model.Causal && f.Window != model.Centred {
		return fmt.Errorf("window %q: use %s or %s", f.Window, model.Causal, model.Centred)
	}
	t := f.Training
	if err := f.options(Cell{Training: t}).Check(); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	mask, err := modality.Parse(f.Modalities)
	if err != nil {
		return fmt.Errorf("modalities: %w", err)
	}
	if err = f.options(Cell{Training: t}).Augment.Check(mask); err != nil {
		return fmt.Errorf("training.augment: %w", err)
	}
	if t.Stride < 1 || t.ValStride < 1 || t.DecayEvery < 0 || t.TimeLimit < 0 {
		return errors.New("training: stride and val_stride want 1 or more, decay_every and time_limit 0 or more")
	}
	if _, err := train.NewMethod(train.Plain, f.Settings); err != nil { // it checks all constants
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

func (f *File) checkGrid() error {
	mask, err := modality.Parse(f.Modalities)
	if err != nil {
		return fmt.Errorf("modalities: %w", err)
	}
	f.Modalities = mask.String()
	for key, n := range map[string]int{"protocols": len(f.Protocols), "splits": len(f.Splits), "fusions": len(f.Fusions), "methods": len(f.Methods), "seeds": len(f.Seeds)} {
		if n == 0 {
			return fmt.Errorf("%s: the list is empty", key)
		}
	}
	for _, s := range f.Splits {
		for _, p := range f.Protocols {
			if _, err := f.Data.roles(p, s, nil); err != nil {
				return err
			}
		}
	}
	for key, list := range map[string][]string{"fusions": f.Fusions, "overhead.fusions": f.Overhead.Fusions} {
		for _, h := range list {
			if !slices.Contains(heads, h) {
				return fmt.Errorf("%s: %q is none of %s", key, h, strings.Join(heads, ", "))
			}
		}
	}
	for _, m := range f.Methods {
		if err := f.checkMethod("methods", m); err != nil {
			return err
		}
	}
	for _, b := range f.Baselines {
		if !slices.Contains(baseline.Names(), b) {
			return fmt.Errorf("baselines: %q is none of %s", b, strings.Join(baseline.Names(), ", "))
		}
	}
	return errors.Join(unique("protocols", f.Protocols), unique("splits", f.Splits), unique("fusions", f.Fusions),
		unique("methods", f.Methods), unique("seeds", f.Seeds), unique("subsets", f.Subsets), unique("windows", f.Windows),
		unique("baselines", f.Baselines), unique("alpha_grid", f.Alphas))
}

func (f *File) checkMethod(key, m string) error {
	d := train.Methods.Find(m)
	if d == nil {
		return fmt.Errorf("%s: %q is none of %s", key, m, strings.Join(train.Methods.Names(), ", "))
	}
	if d.Needs.HeldOut && f.Data.ValidationSubjects == 0 {
		return fmt.Errorf("%s: %s measures overfitting on held-out subjects: set data.validation_subjects", key, m)
	}
	return nil
}

func unique[T comparable](key string, list []T) error {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return fmt.Errorf("%s: %v is there twice", key, v)
		}
	}
	return nil
}

func (f *File) checkRest() error {
	for i, s := range f.Subsets {
		mask, err := modality.Parse(s)
		if err != nil {
			return fmt.Errorf("subsets: %w", err)
		}
		f.Subsets[i] = mask.String()
	}
	for _, a := range f.Alphas {
		if !(a[0] >= 0 && a[1] >= 0) {
			return fmt.Errorf("alpha_grid: [%g, %g]: want two numbers from 0", a[0], a[1])
		}
	}
	for _, k := range f.Windows {
		if k < 0 {
			return fmt.Errorf("windows: %d: want a number of epochs from 0", k)
		}
	}
	for i := range f.Variants {
		v := &f.Variants[i]
		if v.Name == "" {
			return fmt.Errorf("variants[%d].name: it is empty", i)
		}
		if err := f.checkMethod(fmt.Sprintf("variants[%d].method", i), v.Method); err != nil {
			return err
		}
		set := f.Settings
		err := v.apply(&set)
		if err == nil {
			_, err = train.NewMethod(v.Method, set)
		}
		if err != nil {
			return fmt.Errorf("variants[%d].settings: %w", i, err)
		}
		if !(v.LR >= 0 && v.LR < 1e9) {
			return fmt.Errorf("variants[%d].lr %g: want a positive number, or 0 for the method's", i, v.LR)
		}
	}
	first := map[string]int{"baselines": f.FirstSeeds.Baselines, "alpha_grid": f.FirstSeeds.AlphaGrid,
		"windows": f.FirstSeeds.Windows, "variants": f.FirstSeeds.Variants}
	for sub, n := range f.FirstSeeds.Subsets {
		if !slices.Contains(f.Subsets, sub) {
			return fmt.Errorf("first_seeds.subsets: %s is not in subsets", sub)
		}
		first["subsets."+sub] = n
	}
	for key, n := range first {
		if n < 0 || n > len(f.Seeds) {
			return fmt.Errorf("first_seeds.%s: %d: there are %d seeds", key, n, len(f.Seeds))
		}
	}
	if len(f.Alphas)+len(f.Windows) > 0 && !slices.Contains(f.Methods, train.AWC) {
		return fmt.Errorf("methods: alpha_grid and windows are about %s, which is not in the list", train.AWC)
	}
	if f.Overhead.Rounds < 0 || f.Overhead.Rounds > 0 && f.Overhead.Batch < 2 {
		return errors.New("overhead: want rounds from 0 and a batch from 2")
	}
	if s := f.Overhead.Size; s != "" {
		if _, err := model.NamedConfig(s); err != nil {
			return fmt.Errorf("overhead.size: %w", err)
		}
	}
	for i, s := range f.Overhead.Subsets {
		mask, err := modality.Parse(s)
		if err != nil {
			return fmt.Errorf("overhead.subsets: %w", err)
		}
		if len(mask.String()) < 2 {
			return fmt.Errorf("overhead.subsets: %s: one modality has no contribution to weigh", s)
		}
		f.Overhead.Subsets[i] = mask.String()
	}
	return nil
}

// strict decodes a node over v and refuses keys v does not have.
func strict(n *yaml.Node, v any) error {
	b, err := yaml.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	return d.Decode(v)
}

func (f *File) checkTuning() error {
	t := &f.Tuning
	if len(t.Trials) == 0 {
		return nil
	}
	if f.Data.ValidationSubjects == 0 {
		return errors.New("tuning: it chooses on validation subjects: set data.validation_subjects")
	}
	if len(t.Seeds) == 0 {
		t.Seeds = f.Seeds[:1]
	}
	if t.Epochs < 0 {
		return errors.New("tuning.epochs: want 0 or more")
	}
	want := -1
	for _, m := range f.Methods {
		trials := t.Trials[m]
		if len(trials) == 0 {
			return fmt.Errorf("tuning.trials.%s: it is missing: every method needs the same number of trials", m)
		}
		if want >= 0 && len(trials) != want {
			return fmt.Errorf("tuning.trials.%s: %d trials, %s has %d: every method needs the same number", m, len(trials), f.Methods[0], want)
		}
		want = len(trials)
		for i, trial := range trials {
			if !(trial.LR > 0) {
				return fmt.Errorf("tuning.trials.%s[%d].lr %g: want a positive number", m, i, trial.LR)
			}
			ch := choice{f.Settings, f.Training}.apply(m, trial)
			if _, err := train.NewMethod(m, ch.settings); err != nil {
				return fmt.Errorf("tuning.trials.%s[%d].coefficient: %w", m, i, err)
			}
		}
	}
	for m := range t.Trials {
		if !slices.Contains(f.Methods, m) {
			return fmt.Errorf("tuning.trials.%s: the method is not in methods", m)
		}
	}
	return nil
}
