package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
	"posefuse/study/plot"
	"posefuse/train"
)

// Table is what a model does in each room.
type Table struct {
	Name   string        `json:"name"`
	Data   string        `json:"data"` // what the data of the base is
	Frames int           `json:"frames"`
	Stages []StageScores `json:"stages"`
	// Search is how well the person is found in each room, in the order of the
	// stages' rows; nil if no stage looks for them.
	Search []SearchScore `json:"search,omitempty"`
}

// StageScores is the table of one way from samples to the network's input.
type StageScores struct {
	Name string     `json:"name"`
	Rows []RowScore `json:"rows"` // in the file's order
}

// RowScore is the error in one room, millimetres.
type RowScore struct {
	Name     string             `json:"name"`
	FusedMM  float64            `json:"fused_mm"`
	PelvisMM float64            `json:"pelvis_mm"` // both poses moved so that the pelvis is the origin
	AloneMM  map[string]float64 `json:"alone_mm"`  // each sensor alone, by its letter
	Ratio    float64            `json:"ratio"`     // fused, to the base's of the same stage
	// Found tells in how many frames somebody was found; of an empty room that is
	// all there is to tell.
	Found train.Found `json:"found"`
	Empty bool        `json:"empty,omitempty"`
	// Skipped says which key of the row cannot be applied to the recordings, and
	// why; the figures are 0 then.
	Skipped string `json:"skipped,omitempty"`
}

// Stage is a way from recorded samples to the network's input.
type Stage struct {
	Name string // e.g. "raw"
	// Load prepares the clips of a data set.
	Load func(ctx context.Context, ds recording.Dataset, keys []recording.Key) (*train.Data, error)
	// Trained is the arrangement into which the stage brings the person it looks
	// for; nil if it looks for nobody.
	Trained *frame.Arrangement
}

// Raw is the stage that gives the network each sensor's values as they come.
func Raw(cfg model.Config, window model.Window) Stage {
	return Stage{Name: "raw", Load: func(ctx context.Context, ds recording.Dataset, keys []recording.Key) (*train.Data, error) {
		return train.Load(ctx, ds, keys, cfg, train.LoadOptions{Window: window})
	}}
}

// Prepared is the stage that finds the person in every sensor's values and brings
// them into the arrangement that the network was trained in, as the daemon does.
func Prepared(cfg model.Config, window model.Window, trained frame.Arrangement) Stage {
	return Stage{Name: "prepared", Trained: &trained, Load: func(ctx context.Context, ds recording.Dataset, keys []recording.Key) (*train.Data, error) {
		return train.Load(ctx, ds, keys, cfg, train.LoadOptions{Window: window, Stage: train.PersonStage(trained)})
	}}
}

// Evaluate takes the file's clips in each of its rooms and gives them to net by
// each stage: from simulates them if it is nil, else they are the recordings of
// from, changed. A room that recordings cannot be changed to is skipped and says
// so. progress, if not nil, is called after each room.
func Evaluate(ctx context.Context, f *File, from recording.Dataset, net *model.Network, stages []Stage, progress func(done, total int)) (*Table, error) {
	if len(stages) == 0 {
		return nil, errors.New("no way from samples to the network was chosen")
	}
	t := &Table{Name: f.Name}
	for _, s := range stages {
		t.Stages = append(t.Stages, StageScores{Name: s.Name})
	}
	for i := range f.Rows {
		row := &f.Rows[i]
		if skipped := f.skips(from, row); skipped != "" {
			if i == 0 {
				return nil, fmt.Errorf("the base cannot be made of recordings: %s", skipped)
			}
			for k := range t.Stages {
				t.Stages[k].Rows = append(t.Stages[k].Rows, RowScore{Name: row.Name, Skipped: skipped})
			}
		} else if err := t.evaluate(ctx, f, from, row, net, stages); err != nil {
			return nil, fmt.Errorf("row %q: %w", row.Name, err)
		}
		if progress != nil {
			progress(i+1, len(f.Rows))
		}
	}
	return t, nil
}

// skips says what keeps recordings from being changed to a row's room.
func (f *File) skips(from recording.Dataset, row *Row) string {
	if from == nil {
		return ""
	}
	return row.notApplicable(&Row{World: sim.DefaultWorld(), Preset: f.Rows[0].Preset})
}

// evaluate adds the scores of one row.
func (t *Table) evaluate(ctx context.Context, f *File, from recording.Dataset, row *Row, net *model.Network, stages []Stage) error {
	simulated, err := f.dataset(row)
	if err != nil {
		return err
	}
	ds := recording.Dataset(simulated)
	if from != nil {
		if ds, err = f.recorded(from, row); err != nil {
			return err
		}
	}
	if t.Data == "" {
		t.Data = ds.Describe()
	}
	if row.Untold {
		ds = untold{ds}
	}
	for k, s := range stages {
		score, frames, err := evaluateRow(ctx, ds, f.Clips, net, s)
		if errors.Is(err, train.ErrNobody) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		t.Frames = max(t.Frames, frames)
		score.Name = row.Name
		rows := &t.Stages[k].Rows
		if score.Empty = row.World.Person.Absent; score.Empty {
			score = RowScore{Name: row.Name, Found: score.Found, Empty: true}
		}
		*rows = append(*rows, score)
		(*rows)[len(*rows)-1].Ratio = score.FusedMM / (*rows)[0].FusedMM
		if s.Trained == nil || from != nil { // nobody knows what a recorded point lies on
			continue
		}
		found, err := search(ctx, simulated, f.Clips, *s.Trained, row.Untold)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		t.Search = append(t.Search, found)
	}
	return nil
}

