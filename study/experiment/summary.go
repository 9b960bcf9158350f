package experiment

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"posefuse/model"
	"posefuse/study/baseline"
	"posefuse/study/plot"
	"posefuse/train"
)

// Summary is the report as data: report.json, and what report.md is made from.
type Summary struct {
	Name   string `json:"name"`
	Title  string `json:"title,omitempty"`
	Kind   string `json:"kind"` // of the data: simulated, mmfi or mars
	Data   string `json:"data"`
	Source Source `json:"source"`
	// Simulated tells that no figure is about real sensors; their names then
	// begin with "sim_".
	Simulated bool        `json:"simulated"`
	Size      string      `json:"size"`
	Window    string      `json:"window"`
	Training  Training    `json:"training"`
	Seeds     []uint64    `json:"seeds"`
	Missing   int         `json:"missing_cells"`
	Baselines []MeanPoses `json:"mean_pose_baselines"`
	Partial   []Coverage  `json:"partial_data,omitempty"`
	Tuning    []Picked    `json:"tuning,omitempty"`
	Table1    []Row       `json:"table1"`
	// AWCAgainst compares the constraint with every other method.
	AWCAgainst []Against      `json:"awc_against,omitempty"`
	Table2     []OverheadRow  `json:"table2,omitempty"`
	Table3     []Row          `json:"table3,omitempty"`
	AllAgainst []Against      `json:"all_modalities_against,omitempty"`
	Table4     []Row          `json:"table4,omitempty"`
	Figure6    []Row          `json:"figure6,omitempty"`
	Variants   []Row          `json:"variants,omitempty"`
	Phi        []Contribution `json:"contributions,omitempty"`
	Charts     []Chart        `json:"charts"`
}

// Coverage is how many of a protocol's and split's clips the experiment has;
// it is listed where some are missing or left out by the file.
type Coverage struct {
	Protocol int    `json:"protocol"`
	Split    string `json:"split"`
	Clips    int    `json:"clips"`
	All      int    `json:"all"`
}

// MeanPoses are the errors of poses that need no sensor, mm.
type MeanPoses struct {
	Protocol int                    `json:"protocol"`
	Split    string                 `json:"split"`
	Scores   map[string]train.Score `json:"scores"`
}

// Row is a line of a table: one training with all its seeds.
type Row struct {
	Name       string              `json:"name"`
	Protocol   int                 `json:"protocol"`
	Split      string              `json:"split"`
	Modalities string              `json:"modalities"`
	Fusion     string              `json:"fusion,omitempty"`
	Method     string              `json:"method,omitempty"`
	Baseline   string              `json:"baseline,omitempty"`
	Alpha      *[2]float64         `json:"alpha,omitempty"`
	K          *int                `json:"k,omitempty"`
	LR         float64             `json:"lr"`
	Metrics    map[string]Interval `json:"metrics"` // with units, e.g. "mpjpe_mm", "sim_mpjpe_mm"
	Parameters int                 `json:"parameters"`
	Paper      *PaperValue         `json:"paper_mmfi,omitempty"`
	// AgainstPlain is the paired difference to the same network without
	// balancing.
	AgainstPlain *Comparison `json:"against_plain,omitempty"`
	Missing      int         `json:"missing_seeds,omitempty"`
}

// Against is the comparison of two rows.
type Against struct {
	Protocol   int        `json:"protocol"`
	Split      string     `json:"split"`
	Fusion     string     `json:"fusion"`
	First      string     `json:"first"`
	Second     string     `json:"second"`
	Difference Comparison `json:"difference_mm"`
}

// Chart names a plot of the report, without its ending.
type Chart struct {
	File    string `json:"file"`
	Caption string `json:"caption"`
}

// Metric names, behind the prefix of simulated data.
const (
	metricMPJPE    = "mpjpe_mm"
	metricPA       = "pa_mpjpe_mm"
	metricPelvis   = "pelvis_mpjpe_mm"
	metricBestMean = "best_epoch_val_mpjpe_mm"
)

func (e *Experiment) prefix() string {
	if e.Simulated() {
		return "sim_"
	}
	return ""
}

