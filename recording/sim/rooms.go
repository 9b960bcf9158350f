package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/setting"
)

// Range is a lowest and a highest value, between which every one is as likely.
type Range [2]float64

func (r Range) draw(s *Stream) float64 { return s.Uniform(r[0], r[1]) }

// Ranges says how rooms, sensors, people and movements differ in a data set for
// a network that serves any room. Lengths are metres, angles degrees, in the
// room frame of the guide.
type Ranges struct {
	Name string `yaml:"name" json:"name"`

	// DistanceM is from the camera along the floor, AsideM to the right of the
	// room's middle line, which goes through the camera.
	DistanceM Range `yaml:"distance_m" json:"distance_m"`
	AsideM    Range `yaml:"aside_m" json:"aside_m"`
	// TurnedShare of the clips face any way, half of them within 60 degrees; the
	// others face the camera within a standard deviation of FacingSDDeg.
	TurnedShare float64 `yaml:"turned_share" json:"turned_share"`
	FacingSDDeg float64 `yaml:"facing_sd_deg" json:"facing_sd_deg"`
	// SeatedShare of the clips show the person on a chair.
	SeatedShare float64 `yaml:"seated_share" json:"seated_share"`
	// OtherHeightShare of the people have a height from HeightM instead of a
	// usual one.
	OtherHeightShare float64 `yaml:"other_height_share" json:"other_height_share"`
	HeightM          Range   `yaml:"height_m" json:"height_m"`

	CameraHeightM Range `yaml:"camera_height_m" json:"camera_height_m"`
	CameraTiltDeg Range `yaml:"camera_tilt_deg" json:"camera_tilt_deg"`
	FocalWidths   Range `yaml:"focal_widths" json:"focal_widths"` // focal length over the picture's width
	LiDARHeightM  Range `yaml:"lidar_height_m" json:"lidar_height_m"`
	RadarHeightM  Range `yaml:"radar_height_m" json:"radar_height_m"`
	SensorAsideM  Range `yaml:"sensor_aside_m" json:"sensor_aside_m"` // of LiDAR and radar from the camera
	// PartlySeenShare of the clips may have a part of the person outside the
	// picture.
	PartlySeenShare float64 `yaml:"partly_seen_share" json:"partly_seen_share"`
	DenseShare      float64 `yaml:"dense_share" json:"dense_share"`     // of LiDARs with 128 beams
	ClutterShare    float64 `yaml:"clutter_share" json:"clutter_share"` // of radars with clutter removal off
	MissingShare    float64 `yaml:"missing_share" json:"missing_share"` // of cameras that leave out keypoints
	LateShare       float64 `yaml:"late_share" json:"late_share"`       // of sensors that are late
	DegradedShare   float64 `yaml:"degraded_share" json:"degraded_share"`
	FurnishedShare  float64 `yaml:"furnished_share" json:"furnished_share"`

	// RecordedShare of the clips are recorded movement where there is any.
	RecordedShare float64 `yaml:"recorded_share" json:"recorded_share"`
	// Amplitude is how far procedural movement goes towards the drawn key poses,
	// Tempo the length of a repetition over the activity's median.
	Amplitude Range `yaml:"amplitude" json:"amplitude"`
	Tempo     Range `yaml:"tempo" json:"tempo"`
}

// DefaultRanges covers the rooms that the guide describes.
func DefaultRanges() Ranges {
	return Ranges{
		Name:      "rooms",
		DistanceM: Range{1.5, 5}, AsideM: Range{-1.5, 1.5},
		TurnedShare: 0.4, FacingSDDeg: 12, SeatedShare: 0.12,
		OtherHeightShare: 0.25, HeightM: Range{1.1, 2.02},
		CameraHeightM: Range{0.7, 2.2}, CameraTiltDeg: Range{-25, 15}, FocalWidths: Range{0.75, 2},
		LiDARHeightM: Range{0.5, 2.1}, RadarHeightM: Range{0.6, 2.1}, SensorAsideM: Range{-1.2, 1.2},
		PartlySeenShare: 0.15, DenseShare: 0.1, ClutterShare: 0.4, MissingShare: 0.35, LateShare: 0.15,
		DegradedShare: 0.15, FurnishedShare: 0.6,
		RecordedShare: 0.5, Amplitude: Range{0.4, 1.25}, Tempo: Range{0.6, 2},
	}
}

