package pipeline

import (
	"fmt"
	"maps"
	"math"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/person"
	"posefuse/sensors/lidar"
)

// Codes of the part arrangement, and of an ArrangementNote, from bad to good.
const (
	codeImpossible = "impossible" // a place cannot be, and is not used
	codeNoPlace    = "no_place"   // a place is not given
	codeConflict   = "conflict"   // what a sensor sends does not fit its place
	codeOutside    = "outside"    // the model does not hold there, or nobody measured it
	codeUnmeasured = "unmeasured" // the model's card has no envelope
)

// ArrangementNote is something about where the sensors of a room stand that costs
// accuracy.
type ArrangementNote struct {
	Key  string // of the configuration
	Code string
	Text string // what is wrong, what it costs, what to do
}

// String is the note as one line.
func (n ArrangementNote) String() string { return n.Key + ": " + n.Text }

// Wrong reports whether the configuration cannot be meant as it is.
func (n ArrangementNote) Wrong() bool { return n.Code == codeImpossible }

// Arrangement says what the places of the sensors that are on leave of a model's
// accuracy, nothing where the model holds. Places that cannot be are left out of
// used, and it is as if they had not been given.
func (c *Config) Arrangement(card model.Card) (used ExtrinsicsConfig, notes []ArrangementNote) {
	used = c.Extrinsics
	if !c.Person.Enabled {
		return used, nil // the model has seen this room, or its owner says so
	}
	if n := c.impossible(&used, card); len(n) > 0 {
		n[len(n)-1].Text += "; until then it is as if the place had not been given"
		return used, n
	}
	trained := card.TrainedIn()
	rig, assumed := c.rig(&trained)
	for _, p := range assumed {
		notes = append(notes, ArrangementNote{p.key, codeNoPlace, "not given: " + p.text + "; what differs from that is an error of the poses: measure its place, or find it with posefuse calibrate sensors"})
	}
	if card.Envelope == nil {
		return used, notes
	}
	room := rig.Measure()
	maps.DeleteFunc(room, func(q frame.Quantity, _ float64) bool {
		return q.Of() == "lidar" && !c.Sensors.LiDAR.Enabled || q.Of() == "radar" && !c.Sensors.Radar.Enabled || q == frame.CameraFocal && c.Extrinsics.Camera == nil
	})
	for _, x := range card.Envelope.Outside(room) {
		notes = append(notes, ArrangementNote{quantityKey(x.Quantity), codeOutside, x.String()})
	}
	if c.Person.Region != nil {
		notes = append(notes, regionNotes(c.Person.Region, &rig, card.Envelope)...)
	}
	return used, notes
}

// quantityKey returns the configuration key that a quantity comes from.
func quantityKey(q frame.Quantity) string {
	switch q.Of() {
	case "focal":
		return "extrinsics.camera_intrinsics"
	case "lidar":
		return "extrinsics.room_from_lidar"
	case "radar":
		return "extrinsics.room_from_radar"
	}
	return "extrinsics.room_from_camera"
}

// Limits of a room for people.
const (
	maxApartM   = 15.0 // between two of its sensors; no region is longer
	belowFloorM = 0.05 // what a floor's unevenness may take
)

// impossible returns the places that cannot be, and takes them out of used.
func (c *Config) impossible(used *ExtrinsicsConfig, card model.Card) (notes []ArrangementNote) {
	e := &c.Extrinsics
	if e.RoomFromCamera == nil {
		return nil
	}
	camera := e.RoomFromCamera.RoomFromCamera()
	note := func(key, format string, args ...any) {
		notes = append(notes, ArrangementNote{key, codeImpossible, fmt.Sprintf(format, args...)})
	}
	const cameraKey = "extrinsics.room_from_camera"
	switch height := camera.T[2]; {
	case height < -belowFloorM:
		note(cameraKey, "the camera stands %.2f m below the floor: correct position_m, or the last column of matrix; z is up and the floor at 0", -height)
	case !c.cameraSeesRegion(&camera, card):
		note(cameraKey, "no place of person.region is in the camera's picture: correct pan_deg and tilt_deg, or the region")
	}
	if len(notes) > 0 {
		used.RoomFromCamera, used.RoomFromLiDAR, used.RoomFromRadar = nil, nil, nil // the others are placed beside it
	}
	for _, s := range []struct {
		name, key string
		on        bool
		pose      *frame.SensorPose
		use       **frame.SensorPose
	}{
		{"LiDAR", "extrinsics.room_from_lidar", c.Sensors.LiDAR.Enabled, e.RoomFromLiDAR, &used.RoomFromLiDAR},
		{"radar", "extrinsics.room_from_radar", c.Sensors.Radar.Enabled, e.RoomFromRadar, &used.RoomFromRadar},
	} {
		if !s.on || s.pose == nil {
			continue
		}
		t := s.pose.RoomFromSensor()
		apart := math.Hypot(math.Hypot(t.T[0]-camera.T[0], t.T[1]-camera.T[1]), t.T[2]-camera.T[2])
		before := len(notes)
		switch {
		case t.T[2] < -belowFloorM:
			note(s.key, "the %s stands %.2f m below the floor: correct position_m, or the last column of matrix; z is up and the floor at 0", s.name, -t.T[2])
		case apart > maxApartM:
			note(s.key, "the %s stands %.1f m from the camera, and one room's sensors are at most %.0f m apart: correct position_m of one of the two; the unit is metres", s.name, apart, maxApartM)
		case s.name == "LiDAR" && !c.cropKeepsRegion(&t):
			note(s.key, "the crop box of sensors.lidar.%s keeps no point of person.region: correct crop_min_m and crop_max_m, which are in the LiDAR's frame, or the LiDAR's place", c.Sensors.LiDAR.Driver)
		}
		if len(notes) > before {
			*s.use = nil
		}
	}
	return notes
}

