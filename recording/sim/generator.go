package sim

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/sensors/modality"
)

// Version names the generator. It changes whenever the same configuration
// would give other bytes, and stands in every manifest.
const Version = "1"

// Statement is the sentence every product of the generator carries.
const Statement = "simulated sensors"

// Short names of the modalities inside this package.
const (
	camera = modality.Camera
	lidar  = modality.LiDAR
	radar  = modality.Radar
	wifi   = modality.CSI
)

// Config decides everything about a simulated data set. The same value gives
// the same bytes.
type Config struct {
	// Seed of all random streams.
	Seed uint64 `json:"seed"`
	// Preset is the difficulty: easy, mmfi (default), mmfi-2, hard or clean.
	Preset string `json:"preset"`
	// FramesPerClip is the length of a clip, 0 for MM-Fi's 297.
	FramesPerClip int `json:"frames_per_clip"`
	// Subjects (1..40) and Activities (1..27) to include, empty for all.
	Subjects   []int `json:"subjects,omitempty"`
	Activities []int `json:"activities,omitempty"`
	// Degradations are applied to every clip.
	Degradations []Degradation `json:"degradations,omitempty"`
	// Custom replaces the preset named by Preset if it is not nil, for
	// calibration runs and tests.
	Custom *Preset `json:"custom_preset,omitempty"`
	// World is the room the clips are recorded in; nil for MM-Fi's.
	World *World `json:"world,omitempty"`
	// Mocap provides real movement for the activities it has; nil for
	// procedural movement only.
	Mocap *MocapLibrary `json:"-"`
}

// resolve checks the configuration, fills in defaults and returns its preset.
func (cfg *Config) resolve() (Preset, error) {
	if cfg.FramesPerClip == 0 {
		cfg.FramesPerClip = mmfi.FramesPerClip
	}
	if cfg.FramesPerClip < 0 {
		return Preset{}, fmt.Errorf("sim: frames_per_clip %d: must be positive, or 0 for %d", cfg.FramesPerClip, mmfi.FramesPerClip)
	}
	for _, s := range cfg.Subjects {
		if s < 1 || s > mmfi.NumSubjects {
			return Preset{}, fmt.Errorf("sim: subject %d: must be 1..%d", s, mmfi.NumSubjects)
		}
	}
	for _, a := range cfg.Activities {
		if a < 1 || a > mmfi.NumActivities {
			return Preset{}, fmt.Errorf("sim: activity %d: must be 1..%d", a, mmfi.NumActivities)
		}
	}
	for i, d := range cfg.Degradations {
		if err := d.Validate(); err != nil {
			return Preset{}, fmt.Errorf("sim: degradations[%d]: %w", i, err)
		}
	}
	if cfg.World != nil {
		if p := cfg.World.Check(); len(p) > 0 {
			return Preset{}, fmt.Errorf("sim: world: %w", errors.Join(p...))
		}
	}
	if cfg.Custom != nil {
		cfg.Preset = cfg.Custom.Name
		return *cfg.Custom, nil
	}
	p, err := PresetByName(cfg.Preset)
	cfg.Preset = p.Name
	return p, err
}

// Extrinsics is how far the sensors of one clip stand from where everybody
// believes they are (simulator.md 4).
type Extrinsics struct {
	LiDARShiftM Vec     `json:"lidar_shift_m"` // room frame
	LiDARYawRad float64 `json:"lidar_yaw_rad"`
	LiDARTimeS  float64 `json:"lidar_time_s"` // the sweep's middle is late by this
	RadarShiftM Vec     `json:"radar_shift_m"`
}

var (
	_ recording.PartialClip = (*Clip)(nil)
	_ frame.Rigged          = (*Clip)(nil)
)

// Clip is one simulated recording. It makes frames on demand: frame k alone is
// bit-identical to frame k in sequence. All methods are safe for concurrent
// use with different destinations. Frame numbers beyond Len are legal, so that
// a live simulator can run on.
type Clip struct {
	seed       uint64
	preset     Preset
	motion     Motion
	key        recording.Key
	subject    Subject
	frames     int
	degraded   degradations
	extrinsics Extrinsics
	emptyShare float64 // of radar frames
	scene      scene
	place      place
	channel    csiChannel
	labels     *Labels
	second     *secondMotion // nil without a second person
	scratch    sync.Pool

	backgroundOnce sync.Once // makes background or sweep at the first LiDAR frame
	background     []backgroundCell
	sweep          []roomCell // of a whole sweep
}

