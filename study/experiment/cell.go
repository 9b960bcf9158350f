package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"posefuse/model"
	"posefuse/train"
)

// Cell is one training with everything that decides its outcome. Two equal
// cells are one training, wherever in the grid they stand.
type Cell struct {
	Data       Data                 `json:"data"`
	Source     Source               `json:"source"`
	Protocol   int                  `json:"protocol"`
	Split      string               `json:"split"`
	Tuning     bool                 `json:"tuning,omitempty"`   // scored on the validation subjects
	Baseline   string               `json:"baseline,omitempty"` // a comparison network instead of ours
	Network    model.Config         `json:"network"`            // with modalities and head
	Window     model.Window         `json:"window"`
	Method     string               `json:"method"`
	Settings   train.MethodSettings `json:"settings"` // those the method does not read are at their defaults
	Training   Training             `json:"training"`
	Seed       uint64               `json:"seed"`
	Generation int                  `json:"generation"` // of this program's way to train, see train.MethodDescriptor
}

// Hash names the cell: the first 12 hexadecimal digits of the SHA-256 of its
// configuration.
func (c Cell) Hash() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // numbers and strings, checked to be finite
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// Folder is the cell's folder: its hash, with words before it for people.
func (c Cell) Folder() string {
	what := c.Method
	if c.Baseline != "" {
		what = c.Baseline
	}
	if c.Tuning {
		what = "tuning-" + what
	}
	return fmt.Sprintf("p%d-%s-%s-%s-%s-seed%d-%s", c.Protocol, c.Split, c.Network.Modalities, c.Network.Head, what, c.Seed, c.Hash())
}

// String describes the cell in a line of progress.
func (c Cell) String() string {
	name, _, _ := strings.Cut(c.Folder(), "-seed")
	return fmt.Sprintf("%s, seed %d", strings.ReplaceAll(name, "-", " "), c.Seed)
}

// choice is what a method is trained with.
type choice struct {
	settings train.MethodSettings
	training Training
}

// apply returns the choice with a trial's values.
func (c choice) apply(method string, t Trial) choice {
	c.training.LR = t.LR
	if t.Coefficient == nil {
		return c
	}
	if set := train.Methods.Find(method).Tuned.Set; set != nil {
		set(&c.settings, *t.Coefficient)
	} else {
		c.training.WeightDecay = *t.Coefficient
	}
	return c
}

// network returns the network of the given head and modalities.
func (f *File) network(head, modalities string) model.Config {
	cfg := f.Network
	if f.Size != "custom" {
		cfg, _ = model.NamedConfig(f.Size) // checked
	}
	cfg.Size, cfg.Head, cfg.Modalities = f.Size, head, modalities
	return cfg
}

// cell returns the cell of a place in the grid.
func (e *Experiment) cell(protocol int, split, head, modalities, method string, ch choice, seed uint64) Cell {
	d := train.Methods.Find(method) // checked
	return Cell{Data: e.File.Data, Source: e.source, Protocol: protocol, Split: split, Network: e.File.network(head, modalities), Window: e.File.Window,
		Method: method, Settings: ch.settings.ReadBy(d), Training: ch.training, Seed: seed, Generation: d.Generation}
}

// tuningCells returns the trials of a method with a head, trial by trial and
// in each seed by seed.
func (e *Experiment) tuningCells(head, method string) [][]Cell {
	f := e.File
	var out [][]Cell
	for _, t := range f.Tuning.Trials[method] {
		ch := choice{f.Settings, f.Training}.apply(method, t)
		if f.Tuning.Epochs > 0 {
			ch.training.Epochs = f.Tuning.Epochs
		}
		var seeds []Cell
		for _, seed := range f.Tuning.Seeds {
			c := e.cell(f.Protocols[0], f.Splits[0], head, f.Modalities, method, ch, seed)
			c.Tuning = true
			c.Data.TrainOnValidation = false // nothing a trial does depends on it
			seeds = append(seeds, c)
		}
		out = append(out, seeds)
	}
	return out
}

// group is a row of a table: the same training with each seed.
type group struct {
	cells []Cell // one a seed, in the file's order
}

