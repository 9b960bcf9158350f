package bus

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func genPose(t *rapid.T) *Pose {
	text := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9 ._-]{0,12}`), rapid.String())
	number := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-5, 5),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1e-6, 9.99e-7, -1e-7, 1e-10, 1e21, 1e20, -1e300, 5e-324, 0.1, 123456.789}))
	p := &Pose{
		Schema: text.Draw(t, "schema"), Room: text.Draw(t, "room"), Seq: rapid.Uint64().Draw(t, "seq"),
		CaptureTime: text.Draw(t, "time"), CaptureNS: rapid.Int64().Draw(t, "ns"), Frame: text.Draw(t, "frame"),
		JointOrder: text.Draw(t, "order"), Coalition: text.Draw(t, "coalition"),
		Model:     PoseModel{text.Draw(t, "name"), text.Draw(t, "version"), text.Draw(t, "sha")},
		LatencyMS: PoseLatency{number.Draw(t, "align"), number.Draw(t, "infer"), number.Draw(t, "total")},
	}
	if rapid.Bool().Draw(t, "joints") {
		p.JointsM, p.SpreadMM = new([17][3]float64), new([17]float64)
		for j := range p.JointsM {
			p.SpreadMM[j] = number.Draw(t, "spread")
			for k := range 3 {
				p.JointsM[j][k] = number.Draw(t, "joint")
			}
		}
	}
	if rapid.Bool().Draw(t, "modalities") {
		p.Modalities = map[string]PoseModality{}
		for _, m := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"R", "L", "M", "W"}), rapid.ID[string]).Draw(t, "keys") {
			v := PoseModality{State: text.Draw(t, "state"), Presence: rapid.Bool().Draw(t, "presence")}
			if rapid.Bool().Draw(t, "age") {
				age, skew := number.Draw(t, "age"), number.Draw(t, "skew")
				v.AgeMS, v.SkewMS = &age, &skew
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
		got, err := AppendPose([]byte("x"), p)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != "x"+string(want) {
			t.Fatalf("got  %s\nwant x%s", got, want)
		}
	})
}

func TestAppendPoseRefuses(t *testing.T) {
	for name, change := range map[string]func(*Pose){
		"not a number": func(p *Pose) { p.JointsM = &[17][3]float64{3: {0, math.NaN(), 0}} },
		"infinite":     func(p *Pose) { p.LatencyMS.Total = math.Inf(1) },
		"modality":     func(p *Pose) { p.Modalities = map[string]PoseModality{"X": {}} },
	} {
		t.Run(name, func(t *testing.T) {
			p := Pose{}
			change(&p)
			if _, err := AppendPose(nil, &p); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestAppendPoseAllocatesNothing(t *testing.T) {
	age := 1.5
	p := Pose{Schema: PoseSchema, Room: "room1", CaptureTime: strings.Repeat("2", 30), JointsM: new([17][3]float64), SpreadMM: new([17]float64),
		Modalities: map[string]PoseModality{"R": {State: "fused", AgeMS: &age, SkewMS: &age}, "L": {State: "late"}}}
	buf := make([]byte, 0, 8192)
	if n := testing.AllocsPerRun(100, func() { buf, _ = AppendPose(buf[:0], &p) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkPose(b *testing.B) {
	p := Pose{Schema: PoseSchema, JointsM: new([17][3]float64), SpreadMM: new([17]float64), Modalities: map[string]PoseModality{"R": {}, "L": {}}}
	for j := range p.JointsM {
		p.JointsM[j] = [3]float64{0.123456 * float64(j), -1.234567, 2.345678}
	}
	b.Run("append", func(b *testing.B) {
		buf := make([]byte, 0, 8192)
		for b.Loop() {
			buf, _ = AppendPose(buf[:0], &p)
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		for b.Loop() {
			_, _ = json.Marshal(&p)
		}
	})
}
