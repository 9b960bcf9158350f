package train

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/modeltest"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// plainSpearman repeats each observation as often as its subject counts, ranks
// by counting and correlates.
func plainSpearman(x, y []float32, subject []int32, weight []float64) float64 {
	var xs, ys []float64
	for i, s := range subject {
		for range int(weight[s]) {
			xs, ys = append(xs, float64(x[i])), append(ys, float64(y[i]))
		}
	}
	ranks := func(v []float64) []float64 {
		out := make([]float64, len(v))
		for i, a := range v {
			for _, b := range v {
				switch {
				case b < a:
					out[i]++
				case b == a:
					out[i] += 0.5
				}
			}
		}
		return out
	}
	a, b := ranks(xs), ranks(ys)
	mean := func(v []float64) (m float64) {
		for _, x := range v {
			m += x / float64(len(v))
		}
		return m
	}
	ma, mb := mean(a), mean(b)
	var aa, bb, ab float64
	for i := range a {
		aa += (a[i] - ma) * (a[i] - ma)
		bb += (b[i] - mb) * (b[i] - mb)
		ab += (a[i] - ma) * (b[i] - mb)
	}
	return ab / math.Sqrt(aa*bb)
}

func TestSpearman(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, subjects := rapid.IntRange(2, 40).Draw(t, "n"), rapid.IntRange(1, 5).Draw(t, "subjects")
		value := rapid.OneOf(rapid.Float32Range(-1, 1), rapid.SampledFrom([]float32{0, 1, 2})) // with ties
		x, y, subject := make([]float32, n), make([]float32, n), make([]int32, n)
		for i := range x {
			x[i], y[i] = value.Draw(t, "x"), value.Draw(t, "y")
			subject[i] = int32(rapid.IntRange(0, subjects-1).Draw(t, "subject"))
		}
		weight := make([]float64, subjects)
		for s := range weight {
			weight[s] = float64(rapid.IntRange(0, 3).Draw(t, "weight"))
		}
		got, want := spearman(newRanking(x), newRanking(y), subject, weight), plainSpearman(x, y, subject, weight)
		if math.IsNaN(got) != math.IsNaN(want) || math.Abs(got-want) > 1e-9 {
			t.Fatalf("rank correlation %v, want %v", got, want)
		}
	})
}

func TestBootstrap(t *testing.T) {
	values := []float64{1, 2, 3, 4, 5, 6, 7, 8}
	mean := func(weight []float64) float64 {
		var sum, n float64
		for i, w := range weight {
			sum, n = sum+w*values[i], n+w
		}
		return sum / n
	}
	a, b := bootstrap(len(values), 1, mean), bootstrap(len(values), 1, mean)
	if a != b || a.Value != 4.5 {
		t.Errorf("%+v and %+v, want the same with mean 4.5", a, b)
	}
	// The standard error of the mean is 2.29/sqrt(8) = 0.81.
	if math.Abs(a.Low-(4.5-1.96*0.81)) > 0.3 || math.Abs(a.High-(4.5+1.96*0.81)) > 0.3 {
		t.Errorf("interval %+v", a)
	}
	undefined := bootstrap(3, 1, func([]float64) float64 { return math.NaN() })
	if out, err := json.Marshal(undefined); err != nil || string(out) != `{"value":null,"low":null,"high":null}` {
		t.Errorf("%s, %v", out, err)
	}
}

// TestContributionAgreement builds a table whose truth is known.
func TestContributionAgreement(t *testing.T) {
	const frames, subjects = 60, 6
	n := len(model.SpreadDefinitions)
	table := &influenceTable{spreads: make([][]float32, n), anySpread: make([][]float32, n)}
	published := slices.Index(model.SpreadDefinitions, model.PublishedSpread)
	for i := range frames {
		table.subject = append(table.subject, int32(i%subjects))
		table.anyError = append(table.anyError, float32(i))
		for j := range model.NumJoints {
			// Joint j has errors near 100·j, so that it alone says a lot.
			table.errors = append(table.errors, float32(100*j)+float32(i))
			for k := range n {
				v := float32(-i) // the others are wrong throughout
				if k == published {
					v = float32(i) // right within every joint, ignorant of which it is
				}
				table.spreads[k] = append(table.spreads[k], v)
			}
		}
		for k := range n {
			table.anySpread[k] = append(table.anySpread[k], float32(frames-i))
		}
	}
	rep := &InfluenceReport{Subjects: subjects}
	table.agree(rep)
	s := rep.Spreads[published]
	if !s.Published || s.Frame.Value < 1-1e-9 || s.WithinJoint.Value < 1-1e-9 || s.Frame.Low < 1-1e-9 || s.AnyCoalition.Value > -1+1e-9 {
		t.Errorf("published definition %+v", s)
	}
	if s.Joint.Value < 0.01 || s.Joint.Value > 0.5 || rep.JointAlone.Value < 0.9 {
		t.Errorf("over frames and joints %+v, the joint alone %+v", s.Joint, rep.JointAlone)
	}
	if other := rep.Spreads[(published+1)%n]; other.Published || other.Frame.Value > -1+1e-9 || other.WorstMM != 802.5 {
		t.Errorf("another definition %+v", other)
	}
	if math.Abs(rep.AboveUnusual.Value-2) > 1e-9 || math.Abs(rep.MPJPEMM-829.5) > 0.01 || s.WorstMM != 856.5 {
		t.Errorf("report %+v", rep)
	}
}

