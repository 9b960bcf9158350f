package message_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/schematest"
	"posefuse/internal/testenv"
	"posefuse/message"
)

func genPose(t *rapid.T) *message.Pose {
	text := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9 ._-]{0,12}`), rapid.String())
	number := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-5, 5),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1e-6, 9.99e-7, -1e-7, 1e-10, 1e21, 1e20, -1e300, 5e-324, 0.1, 123456.789}))
	p := &message.Pose{
		Schema: text.Draw(t, "schema"), Room: text.Draw(t, "room"), Seq: rapid.Uint64().Draw(t, "seq"),
		CaptureTime: text.Draw(t, "time"), CaptureNS: rapid.Int64().Draw(t, "ns"), Frame: text.Draw(t, "frame"),
		JointOrder: text.Draw(t, "order"), Coalition: text.Draw(t, "coalition"),
		Model:     message.PoseModel{text.Draw(t, "name"), text.Draw(t, "version"), text.Draw(t, "sha")},
		LatencyMS: message.PoseLatency{number.Draw(t, "align"), number.Draw(t, "infer"), number.Draw(t, "total")},
	}
	if rapid.Bool().Draw(t, "joints") {
		p.JointsM, p.SpreadMM, p.SigmaMM = new([17][3]float64), new([17]float64), new([17]float64)
		for j := range p.JointsM {
			p.SpreadMM[j], p.SigmaMM[j] = number.Draw(t, "spread"), number.Draw(t, "sigma")
			for k := range 3 {
				p.JointsM[j][k] = number.Draw(t, "joint")
			}
		}
	}
	if rapid.Bool().Draw(t, "presence") {
		p.Presence = new(float64)
		*p.Presence = number.Draw(t, "somebody")
	}
	if rapid.Bool().Draw(t, "mean") {
		mean := number.Draw(t, "mean spread")
		p.SpreadMeanMM = &mean
	}
	if rapid.Bool().Draw(t, "modalities") {
		p.Modalities = map[string]message.PoseModality{}
		for _, m := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"R", "L", "M", "W"}), rapid.ID[string]).Draw(t, "keys") {
			v := message.PoseModality{State: text.Draw(t, "state"), Presence: rapid.Bool().Draw(t, "presence")}
			if rapid.Bool().Draw(t, "age") {
				age, skew := number.Draw(t, "age"), number.Draw(t, "skew")
				v.AgeMS, v.SkewMS = &age, &skew
			}
			if rapid.Bool().Draw(t, "influential") {
				influence := number.Draw(t, "influence")
				v.InfluenceMM = &influence
			}
			p.Modalities[m] = v
		}
	}
	return p
}

func TestAppendPoseEqualsEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPose(t)
		want, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := message.AppendPose([]byte("x"), p)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != "x"+string(want) {
			t.Fatalf("got  %s\nwant x%s", got, want)
		}
	})
}

func TestAppendPoseRefuses(t *testing.T) {
	for name, change := range map[string]func(*message.Pose){
		"not a number": func(p *message.Pose) { p.JointsM = &[17][3]float64{3: {0, math.NaN(), 0}} },
		"infinite":     func(p *message.Pose) { p.LatencyMS.Total = math.Inf(1) },
		"influence": func(p *message.Pose) {
			nan := math.NaN()
			p.Modalities = map[string]message.PoseModality{"R": {InfluenceMM: &nan}}
		},
		"modality": func(p *message.Pose) { p.Modalities = map[string]message.PoseModality{"X": {}} },
	} {
		t.Run(name, func(t *testing.T) {
			p := message.Pose{}
			change(&p)
			if _, err := message.AppendPose(nil, &p); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestPoseGolden compares poses with files that other programs may rely on.
func TestPoseGolden(t *testing.T) {
	for name, p := range goldenPoses() {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := message.AppendPose(nil, p)
			if err != nil {
				t.Fatal(err)
			}
			if string(got)+"\n" != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if err := schematest.Validate(t, message.PoseSchema, got); err != nil {
				t.Error(err)
			}
		})
	}
}

// goldenPoses returns a pose of three sensors and one of a single sensor,
// whose influence and spread are not defined.
func goldenPoses() map[string]*message.Pose {
	f := func(v float64) *float64 { return &v }
	pose := func(coalition string, modalities map[string]message.PoseModality) *message.Pose {
		p := &message.Pose{Schema: message.PoseSchema, Room: "room1", Seq: 42, CaptureTime: "2026-11-24T02:00:00.123456789Z", CaptureNS: 4200000000, Frame: "room",
			JointOrder: "h36m17", JointsM: new([17][3]float64), Coalition: coalition, Modalities: modalities,
			Model: message.PoseModel{Name: "edge", Version: "1", SHA256: strings.Repeat("0f", 32)}, LatencyMS: message.PoseLatency{Align: 51.3, Infer: 5.25, Total: 7.5}}
		for j := range p.JointsM {
			p.JointsM[j] = [3]float64{0.01 * float64(j), 3.1, 1 - 0.05*float64(j)}
		}
		return p
	}
	three := pose("RLM", map[string]message.PoseModality{
		"R": {State: "fused", Presence: true, AgeMS: f(61.5), SkewMS: f(-1.25), InfluenceMM: f(131.94)},
		"L": {State: "fused", Presence: true, AgeMS: f(59), SkewMS: f(0), InfluenceMM: f(43.6)},
		"M": {State: "fused", Presence: true, AgeMS: f(80.125), SkewMS: f(3.5), InfluenceMM: f(0.07)},
		"W": {State: "stale"},
	})
	three.SpreadMM, three.SpreadMeanMM = new([17]float64), f(8)
	three.SigmaMM, three.Presence = new([17]float64), f(0.998)
	for j := range three.SpreadMM {
		three.SpreadMM[j], three.SigmaMM[j] = float64(j), 20.5
	}
	return map[string]*message.Pose{
		"pose_of_three": three,
		"pose_of_one": pose("L", map[string]message.PoseModality{
			"R": {State: "off"},
			"L": {State: "fused", Presence: true, AgeMS: f(59), SkewMS: f(0)},
			"M": {State: "gap"},
			"W": {State: "late"},
		}),
	}
}

func TestAppendPoseAllocatesNothing(t *testing.T) {
	age := 1.5
	p := message.Pose{Schema: message.PoseSchema, Room: "room1", CaptureTime: strings.Repeat("2", 30), JointsM: new([17][3]float64), SpreadMM: new([17]float64), SigmaMM: new([17]float64), Presence: &age,
		Modalities: map[string]message.PoseModality{"R": {State: "fused", AgeMS: &age, SkewMS: &age, InfluenceMM: &age}, "L": {State: "late"}}, SpreadMeanMM: &age}
	buf := make([]byte, 0, 8192)
	if n := testenv.AllocsPerRun(100, func() { buf, _ = message.AppendPose(buf[:0], &p) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkPose(b *testing.B) {
	p := message.Pose{Schema: message.PoseSchema, JointsM: new([17][3]float64), SpreadMM: new([17]float64), Modalities: map[string]message.PoseModality{"R": {}, "L": {}}}
	for j := range p.JointsM {
		p.JointsM[j] = [3]float64{0.123456 * float64(j), -1.234567, 2.345678}
	}
	b.Run("append", func(b *testing.B) {
		buf := make([]byte, 0, 8192)
		for b.Loop() {
			buf, _ = message.AppendPose(buf[:0], &p)
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		for b.Loop() {
			_, _ = json.Marshal(&p)
		}
	})
}
