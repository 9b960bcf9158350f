package sim

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"posefuse/frame"
	"posefuse/setting"
)

// World is the room that a clip is recorded in: where the sensors stand, where
// the person stands, and what else is there. Places are in the room frame of
// package frame (x right, y forward, z up, origin on the floor), metres.
// DefaultWorld is the room of MM-Fi, which a clip without a world is recorded
// in. The same seed draws the same movement, noise and errors in every world, so
// that two worlds can be compared frame by frame.
type World struct {
	Name   string      `yaml:"name" json:"name,omitempty"`
	Camera CameraWorld `yaml:"camera" json:"camera"`
	LiDAR  LiDARWorld  `yaml:"lidar" json:"lidar"`
	Radar  RadarWorld  `yaml:"radar" json:"radar"`
	Person PersonWorld `yaml:"person" json:"person"`
	Room   RoomWorld   `yaml:"room" json:"room"`
	// Misplaced says how far sensors stand from where everybody believes they are.
	Misplaced Misplaced `yaml:"misplaced" json:"misplaced,omitzero"`
}

// Misplaced is how far the sensors of a room stand from where everybody believes
// they are.
type Misplaced struct {
	// Fixed makes them stand off by what follows in every clip, as in one room that
	// nobody measured well. Without it each clip draws from its preset, as if it were
	// of a room of its own.
	Fixed       bool    `yaml:"fixed" json:"fixed,omitempty"`
	LiDARShiftM Vec     `yaml:"lidar_shift_m" json:"lidar_shift_m"` // room frame
	LiDARYawDeg float64 `yaml:"lidar_yaw_deg" json:"lidar_yaw_deg"` // to the left
	RadarShiftM Vec     `yaml:"radar_shift_m" json:"radar_shift_m"` // room frame
}

func (m *Misplaced) check(p *setting.Problems) {
	if !m.Fixed && *m != (Misplaced{}) {
		p.Add("misplaced.fixed", "false, and each clip draws what the keys beside it say: set it, or leave them out")
	}
	p.Between("misplaced.lidar_yaw_deg", m.LiDARYawDeg, -180, 180)
	for _, v := range []struct {
		key string
		m   Vec
	}{{"misplaced.lidar_shift_m", m.LiDARShiftM}, {"misplaced.radar_shift_m", m.RadarShiftM}} {
		for _, x := range v.m {
			p.Between(v.key, x, -5, 5)
		}
	}
}

// CameraWorld is the camera, and what its keypoint detector leaves out.
type CameraWorld struct {
	RoomFromCamera frame.CameraPose `yaml:"room_from_camera" json:"room_from_camera"`
	WidthPx        int              `yaml:"width_px" json:"width_px"`
	HeightPx       int              `yaml:"height_px" json:"height_px"`
	FocalPx        float64          `yaml:"focal_px" json:"focal_px"`       // fx = fy
	CentreUPx      float64          `yaml:"centre_u_px" json:"centre_u_px"` // cx, from the left edge
	CentreVPx      float64          `yaml:"centre_v_px" json:"centre_v_px"` // cy, from the upper edge
	// Missing are the keypoints that the detector does not find: they come as
	// (0, 0) with score 0, as common detectors send them.
	Missing MissingKeypoints `yaml:"missing" json:"missing"`
	// GhostShare of the frames without anybody show keypoints all the same: a
	// detector takes a thing in the room for a person, with low scores.
	GhostShare float64 `yaml:"ghost_share" json:"ghost_share,omitempty"`
	LateMS     float64 `yaml:"late_ms" json:"late_ms"` // what is sent for a frame is older by this
	// RateHz is how often the sensor measures: a frame holds the newest. 0: with
	// each frame.
	RateHz float64 `yaml:"rate_hz" json:"rate_hz,omitempty"`
}

