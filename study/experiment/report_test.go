package experiment

import (
	"strings"
	"testing"

	"posefuse/model"
	"posefuse/study/plot"
	"posefuse/train"
)

// Seeds differ by more than methods: a row of one seed stands in its plot
// beside plain training with that seed, not beside the mean over all.
func TestPlotsCompareTheSameSeeds(t *testing.T) {
	s := &Summary{Seeds: []uint64{1, 2, 3}, Table1: []Row{{Name: "no balancing", Method: train.Plain, Metrics: map[string]Interval{metricMPJPE: {146, 119, 173, 3}}}}}
	k := 1
	row := Row{Name: "K = 1", K: &k, Metrics: map[string]Interval{metricMPJPE: {154, 154, 154, 1}}, AgainstPlain: &Comparison{OverSeeds: Interval{-3, -3, -3, 1}}}
	s.Figure6 = []Row{row}
	named, window := s.namedChart("Variants", "", []Row{row}, true), s.windowChart()
	for _, c := range []*plot.Chart{named, window} {
		if len(c.Marks) != 1 || c.Marks[0].Value != 157 || !strings.Contains(c.Marks[0].Name, "(1 seed)") {
			t.Errorf("%s: the level without balancing is %+v, want 157 of 1 seed", c.Title, c.Marks)
		}
	}
	if named.XNames[0] != "K = 1 (1 seed)" || window.Series[0].Name != "AWC (1 seed)" {
		t.Errorf("the plots name %q and %q", named.XNames[0], window.Series[0].Name)
	}
}

// Real radar and Kinect stand apart: the report gives the error about the
// pelvis, too, of the radar as of the poses without a sensor.
func TestReportOfMARS(t *testing.T) {
	row := Row{Name: "no balancing", Protocol: 1, Split: Within, Modalities: "M", Fusion: model.ConcatHead, Metrics: map[string]Interval{
		metricMPJPE: {59.5, 50, 69, 3}, metricPA: {35.25, 34, 36, 3}, metricPelvis: {41.75, 40, 43, 3}}}
	s := &Summary{Name: "mars", Kind: MARS, Data: "MARS", Seeds: []uint64{1, 2, 3}, Table1: []Row{row},
		Baselines: []MeanPoses{{1, Within, map[string]train.Score{train.MeanPose: {MPJPEMM: 204.5, PelvisMM: 119.25, PAMPJPEMM: 103.5}}}}}
	report := s.Markdown()
	for _, want := range []string{"### Split within, modalities M", "MPJPE about the pelvis, mm", "41.75 ±", "119.25", "no claim about others"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for _, not := range []string{"Protocol", "MM-Fi"} {
		if strings.Contains(report, not) {
			t.Errorf("the report says %q", not)
		}
	}
}

func TestSplitsOfContributions(t *testing.T) {
	c := Contribution{Superior: map[string]int{}}
	for _, phi := range []map[string]float64{
		{"R": 20, "L": 17, "M": 5, "W": 3}, {"R": 18, "L": 19, "M": 5, "W": 3}, {"R": 30, "L": 14, "M": 12, "W": 2}, {"M": 1, "W": 1},
	} {
		c.Superior[superior(phi)]++
	}
	if got, want := c.splits(), "R+L (2), none (1), R (1)"; got != want {
		t.Errorf("the splits read %q, want %q", got, want)
	}
}
