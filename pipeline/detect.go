package pipeline

import (
	"fmt"
	"image"

	"github.com/nats-io/nats.go"

	"posefuse/model/keypoint"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// DetectorConfig is what finds the keypoints in the pictures of a camera.
type DetectorConfig struct {
	Model string `yaml:"model"` // keypoint.Lightning, which is in the program, or a weights file
}

func (d *DetectorConfig) check(p *setting.Problems) {
	if d.Model == "" {
		p.Add("detector.model", "empty; use %s or name a weights file", keypoint.Lightning)
	}
}

// NewDetector returns a detector with the model of a name, which is that of
// detector.model.
func NewDetector(model string) (camera.Detector, error) {
	d, err := keypoint.New(keypoint.Options{Model: model})
	if err != nil {
		return nil, err
	}
	return &detector{d}, nil
}

// detector is a keypoint.Detector as a camera knows it: neither room knows the
// other.
type detector struct{ *keypoint.Detector }

// Detect implements camera.Detector.
func (d *detector) Detect(img image.Image) (camera.Detection, error) {
	p, err := d.Detector.Detect(img)
	out := camera.Detection{Person: p.Found, Keypoints: sensors.Keypoints{Others: p.Others}}
	for i, k := range p.Keypoints {
		out.Keypoints.XY[i], out.Keypoints.Score[i] = [2]float64{k.X, k.Y}, k.Score
	}
	return out, err
}

// connectCamera gives the camera's source what its driver cannot make itself.
func (c *Core) connectCamera(cam *configuredSource) error {
	switch src := cam.Source.(type) {
	case *camera.PushSource:
		cam.Source = &busKeypoints{push: src, subject: "posefuse." + c.cfg.Room + ".keypoints",
			conn: func() *nats.Conn { return c.bus.Load().Conn() }} // sensors run after the bus is open
	case *camera.VideoSource:
		d, err := c.opt.NewDetector(c.cfg.Detector.Model)
		if err != nil {
			return fmt.Errorf("detector.model: %w", err)
		}
		src.Detector = d
		c.picture = &pictureTap{} // which nobody can ask without web.show_image
		src.Watch = c.picture.see
	}
	return nil
}

// TakesPictures reports whether the camera's driver sees pictures, rather than
// keypoints that another program found.
func (s *SensorsConfig) TakesPictures() bool {
	e := s.list()[modality.Camera]
	if c := e.cfg; !c.Enabled || c.settings() == nil {
		return false
	}
	_, ok := e.cfg.settings().Source(e.name).(*camera.VideoSource)
	return ok
}