// Check returns what is wrong with the ranges, each with its key.
func (r *Ranges) Check() setting.Problems {
	var p setting.Problems
	for _, v := range []struct {
		key    string
		value  Range
		lo, hi float64
	}{
		{"distance_m", r.DistanceM, 0.8, 12}, {"aside_m", r.AsideM, -6, 6}, {"height_m", r.HeightM, 0.5, 2.5},
		{"camera_height_m", r.CameraHeightM, 0.1, 3}, {"camera_tilt_deg", r.CameraTiltDeg, -60, 60}, {"focal_widths", r.FocalWidths, 0.3, 5},
		{"lidar_height_m", r.LiDARHeightM, 0.1, 3}, {"radar_height_m", r.RadarHeightM, 0.1, 3}, {"sensor_aside_m", r.SensorAsideM, -4, 4},
		{"amplitude", r.Amplitude, 0.1, 1.5}, {"tempo", r.Tempo, 0.2, 5},
	} {
		p.Between(v.key+"[0]", v.value[0], v.lo, v.hi)
		p.Between(v.key+"[1]", v.value[1], v.lo, v.hi)
		if v.value[0] > v.value[1] {
			p.Add(v.key, "%v: the lowest value comes first", v.value)
		}
	}
	p.Between("facing_sd_deg", r.FacingSDDeg, 0, 90)
	for _, v := range []struct {
		key   string
		value float64
	}{
		{"turned_share", r.TurnedShare}, {"seated_share", r.SeatedShare}, {"other_height_share", r.OtherHeightShare}, {"partly_seen_share", r.PartlySeenShare},
		{"dense_share", r.DenseShare}, {"clutter_share", r.ClutterShare}, {"missing_share", r.MissingShare}, {"late_share", r.LateShare},
		{"degraded_share", r.DegradedShare}, {"furnished_share", r.FurnishedShare}, {"recorded_share", r.RecordedShare},
	} {
		p.Between(v.key, v.value, 0, 1)
	}
	return p
}

// RoomsConfig decides a data set of many rooms. The same value gives the same
// bytes.
type RoomsConfig struct {
	Seed          uint64        `json:"seed"`
	People        int           `json:"people"` // simulated ones, each of whom does every activity once
	FramesPerClip int           `json:"frames_per_clip"`
	Ranges        Ranges        `json:"ranges"`
	Mocap         *MocapLibrary `json:"-"` // recorded movement; may be nil
	// LabelNoise of the truth as a share of MM-Fi's; 0 is the true pose.
	LabelNoise float64 `json:"label_noise"`
	// Empty leaves nobody in any room.
	Empty bool `json:"empty,omitempty"`
}

// Rooms is a data set in which every clip has a room of its own: sensors, place,
// body, furniture and style of movement are drawn anew. People beyond the 40 of
// MM-Fi are those of further seeds.
type Rooms struct {
	cfg    RoomsConfig
	preset Preset
	keys   []recording.Key
}

var _ recording.Dataset = (*Rooms)(nil)

// RoomsPreset is the noise of the sensors in rooms: that of the daemon's own
// keypoint detector.
const RoomsPreset = "movenet-1"

// NewRooms checks the configuration and lists its clips.
func NewRooms(cfg RoomsConfig) (*Rooms, error) {
	if cfg.People < 1 || cfg.People > 40_000 {
		return nil, fmt.Errorf("sim: people %d: want 1 to 40,000", cfg.People)
	}
	if p := cfg.Ranges.Check(); len(p) > 0 {
		return nil, fmt.Errorf("sim: ranges: %w", errors.Join(p...))
	}
	preset, err := PresetByName(RoomsPreset)
	if err != nil {
		return nil, err
	}
	preset.LabelNoise = cfg.LabelNoise
	d := &Rooms{cfg: cfg, preset: preset}
	for s := 1; s <= cfg.People; s++ {
		for a := 1; a <= mmfi.NumActivities; a++ {
			d.keys = append(d.keys, recording.Key{Subject: s, Activity: a})
		}
	}
	return d, nil
}

