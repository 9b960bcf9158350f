package experiment

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"posefuse/study/plot"
	"posefuse/train"
)

// Origin says what the figures are about, as it stands under every table and
// plot.
func (s *Summary) Origin() string {
	if s.Simulated {
		text := strings.ToUpper(s.Data[:1]) + s.Data[1:]
		if !strings.Contains(text, "not MM-Fi") {
			text += " on procedural movement; not MM-Fi"
		}
		if s.Source.SHA256 != "" {
			text += "; hash of sample frames " + s.Source.SHA256
		}
		return text + "."
	}
	return "Data: " + s.Data + "."
}

// Caption is what stands under a table or plot of a protocol and split.
func (s *Summary) Caption(protocol int, split string) string {
	text := s.Origin()
	for _, b := range s.Baselines {
		if b.Protocol != protocol || b.Split != split {
			continue
		}
		if v, ok := b.Scores[train.MeanPose]; ok {
			text += fmt.Sprintf(" Mean-pose baseline %.1f mm", v.MPJPEMM)
		}
		if v, ok := b.Scores[train.ActivityMeanPose]; ok {
			text += fmt.Sprintf(", mean pose per activity (oracle) %.1f mm", v.MPJPEMM)
		}
		if v, ok := b.Scores[train.SubjectMeanPose]; ok {
			text += fmt.Sprintf(", per subject (oracle) %.1f mm", v.MPJPEMM)
		}
		text += "."
	}
	for _, c := range s.Partial {
		if c.Protocol == protocol && c.Split == split {
			text += fmt.Sprintf(" %d of the split's %d clips.", c.Clips, c.All)
		}
	}
	if s.Kind == MARS {
		text += " So few people carry no claim about others."
	}
	return text + fmt.Sprintf(" %s, %s size, %s window, %s.", s.place(protocol, split), s.Size, s.Window, count(len(s.Seeds), "seed"))
}

// place names a protocol and split. MARS has no protocols.
func (s *Summary) place(protocol int, split string) string {
	if s.Kind == MARS {
		return "Split " + split
	}
	return fmt.Sprintf("Protocol %d, split %s", protocol, strings.ToUpper(split))
}

func (s *Summary) prefix() string {
	if s.Simulated {
		return "sim_"
	}
	return ""
}

// label is a metric's name in a table's head.
func (s *Summary) label(name string) string {
	if s.Simulated {
		return "sim " + name
	}
	return name
}

// Markdown returns the report.
func (s *Summary) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", s.Name)
	if s.Title != "" {
		fmt.Fprintf(&b, "%s\n\n", s.Title)
	}
	fmt.Fprintf(&b, "%s\n\n", s.Origin())
	if s.Simulated {
		b.WriteString("Every figure below whose name begins with `sim` is about simulated sensors. It is no result on MM-Fi and says nothing about real rooms, that WiFi is useless for poses, or clinical use. Columns headed \"paper, MM-Fi\" are the paper's own values on real data, for orientation only.\n\n")
	}
	if s.Missing > 0 {
		fmt.Fprintf(&b, "**Not finished: %s missing.** Rows without all seeds say how many they lack.\n\n", count(s.Missing, "training is", "trainings are"))
	}
	t := s.Training
	fmt.Fprintf(&b, "Recipe: %d epochs, batch %d, learning rate %g, weight decay %g, %s, %s. ± is half of the 95 %% t-interval over seeds. A difference is paired: the first interval is over seeds (t), the second over test subjects, the third over both at once (bootstrap, %d draws, 95 %%); p is that of the third, corrected for the comparisons of its table (Holm). \"Better\" or \"worse\" is written only if all exclude 0 and p is below 0.05. What was tuned was chosen by the mean error on the validation subjects; scores are of the last epoch.\n\n",
		t.Epochs, t.Batch, t.LR, t.WeightDecay, strideText(t.Stride), decayText(t), bootstrapDraws)
	s.writeTuning(&b)
	s.writeTable1(&b)
	s.writeTable2(&b)
	s.writeTable3(&b)
	s.writeTable4(&b)
	s.writeFigure6(&b)
	s.writeContributions(&b)
	b.WriteString("## Plots\n\n")
	for _, c := range s.Charts {
		fmt.Fprintf(&b, "![%s](%s/%s.svg)\n\n%s\n\n", c.File, plotFolder, c.File, c.Caption)
	}
	return b.String()
}

