package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"posefuse/frame"
	"posefuse/message"
	"posefuse/model"
	"posefuse/person"
	"posefuse/sensors"
)

// rig returns where the sensors that are on stand, and what is missing for the
// person to be searched: the key of a sensor's place, or "".
func (c *Config) rig(a *frame.Arrangement) (r frame.Rig, missing string) {
	e := &c.Extrinsics
	if e.RoomFromCamera == nil {
		return r, "extrinsics.room_from_camera"
	}
	r.RoomFromCamera, r.Camera = e.RoomFromCamera.RoomFromCamera(), a.Lens()
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

// personStage lets the encoders' goroutines share the stage between the sensors
// and the network, and remembers the camera's window: a set of keypoints is
// looked at once, when it is new. The tick loop's goroutine ends each tick.
type personStage struct {
	mu     sync.Mutex
	stage  *person.Stage
	finder *person.Finder
	counts person.Sweep // of the sweeps since they were last taken
	track  person.Track // of the newest tick; valid if there
	there  bool
	guess  bool  // nobody knows how far away the person is
	atNS   int64 // of the newest sample

	// makeStage returns a stage on the finder for networks of an arrangement.
	makeStage func(frame.Arrangement) *person.Stage
	trained   frame.Arrangement

	cloud  []float32 // of the newest sweep, arrangement's frame
	radar  []float32
	window [2][]windowSet // the window before and the one being made
}

// windowSet is a set of keypoints as the network takes it.
type windowSet struct {
	sample *sensors.Sample
	values [2 * model.NumJoints]float32
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
	f := person.NewFinder(person.Config{Region: c.Person.Region, LiDARAtM: r.RoomFromLiDAR.T})
	s = &personStage{finder: f, trained: a, makeStage: func(a frame.Arrangement) *person.Stage {
		rig, _ := c.rig(&a) // nothing is missing, as above
		return person.NewStage(rig, a, f)
	}}
	s.stage = s.makeStage(a)
	for i := range s.window {
		s.window[i] = make([]windowSet, 0, model.CameraWindow)
	}
	return s, ""
}

// arrange makes the stage that of a network of another arrangement. What was
// learned of the room and the track stay.
func (s *personStage) arrange(a frame.Arrangement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == s.trained {
		return
	}
	s.trained, s.stage = a, s.makeStage(a)
	for i := range s.window {
		s.window[i] = s.window[i][:0] // as seen in the arrangement before
	}
}

// lidar prepares a sweep and returns its usable rows, as PrepPoints does, and how
// many there were.
func (s *personStage) lidar(buf []float32, x *sensors.Sample) (have, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.atNS = max(s.atNS, x.CaptureNS)
	s.cloud = s.stage.Cloud(x.CaptureNS, x.Cloud.XYZ, s.cloud[:0])
	for label, n := range s.finder.Count() {
		s.counts[label] += n
	}
	return model.PrepPoints(buf, s.cloud, model.LiDARPointDim), len(s.cloud) / model.LiDARPointDim
}

// points prepares a radar frame.
func (s *personStage) points(buf []float32, x *sensors.Sample) (have, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.atNS = max(s.atNS, x.CaptureNS)
	s.radar = s.stage.Radar(x.CaptureNS, x.Radar.Points, s.radar[:0])
	return model.PrepPoints(buf, s.radar, model.RadarPointDim), len(s.radar) / model.RadarPointDim
}

// camera prepares a window of keypoints. It reports false if no set of it could
// be used. A set that cannot is taken for the one before.
func (s *personStage) camera(buf []float32, window []*sensors.Sample) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, now := s.window[0], s.window[1][:0]
	at, first := 0, -1 // of the window before; the first usable set
	for i, w := range window {
		set := windowSet{sample: w}
		s.atNS = max(s.atNS, w.CaptureNS)
		known := false
		for j := at; j < len(before) && !known; j++ {
			if known = before[j].sample == w; known {
				set, at = before[j], j+1
			}
		}
		k := w.Keypoints
		if !known && (k == nil || k.Width <= 0 || k.Height <= 0 || !s.stage.Keypoints(w.CaptureNS, k, set.values[:])) && len(now) > 0 {
			set.values = now[len(now)-1].values
		}
		if first < 0 && set.values != [2 * model.NumJoints]float32{} {
			first = i
		}
		now = append(now, set)
	}
	s.window[0], s.window[1] = now, before
	for since := s.stage.KeypointsSinceNS(); first >= 0 && first < len(now)-1 && now[first].sample.CaptureNS < since; {
		first++
	}
	for i := range now {
		if i < first {
			now[i].values = now[first].values // nobody was known to be there yet, or somebody else was
		}
		copy(buf[i*2*model.NumJoints:], now[i].values[:])
	}
	return first >= 0
}

// end ends a tick and returns the transform of its pose to the rig's camera
// frame, and whether anybody is there.
func (s *personStage) end() (cameraFromArrangement frame.Transform, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.stage.CameraFromArrangement()
	s.stage.Advance()
	s.track, s.there = s.finder.Track(s.atNS)
	s.guess = s.stage.Assumed()
	return t, ok
}

// takeCounts returns what became of the points of the sweeps since the last call.
func (s *personStage) takeCounts() person.Sweep {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	s.counts = person.Sweep{}
	return c
}

// health says where the person is.
func (s *personStage) health() message.PartHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := message.PartHealth{Part: "person", Code: "nobody", Text: "nobody is in the region", Severity: severityOK}
	switch {
	case s.guess:
		h.Code, h.Severity = "no_distance", severityWarning
		h.Text = fmt.Sprintf("the camera sees somebody, but not their feet, and no other sensor sees them: poses are given as if they stood %.1f m away; show the feet or add a LiDAR or radar", s.trained.DistanceM)
	case s.there:
		h.Code = "ok"
		h.Text = fmt.Sprintf("at x %.1f m, y %.1f m of the room, seen by %s", s.track.PlaceM[0], s.track.PlaceM[1], s.track.From)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.finder.LoadBackground(f); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// save replaces the file.
func (s *personStage) save(dir string) error {
	var b bytes.Buffer
	s.mu.Lock()
	err := s.finder.SaveBackground(&b)
	s.mu.Unlock()
	if err != nil {
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
