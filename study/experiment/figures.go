package experiment

import (
	"errors"
	"fmt"

	"posefuse/study/plot"
	"posefuse/train"
)

// drawAll draws the report's plots and lists them in s.
func (e *Experiment) drawAll(s *Summary, dir string) error {
	add := func(name, caption string, c *plot.Chart) error {
		c.Caption = caption
		err := c.Write(dir, name)
		if errors.Is(err, plot.ErrEmpty) {
			return plot.Remove(dir, name)
		}
		if err != nil {
			return err
		}
		s.Charts = append(s.Charts, Chart{name, c.Title + ". " + caption})
		return nil
	}
	f := e.File
	for _, p := range f.Protocols {
		for _, sp := range f.Splits {
			place := fmt.Sprintf("%sp%d-%s", e.plotPrefix(), p, sp)
			caption := s.Caption(p, sp)
			if err := add("table1-"+place, caption, s.methodsChart(p, sp)); err != nil {
				return err
			}
			for _, h := range f.Fusions {
				named := place + "-" + h
				if err := add("mpjpe-"+named, caption, e.errorChart(p, sp, h, s.label("validation MPJPE, mm"), func(x plot.Epoch) (float64, bool) {
					if x.ValMPJPEMM == nil {
						return 0, false
					}
					return *x.ValMPJPEMM, true
				})); err != nil {
					return err
				}
				if err := add("loss-"+named, caption, e.errorChart(p, sp, h, s.label("training loss (MPJPE), mm"), func(x plot.Epoch) (float64, bool) {
					return x.TrainMPJPEMM, true
				})); err != nil {
					return err
				}
				for _, m := range f.Methods {
					runs := e.curves(e.methodGroup(p, sp, h, m))
					title := fmt.Sprintf("Figure 4: contribution of each modality, %s, %s", fusionTitle(h), methodTitle(m))
					if err := add("figure4-"+named+"-"+m, caption, modalityChart(runs, func(x plot.Epoch) map[string]float64 { return x.Shapley },
						title, s.label("φ, sum over 51 coordinates"), false)); err != nil {
						return err
					}
					if m != train.AWC {
						continue
					}
					title = fmt.Sprintf("Pull of AWC on each encoder, %s", fusionTitle(h))
					if err := add("awc-"+named, caption, modalityChart(runs, plot.Epoch.AWCRatio, title, "|α·F·Δθ| / |gradient of the loss|", true)); err != nil {
						return err
					}
				}
			}
		}
	}
	caption := s.Caption(f.Protocols[0], f.Splits[0])
	for _, c := range []struct {
		name  string
		chart *plot.Chart
	}{
		{"table3", s.namedChart("Table 3: modalities", "", s.Table3, false)},
		{"table4", s.namedChart("Table 4: coefficients of AWC", "α superior / α inferior", s.Table4, true)},
		{"figure6", s.windowChart()},
		{"variants", s.namedChart("Variants", "", s.Variants, true)},
	} {
		if err := add(c.name+trailing(e.plotPrefix()), caption, c.chart); err != nil {
			return err
		}
	}
	return nil
}

// plotPrefix marks the files of plots on simulated data.
func (e *Experiment) plotPrefix() string {
	if e.Simulated() {
		return "sim-"
	}
	return ""
}

func trailing(prefix string) string {
	if prefix == "" {
		return ""
	}
	return "-" + prefix[:len(prefix)-1]
}

func modalityChart(runs [][]plot.Epoch, of func(plot.Epoch) map[string]float64, title, yLabel string, logarithmic bool) *plot.Chart {
	return plot.ModalityChart(func(letter string) plot.Series {
		return overRuns(runs, func(e plot.Epoch) (float64, bool) {
			v, ok := of(e)[letter]
			return v, ok
		})
	}, title, yLabel, logarithmic)
}

// maxBands is how many bands over each other can be read; with more methods
// the curves are means and their intervals stand in Table 1.
const maxBands = 3

