package plot

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// Epoch is one line of a training's curve.jsonl. Fields a training does not
// have are nil.
type Epoch struct {
	Epoch        int                `json:"epoch"` // 1-based
	TrainMPJPEMM float64            `json:"train_mpjpe_mm"`
	ValMPJPEMM   *float64           `json:"val_mpjpe_mm,omitempty"`
	LR           float64            `json:"lr"`
	Shapley      map[string]float64 `json:"shapley,omitempty"`       // per modality letter, sum over the 51 coordinates
	ShapleyAlone map[string]float64 `json:"shapley_alone,omitempty"` // score of the modality by itself
	// Method holds what the balancing method did; for AWC "ratio R" is
	// ‖α·F⊙Δθ‖/‖∇L‖ of encoder R.
	Method map[string]float64 `json:"method,omitempty"`
}

// AWCRatio returns the norm of the weight constraint's gradient over the
// loss's, by modality letter; empty if the method was another.
func (e Epoch) AWCRatio() map[string]float64 {
	out := map[string]float64{}
	for _, letter := range modalityLetters {
		if v, ok := e.Method["ratio "+letter]; ok {
			out[letter] = v
		}
	}
	return out
}

// ReadCurve reads the lines of a curve.jsonl. A last line cut short by a kill
// is left out; any other line that is not JSON is an error with its number.
func ReadCurve(r io.Reader) ([]Epoch, error) {
	in := bufio.NewReader(r)
	var out []Epoch
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read training curve: %w", err)
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		var e Epoch
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("training curve, line %d: %w", n, err)
		}
		// After a resume the same epoch may come again: the later line counts.
		for len(out) > 0 && out[len(out)-1].Epoch >= e.Epoch {
			out = out[:len(out)-1]
		}
		out = append(out, e)
	}
}

// ReadCurveFile is ReadCurve for a file.
func ReadCurveFile(path string) ([]Epoch, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open training curve: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	curve, err := ReadCurve(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return curve, nil
}

// modalityLetters is the paper's order, which fixes each modality's colour.
var modalityLetters = []string{"R", "L", "M", "W"}

var modalityNames = map[string]string{"R": "R camera", "L": "L LiDAR", "M": "M radar", "W": "W WiFi"}

// Training draws the charts of one training into dir: mpjpe (training loss and
// validation error), and shapley and awc where the curve has the numbers.
// The caption says what the data is. It returns the names written, without the
// ending.
func Training(dir string, curve []Epoch, caption string) ([]string, error) {
	if len(curve) == 0 {
		return nil, fmt.Errorf("plots of the training: %w: the curve has no epoch", ErrEmpty)
	}
	var names []string
	charts := trainingCharts(curve)
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		charts[name].Caption = caption
		err := charts[name].Write(dir, name)
		if errors.Is(err, ErrEmpty) {
			continue
		}
		if err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

// trainingCharts returns the charts of one training by the names of their
// files; some may be empty.
func trainingCharts(curve []Epoch) map[string]*Chart {
	return map[string]*Chart{
		"mpjpe": ErrorChart(curve),
		"shapley": ModalityChart(oneRun(curve, func(e Epoch) map[string]float64 { return e.Shapley }),
			"Shapley contribution of each modality", "φ, sum over 51 coordinates", false),
		"awc": ModalityChart(oneRun(curve, Epoch.AWCRatio),
			"Pull of the adaptive weight constraint on each encoder", "|α·F·Δθ| / |gradient of the loss|", true),
	}
}

// ErrorChart shows the training loss and the validation error over the epochs.
func ErrorChart(curve []Epoch) *Chart {
	c := &Chart{Title: "Error while training", XLabel: "epoch", WholeX: true, YLabel: "MPJPE, mm", LogY: true}
	loss, val := Series{Name: "training"}, Series{Name: "validation"}
	for _, e := range curve {
		loss.X, loss.Y = append(loss.X, float64(e.Epoch)), append(loss.Y, e.TrainMPJPEMM)
		if e.ValMPJPEMM != nil {
			val.X, val.Y = append(val.X, float64(e.Epoch)), append(val.Y, *e.ValMPJPEMM)
		}
	}
	c.Series = append(c.Series, loss)
	if len(val.X) > 0 {
		c.Series = append(c.Series, val)
	}
	for i := 1; i < len(curve); i++ {
		if curve[i].LR < 0.5*curve[i-1].LR { // a step, not a cosine
			c.Marks = append(c.Marks, Mark{Name: fmt.Sprintf("learning rate %.2g", curve[i].LR), Value: float64(curve[i].Epoch)})
		}
	}
	return c
}

// ModalityChart shows a number per modality over the epochs. line returns the
// series of a modality's letter, empty if there is none.
func ModalityChart(line func(letter string) Series, title, yLabel string, logarithmic bool) *Chart {
	c := &Chart{Title: title, XLabel: "epoch", WholeX: true, YLabel: yLabel, LogY: logarithmic}
	for k, letter := range modalityLetters {
		s := line(letter)
		if len(s.X) == 0 {
			continue
		}
		s.Name, s.Colour = modalityNames[letter], k+1
		c.Series = append(c.Series, s)
	}
	return c
}

// oneRun returns the series of a number of a single training, by letter.
func oneRun(curve []Epoch, of func(Epoch) map[string]float64) func(string) Series {
	return func(letter string) Series {
		var s Series
		for _, e := range curve {
			if v, ok := of(e)[letter]; ok {
				s.X, s.Y = append(s.X, float64(e.Epoch)), append(s.Y, v)
			}
		}
		return s
	}
}