// MissingKeypoints says which keypoints a detector leaves out.
type MissingKeypoints struct {
	Joints []string `yaml:"joints" json:"joints,omitempty"` // COCO's names, e.g. left_ankle: in every frame
	Share  float64  `yaml:"share" json:"share,omitempty"`   // of all keypoints, each frame anew
}

// LiDARWorld is the LiDAR.
type LiDARWorld struct {
	RoomFromLiDAR frame.SensorPose `yaml:"room_from_lidar" json:"room_from_lidar"`
	Beams         int              `yaml:"beams" json:"beams"` // 32 or 128, over 45 degrees of elevation
	// WholeSweep sends every return of all 1024 columns, from floor, walls and
	// ceiling too, as a sensor does. Without it clouds are cropped as MM-Fi's
	// stored ones: the person and some hundred points of what stands around.
	WholeSweep bool    `yaml:"whole_sweep" json:"whole_sweep"`
	LateMS     float64 `yaml:"late_ms" json:"late_ms"`
	RateHz     float64 `yaml:"rate_hz" json:"rate_hz,omitempty"` // see CameraWorld
}

// RadarWorld is the radar.
type RadarWorld struct {
	RoomFromRadar frame.SensorPose `yaml:"room_from_radar" json:"room_from_radar"`
	// ClutterPoints is the mean number of points a frame from walls and furniture
	// when the sensor's clutter removal is off, which also lets it see the parts
	// of a person that do not move. 0: removal is on.
	ClutterPoints float64 `yaml:"clutter_points" json:"clutter_points"`
	LateMS        float64 `yaml:"late_ms" json:"late_ms"`
	RateHz        float64 `yaml:"rate_hz" json:"rate_hz,omitempty"` // see CameraWorld
}

// PersonWorld changes who moves, and where, against MM-Fi: about 3.1 m in front
// of the origin, facing it.
type PersonWorld struct {
	RightM   float64 `yaml:"right_m" json:"right_m"`     // to the right, seen from the sensors
	FartherM float64 `yaml:"farther_m" json:"farther_m"` // away from the sensors
	TurnDeg  float64 `yaml:"turn_deg" json:"turn_deg"`   // to the person's left
	HeightM  float64 `yaml:"height_m" json:"height_m"`   // the whole body in proportion; 0: as drawn
	// Seated puts the person on a seat of a chair's height, where they stood: the
	// legs keep still, trunk and arms move as they would.
	Seated bool `yaml:"seated" json:"seated,omitempty"`
	// Absent leaves the room empty; the truth is where the person would be.
	Absent bool `yaml:"absent" json:"absent,omitempty"`
}

// RoomWorld is what does not move. A cropped cloud holds points of the floor and of
// four metres of the wall ahead, and all of the furniture in front of the LiDAR; a
// whole sweep holds everything. Furniture hides nothing from camera and radar.
type RoomWorld struct {
	AheadM    float64     `yaml:"ahead_m" json:"ahead_m"`     // from the origin to the wall behind the person
	BehindM   float64     `yaml:"behind_m" json:"behind_m"`   // to the wall behind the sensors
	SideM     float64     `yaml:"side_m" json:"side_m"`       // to each side wall
	CeilingM  float64     `yaml:"ceiling_m" json:"ceiling_m"` // above the floor
	Furniture []Furniture `yaml:"furniture" json:"furniture,omitempty"`
}

// Furniture stands on the floor with its sides along the walls.
type Furniture struct {
	Kind string     `yaml:"kind" json:"kind"`                   // chair, bed or box
	AtM  [2]float64 `yaml:"at_m" json:"at_m"`                   // middle, x and y
	Size [3]float64 `yaml:"size_m" json:"size_m"`               // of a box: width along x, depth along y, height
	Turn int        `yaml:"turn_deg" json:"turn_deg,omitempty"` // 0, 90, 180 or 270, seen from above to the left; at 0 a chair faces the sensors
}

