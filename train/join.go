package train

import (
	"context"
	"fmt"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Join returns the samples of several data as one. They must have been prepared
// alike; their clips are shared, not copied.
func Join(parts ...*Data) (*Data, error) {
	if len(parts) == 0 {
		return nil, fmt.Errorf("no data to join")
	}
	out := &Data{cfg: parts[0].cfg, window: parts[0].window, source: parts[0].source}
	for i, d := range parts {
		if err := d.CheckFits(out.cfg); err != nil {
			return nil, err
		}
		if d.window != out.window || d.cfg.Mask() != out.cfg.Mask() {
			return nil, fmt.Errorf("%s was prepared for modalities %s and a %s window, %s for %s and a %s one: prepare them alike",
				d.source, d.cfg.Mask(), d.window, out.source, out.cfg.Mask(), out.window)
		}
		if i > 0 {
			out.source += "; " + d.source
		}
		for _, ref := range d.Samples {
			out.Samples = append(out.Samples, SampleRef{len(out.Clips) + ref.Clip, ref.Row})
		}
		out.Clips = append(out.Clips, d.Clips...)
	}
	return out, nil
}

// Label replaces the truth of every sample by the pose that run gives of all its
// sensors; keep, if there is one, says of a pose and the modalities it is from
// whether the sample stays. Data that was joined from d sees the new truth.
func (d *Data) Label(ctx context.Context, run Poser, keep func(pose *[model.OutputDim]float32, of modality.Set) bool) error {
	batch, poses := d.NewBatch(evaluationBatch), make([]float32, evaluationBatch*model.OutputDim)
	var kept []SampleRef
	for at := 0; at < len(d.Samples); at += evaluationBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(evaluationBatch, len(d.Samples)-at)
		for row := range evaluationBatch {
			d.Fill(batch, row, d.Samples[at+min(row, n-1)])
		}
		if err := run.InferBatch(batch, evaluationBatch, poses); err != nil {
			return err
		}
		if err := run.Coalition(d.cfg.Mask(), evaluationBatch, poses); err != nil {
			return err
		}
		for row := range n {
			ref := d.Samples[at+row]
			pose := (*[model.OutputDim]float32)(poses[row*model.OutputDim:])
			copyRow(d.Clips[ref.Clip].Truth, ref.Row, pose[:], 0, model.OutputDim)
			if keep == nil || keep(pose, batch.Present[row]) {
				kept = append(kept, ref)
			}
		}
	}
	d.Samples = kept
	return nil
}