// groupOf returns the row of a place in the grid.
func (e *Experiment) groupOf(protocol int, split, head, modalities, method string, ch choice) group {
	var g group
	for _, seed := range e.File.Seeds {
		g.cells = append(g.cells, e.cell(protocol, split, head, modalities, method, ch, seed))
	}
	return g
}

// firstSeeds keeps a row's first n seeds; with n = 0 all of them.
func (g group) firstSeeds(n int) group {
	if n > 0 {
		g.cells = g.cells[:n]
	}
	return g
}

// methodGroup is groupOf for a method with what tuning chose for it.
func (e *Experiment) methodGroup(protocol int, split, head, method string) group {
	return e.groupOf(protocol, split, head, e.File.Modalities, method, e.chosen(head, method))
}

// first returns a row beside the grid: of the first protocol, split and fusion.
func (e *Experiment) first(modalities, method string, ch choice) group {
	f := e.File
	return e.groupOf(f.Protocols[0], f.Splits[0], f.Fusions[0], modalities, method, ch)
}

func (e *Experiment) subsetGroup(modalities string) group {
	return e.first(modalities, train.Plain, e.chosen(e.File.Fusions[0], train.Plain)).firstSeeds(e.File.FirstSeeds.Subsets[modalities])
}

func (e *Experiment) alphaGroup(alpha [2]float64) group {
	ch := e.chosen(e.File.Fusions[0], train.AWC)
	ch.settings.Set(train.AWCAlphaSuperior, alpha[0])
	ch.settings.Set(train.AWCAlphaInferior, alpha[1])
	return e.first(e.File.Modalities, train.AWC, ch).firstSeeds(e.File.FirstSeeds.AlphaGrid)
}

func (e *Experiment) windowGroup(k int) group {
	ch := e.chosen(e.File.Fusions[0], train.AWC)
	ch.settings.Set(train.AWCWindow, k)
	return e.first(e.File.Modalities, train.AWC, ch).firstSeeds(e.File.FirstSeeds.Windows)
}

// variantGroup is the method as the tuning chose it, but for what the variant
// sets: otherwise it would show the tuning's choice, not its own difference.
func (e *Experiment) variantGroup(v Variant) group {
	ch := e.chosen(e.File.Fusions[0], v.Method)
	_ = v.apply(&ch.settings) // checked
	if v.LR > 0 {
		ch.training.LR = v.LR
	}
	return e.first(e.File.Modalities, v.Method, ch).firstSeeds(e.File.FirstSeeds.Variants)
}

func (e *Experiment) baselineGroup(name string, protocol int, split string) group {
	g := e.groupOf(protocol, split, e.File.Fusions[0], e.File.Modalities, train.Plain, choice{e.File.Settings, e.File.Training})
	for i := range g.cells {
		g.cells[i].Baseline = name
		g.cells[i].Network.Head = model.ConcatHead // not read
	}
	return g.firstSeeds(e.File.FirstSeeds.Baselines)
}

// finalCells lists every training the tables need, each once, in the order in
// which an interrupted experiment is worth most: methods and subsets seed by
// seed, then the rows beside them.
func (e *Experiment) finalCells() []Cell {
	f := e.File
	var methods, baselines, beside []group
	for _, p := range f.Protocols {
		for _, s := range f.Splits {
			for _, h := range f.Fusions {
				for _, m := range f.Methods {
					methods = append(methods, e.methodGroup(p, s, h, m))
				}
			}
			for _, b := range f.Baselines {
				baselines = append(baselines, e.baselineGroup(b, p, s))
			}
		}
	}
	for _, s := range f.Subsets {
		methods = append(methods, e.subsetGroup(s))
	}
	for _, a := range f.Alphas {
		beside = append(beside, e.alphaGroup(a))
	}
	for _, k := range f.Windows {
		beside = append(beside, e.windowGroup(k))
	}
	for _, v := range f.Variants {
		beside = append(beside, e.variantGroup(v))
	}
	seen := map[string]bool{}
	var out []Cell
	for _, part := range [][]group{methods, baselines, beside} {
		for i := range f.Seeds {
			for _, g := range part {
				if i >= len(g.cells) {
					continue
				}
				if h := g.cells[i].Hash(); !seen[h] {
					seen[h] = true
					out = append(out, g.cells[i])
				}
			}
		}
	}
	return out
}
