package experiment

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"posefuse/internal/jsonfile"
)

// The files of the report, in the experiment's folder.
const (
	ReportFile  = "report.md"
	SummaryFile = "report.json"
	plotFolder  = "plots"
)

// Report writes report.md, report.json and the plots from the results there
// are. The same results give the same bytes.
func (e *Experiment) Report() (*Summary, error) {
	s, err := e.Summarize()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(e.options.Out, plotFolder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create folder of plots: %w", err)
	}
	if err := e.drawAll(s, dir); err != nil {
		return nil, err
	}
	report := filepath.Join(e.options.Out, ReportFile)
	if err := renameio.WriteFile(report, []byte(s.Markdown()), 0o644); err != nil {
		return nil, fmt.Errorf("write %s: %w", report, err)
	}
	return s, jsonfile.Write(filepath.Join(e.options.Out, SummaryFile), s)
}