// scratch is what one goroutine needs to make a frame.
type scratch struct {
	subjects    [maxBodies]Subject
	skeletons   [maxBodies]Skeleton
	bodies      [maxBodies]Body
	detection   detection
	depth       depthBuffer
	background  []backgroundCell // of a degraded frame
	sweep       []roomCell       // the same of a whole sweep
	radar       radarScatterers
	radarRows   []float64
	csi         csiBody
	csiBodies   int
	csiSkeleton [maxBodies][CSIPackets]Skeleton
	csiFrame    CSIFrame
}

func newScratch(g *lidarGrid) *scratch {
	sc := &scratch{depth: newDepthBuffer(g)}
	sc.radar.dets = make([]radarDetection, 0, 1024)
	return sc
}

// ErrNegativeFrame is returned for a frame number below zero.
var ErrNegativeFrame = errors.New("frame number is negative")

// NewClip makes a clip of one movement. The error names what is wrong in cfg.
func NewClip(cfg Config, motion Motion) (*Clip, error) {
	preset, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	world := DefaultWorld()
	if cfg.World != nil {
		world = *cfg.World
	}
	motion = world.Person.placed(motion)
	key := motion.Key()
	c := &Clip{
		seed: cfg.Seed, preset: preset, motion: motion, key: key, subject: motion.Subject(),
		frames:   cfg.FramesPerClip,
		degraded: append(degradations(nil), cfg.Degradations...),
		scene:    newScene(cfg.Seed, mmfi.Environment(key.Subject), &world.Room),
		place:    newPlace(&world, motion),
		channel:  newCSIChannel(cfg.Seed, &preset.CSI, mmfi.Environment(key.Subject), key.Subject),
		labels:   NewLabels(cfg.Seed, motion, preset.LabelNoise),
	}
	c.scratch.New = func() any { return newScratch(c.place.grid) }
	c.labels.camera = c.place.truthCamera
	if w := world.Radar.ClutterPoints; w > 0 {
		c.place.reflectors = newReflectors(cfg.Seed, c.environment(), &c.scene, &c.place.radar, w)
	}
	c.misplace(&preset.Extrinsics, &world.Misplaced)
	if preset.Radar.EmptyScale > 0 {
		s := c.stream("radar-empty-share", 0)
		c.emptyShare = preset.Radar.EmptyScale * s.Beta(preset.Radar.EmptyAlpha, preset.Radar.EmptyBeta)
	}
	if preset.DegradedShare > 0 {
		s := c.stream("degradation", 0)
		if d, ok := drawDegradation(&s, preset.DegradedShare, frameTime(c.frames)); ok {
			c.degraded = append(c.degraded, d)
		}
	}
	for _, d := range c.degraded {
		if d.Kind == SecondPerson {
			other := recording.Key{Subject: key.Subject%mmfi.NumSubjects + 1, Activity: 6}
			c.second = &secondMotion{
				Motion:   NewProcedural(cfg.Seed, other, MotionOptions{}),
				severity: d.Severity, startS: d.StartS,
			}
		}
	}
	return c, nil
}

// misplace says how far this clip's sensors stand from where they are believed to.
func (c *Clip) misplace(drawn *Offsets, fixed *Misplaced) {
	if fixed.Fixed {
		c.extrinsics = Extrinsics{LiDARShiftM: fixed.LiDARShiftM, LiDARYawRad: fixed.LiDARYawDeg * math.Pi / 180, RadarShiftM: fixed.RadarShiftM}
		return
	}
	s := c.stream("extrinsics", 0)
	for a := range 3 {
		c.extrinsics.LiDARShiftM[a] = float64(drawn.LiDARShiftM * s.Norm())
	}
	c.extrinsics.LiDARYawRad = float64(drawn.LiDARYawDeg*s.Norm()) * math.Pi / 180
	c.extrinsics.LiDARTimeS = float64(drawn.LiDARTimeOffsetS * (float64(2*s.Float64()) - 1))
	for a := range 3 {
		c.extrinsics.RadarShiftM[a] = float64(drawn.RadarShiftM * s.Norm())
	}
}

// environment returns the number of the room that the clip's person moves in.
func (c *Clip) environment() int { return mmfi.Environment(c.key.Subject) }

