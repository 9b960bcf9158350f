package train

import (
	"unsafe"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Needs tells before loading about how many frames a selection has and how many
// bytes of memory their samples will take, by the length of the first clip that
// opens.
func (s Selection) Needs(cfg model.Config, stride int) (frames int, bytes int64) {
	length, from, to := 0, 0, 0
	for _, k := range s.Keys {
		if clip, err := s.Data.Open(k); err == nil {
			length = clip.Len()
			from, to = s.Part.rowsOf(clip)
			break
		}
	}
	rows := (to - from + max(stride, 1) - 1) / max(stride, 1)
	mask := cfg.Mask()
	row := 4*model.OutputDim + int(unsafe.Sizeof(SampleRef{})) + 8 + 1
	for _, m := range []modality.Kind{modality.LiDAR, modality.Radar} {
		if mask.Has(m) {
			row += 4 * cfg.Points(m) * map[modality.Kind]int{modality.LiDAR: model.LiDARPointDim, modality.Radar: model.RadarPointDim}[m]
		}
	}
	if mask.Has(modality.CSI) {
		row += 4 * model.CSIValues
	}
	clip := rows * row
	if mask.Has(modality.Camera) {
		clip += 4 * length * cfg.KeypointFrame()
	}
	return rows * len(s.Keys), int64(clip) * int64(len(s.Keys))
}