func strideText(n int) string {
	if n == 1 {
		return "all training frames"
	}
	return fmt.Sprintf("one training frame in %d", n)
}

func decayText(t Training) string {
	if t.DecayEvery == 0 {
		return "cosine schedule"
	}
	return fmt.Sprintf("a tenth of the rate every %d epochs", t.DecayEvery)
}

func (s *Summary) writeTuning(b *strings.Builder) {
	if len(s.Tuning) == 0 {
		return
	}
	b.WriteString("## Tuning\n\nEvery method had the same number of trials. They were chosen by the mean error on training clips that were held out, and no test clip played a part.")
	if strings.EqualFold(s.Table1[0].Split, "s1") && s.Kind != MARS {
		b.WriteString(" Split S1 divides the people anew for each activity: those held out were not trained on at all, but their clips of other activities are among the test clips.")
	}
	b.WriteString("\n\n")
	t := table{head: []string{"Fusion", "Method", "Coefficient", "Trials: learning rate, coefficient → " + s.label("validation MPJPE, mm"), "Chosen"}}
	for _, p := range s.Tuning {
		var trials []string
		for _, x := range p.Trials {
			trials = append(trials, fmt.Sprintf("%s → %s", x.text(), x.ValMPJPEMM.text(1)))
		}
		t.add(fusionTitle(p.Fusion), methodTitle(p.Method), p.Coefficient, strings.Join(trials, "; "), p.Trials[p.Best].text())
	}
	b.WriteString(t.String())
	fmt.Fprintf(b, "%s\n\n", s.Origin())
}

func (t Trial) text() string {
	if t.Coefficient == nil {
		return fmt.Sprintf("%g", t.LR)
	}
	return fmt.Sprintf("%g, %g", t.LR, *t.Coefficient)
}

func (s *Summary) metric(r Row, name string, digits int) string {
	text := r.Metrics[s.prefix()+name].text(digits)
	switch {
	case name != metricMPJPE:
	case r.Missing > 0:
		text += fmt.Sprintf(" (%s missing)", count(r.Missing, "seed"))
	default:
		text += s.fewer(r)
	}
	return text
}

// fewer says how many seeds a row has if first_seeds gives it fewer than the
// experiment has.
func (s *Summary) fewer(r Row) string {
	if n := r.Metrics[s.prefix()+metricMPJPE].N; n > 0 && n < len(s.Seeds) {
		return fmt.Sprintf(" (%s)", count(n, "seed"))
	}
	return ""
}

// splitsOf lists the protocols and splits of rows in their order.
func splitsOf(rows []Row) []Row {
	var out []Row
	for _, r := range rows {
		if !slices.ContainsFunc(out, func(o Row) bool { return o.Protocol == r.Protocol && o.Split == r.Split }) {
			out = append(out, r)
		}
	}
	return out
}

func (s *Summary) writeTable1(b *strings.Builder) {
	b.WriteString("## Table 1: methods\n\n")
	for _, at := range splitsOf(s.Table1) {
		fmt.Fprintf(b, "### %s, modalities %s\n\n", s.place(at.Protocol, at.Split), plus(at.Modalities))
		// The paper has no values for MARS; radar and Kinect stand apart there, so
		// that the error without the place matters.
		paper := "paper, MM-Fi: MPJPE / PA"
		if s.Kind == MARS {
			paper = s.label("MPJPE about the pelvis, mm")
		}
		t := table{head: []string{"Fusion", "Method", s.label("MPJPE, mm"), s.label("PA-MPJPE, mm"), paper, "difference to no balancing, mm, over seeds", "over subjects", "over both", "p (Holm)", "verdict"}}
		for _, r := range s.Table1 {
			if r.Protocol != at.Protocol || r.Split != at.Split {
				continue
			}
			fusion := fusionTitle(r.Fusion)
			if r.Baseline != "" {
				fusion = "–"
			}
			beside := r.Paper.both()
			if s.Kind == MARS {
				beside = s.metric(r, metricPelvis, 2)
			}
			t.add(append([]string{fusion, r.Name, s.metric(r, metricMPJPE, 2), s.metric(r, metricPA, 2), beside}, r.AgainstPlain.cells()...)...)
		}
		for _, m := range s.Baselines {
			if m.Protocol != at.Protocol || m.Split != at.Split {
				continue
			}
			for _, name := range slices.Sorted(maps.Keys(m.Scores)) {
				v := m.Scores[name]
				beside := "–"
				if s.Kind == MARS {
					beside = fmt.Sprintf("%.2f", v.PelvisMM)
				}
				t.add("–", name+" (no sensor)", fmt.Sprintf("%.2f", v.MPJPEMM), fmt.Sprintf("%.2f", v.PAMPJPEMM), beside, "–", "–", "–", "–", "–")
			}
		}
		b.WriteString(t.String())
		fmt.Fprintf(b, "%s Scores are of the last epoch.\n\n", s.Caption(at.Protocol, at.Split))
		s.writeAgainst(b, "AWC against each other method", s.AWCAgainst, at)
	}
}

