package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/message"
	"posefuse/person"
)

// assumedPlace is a sensor's place that nobody gave.
type assumedPlace struct {
	key  string // of the configuration
	text string // what is assumed
}

// rig returns where the sensors stand, for networks of an arrangement, and what is
// assumed of those that are on: the camera as in the arrangement, the others beside
// it.
func (c *Config) rig(a *frame.Arrangement) (r frame.Rig, assumed []assumedPlace) {
	e, usual := &c.Extrinsics, a.Assumed()
	r = usual.Rig()
	if e.RoomFromCamera != nil {
		r = usual.RigAt(e.RoomFromCamera.RoomFromCamera())
	} else {
		assumed = append(assumed, assumedPlace{"extrinsics.room_from_camera",
			fmt.Sprintf("the camera is taken as level and %.2f m above the floor, LiDAR and radar as beside it, and poses are given in its frame", usual.CameraHeightM)})
	}
	if e.Camera != nil {
		r.Camera = *e.Camera
	}
	for _, s := range []struct {
		name, key string
		on        bool
		pose      *frame.SensorPose
		to        *frame.Transform
		aboveM    float64 // the camera
	}{
		{"LiDAR", "extrinsics.room_from_lidar", c.Sensors.LiDAR.Enabled, e.RoomFromLiDAR, &r.RoomFromLiDAR, usual.LiDARHeightM - usual.CameraHeightM},
		{"radar", "extrinsics.room_from_radar", c.Sensors.Radar.Enabled, e.RoomFromRadar, &r.RoomFromRadar, usual.RadarHeightM - usual.CameraHeightM},
	} {
		if s.pose != nil {
			*s.to = s.pose.RoomFromSensor()
		} else if s.on && e.RoomFromCamera != nil {
			side := "above"
			if s.aboveM < 0 {
				side = "below"
			}
			assumed = append(assumed, assumedPlace{s.key,
				fmt.Sprintf("the %s is taken as level, %.2f m %s the camera and turned as it is", s.name, math.Abs(s.aboveM), side)})
		}
	}
	return r, assumed
}

// personStage is what the daemon tells and keeps of an intake that finds the
// person.
type personStage struct {
	*intake.Intake
	rig func(*frame.Arrangement) frame.Rig
}

// personStage returns the stage of a configuration for networks of an
// arrangement, nil if it is off.
func (c *Config) personStage(a frame.Arrangement) *personStage {
	if !c.Person.Enabled {
		return nil
	}
	rig := func(a *frame.Arrangement) frame.Rig {
		r, _ := c.rig(a)
		return r
	}
	s := &personStage{intake.NewStaged(rig(&a), a, person.Config{Region: c.Person.Region}), rig}
	if !c.Sensors.Camera.Enabled && !c.Sensors.Radar.Enabled {
		s.TrustShape()
	}
	return s
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
		h.Text = "the camera sees somebody, but not their feet, and no other sensor sees them: poses are given at a distance guessed from their size; show the feet or add a LiDAR or radar"
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
