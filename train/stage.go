package train

import (
	"posefuse/frame"
	"posefuse/model"
	"posefuse/person"
	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// PersonStage returns what LoadOptions.Stage wants for networks of an arrangement:
// a stage on the rig of each clip, or where nobody noted one, on that of the
// arrangement itself.
func PersonStage(a frame.Arrangement) func(recording.Clip) (*person.Stage, error) {
	return func(clip recording.Clip) (*person.Stage, error) {
		rig, noted := frame.RigOf(clip)
		if !noted {
			rig = a.Rig()
		}
		return person.NewStage(rig, a, person.NewFinder(person.Config{LiDARAtM: rig.RoomFromLiDAR.T})), nil
	}
}

// staged takes the frames of one clip through the stage that the daemon takes
// its ticks through.
type staged struct {
	stage  *person.Stage
	cloud  []float32
	found  []float32
	radar  []sensors.RadarPoint
	inRoom []float32
	width  int // of the pictures, pixels
	height int
	keys   sensors.Keypoints
	seen   bool // a set of keypoints was usable
}

// take changes frame i to what the network sees: points in the arrangement's
// frames, and the keypoints, which it writes to camera (34 values) if that is
// not nil. The truth goes to the arrangement's camera frame. What it cannot use
// it leaves as it was before: camera keeps the frame before's.
func (s *staged) take(i int, f *recording.Frame, which modality.Set, camera []float32, truth *recording.Pose) (seen bool) {
	atNS := int64(i+1) * recording.FramePeriodMS * 1_000_000
	if which.Has(modality.LiDAR) {
		s.cloud = appendFloat32(s.cloud[:0], f.LiDAR)
		s.found = s.stage.Cloud(atNS, s.cloud, s.found[:0])
		f.LiDAR = appendFloat64(f.LiDAR[:0], s.found)
	}
	if which.Has(modality.Radar) {
		s.radar = s.radar[:0]
		for r := f.MmWave; len(r) >= model.RadarPointDim; r = r[model.RadarPointDim:] {
			s.radar = append(s.radar, sensors.RadarPoint{X: float32(r[0]), Y: float32(r[1]), Z: float32(r[2]), Doppler: float32(r[3]), SNRdB: float32(r[4])})
		}
		s.inRoom = s.stage.Radar(atNS, s.radar, s.inRoom[:0])
		f.MmWave = appendFloat64(f.MmWave[:0], s.inRoom)
	}
	if camera != nil {
		s.keys.Width, s.keys.Height, s.keys.XY = s.width, s.height, f.RGB
		for j := range s.keys.Score {
			s.keys.Score[j] = 1
		}
		seen = s.stage.Keypoints(atNS, &s.keys, camera)
	}
	if truth != nil {
		if t, ok := s.stage.CameraFromArrangement(); ok {
			back := t.Inverse()
			for j := range truth {
				truth[j] = back.Apply(truth[j])
			}
		}
	}
	s.stage.Advance()
	return seen
}

// since returns the first frame whose keypoints belong to the person of the newest
// one, as they stand now.
func (s *staged) since() int32 {
	return int32(max(s.stage.KeypointsSinceNS()/(recording.FramePeriodMS*1_000_000)-1, 0)) //nolint:gosec // a frame of a clip
}

func appendFloat32(dst []float32, src []float64) []float32 {
	for _, v := range src {
		dst = append(dst, float32(v))
	}
	return dst
}

func appendFloat64(dst []float64, src []float32) []float64 {
	for _, v := range src {
		dst = append(dst, float64(v))
	}
	return dst
}