func (s *Summary) writeAgainst(b *strings.Builder, title string, list []Against, at Row) {
	t := table{head: []string{"Fusion", "Compared", "difference, mm, over seeds", "over subjects", "over both", "p (Holm)", "verdict on the first"}}
	for _, a := range list {
		if a.Protocol == at.Protocol && a.Split == at.Split {
			t.add(append([]string{fusionTitle(a.Fusion), a.First + " – " + a.Second}, a.Difference.cells()...)...)
		}
	}
	if len(t.rows) == 0 {
		return
	}
	fmt.Fprintf(b, "%s (negative: the first has the smaller %s):\n\n%s%s\n\n", title, s.label("MPJPE"), t.String(), s.Caption(at.Protocol, at.Split))
}

func (p *PaperValue) both() string {
	if p == nil {
		return "–"
	}
	return p.mpjpe() + " / " + p.pa()
}

func (s *Summary) writeTable2(b *strings.Builder) {
	if len(s.Table2) == 0 {
		return
	}
	b.WriteString("## Table 2: cost of weighing the modalities\n\n")
	t := table{head: []string{"Fusion", "Modalities", "Parameters, million", "Forward, ms", "Backward, ms", "Pose estimation, ms", "Correlation, ms", "Score, ms", "Overhead, %", "paper, MM-Fi: overhead, %"}}
	for _, r := range s.Table2 {
		paper := "–"
		if r.Paper != nil {
			paper = fmt.Sprintf("%.2f", *r.Paper)
		}
		t.add(fusionTitle(r.Fusion), plus(r.Modalities), fmt.Sprintf("%.2f", float64(r.Parameters)/1e6), fmt.Sprintf("%.1f", r.ForwardMS), fmt.Sprintf("%.1f", r.BackwardMS),
			fmt.Sprintf("%.3f", r.PoseMS), fmt.Sprintf("%.3f", r.CorrelationMS), fmt.Sprintf("%.3f", r.ScoreMS), fmt.Sprintf("%.3f", r.Percent), paper)
	}
	b.WriteString(t.String())
	m := s.Table2[0].Machine
	fmt.Fprintf(b, "Times of one iteration, batch %d, %s size, measured on %s (%s, %s, %s). They do not depend on the data; the inputs were random numbers. The paper's were taken on two RTX 3090 at batch 192.\n\n",
		s.Table2[0].Batch, s.Table2[0].Size, m.CPU, count(m.Cores, "core"), m.System, m.Go)
}

func (s *Summary) writeTable3(b *strings.Builder) {
	if len(s.Table3) == 0 {
		return
	}
	b.WriteString("## Table 3: modalities\n\n")
	t := table{head: []string{"Inputs", s.label("MPJPE, mm"), s.label("PA-MPJPE, mm"), "paper, MM-Fi: MPJPE / PA", "Parameters, million"}}
	for _, r := range s.Table3 {
		t.add(r.Name, s.metric(r, metricMPJPE, 2), s.metric(r, metricPA, 2), r.Paper.both(), fmt.Sprintf("%.2f", float64(r.Parameters)/1e6))
	}
	at := s.Table3[0]
	for _, m := range s.Baselines {
		if m.Protocol != at.Protocol || m.Split != at.Split {
			continue
		}
		for _, name := range []string{train.MeanPose, train.ActivityMeanPose} {
			if v, ok := m.Scores[name]; ok {
				t.add(name+" (no sensor)", fmt.Sprintf("%.2f", v.MPJPEMM), fmt.Sprintf("%.2f", v.PAMPJPEMM), "–", "0")
			}
		}
	}
	b.WriteString(t.String())
	fmt.Fprintf(b, "%s %s without balancing.\n\n", s.Caption(at.Protocol, at.Split), fusionTitle(at.Fusion))
	s.writeAgainst(b, "All modalities against fewer", s.AllAgainst, at)
}