// untold is a data set that keeps to itself where its sensors stood.
type untold struct{ recording.Dataset }

func (u untold) Open(k recording.Key) (recording.Clip, error) {
	c, err := u.Dataset.Open(k)
	return struct{ recording.Clip }{c}, err
}

// evaluateRow returns the scores in one room and of how many frames they are.
func evaluateRow(ctx context.Context, ds recording.Dataset, keys []recording.Key, net *model.Network, s Stage) (out RowScore, frames int, err error) {
	data, err := s.Load(ctx, ds, keys)
	if data != nil {
		out.Found = data.Found()
	}
	if err != nil {
		return out, 0, err
	}
	full := net.Config.Mask()
	coalitions := []modality.Set{full}
	for m := range modality.Count {
		if one := modality.Of(m); full.Has(m) && one != full {
			coalitions = append(coalitions, one)
		}
	}
	rep, err := train.Evaluate(ctx, net, data, nil, coalitions, ds.Describe(), nil)
	if err != nil {
		return RowScore{}, 0, err
	}
	fused := rep.Coalitions[full.String()]
	out.FusedMM, out.PelvisMM, out.AloneMM = fused.MPJPEMM, fused.PelvisMM, map[string]float64{}
	for _, one := range coalitions[1:] {
		out.AloneMM[one.String()] = rep.Coalitions[one.String()].MPJPEMM
	}
	return out, fused.Frames, nil
}

// Print writes the table as text: of every stage the fused error and its ratio
// to the base, of the last one the rest too, and how well the person was found.
func (t *Table) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "data: %s; %d frames a row\n\n%-44s", t.Data, t.Frames, t.Name)
	for _, s := range t.Stages {
		fmt.Fprintf(&b, " %11s %6s", s.Name+" mm", "x base")
	}
	last := t.Stages[len(t.Stages)-1]
	letters := alone(last.Rows)
	fmt.Fprintf(&b, " %9s", "pelvis mm")
	for _, l := range letters {
		fmt.Fprintf(&b, " %7s", l+" mm")
	}
	if t.Search != nil {
		fmt.Fprintf(&b, " %7s %9s %7s %9s", "found %", "points", "kept %", "foreign %")
	}
	b.WriteByte('\n')
	for i := range last.Rows {
		fmt.Fprintf(&b, "%-44s", last.Rows[i].Name)
		if why := last.Rows[i].Skipped; why != "" {
			fmt.Fprintf(&b, " not of recordings: %s\n", why)
			continue
		}
		if r := &last.Rows[i]; r.Empty {
			fmt.Fprintf(&b, " empty: somebody in %.1f %% of the frames\n", 100*r.Found.Share())
			continue
		}
		for _, s := range t.Stages {
			fmt.Fprintf(&b, " %11.1f %6.2f", s.Rows[i].FusedMM, s.Rows[i].Ratio)
		}
		fmt.Fprintf(&b, " %9.1f", last.Rows[i].PelvisMM)
		for _, l := range letters {
			fmt.Fprintf(&b, " %7.1f", last.Rows[i].AloneMM[l])
		}
		if t.Search != nil {
			fmt.Fprintf(&b, " %7.1f %9.0f %7.1f %9.1f", 100*last.Rows[i].Found.Share(), t.Search[i].Points, 100*t.Search[i].Kept, 100*t.Search[i].Foreign)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// alone returns the letters of the sensors in the table, in their order.
func alone(rows []RowScore) (out []string) {
	for m := range modality.Count {
		if _, ok := rows[0].AloneMM[m.Letter()]; ok {
			out = append(out, m.Letter())
		}
	}
	return out
}

// Chart draws the fused errors as bars, with the base's as levels.
func (t *Table) Chart() *plot.Bars {
	c := &plot.Bars{
		Title: "What a room changes: " + t.Name, Caption: t.Data + fmt.Sprintf("; %d frames a row", t.Frames),
		XLabel: "MPJPE, mm",
	}
	for i, s := range t.Stages {
		bars := plot.BarSeries{Name: s.Name}
		for _, r := range s.Rows {
			if r.Skipped != "" || r.Empty {
				continue
			}
			if i == 0 {
				c.Names = append(c.Names, r.Name)
			}
			bars.Values = append(bars.Values, r.FusedMM)
		}
		c.Series = append(c.Series, bars)
	}
	return c
}
