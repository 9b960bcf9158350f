package experiment

import (
	"fmt"

	"posefuse/model"
	"posefuse/study/baseline"
	"posefuse/train"
)

// PaperValue is what the paper states for the same row, on MM-Fi.
type PaperValue struct {
	MPJPEMM   float64 `json:"mpjpe_mm"`
	PAMPJPEMM float64 `json:"pa_mpjpe_mm"`
}

func (p *PaperValue) mpjpe() string {
	if p == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", p.MPJPEMM)
}

func (p *PaperValue) pa() string {
	if p == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", p.PAMPJPEMM)
}

// paperTable1 holds the paper's Table 1: MPJPE and PA-MPJPE, mm, of Protocols
// 1 to 3, split S1, four modalities. A zero is a dash in the paper.
var paperTable1 = map[string][3]PaperValue{
	model.ConcatHead + " " + train.Plain:            {{53.87, 35.09}, {52.08, 30.97}, {48.17, 32.18}},
	model.ConcatHead + " " + train.GBlending:        {{58.40, 37.20}, {53.48, 34.30}, {53.13, 33.28}},
	model.ConcatHead + " " + train.OGMGE:            {{55.51, 35.92}, {52.37, 32.58}, {51.68, 32.84}},
	model.ConcatHead + " " + train.AGM:              {{55.80, 38.10}, {54.21, 37.95}, {53.88, 36.30}},
	model.ConcatHead + " " + train.ModalityLevel:    {{53.24, 34.81}, {55.31, 30.88}, {53.98, 31.85}},
	model.ConcatHead + " " + train.AWC:              {{51.16, 34.46}, {50.71, 30.85}, {47.55, 31.79}},
	model.AttentionHead + " " + train.Plain:         {{53.35, 35.20}, {51.01, 31.15}, {49.97, 32.33}},
	model.AttentionHead + " " + train.GBlending:     {{57.14, 38.98}, {53.85, 34.52}, {53.93, 34.36}},
	model.AttentionHead + " " + train.AGM:           {{58.40, 39.91}, {61.28, 41.24}, {53.60, 36.86}},
	model.AttentionHead + " " + train.ModalityLevel: {{53.33, 35.23}, {50.48, 31.47}, {50.71, 33.46}},
	model.AttentionHead + " " + train.AWC:           {{51.29, 34.65}, {50.42, 30.85}, {49.08, 32.10}},
	baseline.HPELiRow:                               {{152.71, 94.39}, {162.42, 89.18}, {149.42, 92.52}},
	baseline.XFiRow:                                 {{}, {}, {88.60, 57.10}},
}

// paper1 returns the paper's value for a row of Table 1, nil if it has none.
func paper1(f *File, key string, protocol int, split string) *PaperValue {
	if split != "s1" && split != "S1" || f.Modalities != "RLMW" || f.Data.Kind == MARS {
		return nil
	}
	row, ok := paperTable1[key]
	if !ok || row[protocol-1] == (PaperValue{}) {
		return nil
	}
	return &row[protocol-1]
}

// paperTable3 holds Table 3: Protocol 1, split S1, concatenation.
var paperTable3 = map[string]PaperValue{
	"R": {63.61, 35.75}, "L": {66.95, 45.70}, "M": {102.89, 52.21}, "W": {166.92, 97.39},
	"LM": {66.85, 45.11}, "LW": {68.08, 46.07}, "MW": {97.81, 52.16}, "RL": {52.93, 34.96},
	"RM": {63.04, 35.74}, "RW": {65.68, 35.89}, "RLMW": {53.87, 35.09},
}

// paperTable4 holds Table 4 by the coefficients of the superior and the
// inferior modalities: Protocol 1, split S1, concatenation.
var paperTable4 = map[[2]float64]PaperValue{
	{0, 10000}: {52.92, 34.94}, {10000, 0}: {52.09, 34.81}, {10000, 10000}: {51.88, 34.84}, {10000, 20000}: {51.60, 34.77},
	{20000, 0}: {51.99, 34.77}, {20000, 10000}: {51.16, 34.46}, {20000, 20000}: {51.69, 34.84}, {30000, 20000}: {51.34, 34.56},
}

// paperOverhead holds the last column of Table 2, percent, by head and number
// of modalities.
var paperOverhead = map[string]map[int]float64{
	model.ConcatHead:    {2: 0.41, 3: 0.70, 4: 0.46},
	model.MLPHead:       {2: 0.55, 3: 0.93, 4: 0.68},
	model.AttentionHead: {2: 3.51, 3: 5.38, 4: 5.08},
}

// paperWindow is the learning window that the paper's Figure 6 shows as best.
const paperWindow = 20

// firstIsPaper reports whether the rows beside the grid are the paper's:
// Protocol 1, split S1, concatenation, four modalities.
func (f *File) firstIsPaper() bool {
	return f.Data.Kind != MARS && f.Protocols[0] == 1 && (f.Splits[0] == "s1" || f.Splits[0] == "S1") && f.Fusions[0] == model.ConcatHead
}
