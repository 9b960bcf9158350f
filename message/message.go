// Package message holds what posefuse says and hears: the messages' types, the
// names of their schemas, the status words, and the encoding of a pose. It
// knows no broker: whoever reads or writes messages imports this alone.
package message

// Schema names, carried in every message's "schema" field. The JSON Schemas
// are docs/schema/<name>.json.
const (
	PoseSchema            = "posefuse.pose.v1"
	StatusSchema          = "posefuse.status.v1"
	SensorSchema          = "posefuse.sensor.v1"
	ExerciseEventSchema   = "posefuse.exercise.event.v1"
	ExerciseSummarySchema = "posefuse.exercise.summary.v1"
	ExerciseStatusSchema  = "posefuse.exercise.status.v1"
	ExerciseLiveSchema    = "posefuse.exercise.live.v1"
	ModelEventSchema      = "posefuse.model.event.v1"
	RetrainSchema         = "posefuse.retrain.v1"
	PointsSchema          = "posefuse.points.v1"
	ImageKeypointsSchema  = "posefuse.image_keypoints.v1"
)

// States of the daemon in a Status and of the exercise subscriber in an
// ExerciseStatus.
const (
	Online  = "online"
	Stopped = "stopped"
	Offline = "offline" // the last will: the sender went away without a word
)

// Pose is published once per tick on posefuse.<room>.pose.
type Pose struct {
	Schema      string `json:"schema"`
	Room        string `json:"room"`
	Seq         uint64 `json:"seq"`          // +1 per tick, from 1
	CaptureTime string `json:"capture_time"` // RFC 3339 with nanoseconds, UTC
	CaptureNS   int64  `json:"capture_ns"`   // room clock
	// Frame is "room" (x right, y forward, z up, origin on the floor) or
	// "camera" (x right, y down, z forward) when roomFromCamera is not configured.
	Frame      string          `json:"frame"`
	JointOrder string          `json:"joint_order"` // always "h36m17"
	JointsM    *[17][3]float64 `json:"joints_m"`    // metres; null when no modality was present
	// Calibrated says that the bones have the lengths that quiet standing has shown;
	// left out if not.
	Calibrated bool `json:"calibrated,omitempty"`
	// SpreadMM is how far, per joint, the poses with one of the present
	// modalities left out lie apart: their standard deviation, to be compared
	// between poses of the same coalition only. Null with fewer than two
	// modalities or model.contribution off.
	SpreadMM *[17]float64 `json:"spread_mm"`
	// SpreadMeanMM is the mean of SpreadMM; left out where that is null.
	SpreadMeanMM *float64 `json:"spread_mean_mm,omitempty"`
	// SigmaMM is how far off each joint is: the standard deviation of its error per
	// axis as measured with the model's coalition, docs/messages.md. Null where the
	// model's card does not tell.
	SigmaMM *[17]float64 `json:"sigma_mm"`
	// Presence is the probability that somebody is there, 0 to 1; null where nobody
	// is looked for.
	Presence   *float64                `json:"presence"`
	Coalition  string                  `json:"coalition"`  // letters present of "RLMW", "-" if none
	Modalities map[string]PoseModality `json:"modalities"` // keys "R", "L", "M", "W"
	Model      PoseModel               `json:"model"`
	LatencyMS  PoseLatency             `json:"latency_ms"`
}

// PoseModality tells how one modality took part in a pose.
type PoseModality struct {
	State    string   `json:"state"`    // "fused", "late", "gap", "stale", "off"
	Presence bool     `json:"presence"` // took part in this pose
	AgeMS    *float64 `json:"age_ms"`   // publication minus capture; null if absent
	SkewMS   *float64 `json:"skew_ms"`  // capture minus tick; null if absent
	// InfluenceMM is how far the joints of this pose would move on average
	// without the modality. Left out if it is absent or the only one, or with
	// model.contribution off.
	InfluenceMM *float64 `json:"influence_mm,omitempty"`
	// MeasuredAntennas is how many antennas WiFi really had, where the model
	// takes three; the receiver's setting "antennas" says what the others hold.
	MeasuredAntennas int `json:"measured_antennas,omitempty"`
}

// PoseModel names the model that made a pose.
type PoseModel struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the weights file
}

// PoseLatency splits the time from the tick to the message.
type PoseLatency struct {
	Align float64 `json:"align"` // tick to aligned set
	Infer float64 `json:"infer"` // network
	Total float64 `json:"total"` // last sensor byte of the tick to publication
}

