package pipeline

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"posefuse/sensors/camera"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// DetectorConfig is what finds the keypoints in the pictures of a camera.
type DetectorConfig struct {
	Model string `yaml:"model"` // "lightning", which is in the program, or a weights file
}

func (d *DetectorConfig) check(p *setting.Problems) {
	if d.Model == "" {
		p.Add("detector.model", "empty; use lightning or name a weights file")
	}
}

// errNoDetector is a mistake of the program around the daemon.
var errNoDetector = errors.New("the daemon was built without a keypoint detector")

// connectCamera gives the camera's source what its driver cannot make itself.
func (c *Core) connectCamera(cam *configuredSource) error {
	switch src := cam.Source.(type) {
	case *camera.PushSource:
		cam.Source = &busKeypoints{push: src, subject: "posefuse." + c.cfg.Room + ".keypoints",
			conn: func() *nats.Conn { return c.bus.Load().Conn() }} // sensors run after the bus is open
	case *camera.VideoSource:
		if c.opt.NewDetector == nil {
			return errNoDetector
		}
		d, err := c.opt.NewDetector(c.cfg.Detector.Model)
		if err != nil {
			return fmt.Errorf("detector.model: %w", err)
		}
		src.Detector = d
		if c.cfg.Web.ShowImage {
			c.picture = &pictureTap{}
			src.Watch = c.picture.see
		}
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