func (s *Summary) writeTable4(b *strings.Builder) {
	for _, part := range []struct {
		title, first, note string
		rows               []Row
	}{
		{"Table 4: coefficients of AWC", "α superior / inferior", "AWC, learning window of the settings.", s.Table4},
		{"Variants", "Variant", "", s.Variants},
	} {
		if len(part.rows) == 0 {
			continue
		}
		fmt.Fprintf(b, "## %s\n\n", part.title)
		t := table{head: []string{part.first, s.label("MPJPE, mm"), s.label("PA-MPJPE, mm"), "paper, MM-Fi: MPJPE / PA", "difference to no balancing, mm, over seeds", "over subjects", "over both", "p (Holm)", "verdict"}}
		for _, r := range part.rows {
			t.add(append([]string{r.Name, s.metric(r, metricMPJPE, 2), s.metric(r, metricPA, 2), r.Paper.both()}, r.AgainstPlain.cells()...)...)
		}
		b.WriteString(t.String())
		fmt.Fprintf(b, "%s %s. %s\n\n", s.Caption(part.rows[0].Protocol, part.rows[0].Split), fusionTitle(part.rows[0].Fusion), part.note)
	}
}

func (s *Summary) writeFigure6(b *strings.Builder) {
	if len(s.Figure6) == 0 {
		return
	}
	b.WriteString("## Figure 6: learning window of AWC\n\n")
	t := table{head: []string{"Window, epochs", s.label("MPJPE, mm"), s.label("PA-MPJPE, mm"), "difference to no balancing, mm, over seeds", "over subjects", "over both", "p (Holm)", "verdict"}}
	for _, r := range s.Figure6 {
		t.add(append([]string{r.Name, s.metric(r, metricMPJPE, 2), s.metric(r, metricPA, 2)}, r.AgainstPlain.cells()...)...)
	}
	b.WriteString(t.String())
	at := s.Figure6[0]
	fmt.Fprintf(b, "%s %s. The paper, MM-Fi, names K = %d of 50 epochs as the best.\n\n", s.Caption(at.Protocol, at.Split), fusionTitle(at.Fusion), paperWindow)
}

func (s *Summary) writeContributions(b *strings.Builder) {
	if len(s.Phi) == 0 {
		return
	}
	b.WriteString("## Contributions at the end of training\n\n")
	t := table{head: []string{"Protocol, split", "Fusion", "Method", "φ R", "φ L", "φ M", "φ W", "R – M", "R – W", "L – M", "L – W", "superior by K-Means (seeds)"}}
	for _, c := range s.Phi {
		cells := []string{fmt.Sprintf("P%d, %s", c.Protocol, strings.ToUpper(c.Split)), fusionTitle(c.Fusion), methodTitle(c.Method)}
		for _, letter := range []string{"R", "L", "M", "W"} {
			cells = append(cells, c.Shapley[letter].text(2))
		}
		for _, pair := range []string{"R-M", "R-W", "L-M", "L-W"} {
			d := c.Differences[pair]
			if d.N == 0 {
				cells = append(cells, "–")
			} else {
				cells = append(cells, d.signed(2))
			}
		}
		t.add(append(cells, c.splits())...)
	}
	b.WriteString(t.String())
	fmt.Fprintf(b, "%s Shapley values of the Pearson profit, summed over 51 coordinates, mean over the last epoch's batches. That R and L lead follows partly from the calibration of the simulator where the data is simulated.\n\n", s.Caption(s.Phi[0].Protocol, s.Phi[0].Split))
}

// overRuns returns the mean of a number over the runs by epoch, with the 95 %
// t-interval where there are at least two runs.
func overRuns(runs [][]plot.Epoch, of func(plot.Epoch) (float64, bool)) plot.Series {
	byEpoch := map[int][]float64{}
	for _, run := range runs {
		for _, e := range run {
			if v, ok := of(e); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
				byEpoch[e.Epoch] = append(byEpoch[e.Epoch], v)
			}
		}
	}
	var s plot.Series
	for _, epoch := range slices.Sorted(maps.Keys(byEpoch)) {
		in := MeanInterval(byEpoch[epoch])
		s.X, s.Y = append(s.X, float64(epoch)), append(s.Y, in.Mean)
		if len(runs) > 1 {
			s.Low, s.High = append(s.Low, in.Low), append(s.High, in.High)
		}
	}
	return s
}