// Status is published at 1 Hz and on change on posefuse.<room>.status,
// retained on MQTT.
type Status struct {
	Schema string       `json:"schema"`
	Room   string       `json:"room"`
	State  string       `json:"state"` // "online", "stopped", "offline" (last will)
	Time   string       `json:"time"`  // RFC 3339
	Parts  []PartHealth `json:"parts"`
	Model  *PoseModel   `json:"model,omitempty"`
	// Figures are those of the model in use, for who judges its poses.
	Figures *ModelFigures `json:"model_figures,omitempty"`
	// Shadow is the candidate that runs beside the model in use, if one does.
	Shadow *ShadowStatus `json:"shadow,omitempty"`
	Poses  uint64        `json:"poses"`    // published since start
	FPS    float64       `json:"fps"`      // over the last 5 s
	Uptime float64       `json:"uptime_s"` //
}

// ModelFigures are what the card of a model says of its poses, measured on
// people that it was not trained on.
type ModelFigures struct {
	// AngleSDDeg is the standard deviation of the error of each angle, degrees,
	// by signal; null where it was not measured.
	AngleSDDeg map[string]float64 `json:"angle_sd_deg"`
	// MovementShare is how much of an exercise's movement the poses show, by
	// activity, 1 being all; null where it was not measured.
	MovementShare map[string]float64 `json:"movement_share"`
	// WorthMM is how much larger the mean error is without a sensor, by letter,
	// millimetres, 0 or less for one that says nothing; null where it was not
	// measured.
	WorthMM map[string]float64 `json:"worth_mm"`
}

// ShadowStatus is how far a candidate's poses are from those of the model in use
// on the same ticks; they are published nowhere.
type ShadowStatus struct {
	Model    PoseModel `json:"model"`
	Ticks    int       `json:"ticks"`    // compared so far
	OfTicks  int       `json:"of_ticks"` // to be compared
	Errors   int       `json:"errors"`   // ticks on which the candidate gave no pose
	MeanMM   float64   `json:"mean_mm"`
	JointsMM []float64 `json:"joints_mm"` // mean distance per joint, 17 of them
}

// PartHealth is the health of one part of the daemon.
type PartHealth struct {
	Part     string `json:"part"`     // e.g. "sensor.radar", "model", "bus"
	Code     string `json:"code"`     // stable, e.g. "ok", "stale", "port_in_use"
	Text     string `json:"text"`     // a sentence for people, with what to do
	Severity string `json:"severity"` // "ok", "warning", "error"
}

// Sensor is published at 1 Hz per sensor on posefuse.<room>.sensor.<name>.
type Sensor struct {
	Schema   string            `json:"schema"`
	Room     string            `json:"room"`
	Name     string            `json:"name"`
	Modality string            `json:"modality"` // R, L, M or W
	State    string            `json:"state"`    // "starting", "live", "stale", "down", "off"
	RateHz   float64           `json:"rate_hz"`
	AgeMS    *float64          `json:"age_ms"`
	SkewMS   *float64          `json:"skew_ms"`
	OffsetMS *float64          `json:"clock_offset_ms"` // room minus device clock
	DriftPPM *float64          `json:"clock_drift_ppm"`
	Counters map[string]uint64 `json:"counters"` // samples by outcome; in = sum of the others
	// Input is what the driver counted in other units, by outcome and unit:
	// "packet_datagrams", "junk_bytes".
	Input           map[string]uint64 `json:"input,omitempty"`
	LastError       string            `json:"last_error,omitempty"`
	Restarts        uint64            `json:"restarts"`
	Discontinuities uint64            `json:"clock_discontinuities"`
	Simulated       bool              `json:"simulated,omitempty"` // the samples are made up
}

// Points carries the newest point clouds for viewers on
// posefuse.<room>.points, at most at the tick rate, in the frame of the pose.
type Points struct {
	Schema    string       `json:"schema"`
	Room      string       `json:"room"`
	CaptureNS int64        `json:"capture_ns"`
	Frame     string       `json:"frame"`
	LiDAR     [][3]float32 `json:"lidar"`
	Radar     [][4]float32 `json:"radar"` // x, y, z, Doppler m/s
	// Search says what the points were taken for; absent where nobody searches for
	// the person.
	Search *PointSearch `json:"search,omitempty"`
}