// TestNamerFindsTheLoudest has medians of 100, 40, 20 and 4 mm.
func TestNamerFindsTheLoudest(t *testing.T) {
	n := &namer{mask: modality.All, median: [modality.Count]float32{100, 40, 20, 4}}
	for name, c := range map[string]struct {
		influence                [modality.Count]float32
		largest, relative, least modality.Kind
	}{
		"radar loud":   {[4]float32{100, 40, 60, 4}, modality.Camera, modality.Radar, modality.Camera},
		"camera blind": {[4]float32{10, 41, 21, 4.1}, modality.LiDAR, modality.Radar, modality.Camera},
		"lidar first":  {[4]float32{90, 120, 20, 4}, modality.LiDAR, modality.LiDAR, modality.Camera},
		"WiFi silent":  {[4]float32{101, 40, 20, 0}, modality.Camera, modality.Camera, modality.CSI},
	} {
		if l, r, s := n.largest(c.influence), n.relative(c.influence), n.least(c.influence); l != c.largest || r != c.relative || s != c.least {
			t.Errorf("%s: largest %d, relative %d, least %d; want %d, %d, %d", name, l, r, s, c.largest, c.relative, c.least)
		}
	}
	n.mask &^= 1 << modality.Camera
	if l := n.largest([4]float32{100, 1, 2, 3}); l != modality.CSI {
		t.Errorf("a sensor that the network lacks was named: %d", l)
	}
}

// TestEvaluateInfluence runs a small untrained network: the numbers mean
// nothing, their bookkeeping does.
func TestEvaluateInfluence(t *testing.T) {
	keys := []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 12}, {Subject: 12, Activity: 13}}
	data := simulated(t, "clean", keys, LoadOptions{Window: model.Causal, Stride: 6})
	net, err := model.New(modeltest.Small(), 1)
	if err != nil {
		t.Fatal(err)
	}
	disturbance := func(k recording.Key, frame int) Disturbance {
		switch {
		case k.Subject == 2:
			return Disturbance{Kind: "dust", Sensor: modality.LiDAR}
		case frame < 20:
			return Disturbance{Kind: "gone", Sensor: modality.Radar, Absent: true}
		}
		return Disturbance{Sensor: modality.Count}
	}
	rep, err := EvaluateInfluence(t.Context(), net, data, "test", disturbance)
	if err != nil {
		t.Fatal(err)
	}
	absent, disturbed := 0, 0
	for _, s := range data.Samples {
		switch c := data.Clips[s.Clip]; {
		case c.Key.Subject == 2:
			disturbed++
		case c.Frames[s.Row] < 20:
			absent++
		}
	}
	if rep.Frames != len(data.Samples)-absent || rep.Subjects != 3 || len(rep.Spreads) != len(model.SpreadDefinitions) || len(rep.InfluenceMM) != 4 {
		t.Errorf("%d frames of %d subjects, %d absent: %+v", rep.Frames, rep.Subjects, absent, rep)
	}
	if len(rep.Naming) != 2+2*4 || rep.Naming[0].Disturbance != "dust" || rep.Naming[0].Sensor != "L" || rep.Naming[0].Frames != disturbed ||
		rep.Naming[1].Disturbance != AnyDisturbance || rep.Naming[9].Frames != rep.Frames-disturbed {
		t.Errorf("naming %+v, %d disturbed", rep.Naming, disturbed)
	}
	// The report's influence is the runtime's, frame for frame.
	again, err := EvaluateInfluence(t.Context(), net, data, "test", disturbance)
	if err != nil {
		t.Fatal(err)
	}
	a, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(again)
	if err != nil || string(a) != string(b) {
		t.Errorf("the same evaluation gives another report: %v", err)
	}
	if _, err = EvaluateInfluence(t.Context(), net, data, "test", func(recording.Key, int) Disturbance { return Disturbance{Absent: true} }); err == nil {
		t.Error("data without a usable frame was accepted")
	}
	one := modeltest.Small()
	one.Modalities = "R"
	if net, err = model.New(one, 1); err != nil {
		t.Fatal(err)
	}
	if _, err = EvaluateInfluence(t.Context(), net, data, "test", nil); err == nil {
		t.Error("a network of one modality was accepted")
	}
}