// Keys lists the clips, ordered by subject, then activity.
func (d *Rooms) Keys() []recording.Key { return slices.Clone(d.keys) }

// Describe says what the data is, for figures and model cards.
func (d *Rooms) Describe() string {
	movement := "procedural"
	if d.cfg.Mocap != nil && d.cfg.Ranges.RecordedShare > 0 {
		movement = "procedural and motion-capture"
	}
	truth := "true joints"
	if d.cfg.LabelNoise > 0 {
		truth = "joints with label noise"
	}
	return fmt.Sprintf("%s (generator version %s, preset %s, seed %d, %d people each in rooms of their own, ranges %q, %s) on %s movement; not MM-Fi",
		Statement, Version, d.preset.Name, d.cfg.Seed, d.cfg.People, d.cfg.Ranges.Name, truth, movement)
}

// Open returns a clip in its room.
func (d *Rooms) Open(k recording.Key) (recording.Clip, error) {
	clip, _, err := d.clip(k)
	return clip, err
}

// seedStep separates the seeds of further people.
const seedStep = 1 << 32

func (d *Rooms) clip(k recording.Key) (*Clip, *World, error) {
	cfg, m, err := d.room(k)
	if err != nil {
		return nil, nil, err
	}
	clip, err := NewClip(cfg, m)
	return clip, cfg.World, err
}

// room draws the room of a clip and the movement in it.
func (d *Rooms) room(k recording.Key) (Config, Motion, error) {
	if k.Subject < 1 || k.Subject > d.cfg.People || k.Activity < 1 || k.Activity > mmfi.NumActivities {
		return Config{}, nil, fmt.Errorf("sim: clip %s is not part of this data set of %d people", k, d.cfg.People)
	}
	seed := d.cfg.Seed + seedStep*uint64((k.Subject-1)/numSubjects)
	own := recording.Key{Subject: (k.Subject-1)%numSubjects + 1, Activity: k.Activity}
	s := NewStream(seed, "room", own.Subject, own.Activity)
	m := d.movement(&s, seed, own)
	world := d.cfg.Ranges.draw(&s, m.Subject().HeightM)
	if world.Person.Absent = d.cfg.Empty; d.cfg.Empty {
		world.Camera.GhostShare = float64(0.02 * s.Float64())
	}
	cfg := Config{Seed: seed, Custom: &d.preset, FramesPerClip: d.cfg.FramesPerClip, World: &world}
	frames := d.cfg.FramesPerClip
	if frames == 0 {
		frames = mmfi.FramesPerClip
	}
	if bad, ok := drawDegradation(&s, d.cfg.Ranges.DegradedShare, frameTime(frames)); ok {
		cfg.Degradations = []Degradation{bad}
	}
	return cfg, m, nil
}

// movement draws how the person moves.
func (d *Rooms) movement(s *Stream, seed uint64, k recording.Key) Motion {
	r := &d.cfg.Ranges
	opt := MotionOptions{Frames: d.cfg.FramesPerClip, Uncounted: true}
	recorded := s.Float64() < r.RecordedShare
	opt.Amplitude = r.Amplitude.draw(s)
	low, high := portableLog(r.Tempo[0]), portableLog(r.Tempo[1])
	tempo := portableExp(s.Uniform(low, high))
	if recorded && d.cfg.Mocap != nil {
		if m, ok := d.cfg.Mocap.Motion(seed, k, opt); ok {
			return m
		}
	}
	opt.RepetitionS = activities[k.Activity].tempo.median * frameS * tempo
	return NewProcedural(seed, k, opt)
}

// drawTries is how many rooms are drawn until one is legal and shows the person.
const drawTries = 200

