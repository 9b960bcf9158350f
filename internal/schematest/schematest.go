// Package schematest checks messages against the JSON Schemas of docs/schema in
// tests, and holds an example of every message.
package schematest

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"posefuse/internal/testenv"
	"posefuse/message"
)

// Dir returns the folder of the schemas.
func Dir() string { return filepath.Join(testenv.Root(), "docs", "schema") }

// Validate checks a message against the schema of a name, such as
// message.PoseSchema. What is no JSON or no schema ends the test; what breaks
// the schema is returned.
func Validate(t testing.TB, name string, payload []byte) error {
	t.Helper()
	s, err := compile(name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		t.Fatalf("%s: %v in %s", name, err, payload)
	}
	return s.Validate(v)
}

// compiled holds the schemas in use, by name.
var compiled sync.Map

func compile(name string) (*jsonschema.Schema, error) {
	if s, ok := compiled.Load(name); ok {
		return s.(*jsonschema.Schema), nil
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(filepath.Join(Dir(), name+".json"))
	if err == nil {
		compiled.Store(name, s)
	}
	return s, err
}

// Examples returns a pointer to a valid message for the name of each schema.
func Examples() map[string]any {
	f := func(v float64) *float64 { return &v }
	sigma := new([17]float64)
	for j := range sigma {
		sigma[j] = 25
	}
	model := message.PoseModel{Name: "edge", Version: "1", SHA256: strings.Repeat("ab", 32)}
	fault := []message.Fault{{Key: "depth", Measured: 70, Limit: 90, Unit: "deg", Verdict: "fault"}}
	const at = "2026-11-23T20:00:00.123456789Z"
	mods := map[string]message.PoseModality{"R": {State: "fused", Presence: true, AgeMS: f(40), SkewMS: f(-1), InfluenceMM: f(130.5)}, "L": {State: "late"}, "M": {State: "gap"}, "W": {State: "off"}}
	return map[string]any{
		message.PoseSchema: &message.Pose{Schema: message.PoseSchema, Room: "room1", Seq: 1, CaptureTime: at, CaptureNS: 5, Frame: "camera", JointOrder: "h36m17",
			JointsM: new([17][3]float64), Calibrated: true, SpreadMM: new([17]float64), SpreadMeanMM: f(0), SigmaMM: sigma, Presence: f(0.99), Coalition: "R", Modalities: mods, Model: model},
		message.StatusSchema: &message.Status{Schema: message.StatusSchema, Room: "room1", State: message.Online, Time: at, Model: &model,
			Shadow: &message.ShadowStatus{Model: model, Ticks: 3, OfTicks: 200, MeanMM: 40, JointsMM: make([]float64, 17)},
			Parts:  []message.PartHealth{{Part: "sensor.radar", Code: "stale", Text: "silent", Severity: "warning"}}, Poses: 3, FPS: 10, Uptime: 1},
		message.SensorSchema: &message.Sensor{Schema: message.SensorSchema, Room: "room1", Name: "radar", Modality: "M", State: "live", RateHz: 10,
			AgeMS: f(1), OffsetMS: f(2), DriftPPM: f(3), Counters: map[string]uint64{"in": 1, "fused": 1}, LastError: "x", Simulated: true},
		message.PointsSchema: &message.Points{Schema: message.PointsSchema, Room: "room1", Frame: "room", LiDAR: [][3]float32{{1, 2, 3}}, Radar: [][4]float32{{1, 2, 3, 4}},
			Search: &message.PointSearch{LiDARPerson: 1, LiDARNew: 0, RadarPerson: 1, Sweep: map[string]int{"person": 19, "background": 25000}}},
		message.ImageKeypointsSchema: &message.ImageKeypoints{Schema: message.ImageKeypointsSchema, Room: "room1", CaptureNS: 5, Width: 640, Height: 480,
			Keypoints: &[17][3]float64{{320.5, 100, 0.97}}, Others: true},
		message.ExerciseEventSchema: &message.ExerciseEvent{Schema: message.ExerciseEventSchema, Room: "room1", Type: "new", ID: "a", Time: at, Exercise: "A12", Name: "squat",
			Phase: "rest", AnglesDeg: map[string]float64{"knee": 90}, Faults: fault, Coalition: "RL", TargetRepetitions: 10, Incomplete: 1, IncompleteWhy: "too_small"},
		message.ExerciseSummarySchema: &message.ExerciseSummary{Schema: message.ExerciseSummarySchema, Room: "room1", ID: "a", Exercise: "A12", Name: "squat", Start: at, End: at,
			Faults: fault, Symmetry: f(0.9), TargetRepetitions: 10, Incomplete: 1, IncompleteWhy: map[string]int{"too_long": 1}},
		message.ExerciseStatusSchema: &message.ExerciseStatus{Schema: message.ExerciseStatusSchema, Room: "room1", State: message.Online,
			Owner: "posefuse-exercise-room1-1", Since: at, Time: at, LooksFor: []string{"A12"}, Problem: "two_daemons", Text: "stop one"},
		message.ExerciseLiveSchema: &message.ExerciseLive{Schema: message.ExerciseLiveSchema, Room: "room1", ID: "a", Exercise: "A12", Name: "squat", Value: f(72),
			ValueName: "knee bend", ValueUnit: "deg", Rest: 5, Target: 110, ZoneFrom: 89, Repetitions: 3, TargetRepetitions: 10},
		message.RetrainSchema: &message.Retrain{Schema: message.RetrainSchema, Room: "room1", Time: at, Stage: "training", Share: 0.5, Epoch: 1, Epochs: 12,
			TrainMM: f(70), StopMM: f(72), Shapley: map[string]float64{"R": 20}, Model: &model, State: "promoted", Reason: "better"},
		message.ModelEventSchema: &message.ModelEvent{Schema: message.ModelEventSchema, Room: "room1", Type: "promoted", Time: at, Model: model, Reason: "better",
			MetricsMM: map[string]float64{"mpjpe.RLMW": 60}},
	}
}