// PointSearch tells foreground from background in a Points. The points of lidar
// are in this order: the person's, what else is new in the room, the rest. Those of
// radar: the person's, the rest.
type PointSearch struct {
	LiDARPerson int `json:"lidar_person"` // so many of lidar are the person's
	LiDARNew    int `json:"lidar_new"`    // so many after them are new, but not the person's: a visitor, a chair just moved
	RadarPerson int `json:"radar_person"`
	// Sweep counts all points of the sweep, of which lidar is a choice, by what
	// they were taken for: person, other, background, floor, outside, broken.
	Sweep map[string]int `json:"sweep,omitempty"`
}

// ImageKeypoints carries what the camera saw last, for viewers, on
// posefuse.<room>.image_keypoints: joints in the picture, never the picture.
type ImageKeypoints struct {
	Schema    string `json:"schema"`
	Room      string `json:"room"`
	CaptureNS int64  `json:"capture_ns"` // room clock; without a person, of the look
	// Width and Height are the picture's size in pixels, 0 if nobody was in
	// view since the start.
	Width  int `json:"width"`
	Height int `json:"height"`
	// Keypoints are x right and y down in pixels and the score 0..1, in
	// COCO-17 order; null when nobody is in view.
	Keypoints *[17][3]float64 `json:"keypoints"`
	Others    bool            `json:"others"` // somebody else is in view, too
}

// ExerciseEvent is published per change on posefuse.<room>.exercise.event.
type ExerciseEvent struct {
	Schema      string `json:"schema"`
	Room        string `json:"room"`
	Type        string `json:"type"` // "new", "update", "end"
	ID          string `json:"id"`   // stable for the life of a set
	Time        string `json:"time"`
	Exercise    string `json:"exercise"` // "A12"
	Name        string `json:"name"`     // "squat"
	Side        string `json:"side,omitempty"`
	Phase       string `json:"phase"` // "rest", "out"
	Repetitions int    `json:"repetitions"`
	// TargetRepetitions is how many the person is to do, if somebody said so.
	TargetRepetitions int `json:"target_repetitions,omitempty"`
	Incomplete        int `json:"incomplete"`
	// IncompleteWhy says why the attempt of this event does not count.
	IncompleteWhy string `json:"incomplete_why,omitempty"`
	// Value is the newest value of what the exercise is counted by, ValueName
	// its name in words, ValueUnit "deg", "m" or "" for a share.
	Value     *float64 `json:"value,omitempty"`
	ValueName string   `json:"value_name,omitempty"`
	ValueUnit string   `json:"value_unit,omitempty"`
	// Text is a sentence about the event for the person: of the fault, or of
	// the attempt that does not count.
	Text      string             `json:"text,omitempty"`
	AnglesDeg map[string]float64 `json:"angles_deg"`
	Faults    []Fault            `json:"faults"`
	Coalition string             `json:"coalition,omitempty"`
	Model     string             `json:"model,omitempty"`
}

// Fault is one finding about a repetition.
type Fault struct {
	Key      string  `json:"key"`
	Measured float64 `json:"measured"`
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit"`
	Verdict  string  `json:"verdict"` // "fault", "borderline", "cannot_tell"
	// Text is a sentence for the person, with what to do.
	Text string `json:"text,omitempty"`
}

// ExerciseSummary is published per finished set on
// posefuse.<room>.exercise.summary.
type ExerciseSummary struct {
	Schema            string `json:"schema"`
	Room              string `json:"room"`
	ID                string `json:"id"`
	Exercise          string `json:"exercise"`
	Name              string `json:"name"`
	Start             string `json:"start"`
	End               string `json:"end"`
	Repetitions       int    `json:"repetitions"`
	TargetRepetitions int    `json:"target_repetitions,omitempty"`
	Left              int    `json:"left"`
	Right             int    `json:"right"`
	Incomplete        int    `json:"incomplete"`
	// IncompleteWhy counts the incomplete ones by reason.
	IncompleteWhy map[string]int `json:"incomplete_why,omitempty"`
	NotJudged     int            `json:"not_judged"`
	RangeDeg      MedianBest     `json:"range_of_motion"`
	RangeUnit     string         `json:"range_unit"`
	TempoS        MedianBest     `json:"tempo_s"`
	Regularity    *float64       `json:"regularity"` // standard deviation / mean of repetition durations
	Symmetry      *float64       `json:"symmetry"`   // weaker side / stronger side, two-sided exercises
	Faults        []Fault        `json:"faults"`
	// CannotTell are the rules whose limit lies within the error of the poses.
	CannotTell []Fault `json:"cannot_tell,omitempty"`
}