// draw returns a room for a person of a height.
func (r *Ranges) draw(s *Stream, heightM float64) World {
	if s.Float64() < r.OtherHeightShare {
		heightM = r.HeightM.draw(s)
	} else {
		heightM = -heightM // as it is
	}
	partly := s.Float64() < r.PartlySeenShare
	for range drawTries {
		w := r.drawOnce(s, heightM)
		if len(w.Check()) == 0 && (partly || w.shows(math.Abs(heightM))) {
			return w
		}
	}
	w := DefaultWorld()
	w.Name = r.Name
	return w
}

// pictures are the usual shapes of a camera's picture, pixels.
var pictures = [...][2]int{{640, 480}, {640, 480}, {1280, 720}, {1280, 720}, {1920, 1080}, {480, 640}, {720, 1280}}

func (r *Ranges) drawOnce(s *Stream, heightM float64) World {
	w := DefaultWorld()
	w.Name = r.Name
	distance, aside := r.DistanceM.draw(s), r.AsideM.draw(s)
	ahead := sqrt(max(float64(distance*distance)-float64(aside*aside), 0.25))
	w.Person.RightM, w.Person.FartherM = aside, ahead-standingDepthM
	w.Person.HeightM = max(heightM, 0)
	bearing := -portableAtan2(aside, ahead) / degree // to the left
	r.face(s, bearing, &w.Person)
	r.drawCamera(s, bearing, distance, &w.Camera)
	r.drawPoints(s, bearing, &w)
	w.Room.AheadM = ahead + s.Uniform(0.6, 4)
	w.Room.BehindM = s.Uniform(0.8, 4)
	w.Room.SideM = max(math.Abs(aside)+0.7, 1.5) + s.Uniform(0, 2.5)
	w.Room.CeilingM = s.Uniform(2.4, 3.4)
	if s.Float64() < r.SeatedShare {
		w.seat()
	}
	if s.Float64() < r.FurnishedShare {
		r.furnish(s, [2]float64{aside, ahead}, &w.Room)
	}
	return w
}

// seat puts the person on a chair that faces their way, as nearly as chairs do.
func (w *World) seat() {
	w.Person.Seated = true
	quarters := int(math.Round(w.Person.TurnDeg/90)) % 4
	w.Room.Furniture = append(w.Room.Furniture, Furniture{
		Kind: "chair", AtM: [2]float64{w.Person.RightM, standingDepthM + w.Person.FartherM}, Turn: 90 * ((quarters + 4) % 4),
	})
}

// face turns the person to the camera, more or less.
func (r *Ranges) face(s *Stream, bearingDeg float64, p *PersonWorld) {
	turn := float64(r.FacingSDDeg * boundedNorm(s))
	if s.Float64() < r.TurnedShare {
		turn = s.Uniform(-60, 60)
		if s.Uint64()&1 == 0 {
			turn = s.Uniform(-180, 180)
		}
	}
	// Who stands to the left of the sensors turns to their own left to face them.
	p.TurnDeg = turn + bearingDeg
}

func (r *Ranges) drawCamera(s *Stream, bearingDeg, distance float64, c *CameraWorld) {
	height := r.CameraHeightM.draw(s)
	at := pictures[s.Intn(len(pictures))]
	c.WidthPx, c.HeightPx = at[0], at[1]
	low, high := portableLog(r.FocalWidths[0]), portableLog(r.FocalWidths[1])
	c.FocalPx = float64(at[0]) * portableExp(s.Uniform(low, high))
	c.CentreUPx = float64(at[0]) * (0.5 + float64(0.01*boundedNorm(s)))
	c.CentreVPx = float64(at[1]) * (0.5 + float64(0.01*boundedNorm(s)))
	toPerson := portableAtan2(0.95-height, distance) / degree
	c.RoomFromCamera = frame.CameraPose{
		PositionM: [3]float64{0, 0, height},
		PanDeg:    float64(bearingDeg*s.Uniform(0.2, 1.1)) + float64(3*boundedNorm(s)),
		TiltDeg:   min(max(toPerson+float64(4*boundedNorm(s)), r.CameraTiltDeg[0]), r.CameraTiltDeg[1]),
		RollDeg:   1.5 * boundedNorm(s),
	}
	if s.Float64() < r.MissingShare {
		c.Missing.Share = float64(0.2 * s.Float64())
		if s.Uint64()&3 == 0 {
			c.Missing.Joints = missingGroups[s.Intn(len(missingGroups))]
		}
	}
	c.LateMS = r.late(s)
}

