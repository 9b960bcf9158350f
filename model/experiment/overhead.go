package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// OverheadRow is a line of Table 2: what an iteration of training takes, and
// what weighing the modalities adds.
type OverheadRow struct {
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