// stream returns the random stream of one sensor and frame of this clip.
func (c *Clip) stream(kind string, frame int) Stream {
	return NewStream(c.seed, kind, c.key.Subject, c.key.Activity, frame)
}

// Key names the clip.
func (c *Clip) Key() recording.Key { return c.key }

// Len returns the number of frames of the recording.
func (c *Clip) Len() int { return c.frames }

// Motion returns the true movement.
func (c *Clip) Motion() Motion { return c.motion }

// Extrinsics returns the clip's calibration errors, for manifests and tests.
// No model may see them.
func (c *Clip) Extrinsics() Extrinsics { return c.extrinsics }

// Degradations returns what disturbs this clip, including what the preset drew.
func (c *Clip) Degradations() []Degradation { return append([]Degradation(nil), c.degraded...) }

// Truth returns the written ground truth of frame i, with the errors of a
// triangulated label (simulator.md 2.5).
func (c *Clip) Truth(i int) (recording.Pose, error) {
	if err := c.check(i); err != nil {
		return recording.Pose{}, err
	}
	return c.labels.Frame(i), nil
}

// CleanTruth returns the true joints of frame i, camera frame.
func (c *Clip) CleanTruth(i int) (recording.Pose, error) {
	if err := c.check(i); err != nil {
		return recording.Pose{}, err
	}
	return c.labels.clean(i), nil
}

// Rig returns how the sensors stand, as somebody would measure it.
func (c *Clip) Rig() frame.Rig { return c.place.rig }

// HeightM returns how tall the person is, from sole to crown.
func (c *Clip) HeightM() float64 { return c.subject.HeightM }

// placeBodies sets the bodies of sc at time tS without velocities and returns
// how many there are.
func (c *Clip) placeBodies(tS float64, sc *scratch) int {
	var still Skeleton
	n := c.skeletonsAt(tS, &sc.skeletons)
	sc.subjects[0] = c.subject
	if n > 1 {
		sc.subjects[1] = c.second.Subject()
	}
	for b := range n {
		sc.bodies[b].Set(&sc.subjects[b], &sc.skeletons[b], &still)
	}
	return n
}

// placeMovingBodies is placeBodies with velocities, by finite difference.
func (c *Clip) placeMovingBodies(tS float64, sc *scratch) int {
	var before, after [maxBodies]Skeleton
	n := c.skeletonsAt(tS-radarVelocityStep, &before)
	if m := c.skeletonsAt(tS+radarVelocityStep, &after); m < n {
		n = m
	}
	sc.subjects[0] = c.subject
	if n > 1 {
		sc.subjects[1] = c.second.Subject()
	}
	for b := range n {
		var mid, vel Skeleton
		for j := range mid {
			mid[j] = vecScale(vecAdd(before[b][j], after[b][j]), 0.5)
			vel[j] = vecScale(vecSub(after[b][j], before[b][j]), 1/(2*radarVelocityStep))
		}
		sc.bodies[b].Set(&sc.subjects[b], &mid, &vel)
	}
	return n
}

// skeletonsAt returns the joints of everybody present at tS.
func (c *Clip) skeletonsAt(tS float64, dst *[maxBodies]Skeleton) int {
	if c.place.absent {
		return 0
	}
	dst[0] = c.motion.At(tS)
	if c.second != nil && c.degraded.severity(SecondPerson, tS) > 0 {
		dst[1] = c.second.at(tS)
		return 2
	}
	return 1
}

// csiSkeletons sets the joints of everybody at the ten packets up to tS.
func (c *Clip) csiSkeletons(tS float64, sc *scratch) {
	var at [maxBodies]Skeleton
	sc.subjects[0] = c.subject
	sc.csiBodies = maxBodies
	for p := range CSIPackets {
		n := c.skeletonsAt(tS+float64(float64(p-CSIPackets+1)*csiPacketS), &at)
		sc.csiBodies = min(sc.csiBodies, n)
		for b := range n {
			sc.csiSkeleton[b][p] = at[b]
		}
	}
	if sc.csiBodies > 1 {
		sc.subjects[1] = c.second.Subject()
	}
}

// occluderAt returns the occluder of time tS, or nil.
func (c *Clip) occluderAt(tS float64) *box {
	sev := c.degraded.severity(Occluder, tS)
	if sev == 0 {
		return nil
	}
	return &occluders[sev-1]
}

var occluders = [3]box{occluderBox(1), occluderBox(2), occluderBox(3)}
