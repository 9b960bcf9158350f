package train

import (
	"context"
	"fmt"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Teach notes the pose that run gives of every sample by every set of its sensors. A
// network that is trained on d afterwards learns these in the place of the truth: on
// recordings that run was trained on it stays the function that run is while it learns
// others (learning without forgetting, Li and Hoiem 2016). The truth would draw it along
// what is left of the error there, which training cannot take away. Evaluation goes by
// the truth. A sample takes 3 kB more. Data that was joined from d learns them too.
func (d *Data) Teach(ctx context.Context, run Poser) error {
	const row = (int(modality.All) + 1) * model.OutputDim
	batch, poses := d.NewBatch(evaluationBatch), make([]float32, evaluationBatch*model.OutputDim)
	for _, c := range d.Clips {
		c.Taught = make([]float32, len(c.Frames)*row)
	}
	for at := 0; at < len(d.Samples); at += evaluationBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(evaluationBatch, len(d.Samples)-at)
		for i := range evaluationBatch {
			d.Fill(batch, i, d.Samples[at+min(i, n-1)])
		}
		if err := run.InferBatch(batch, evaluationBatch, poses); err != nil {
			return fmt.Errorf("teach %s: %w", d.source, err)
		}
		for _, of := range d.cfg.Mask().Subsets() {
			if err := run.Coalition(of, evaluationBatch, poses); err != nil {
				return fmt.Errorf("teach %s: sensors %s: %w", d.source, of, err)
			}
			for i, ref := range d.Samples[at : at+n] {
				copyRow(d.Clips[ref.Clip].Taught[ref.Row*row:], int(of), poses, i, model.OutputDim)
			}
		}
	}
	return nil
}

// teach puts the pose that Teach noted of sample ref, by its sensors in drawn, in the
// place of the truth in row of a batch that Fill has filled, and reports whether there
// is one. Such a sample is not to be varied: what was taught is of it as it is.
func (d *Data) teach(b *model.Batch, row int, ref SampleRef, drawn modality.Set) bool {
	c := d.Clips[ref.Clip]
	if c.Taught == nil {
		return false
	}
	of := b.Present[row]
	if left := of & drawn; left != 0 {
		of = left
	}
	copyRow(b.Target, row, c.Taught, ref.Row*(int(modality.All)+1)+int(of), model.OutputDim)
	return true
}
