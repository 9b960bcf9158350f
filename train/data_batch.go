package train

import (
	"posefuse/model"
	"posefuse/sensors/modality"
)

// NewBatch returns a batch of n samples for Fill. Modalities that the data was
// not loaded for stay nil.
func (d *Data) NewBatch(n int) *model.Batch {
	b := &model.Batch{Target: make([]float32, n*model.OutputDim), Present: make([]modality.Set, n)}
	mask := d.cfg.Mask()
	if mask.Has(modality.Camera) {
		b.Camera = make([]float32, n*d.cfg.CameraValues())
	}
	if mask.Has(modality.LiDAR) {
		b.LiDAR = make([]float32, n*d.cfg.LiDAR.Points*model.LiDARPointDim)
	}
	if mask.Has(modality.Radar) {
		b.Radar = make([]float32, n*d.cfg.Radar.Points*model.RadarPointDim)
	}
	if mask.Has(modality.CSI) {
		b.CSI = make([]float32, n*model.CSIValues)
	}
	return b
}

// Fill copies sample ref into row of batch b, with the camera window placed as
// the network's configuration says and padded as recording.Window says. Several
// goroutines may fill at once.
func (d *Data) Fill(b *model.Batch, row int, ref SampleRef) {
	c := d.Clips[ref.Clip]
	mask := d.cfg.Mask()
	if mask.Has(modality.Camera) {
		width := d.cfg.CameraValues()
		d.fillCamera(b.Camera[row*width:(row+1)*width], c, c.Frames[ref.Row])
	}
	if mask.Has(modality.LiDAR) {
		copyRow(b.LiDAR, row, c.LiDAR, ref.Row, d.cfg.LiDAR.Points*model.LiDARPointDim)
	}
	if mask.Has(modality.Radar) {
		copyRow(b.Radar, row, c.Radar, ref.Row, d.cfg.Radar.Points*model.RadarPointDim)
	}
	if mask.Has(modality.CSI) {
		copyRow(b.CSI, row, c.CSI, ref.Row, model.CSIValues)
	}
	copyRow(b.Target, row, c.Truth, ref.Row, model.OutputDim)
	b.Present[row] = mask & c.Present[ref.Row]
}

// fillCamera copies the window of the given frame.
func (d *Data) fillCamera(dst []float32, c *ClipData, target int) {
	per := d.cfg.KeypointFrame()
	frames, window := len(c.Camera)/per, cameraWindow(d.window)
	for i := range model.CameraWindow {
		frame, _ := window.Frame(target, i, frames) // padding is counted at loading
		if c.CameraFrom != nil {
			frame = max(frame, int(c.CameraFrom[target]))
			for frame > target && int(c.CameraFrom[frame]) > target {
				frame-- // somebody else's
			}
		}
		copy(dst[i*per:(i+1)*per], c.Camera[frame*per:][:per])
	}
}

func copyRow(dst []float32, dstRow int, src []float32, srcRow, width int) {
	copy(dst[dstRow*width:(dstRow+1)*width], src[srcRow*width:(srcRow+1)*width])
}