// inRegion reports whether a place of the region, looked at every half metre and
// at three heights of a person, passes see.
func (c *Config) inRegion(see func(p [3]float64) bool) bool {
	box := person.RegionOrDefault(c.Person.Region)
	for x := box.MinM[0]; x <= box.MaxM[0]; x += 0.5 {
		for y := box.MinM[1]; y <= box.MaxM[1]; y += 0.5 {
			for _, z := range [...]float64{0.3, 1, 1.6} {
				if see([3]float64{x, y, z}) {
					return true
				}
			}
		}
	}
	return false
}

func (c *Config) cameraSeesRegion(roomFromCamera *frame.Transform, card model.Card) bool {
	a := card.TrainedIn()
	assumed := a.Assumed()
	lens := assumed.Lens()
	if c.Extrinsics.Camera != nil {
		lens = *c.Extrinsics.Camera
	}
	toCamera := roomFromCamera.Inverse()
	return c.inRegion(func(p [3]float64) bool {
		q := toCamera.Apply(p)
		if q[2] < 0.1 {
			return false
		}
		// Without distortion, which folds the picture far outside it.
		u, v := lens.CxPx+lens.FxPx*q[0]/q[2], lens.CyPx+lens.FyPx*q[1]/q[2]
		return u >= 0 && u <= lens.WidthPx && v >= 0 && v <= lens.HeightPx
	})
}

func (c *Config) cropKeepsRegion(roomFromLiDAR *frame.Transform) bool {
	s, ok := c.Sensors.LiDAR.settings().(interface{ Kept() (lidar.Box, bool) })
	if !ok {
		return true
	}
	box, cropped := s.Kept()
	if !cropped {
		return true
	}
	toLiDAR := roomFromLiDAR.Inverse()
	return c.inRegion(func(p [3]float64) bool {
		q := toLiDAR.Apply(p)
		for k := range q {
			if q[k] < box.Min[k] || q[k] > box.Max[k] {
				return false
			}
		}
		return true
	})
}

// regionNotes says which part of a region lies where the model does not hold.
func regionNotes(box *person.Box, rig *frame.Rig, e *model.Envelope) (notes []ArrangementNote) {
	reach := map[frame.Quantity][2]float64{frame.Distance: {math.Inf(1), math.Inf(-1)}, frame.Aside: {math.Inf(1), math.Inf(-1)}}
	for _, x := range [...]float64{box.MinM[0], box.MaxM[0]} {
		for _, y := range [...]float64{box.MinM[1], box.MaxM[1]} {
			d, a := rig.MeasurePlace([2]float64{x, y})
			for q, v := range map[frame.Quantity]float64{frame.Distance: d, frame.Aside: a} {
				reach[q] = [2]float64{min(reach[q][0], v), max(reach[q][1], v)}
			}
		}
	}
	for _, q := range [...]frame.Quantity{frame.Distance, frame.Aside} {
		far := frame.Measures{q: reach[q][1]}
		if q == frame.Distance && len(e.Outside(far)) == 0 {
			far[q] = reach[q][0]
		}
		for _, x := range e.Outside(far) {
			notes = append(notes, ArrangementNote{"person.region", codeOutside, fmt.Sprintf("reaches to where %s", x)})
		}
	}
	return notes
}