// DefaultWorld is the room of MM-Fi.
func DefaultWorld() World {
	return World{
		Camera: CameraWorld{
			RoomFromCamera: frame.CameraPose{PositionM: [3]float64{0, 0, cameraHeightM}},
			WidthPx:        CameraWidth, HeightPx: CameraHeight, FocalPx: CameraFocalPx,
			CentreUPx: CameraCenterU, CentreVPx: CameraCenterV,
		},
		LiDAR: LiDARWorld{RoomFromLiDAR: frame.SensorPose{PositionM: [3]float64{0, 0, lidarHeightM}}, Beams: ScanRows},
		Radar: RadarWorld{RoomFromRadar: frame.SensorPose{PositionM: [3]float64{0, 0, radarHeightM}}},
		Room:  RoomWorld{AheadM: wallAheadM, BehindM: 2.4, SideM: 3, CeilingM: wallHeightM},
	}
}

// MeasuredClutter is the density of static clutter that a radar showed in a still
// room, points a frame.
const MeasuredClutter = 156

// WholeRoom is the default room as sensors see it that nobody has cropped
// anything for: a LiDAR of 32 or 128 beams that sends every return, and a radar
// that sends so many points a frame of what stands still.
func WholeRoom(beams int, clutterPoints float64) World {
	w := DefaultWorld()
	w.Name, w.LiDAR.Beams, w.LiDAR.WholeSweep = "whole", beams, true
	w.Radar.ClutterPoints = clutterPoints
	return w
}

// KeypointNames are COCO's names of the 17 keypoints, in the order of
// recording.Frame.RGB.
var KeypointNames = [numKeypoints]string{
	"nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
	"left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
}

// Check returns what is wrong with the world, each with its key.
func (w *World) Check() setting.Problems {
	var p setting.Problems
	w.Camera.RoomFromCamera.Check(&p, "camera.room_from_camera")
	w.LiDAR.RoomFromLiDAR.Check(&p, "lidar.room_from_lidar")
	w.Radar.RoomFromRadar.Check(&p, "radar.room_from_radar")
	if len(p) > 0 {
		return p // what follows needs places
	}
	p.Between("room.ahead_m", w.Room.AheadM, 1, 50)
	p.Between("room.behind_m", w.Room.BehindM, 0, 50)
	p.Between("room.side_m", w.Room.SideM, 0.5, 50)
	p.Between("room.ceiling_m", w.Room.CeilingM, 1.8, 20)
	for _, s := range w.sensors() {
		if !w.Room.holds(s.at) {
			p.Add(s.key, "%v m is not inside the room; see room.ahead_m and the keys beside it", s.at)
		}
	}
	w.Camera.check(&p)
	if w.LiDAR.Beams != ScanRows && w.LiDAR.Beams != denseRows {
		p.Add("lidar.beams", "%d: want %d or %d", w.LiDAR.Beams, ScanRows, denseRows)
	}
	p.Between("radar.clutter_points", w.Radar.ClutterPoints, 0, 200)
	p.Between("camera.late_ms", w.Camera.LateMS, -1000, 1000)
	p.Between("lidar.late_ms", w.LiDAR.LateMS, -1000, 1000)
	p.Between("radar.late_ms", w.Radar.LateMS, -1000, 1000)
	checkRate(&p, "camera.rate_hz", w.Camera.RateHz)
	checkRate(&p, "lidar.rate_hz", w.LiDAR.RateHz)
	checkRate(&p, "radar.rate_hz", w.Radar.RateHz)
	w.Misplaced.check(&p)
	w.Person.check(&p)
	w.checkPlace(&p)
	for i := range w.Room.Furniture {
		w.Room.Furniture[i].check(&p, "room.furniture["+strconv.Itoa(i)+"]", &w.Room)
	}
	return p
}

// checkRate adds what is wrong with how often a sensor measures.
func checkRate(p *setting.Problems, key string, hz float64) {
	if hz != 0 {
		p.Between(key, hz, 1, 1000)
	}
}

