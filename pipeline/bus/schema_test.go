package bus

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const schemaDir = "../../docs/schema"

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(filepath.Join(schemaDir, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, name string, payload []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		t.Fatalf("%s: %v in %s", name, err, payload)
	}
	return compile(t, name).Validate(v)
}

func examples() map[string]any {
	f := func(v float64) *float64 { return &v }
	model := PoseModel{Name: "edge", Version: "1", SHA256: strings.Repeat("ab", 32)}
	fault := []Fault{{Key: "depth", Measured: 70, Limit: 90, Unit: "deg", Verdict: "fault"}}
	const at = "2026-11-23T20:00:00.123456789Z"
	mods := map[string]PoseModality{"R": {State: "fused", Presence: true, AgeMS: f(40), SkewMS: f(-1), InfluenceMM: f(130.5)}, "L": {State: "late"}, "M": {State: "gap"}, "W": {State: "off"}}
	return map[string]any{
		PoseSchema: &Pose{Schema: PoseSchema, Room: "room1", Seq: 1, CaptureTime: at, CaptureNS: 5, Frame: "camera", JointOrder: "h36m17",
			JointsM: new([17][3]float64), SpreadMM: new([17]float64), SpreadMeanMM: f(0), Coalition: "R", Modalities: mods, Model: model},
		StatusSchema: &Status{Schema: StatusSchema, Room: "room1", State: Online, Time: at, Model: &model,
			Parts: []PartHealth{{Part: "sensor.radar", Code: "stale", Text: "silent", Severity: "warning"}}, Poses: 3, FPS: 10, Uptime: 1},
		SensorSchema: &Sensor{Schema: SensorSchema, Room: "room1", Name: "radar", Modality: "M", State: "live", RateHz: 10,
			AgeMS: f(1), OffsetMS: f(2), DriftPPM: f(3), Counters: map[string]uint64{"in": 1, "fused": 1}, LastError: "x"},
		PointsSchema: &Points{Schema: PointsSchema, Room: "room1", Frame: "room", LiDAR: [][3]float32{{1, 2, 3}}, Radar: [][4]float32{{1, 2, 3, 4}}},
		ExerciseEventSchema: &ExerciseEvent{Schema: ExerciseEventSchema, Room: "room1", Type: "new", ID: "a", Time: at, Exercise: "A12", Name: "squat",
			Phase: "rest", AnglesDeg: map[string]float64{"knee": 90}, Faults: fault, Coalition: "RL"},
		ExerciseSummarySchema: &ExerciseSummary{Schema: ExerciseSummarySchema, Room: "room1", ID: "a", Exercise: "A12", Name: "squat", Start: at, End: at,
			Faults: fault, Symmetry: f(0.9)},
		ExerciseStatusSchema: &ExerciseStatus{Schema: ExerciseStatusSchema, Room: "room1", State: Online},
		ModelEventSchema: &ModelEvent{Schema: ModelEventSchema, Room: "room1", Type: "promoted", Time: at, Model: model, Reason: "better",
			MetricsMM: map[string]float64{"mpjpe.RLMW": 60}},
	}
}

func TestEveryMessageHasItsSchema(t *testing.T) {
	seen := map[string]bool{}
	for name, message := range examples() {
		seen[name+".json"] = true
		payload, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, name, payload); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	files, err := os.ReadDir(schemaDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".json" && !seen[f.Name()] {
			t.Errorf("%s describes no message", f.Name())
		}
	}
}

// TestSchemasAreStrict takes every field of every message away or adds one.
func TestSchemasAreStrict(t *testing.T) {
	for name, message := range examples() {
		payload, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		change := func(what string, f func(m map[string]any)) {
			var m map[string]any
			if err := json.Unmarshal(payload, &m); err != nil {
				t.Fatal(err)
			}
			f(m)
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if validate(t, name, b) == nil {
				t.Errorf("%s: accepted %s", name, what)
			}
		}
		change("an unknown field", func(m map[string]any) { m["extra"] = 1 })
		typ := reflect.TypeOf(message).Elem()
		for i := range typ.NumField() {
			field, opts, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if opts != "omitempty" {
				change("a message without "+field, func(m map[string]any) { delete(m, field) })
			}
			change("a wrong type of "+field, func(m map[string]any) { m[field] = []any{true} })
		}
	}
}

// TestModalitySchemaIsStrict changes what a pose says of one modality.
func TestModalitySchemaIsStrict(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"negative influence": func(m map[string]any) { m["influence_mm"] = -1 },
		"null influence":     func(m map[string]any) { m["influence_mm"] = nil },
		"unknown field":      func(m map[string]any) { m["influence"] = 1 },
		"no state":           func(m map[string]any) { delete(m, "state") },
	} {
		for _, key := range []string{"R", "L", "M", "W"} {
			payload, err := json.Marshal(examples()[PoseSchema])
			if err != nil {
				t.Fatal(err)
			}
			var m map[string]any
			if err = json.Unmarshal(payload, &m); err != nil {
				t.Fatal(err)
			}
			change(m["modalities"].(map[string]any)[key].(map[string]any))
			if payload, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			if validate(t, PoseSchema, payload) == nil {
				t.Errorf("%s of %s accepted", name, key)
			}
		}
	}
}

func TestPublishedMessagesValidate(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, testConfig(), dir)
	natsURL, _, _ := b.Addresses()
	nc := natsClient(t, natsURL)
	ch := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe("posefuse.room1.>", ch); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ex := examples()
	if _, err := b.PublishPose(nil, ex[PoseSchema].(*Pose)); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		b.PublishStatus(ex[StatusSchema].(*Status)), b.PublishSensor(ex[SensorSchema].(*Sensor)),
		b.PublishPoints(ex[PointsSchema].(*Points)), b.PublishModelEvent(ex[ModelEventSchema].(*ModelEvent)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	subjects := map[string]string{"posefuse.room1.pose": PoseSchema, "posefuse.room1.status": StatusSchema, "posefuse.room1.sensor.radar": SensorSchema,
		"posefuse.room1.points": PointsSchema, "posefuse.room1.model.event": ModelEventSchema}
	for left := len(subjects); left > 0; left-- {
		m := receive(t, ch, "message")
		if err := validate(t, subjects[m.Subject], m.Data); err != nil {
			t.Errorf("%s: %v", m.Subject, err)
		}
	}
	// The daemon's last word and its will are messages too.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, mqttURL, _ := openIn(t, testConfig(), dir).Addresses()
	_, stopped := waitRetained(t, mqttURL, Stopped)
	if err := validate(t, StatusSchema, stopped); err != nil {
		t.Error(err)
	}
	o, ok := (&Bus{room: "room1", topic: "posefuse/room1/", cfg: Config{MQTT: MQTTConfig{URL: "tcp://x:1"}}}).mqttOptions(nil)
	if !ok {
		t.Fatal("no options for an external broker")
	}
	if err := validate(t, StatusSchema, o.will.payload); err != nil {
		t.Error(err)
	}
}
