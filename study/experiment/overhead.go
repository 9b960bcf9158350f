package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"posefuse/internal/jsonfile"
	"posefuse/model"
	"posefuse/train"
)

// OverheadRow is a line of Table 2: what an iteration of training takes, and
// what weighing the modalities adds.
type OverheadRow struct {
	Size          string   `json:"size"`
	Fusion        string   `json:"fusion"`
	Modalities    string   `json:"modalities"`
	Batch         int      `json:"batch"`
	Parameters    int      `json:"parameters"`
	ForwardMS     float64  `json:"forward_ms"`
	BackwardMS    float64  `json:"backward_ms"`
	PoseMS        float64  `json:"pose_ms"`
	CorrelationMS float64  `json:"correlation_ms"`
	ScoreMS       float64  `json:"score_ms"`
	Percent       float64  `json:"overhead_percent"`
	Paper         *float64 `json:"paper_overhead_percent,omitempty"`
	Machine       Machine  `json:"machine"`
}

func (e *Experiment) overheadFile() string { return filepath.Join(e.options.Out, "overhead.json") }

// readOverhead returns what was measured, nil if nothing was.
func (e *Experiment) readOverhead() ([]OverheadRow, error) {
	b, err := os.ReadFile(e.overheadFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read overhead: %w", err)
	}
	var rows []OverheadRow
	if err := json.Unmarshal(b, &rows); err != nil {
		return nil, fmt.Errorf("%s: %w: delete it to measure again", e.overheadFile(), err)
	}
	return rows, nil
}

// measureOverhead fills what Table 2 lacks. A row is written as soon as it is
// measured, so that an interruption costs one.
func (e *Experiment) measureOverhead(ctx context.Context) error {
	o := e.File.Overhead
	if o.Rounds == 0 {
		return nil
	}
	rows, err := e.readOverhead()
	if err != nil {
		return err
	}
	size := e.File.Size
	if o.Size != "" {
		size = o.Size
	}
	for i, h := range o.Fusions {
		for k, sub := range o.Subsets {
			if slices.ContainsFunc(rows, func(r OverheadRow) bool {
				return r.Fusion == h && r.Modalities == sub && r.Batch == o.Batch && r.Size == size
			}) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if e.options.Progress != nil {
				total := len(o.Fusions) * len(o.Subsets)
				e.options.Progress(Progress{Cell: "overhead of " + h + " " + sub, Done: i*len(o.Subsets) + k, Total: total, Share: float64(i*len(o.Subsets)+k) / float64(total)})
			}
			m, err := train.MeasureOverhead(e.overheadNetwork(h, sub), o.Batch, o.Rounds)
			if err != nil {
				return fmt.Errorf("measure the overhead of %s, %s: %w", h, sub, err)
			}
			row := OverheadRow{Size: size, Fusion: h, Modalities: sub, Batch: o.Batch, Parameters: m.Params, ForwardMS: m.ForwardMS, BackwardMS: m.BackwardMS,
				PoseMS: m.PoseMS, CorrelationMS: m.CorrelationMS, ScoreMS: m.ScoreMS, Percent: m.Percent, Machine: e.options.Machine}
			if v, ok := paperOverhead[h][len(sub)]; ok {
				row.Paper = &v
			}
			rows = append(rows, row)
			if err := jsonfile.Write(e.overheadFile(), rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// overheadNetwork is the network whose overhead is measured.
func (e *Experiment) overheadNetwork(head, modalities string) model.Config {
	if e.File.Overhead.Size == "" {
		return e.File.network(head, modalities)
	}
	cfg, _ := model.NamedConfig(e.File.Overhead.Size) // checked
	cfg.Head, cfg.Modalities = head, modalities
	return cfg
}

// heads are the fusions of Table 2.
var heads = []string{model.ConcatHead, model.MLPHead, model.AttentionHead}
