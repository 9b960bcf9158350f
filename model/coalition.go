package model

import (
	"fmt"

	"posefuse/sensors/modality"
)

// Coalition re-runs the fusion head on the features of the last InferBatch
// with only the modalities of mask; the features of the others count as zero.
// pose takes n x OutputDim metres, n being the batch of that call.
func (r *Runtime) Coalition(mask modality.Set, n int, pose []float32) error {
	return r.Fuse(mask, &r.feats, n, pose)
}

// Fuse runs the fusion head on n samples' given features, n x FeatureDim per
// modality, with only the modalities of mask; the others count as zero and
// their features are not read. pose takes n x OutputDim metres.
func (r *Runtime) Fuse(mask modality.Set, features *[modality.Count][]float32, n int, pose []float32) error {
	if len(pose) != n*OutputDim {
		return fmt.Errorf("coalition %s: pose holds %d values, want %d for %d samples", mask, len(pose), n*OutputDim, n)
	}
	r.zeros(n)
	for i, m := range r.inst.slots {
		if r.in[i] = r.zero; mask.Has(m) {
			r.in[i] = features[m]
		}
		if len(r.in[i]) < n*FeatureDim {
			return fmt.Errorf("coalition %s: the features hold fewer than %d samples of %s", mask, n, m.String())
		}
	}
	copy(pose, r.inst.head.Forward(r.in, n))
	return nil
}
