package pipeline

import (
	"sync"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/person"
	"posefuse/sensors"
)

// rig returns where the sensors that are on stand, and what is missing for the
// person to be searched: the key of a sensor's place, or "".
func (c *Config) rig(a *person.Arrangement) (r frame.Rig, missing string) {
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
	mu    sync.Mutex
	stage *person.Stage

	cloud  []float32 // of the newest sweep, arrangement's frame
	radar  []float32
	window [2][]windowSet // the window before and the one being made
}

// windowSet is a set of keypoints as the network takes it.
type windowSet struct {
	sample *sensors.Sample
	values [2 * model.NumJoints]float32
}

// personStage returns the stage of a configuration, nil if it is off or cannot
// be; missing is the key it lacks.
func (c *Config) personStage() (s *personStage, missing string) {
	if !c.Person.Enabled {
		return nil, ""
	}
	a := person.Simulated
	r, missing := c.rig(&a)
	if missing != "" {
		return nil, missing
	}
	f := person.NewFinder(person.Config{Region: c.Person.Region, LiDARAtM: r.RoomFromLiDAR.T})
	return &personStage{stage: person.NewStage(r, a, f), window: [2][]windowSet{make([]windowSet, 0, model.CameraWindow), make([]windowSet, 0, model.CameraWindow)}}, ""
}

// lidar prepares a sweep and returns its usable rows, as PrepPoints does, and how
// many there were.
func (s *personStage) lidar(buf []float32, x *sensors.Sample) (have, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cloud = s.stage.Cloud(x.CaptureNS, x.Cloud.XYZ, s.cloud[:0])
	return model.PrepPoints(buf, s.cloud, model.LiDARPointDim), len(s.cloud) / model.LiDARPointDim
}

// points prepares a radar frame.
func (s *personStage) points(buf []float32, x *sensors.Sample) (have, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	for i := range now {
		if i < first {
			now[i].values = now[first].values // nobody was known to be there yet
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
	return t, ok
}
