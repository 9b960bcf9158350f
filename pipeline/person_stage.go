package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/message"
	"posefuse/person"
)

// rig returns where the sensors that are on stand, and what is missing for the
// person to be searched: the key of a sensor's place, or "".
func (c *Config) rig(a *frame.Arrangement) (r frame.Rig, missing string) {
	e := &c.Extrinsics
	if e.RoomFromCamera == nil {
		return r, "extrinsics.room_from_camera"
	}
	r.RoomFromCamera, r.Camera = e.RoomFromCamera.RoomFromCamera(), a.AssumedLens()
	if e.Camera != nil {
		r.Camera = *e.Camera
	}
	for _, s := range []struct {
		on   bool
		pose *frame.SensorPose
		to   *frame.Transform
		key  string
	}{
		{c.Sensors.LiDAR.Enabled, e.RoomFromLiDAR, &r.RoomFromLiDAR, "extrinsics.room_from_lidar"},
		{c.Sensors.Radar.Enabled, e.RoomFromRadar, &r.RoomFromRadar, "extrinsics.room_from_radar"},
	} {
		if s.pose != nil {
			*s.to = s.pose.RoomFromSensor()
		} else if s.on {
			return r, s.key
		}
	}
	return r, ""
}

// personStage is what the daemon tells and keeps of an intake that finds the
// person.
type personStage struct {
	*intake.Intake
	rig func(*frame.Arrangement) frame.Rig
}

// personStage returns the stage of a configuration for networks of an
// arrangement, nil if it is off or cannot be; missing is the key it lacks.
func (c *Config) personStage(a frame.Arrangement) (s *personStage, missing string) {
	if !c.Person.Enabled {
		return nil, ""
	}
	r, missing := c.rig(&a)
	if missing != "" {
		return nil, missing
	}
	s = &personStage{intake.NewStaged(r, a, person.Config{Region: c.Person.Region}), func(a *frame.Arrangement) frame.Rig {
		rig, _ := c.rig(a) // nothing is missing, as above
		return rig
	}}
	if !c.Sensors.Camera.Enabled && !c.Sensors.Radar.Enabled {
		s.TrustShape()
	}
	return s, ""
}

// arrange makes the stage that of a network of another arrangement. What was
// learned of the room and the track stay.
func (s *personStage) arrange(a frame.Arrangement) {
	if a != s.Arrangement() {
		s.Arrange(s.rig(&a), a)
	}
}

// health says where the person is.
func (s *personStage) health() message.PartHealth {
	track, there, assumed := s.Person()
	h := message.PartHealth{Part: "person", Code: "nobody", Text: "nobody is in the region", Severity: severityOK}
	switch {
	case assumed:
		h.Code, h.Severity = "no_distance", severityWarning
		h.Text = fmt.Sprintf("the camera sees somebody, but not their feet, and no other sensor sees them: poses are given as if they stood %.1f m away; show the feet or add a LiDAR or radar", s.Arrangement().DistanceM)
	case there && track.Company:
		h.Code, h.Severity = "two_people", severityWarning
		h.Text = fmt.Sprintf("somebody else moves at x %.1f m, y %.1f m; measured is who is at x %.1f m, y %.1f m, but radar and WiFi see both: let the other step out, or set person.region around the patient",
			track.CompanyM[0], track.CompanyM[1], track.PlaceM[0], track.PlaceM[1])
	case there:
		h.Code = "ok"
		h.Text = fmt.Sprintf("at x %.1f m, y %.1f m of the room, seen by %s", track.PlaceM[0], track.PlaceM[1], track.From)
	}
	return h
}

// backgroundFile is where the static part of the room is kept over restarts.
const backgroundFile = "background.bin"

// load reads what was learned of the room before. A file that is not there is
// no error.
func (s *personStage) load(dir string) error {
	f, err := os.Open(filepath.Join(dir, backgroundFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if err := s.LoadBackground(f); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// save replaces the file.
func (s *personStage) save(dir string) error {
	var b bytes.Buffer
	if err := s.SaveBackground(&b); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, backgroundFile), b.Bytes(), 0o640)
}

// saveEvery is how much of what was learned a crash may cost.
const saveEvery = time.Minute

// keep saves what is learned until ctx ends.
func (s *personStage) keep(ctx context.Context, dir string, onError func(error)) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if err := s.save(dir); err != nil {
			onError(fmt.Errorf("the room's background is not kept: %w", err))
		}
	}
	return nil
}