// missingGroups are keypoints that go missing together: out of the picture, away
// from the camera or behind a table.
var missingGroups = [...][]string{
	{"left_ankle", "right_ankle"},
	{"left_knee", "right_knee", "left_ankle", "right_ankle"},
	{"left_eye", "right_eye", "left_ear", "right_ear", "nose"},
	{"left_ear"}, {"right_ear"}, {"left_wrist"}, {"right_wrist"},
	{"left_elbow", "left_wrist"}, {"right_elbow", "right_wrist"},
}

func (r *Ranges) late(s *Stream) float64 {
	if s.Float64() < r.LateShare {
		return s.Uniform(0, 100)
	}
	return 0
}

// drawPoints places LiDAR and radar.
func (r *Ranges) drawPoints(s *Stream, bearingDeg float64, w *World) {
	w.LiDAR.RoomFromLiDAR = frame.SensorPose{
		PositionM: [3]float64{r.SensorAsideM.draw(s), s.Uniform(-0.4, 0.4), r.LiDARHeightM.draw(s)},
		PanDeg:    s.Uniform(-180, 180), TiltDeg: 3 * boundedNorm(s), RollDeg: 2 * boundedNorm(s),
	}
	w.LiDAR.WholeSweep = true
	if s.Float64() < r.DenseShare {
		w.LiDAR.Beams = denseRows
	}
	w.LiDAR.LateMS = r.late(s)
	x := r.SensorAsideM.draw(s)
	w.Radar.RoomFromRadar = frame.SensorPose{
		PositionM: [3]float64{x, s.Uniform(-0.4, 0.4), r.RadarHeightM.draw(s)},
		PanDeg:    bearingDeg + float64(15*x) + float64(6*boundedNorm(s)), TiltDeg: 4 * boundedNorm(s), RollDeg: 2 * boundedNorm(s),
	}
	if s.Float64() < r.ClutterShare {
		w.Radar.ClutterPoints = s.Uniform(5, 160)
	}
	w.Radar.LateMS = r.late(s)
}

// furnish puts one to three things around the person.
func (r *Ranges) furnish(s *Stream, person [2]float64, room *RoomWorld) {
	for range 1 + s.Intn(3) {
		f := Furniture{Kind: "chair", Turn: 90 * s.Intn(4)}
		near := 0.5 // from the person's middle to the thing's
		switch s.Intn(5) {
		case 0:
			f.Kind, near = "bed", 1.5
		case 1, 2:
			f.Kind = "box"
			f.Size = [3]float64{s.Uniform(0.3, 1.4), s.Uniform(0.3, 0.8), s.Uniform(0.3, 1.9)}
			near = 0.35 + float64(max(f.Size[0], f.Size[1])/2)
		}
		// Not between the person and the sensors.
		sin, cos := portableSincos(s.Uniform(-110, 110) * degree)
		away := near + s.Uniform(0, 1.5)
		f.AtM = [2]float64{person[0] + float64(away*sin), person[1] + float64(away*cos)}
		room.Furniture = append(room.Furniture, f)
	}
}

// shows reports whether the camera has the person in its picture, from head to
// feet and with arms stretched aside to half their length.
func (w *World) shows(heightM float64) bool {
	c := &w.Camera
	m := newCameraMount(&c.RoomFromCamera)
	pose, l := m.pose(Vec{}, 0), lens{c.FocalPx, c.CentreUPx, c.CentreVPx}
	x, z := w.Person.RightM, standingDepthM+w.Person.FartherM
	shoulder := float64(0.75 * heightM)
	for _, p := range []Vec{{x, heightM, z}, {x, 0.02, z}, {x - 0.45, shoulder, z}, {x + 0.45, shoulder, z}} {
		uv := l.project(&pose, p)
		if pose.fromRoom(p)[0] < 0.3 || uv[0] < 0 || uv[1] < 0 || uv[0] > float64(c.WidthPx) || uv[1] > float64(c.HeightPx) {
			return false
		}
	}
	return true
}