func (c *CameraWorld) check(p *setting.Problems) {
	p.Between("camera.width_px", float64(c.WidthPx), 16, 16384)
	p.Between("camera.height_px", float64(c.HeightPx), 16, 16384)
	p.Between("camera.focal_px", c.FocalPx, 16, 65536)
	p.Between("camera.centre_u_px", c.CentreUPx, 0, float64(c.WidthPx))
	p.Between("camera.centre_v_px", c.CentreVPx, 0, float64(c.HeightPx))
	p.Between("camera.missing.share", c.Missing.Share, 0, 1)
	p.Between("camera.ghost_share", c.GhostShare, 0, 1)
	for _, j := range c.Missing.Joints {
		if !slices.Contains(KeypointNames[:], j) {
			p.Add("camera.missing.joints", "%q is unknown: use %s", j, strings.Join(KeypointNames[:], ", "))
		}
	}
}

func (w *PersonWorld) check(p *setting.Problems) {
	p.Between("person.right_m", w.RightM, -20, 20)
	p.Between("person.farther_m", w.FartherM, -2.5, 20)
	p.Between("person.turn_deg", w.TurnDeg, -360, 360)
	if w.HeightM != 0 {
		p.Between("person.height_m", w.HeightM, 0.5, 2.5)
	}
}

// nearestM is how near to a sensor somebody may be put, on the floor.
const nearestM = 0.5

// StandsAtM returns where on the floor people stand, room frame; each is drawn
// some centimetres from there.
func (w *World) StandsAtM() [2]float64 {
	return [2]float64{w.Person.RightM, standingDepthM + w.Person.FartherM}
}

// checkPlace refuses a person outside the room or on top of a sensor.
func (w *World) checkPlace(p *setting.Problems) {
	stands := w.StandsAtM()
	at := [3]float64{stands[0], stands[1], 1}
	if !w.Room.holds(at) {
		p.Add("person", "stands at (%.1f, %.1f) m, which is not inside the room; see room.ahead_m and room.side_m", at[0], at[1])
	}
	for _, s := range w.sensors() {
		if math.Hypot(at[0]-s.at[0], at[1]-s.at[1]) < nearestM {
			p.Add("person", "stands within %v m of %s", nearestM, s.key)
		}
	}
}

// sensor is a sensor's key and place, room frame.
type sensor struct {
	key string
	at  [3]float64
}

func (w *World) sensors() [3]sensor {
	return [3]sensor{
		{"camera.room_from_camera", w.Camera.RoomFromCamera.RoomFromCamera().T},
		{"lidar.room_from_lidar", w.LiDAR.RoomFromLiDAR.RoomFromSensor().T},
		{"radar.room_from_radar", w.Radar.RoomFromRadar.RoomFromSensor().T},
	}
}

// holds reports whether a place of the room frame is inside.
func (r *RoomWorld) holds(p [3]float64) bool {
	return math.Abs(p[0]) < r.SideM && p[1] > -r.BehindM && p[1] < r.AheadM && p[2] > 0 && p[2] < r.CeilingM
}

// rig returns the nominal arrangement: what somebody would write down who
// measured the room, without the errors that Extrinsics holds.
func (w *World) rig() frame.Rig {
	return frame.Rig{
		RoomFromCamera: w.Camera.RoomFromCamera.RoomFromCamera(),
		RoomFromLiDAR:  w.LiDAR.RoomFromLiDAR.RoomFromSensor(),
		RoomFromRadar:  w.Radar.RoomFromRadar.RoomFromSensor(),
		Camera:         w.Camera.Lens(),
	}
}

// Lens returns the camera's intrinsics.
func (c *CameraWorld) Lens() frame.Intrinsics {
	return frame.Intrinsics{
		WidthPx: float64(c.WidthPx), HeightPx: float64(c.HeightPx),
		FxPx: c.FocalPx, FyPx: c.FocalPx, CxPx: c.CentreUPx, CyPx: c.CentreVPx,
	}
}