// Summarize makes the report's numbers of the results there are.
func (e *Experiment) Summarize() (*Summary, error) {
	f := e.File
	s := &Summary{Name: f.Name, Title: f.Title, Kind: f.Data.Kind, Data: e.dataset.Describe(), Source: e.source, Simulated: e.Simulated(), Size: f.Size,
		Window: string(f.Window), Training: f.Training, Seeds: f.Seeds}
	for _, c := range e.finalCells() {
		r, err := e.read(c)
		if err != nil {
			return nil, err
		}
		if r == nil {
			s.Missing++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(e.picked)) {
		s.Tuning = append(s.Tuning, e.picked[key])
	}
	for _, p := range f.Protocols {
		for _, sp := range f.Splits {
			c, err := f.Data.coverage(p, sp, e.dataset.Keys())
			if err != nil {
				return nil, err
			}
			if c.Clips < c.All {
				s.Partial = append(s.Partial, c)
			}
			e.summarizeSplit(s, p, sp)
		}
	}
	e.summarizeRest(s)
	s.correct()
	var err error
	s.Table2, err = e.readOverhead()
	return s, err
}

func (e *Experiment) summarizeSplit(s *Summary, p int, sp string) {
	f := e.File
	var poses *MeanPoses
	for _, h := range f.Fusions {
		plain := e.methodGroup(p, sp, h, train.Plain)
		for _, m := range f.Methods {
			g := e.methodGroup(p, sp, h, m)
			row := e.row(g, plain)
			row.Name, row.Fusion, row.Method = methodTitle(m), h, m
			row.Paper = paper1(f, h+" "+m, p, sp)
			s.Table1 = append(s.Table1, row)
			if c, ok := e.contribution(g); ok {
				c.Protocol, c.Split, c.Fusion, c.Method = p, sp, h, m
				s.Phi = append(s.Phi, c)
			}
			if r := e.anyResult(g); r != nil && poses == nil {
				poses = &MeanPoses{p, sp, r.Evaluation.Baselines}
			}
			if slices.Contains(f.Methods, train.AWC) && m != train.AWC {
				if c, ok := e.compare(e.methodGroup(p, sp, h, train.AWC), g); ok {
					s.AWCAgainst = append(s.AWCAgainst, Against{p, sp, h, methodTitle(train.AWC), methodTitle(m), c})
				}
			}
		}
	}
	for _, b := range f.Baselines {
		row := e.row(e.baselineGroup(b, p, sp), group{})
		title, _ := baseline.Title(b)
		row.Name, row.Baseline = title, b
		row.Paper = paper1(f, b, p, sp)
		s.Table1 = append(s.Table1, row)
	}
	if poses != nil {
		s.Baselines = append(s.Baselines, *poses)
	}
}

// summarizeRest fills the tables that are made for the first protocol, split
// and fusion.
func (e *Experiment) summarizeRest(s *Summary) {
	f := e.File
	plain := e.methodGroup(f.Protocols[0], f.Splits[0], f.Fusions[0], train.Plain)
	whole := e.subsetGroup(f.Modalities)
	for _, sub := range f.Subsets {
		g := e.subsetGroup(sub)
		row := e.row(g, group{})
		row.Name, row.Fusion, row.Method = plus(sub), f.Fusions[0], train.Plain
		if v, ok := paperTable3[sub]; ok && f.firstIsPaper() {
			row.Paper = &v
		}
		s.Table3 = append(s.Table3, row)
		if sub == f.Modalities {
			continue
		}
		if c, ok := e.compare(whole, g); ok {
			s.AllAgainst = append(s.AllAgainst, Against{f.Protocols[0], f.Splits[0], f.Fusions[0], plus(f.Modalities), plus(sub), c})
		}
	}
	for _, a := range f.Alphas {
		row := e.row(e.alphaGroup(a), plain)
		row.Name, row.Fusion, row.Method, row.Alpha = fmt.Sprintf("%s / %s", thousands(a[0]), thousands(a[1])), f.Fusions[0], train.AWC, &a
		if v, ok := paperTable4[a]; ok && f.firstIsPaper() {
			row.Paper = &v
		}
		s.Table4 = append(s.Table4, row)
	}
	for _, k := range f.Windows {
		row := e.row(e.windowGroup(k), plain)
		row.Name, row.Fusion, row.Method, row.K = fmt.Sprintf("K = %d", k), f.Fusions[0], train.AWC, &k
		s.Figure6 = append(s.Figure6, row)
	}
	for _, v := range f.Variants {
		row := e.row(e.variantGroup(v), plain)
		row.Name, row.Fusion, row.Method = v.Name, f.Fusions[0], v.Method
		s.Variants = append(s.Variants, row)
	}
}

// result returns a cell's result, nil if there is none (Summarize has read
// them all and reported what was wrong).
func (e *Experiment) result(c Cell) *Result { return e.results[c.Hash()] }

func (e *Experiment) anyResult(g group) *Result {
	for _, c := range g.cells {
		if r := e.result(c); r != nil {
			return r
		}
	}
	return nil
}

// full returns the score of the coalition of all the modalities a result has.
func full(r *Result) train.Score {
	best := ""
	for name := range r.Evaluation.Coalitions {
		if len(name) > len(best) {
			best = name
		}
	}
	return r.Evaluation.Coalitions[best]
}

// row sums up a group; with a plain group it is compared with that.
func (e *Experiment) row(g, plain group) Row {
	c := g.cells[0]
	row := Row{Protocol: c.Protocol, Split: c.Split, Modalities: c.Network.Modalities, LR: c.Training.LR, Metrics: map[string]Interval{}}
	values := map[string][]float64{}
	for _, cell := range g.cells {
		r := e.result(cell)
		if r == nil {
			row.Missing++
			continue
		}
		row.Parameters = r.Parameters
		score := full(r)
		values[metricMPJPE] = append(values[metricMPJPE], score.MPJPEMM)
		values[metricPA] = append(values[metricPA], score.PAMPJPEMM)
		values[metricPelvis] = append(values[metricPelvis], score.PelvisMM)
		if v, ok := bestEpoch(e.curve(cell)); ok {
			values[metricBestMean] = append(values[metricBestMean], v)
		}
	}
	for name, v := range values {
		row.Metrics[e.prefix()+name] = MeanInterval(v)
	}
	if len(plain.cells) > 0 && plain.cells[0].Hash() != c.Hash() {
		if cmp, ok := e.compare(g, plain); ok {
			row.AgainstPlain = &cmp
		}
	}
	return row
}

// bestEpoch returns the smallest error on the curve's validation data.
func bestEpoch(curve []plot.Epoch) (float64, bool) {
	best, ok := 0.0, false
	for _, c := range curve {
		if c.ValMPJPEMM != nil && (!ok || *c.ValMPJPEMM < best) {
			best, ok = *c.ValMPJPEMM, true
		}
	}
	return best, ok
}

// curve reads a cell's curve; a cell without one has an empty curve, as the
// comparison rows may.
func (e *Experiment) curve(c Cell) []plot.Epoch {
	r := e.result(c)
	if r == nil {
		return nil
	}
	if r.epochs == nil {
		curve, err := plot.ReadCurveFile(r.curve)
		if err != nil {
			curve = nil
		}
		r.epochs = &curve
	}
	return *r.epochs
}

func (e *Experiment) curves(g group) [][]plot.Epoch {
	var out [][]plot.Epoch
	for _, c := range g.cells {
		if curve := e.curve(c); len(curve) > 0 {
			out = append(out, curve)
		}
	}
	return out
}

// compare returns the paired difference a - b over the seeds both have.
func (e *Experiment) compare(a, b group) (Comparison, bool) {
	var bySeed []float64
	bySubject := map[string]SubjectError{}
	var crossed []map[string]SubjectError
	for i := range min(len(a.cells), len(b.cells)) {
		ra, rb := e.result(a.cells[i]), e.result(b.cells[i])
		if ra == nil || rb == nil {
			continue
		}
		bySeed = append(bySeed, full(ra).MPJPEMM-full(rb).MPJPEMM)
		one := map[string]SubjectError{}
		crossed = append(crossed, one)
		for name, sa := range ra.Evaluation.Subjects {
			sb, ok := rb.Evaluation.Subjects[name]
			if !ok || sb.Frames != sa.Frames {
				continue // other test frames: not a pair
			}
			s := bySubject[name]
			n := float64(sa.Frames)
			one[name] = SubjectError{n, n * sa.MPJPEMM, n * sb.MPJPEMM}
			bySubject[name] = SubjectError{s.Frames + n, s.A + n*sa.MPJPEMM, s.B + n*sb.MPJPEMM}
		}
	}
	if len(bySeed) == 0 {
		return Comparison{}, false
	}
	var subjects []SubjectError
	for _, name := range slices.Sorted(maps.Keys(bySubject)) {
		subjects = append(subjects, bySubject[name])
	}
	rows := make([][]SubjectError, len(crossed))
	for i, one := range crossed {
		for _, name := range slices.Sorted(maps.Keys(bySubject)) {
			rows[i] = append(rows[i], one[name]) // no frames if this seed has no pair
		}
	}
	c := Compare(bySeed, subjects, 1)
	c.Crossed, c.P = CrossedBootstrap(rows, 1)
	return c, true
}

// methodTitle is a method's name in tables.
func methodTitle(m string) string {
	if d := train.Methods.Find(m); d != nil {
		return d.Label
	}
	return m
}

// fusionTitle is a head's name in tables.
func fusionTitle(h string) string {
	return cmp.Or(map[string]string{model.ConcatHead: "Concatenation", model.MLPHead: "MLP", model.AttentionHead: "Attention"}[h], h)
}

// plus writes RL as R+L.
func plus(letters string) string { return strings.Join(strings.Split(letters, ""), "+") }

// thousands writes 20000 as 20k.
func thousands(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%gk", v/1000)
	}
	return fmt.Sprintf("%g", v)
}
