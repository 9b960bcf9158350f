package train

import (
	"fmt"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Alone gives the poses of a network by one of its sensors, for data that has no
// other: the rest is absent.
type Alone struct {
	Run    *model.Runtime
	Sensor modality.Kind
}

var _ Poser = Alone{}

// InferBatch implements Poser.
func (a Alone) InferBatch(b *model.Batch, n int, pose []float32) error {
	values := [modality.Count][]float32{modality.Camera: b.Camera, modality.LiDAR: b.LiDAR, modality.Radar: b.Radar, modality.CSI: b.CSI}[a.Sensor]
	per := len(values) / len(b.Present)
	var out model.Output
	for i := range n {
		a.Run.Begin()
		if err := a.Run.Encode(a.Sensor, values[i*per:(i+1)*per]); err != nil {
			return err
		}
		if err := a.Run.Finish(modality.Of(a.Sensor), &out); err != nil {
			return err
		}
		copy(pose[i*model.OutputDim:], out.Pose[:])
	}
	return nil
}

// Coalition implements Poser: there is the one sensor, whose poses InferBatch
// has given.
func (a Alone) Coalition(mask modality.Set, _ int, _ []float32) error {
	if mask != modality.Of(a.Sensor) {
		return fmt.Errorf("coalition %s of %s alone", mask, modality.Of(a.Sensor))
	}
	return nil
}
