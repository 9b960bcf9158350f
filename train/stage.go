package train

import (
	"bytes"
	"fmt"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/model"
	"posefuse/person"
	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// PersonStage returns what LoadOptions.Stage wants for networks of an arrangement:
// an intake on the rig of each clip, or where nobody noted one, on the one
// that the daemon assumes, too. It begins with what was known of the room, if the recording
// has that.
func PersonStage(a frame.Arrangement) func(recording.Clip) (*intake.Intake, error) {
	return func(clip recording.Clip) (*intake.Intake, error) {
		rig, noted := frame.RigOf(clip)
		if !noted {
			assumed := a.Assumed()
			rig = assumed.Rig()
		}
		in := intake.NewStaged(rig, a, person.Config{})
		if b, ok := clip.(recording.Backgrounded); ok && b.Background() != nil {
			if err := in.LoadBackground(bytes.NewReader(b.Background())); err != nil {
				return nil, fmt.Errorf("the background kept with the recording: %w; put the one of this room and LiDAR there, or take it away", err)
			}
		}
		return in, nil
	}
}

// feed gives the frames of one clip to an intake, as the daemon gives the samples
// of its ticks, and holds what a network would take of the newest.
type feed struct {
	in     *intake.Intake
	staged bool // it finds the person
	need   modality.Set
	width  int // of the pictures, pixels
	height int

	// Of the newest frame; of modalities that are not needed nil. keypoints hold
	// the newest usable set.
	lidar, radar, csi, keypoints []float32
	emptyLiDAR, emptyRadar       bool
	keysNS                       int64   // of the camera's newest sample
	capturedNS                   []int64 // of the camera's sample of each frame, or of the one before
	from                         int32   // the first frame that shows who is there now
	// present are the sensors that take part. Without a search for the person all
	// do, as in the paper.
	present modality.Set

	cloud  sensors.PointCloud
	points sensors.RadarFrame
	joints sensors.Keypoints
}

func newFeed(clip recording.Clip, cfg model.Config, stage func(recording.Clip) (*intake.Intake, error)) (*feed, error) {
	w, h := imageSize(clip)
	s := &feed{in: intake.New(), need: cfg.Mask(), width: int(w), height: int(h)}
	if stage != nil {
		in, err := stage(clip)
		if err != nil {
			return nil, err
		}
		s.in, s.staged = in, true
		in.HoldRadar(cfg.RadarFrames())
		if s.need&(modality.Of(modality.Camera)|modality.Of(modality.Radar)) == 0 {
			in.TrustShape()
		}
	}
	for m := range s.need.Kinds() {
		switch m {
		case modality.Camera:
			s.keypoints = make([]float32, cfg.KeypointFrame())
		case modality.LiDAR:
			s.lidar = make([]float32, cfg.LiDAR.Points*model.LiDARPointDim)
		case modality.Radar:
			s.radar = make([]float32, cfg.Radar.Points*model.RadarPointDim)
		case modality.CSI:
			s.csi = make([]float32, model.CSIValues)
		}
	}
	return s, nil
}

// take prepares the sensors which of frame i. The error says whose values have an
// unexpected shape.
func (s *feed) take(i int, f *recording.Frame, which modality.Set) error {
	s.present = s.need
	if s.staged {
		s.present &^= f.Absent
	}
	for _, m := range [...]modality.Kind{modality.LiDAR, modality.Radar, modality.Camera, modality.CSI} { // see intake.Ordered
		if !which.Has(m) {
			continue
		}
		sample := sensors.Sample{Modality: m, CaptureNS: f.CaptureNS[m]}
		if sample.CaptureNS == 0 {
			sample.CaptureNS = int64(i+1) * recording.FramePeriodMS * 1_000_000
		}
		takesPart := s.present.Has(m)
		if takesPart {
			var err error
			if takesPart, err = s.sensor(m, f, &sample); err != nil {
				return err
			}
		}
		if s.staged && !takesPart {
			s.present &^= modality.Of(m)
		}
	}
	return nil
}

// sensor prepares one sensor's values and reports whether it takes part.
func (s *feed) sensor(m modality.Kind, f *recording.Frame, sample *sensors.Sample) (takesPart bool, err error) {
	switch m {
	case modality.LiDAR:
		if len(f.LiDAR)%model.LiDARPointDim != 0 {
			return false, fmt.Errorf("LiDAR holds %d values, want rows of %d", len(f.LiDAR), model.LiDARPointDim)
		}
		s.cloud.XYZ = appendFloat32(s.cloud.XYZ[:0], f.LiDAR)
		sample.Cloud = &s.cloud
		points, usable := s.in.LiDAR(s.lidar, sample)
		s.emptyLiDAR = usable == 0
		return points == 0 || usable > 0, nil
	case modality.Radar:
		if len(f.MmWave)%model.RadarPointDim != 0 {
			return false, fmt.Errorf("radar holds %d values, want rows of %d", len(f.MmWave), model.RadarPointDim)
		}
		s.points.Points = s.points.Points[:0]
		for r := f.MmWave; len(r) > 0; r = r[model.RadarPointDim:] {
			s.points.Points = append(s.points.Points, sensors.RadarPoint{X: float32(r[0]), Y: float32(r[1]), Z: float32(r[2]), Doppler: float32(r[3]), SNRdB: float32(r[4])})
		}
		sample.Radar = &s.points
		points, usable := s.in.Radar(s.radar, sample)
		s.emptyRadar = usable == 0
		return points == 0 || usable > 0, nil
	case modality.Camera:
		s.joints.Width, s.joints.Height, s.joints.XY = s.width, s.height, f.RGB
		for j := range s.joints.Score {
			s.joints.Score[j] = 1 // nobody noted it
		}
		copy(s.joints.Score[:], f.Scores)
		sample.Keypoints = &s.joints
		s.keysNS = sample.CaptureNS
		_, takesPart = s.in.Keypoints(s.keypoints, sample)
		return takesPart, nil
	case modality.CSI:
		if len(f.CSIAmp) != model.CSIValues {
			return false, fmt.Errorf("CSI holds %d amplitudes, want %d (%d antennas x %d subcarriers x %d packets)",
				len(f.CSIAmp), model.CSIValues, model.CSIAntennas, model.CSISubcarriers, model.CSIPackets)
		}
		s.in.Amplitudes(s.csi, f.CSIAmp)
	}
	return true, nil
}

// since returns the first frame up to i, the newest, that a camera window may hold:
// its keypoints belong to who is there now, as they stand now, and no long gap
// follows. It is called for every frame.
func (s *feed) since(i int) int32 {
	s.capturedNS = append(s.capturedNS, s.keysNS)
	if i > 0 && s.keysNS-s.capturedNS[i-1] > intake.MaxGapMS*1_000_000 {
		s.from = int32(i)
	}
	for int(s.from) < i && s.capturedNS[s.from] < s.in.KeypointsSinceNS() {
		s.from++
	}
	return s.from
}

func appendFloat32(dst []float32, src []float64) []float32 {
	for _, v := range src {
		dst = append(dst, float32(v))
	}
	return dst
}