// errorChart shows a number of every method over the epochs, the mean over the
// seeds.
func (e *Experiment) errorChart(p int, sp, head, yLabel string, of func(plot.Epoch) (float64, bool)) *plot.Chart {
	c := &plot.Chart{Title: fmt.Sprintf("%s: %s", fusionTitle(head), yLabel), XLabel: "epoch", WholeX: true, YLabel: yLabel, LogY: true}
	for _, m := range e.File.Methods {
		line := overRuns(e.curves(e.methodGroup(p, sp, head, m)), of)
		line.Name = methodTitle(m)
		if len(e.File.Methods) > maxBands {
			line.Low, line.High = nil, nil
		}
		if len(line.X) > 0 {
			c.Series = append(c.Series, line)
		}
	}
	return c
}

// point appends a row's error to a series at x.
func (s *Summary) point(to *plot.Series, x float64, r Row) bool {
	in, ok := r.Metrics[s.prefix()+metricMPJPE]
	if !ok || in.N == 0 {
		return false
	}
	to.X, to.Y = append(to.X, x), append(to.Y, in.Mean)
	to.Low, to.High = append(to.Low, in.Low), append(to.High, in.High)
	return true
}

// methodsChart shows Table 1 for a protocol and split.
func (s *Summary) methodsChart(p int, sp string) *plot.Chart {
	c := &plot.Chart{Title: "Table 1: methods", YLabel: s.label("MPJPE, mm")}
	place := map[string]int{}
	series := map[string]int{}
	for _, r := range s.Table1 {
		if r.Protocol != p || r.Split != sp || r.Baseline != "" {
			continue
		}
		if _, ok := place[r.Method]; !ok {
			place[r.Method] = len(c.XNames)
			c.XNames = append(c.XNames, r.Name)
		}
		k, ok := series[r.Fusion]
		if !ok {
			k = len(c.Series)
			series[r.Fusion] = k
			c.Series = append(c.Series, plot.Series{Name: fusionTitle(r.Fusion), Points: true})
		}
		s.point(&c.Series[k], float64(place[r.Method]), r)
	}
	return c
}

// namedChart shows rows by their names, with the error without balancing as a
// level if asked.
func (s *Summary) namedChart(title, xLabel string, rows []Row, level bool) *plot.Chart {
	c := &plot.Chart{Title: title, XLabel: xLabel, YLabel: s.label("MPJPE, mm")}
	line := plot.Series{Name: "this experiment", Points: true}
	paper := plot.Series{Name: "paper, MM-Fi", Points: true}
	for i, r := range rows {
		c.XNames = append(c.XNames, r.Name+s.fewer(r))
		s.point(&line, float64(i), r)
		if r.Paper != nil {
			paper.X, paper.Y = append(paper.X, float64(i)), append(paper.Y, r.Paper.MPJPEMM)
		}
	}
	c.Series = append(c.Series, line)
	if len(paper.X) > 0 {
		c.Series = append(c.Series, paper)
	}
	if level {
		s.plainLevel(c, rows)
	}
	return c
}

// plainLevel adds the error without balancing that the rows are to be compared
// with: that of the rows' own seeds, for seeds differ by more than methods.
func (s *Summary) plainLevel(c *plot.Chart, rows []Row) {
	for _, r := range rows {
		if in := r.Metrics[s.prefix()+metricMPJPE]; in.N > 0 && r.AgainstPlain != nil && r.AgainstPlain.OverSeeds.N == in.N {
			c.Marks = append(c.Marks, plot.Mark{Name: "no balancing" + s.fewer(r), Value: in.Mean - r.AgainstPlain.OverSeeds.Mean, Along: true})
			return
		}
	}
}

// windowChart shows Figure 6.
func (s *Summary) windowChart() *plot.Chart {
	c := &plot.Chart{Title: "Figure 6: learning window of AWC", XLabel: "learning window K, epochs", WholeX: true, YLabel: s.label("MPJPE, mm")}
	line := plot.Series{Name: "AWC"}
	for _, r := range s.Figure6 {
		line.Name = "AWC" + s.fewer(r)
		s.point(&line, float64(*r.K), r)
	}
	c.Series = []plot.Series{line}
	if len(line.X) > 1 && line.X[0] <= paperWindow && line.X[len(line.X)-1] >= paperWindow {
		c.Marks = append(c.Marks, plot.Mark{Name: fmt.Sprintf("paper, MM-Fi: best K = %d", paperWindow), Value: paperWindow})
	}
	s.plainLevel(c, s.Figure6)
	return c
}
