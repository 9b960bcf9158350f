package experiment

import (
	"fmt"
	"math"

	"posefuse/train"
)

// Picked is the outcome of tuning one method with one fusion.
type Picked struct {
	Fusion      string   `json:"fusion"`
	Method      string   `json:"method"`
	Coefficient string   `json:"coefficient"` // what the trials' coefficient is
	Trials      []Tried  `json:"trials"`
	Best        int      `json:"best"` // index into Trials
	Seeds       []uint64 `json:"seeds"`
}

// Tried is one trial and its mean error on the validation subjects.
type Tried struct {
	Trial
	ValMPJPEMM Interval `json:"val_mpjpe_mm"`
}

// pick chooses each method's trial: the smallest mean error on the validation
// subjects over the tuning's seeds; of equal ones the first.
func (e *Experiment) pick() error {
	if e.File.Tuning.Trials == nil {
		return nil
	}
	for _, h := range e.File.Fusions {
		for _, m := range e.File.Methods {
			p := Picked{Fusion: h, Method: m, Coefficient: train.Methods.Find(m).Tuned.Means, Seeds: e.File.Tuning.Seeds}
			best := math.Inf(1)
			for i, cells := range e.tuningCells(h, m) {
				var errs []float64
				for _, c := range cells {
					r, err := e.read(c)
					if err != nil {
						return err
					}
					if r == nil {
						return fmt.Errorf("trial %d of %s has no result: run the experiment to its end", i, m)
					}
					errs = append(errs, r.Evaluation.Coalitions[c.Network.Modalities].MPJPEMM)
				}
				in := MeanInterval(errs)
				p.Trials = append(p.Trials, Tried{e.File.Tuning.Trials[m][i], in})
				if in.Mean < best {
					best, p.Best = in.Mean, i
				}
			}
			e.picked[h+" "+m] = p
		}
	}
	return nil
}

// chosen returns what a method is trained with: the best trial's values, or
// without tuning the file's.
func (e *Experiment) chosen(head, method string) choice {
	ch := choice{e.File.Settings, e.File.Training}
	if p, ok := e.picked[head+" "+method]; ok {
		return ch.apply(method, p.Trials[p.Best].Trial)
	}
	if _, err := train.NewMethod(method, ch.settings); err != nil {
		panic(err) // checked when the file was read
	}
	return ch
}