// ExerciseLive tells on posefuse.<room>.exercise.live, with each pose, where the
// movement is that is counted: that of the running set, or of the one exercise
// that is looked for.
type ExerciseLive struct {
	Schema   string `json:"schema"`
	Room     string `json:"room"`
	ID       string `json:"id,omitempty"` // of the running set
	Exercise string `json:"exercise"`     // activity
	Name     string `json:"name"`         // in the language of the sentences
	// Value is what is counted, null where the sensors do not show it; ValueUnit is
	// "deg", "m" or "" for a share. Rest, Target and ZoneFrom are in the same unit:
	// where it begins, what a full repetition reaches, from where on it is enough.
	Value             *float64 `json:"value"`
	ValueName         string   `json:"value_name"`
	ValueUnit         string   `json:"value_unit"`
	Rest              float64  `json:"rest"`
	Target            float64  `json:"target"`
	ZoneFrom          float64  `json:"zone_from"`
	Repetitions       int      `json:"repetitions"`
	TargetRepetitions int      `json:"target_repetitions,omitempty"`
}

// ExerciseStatus is published on posefuse.<room>.exercise.status when the
// exercise subscriber comes or goes, on change and every ten seconds, retained
// on MQTT.
type ExerciseStatus struct {
	Schema string `json:"schema"`
	Room   string `json:"room"`
	State  string `json:"state"` // Online, Stopped, Offline (last will)
	// Owner is the MQTT client that counts in the room. Another one that finds
	// it there waits.
	Owner string `json:"owner,omitempty"`
	Since string `json:"since,omitempty"` // RFC 3339, when it began
	Time  string `json:"time,omitempty"`  // RFC 3339
	// LooksFor are the exercises that are looked for, by activity.
	LooksFor []string `json:"looks_for,omitempty"`
	// Problem and Text say what keeps it from counting right, with what to do;
	// left out while all is well.
	Problem string `json:"problem,omitempty"`
	Text    string `json:"text,omitempty"`
}

// MedianBest is the median over repetitions and the best one.
type MedianBest struct {
	Median float64 `json:"median"`
	Best   float64 `json:"best"`
}

// ModelEvent says on posefuse.<room>.model.event that the model in use or a
// candidate for it changed: "shadow" is the end of a sane run in its shadow.
type ModelEvent struct {
	Schema    string             `json:"schema"`
	Room      string             `json:"room"`
	Type      string             `json:"type"` // "candidate", "shadow", "promoted", "rejected", "rolled_back"
	Time      string             `json:"time"` // RFC 3339
	Model     PoseModel          `json:"model"`
	Reason    string             `json:"reason"`     // a sentence for people
	MetricsMM map[string]float64 `json:"metrics_mm"` // e.g. "mpjpe.RLMW"; may be empty
}

// Retrain says on posefuse.<room>.retrain how a retraining of the room's model
// goes: with each stage and each epoch, and at its end.
type Retrain struct {
	Schema string  `json:"schema"`
	Room   string  `json:"room"`
	Time   string  `json:"time"`  // RFC 3339
	Stage  string  `json:"stage"` // "loading", "training", "judging", "done", "stopped", "failed"
	Share  float64 `json:"share"` // of the stage, 0 to 1
	Epoch  int     `json:"epoch"` // done, of at most Epochs
	Epochs int     `json:"epochs"`
	// TrainMM and StopMM are the mean joint errors of the epoch, on what is trained
	// on and on what decides when to stop; left out before the first.
	TrainMM *float64 `json:"train_mpjpe_mm,omitempty"`
	StopMM  *float64 `json:"stop_mpjpe_mm,omitempty"`
	// Shapley is what each modality contributed in the epoch, by letter; the sum is
	// at most 51.
	Shapley map[string]float64 `json:"shapley,omitempty"`
	// Model, State ("candidate", "promoted", "rejected") and Reason are of the
	// model that came of it, when it is done; Reason also of a failure.
	Model  *PoseModel `json:"model,omitempty"`
	State  string     `json:"state,omitempty"`
	Reason string     `json:"reason,omitempty"`
}
