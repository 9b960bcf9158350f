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
	"time"

	"go.yaml.in/yaml/v3"

	"posefuse/model"
	"posefuse/sensors/modality"
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

// ErrNoFolder refuses data of a kind that is read from a folder and has none.
var ErrNoFolder = errors.New("needs its folder; give it in the file")

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
