package baseline

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/modeltest"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// The mean of a coalition counts its members alone, by their weights.
func TestAverageOfCoalitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &average{singles: singles{mask: modality.All}, mean: make([]float32, model.OutputDim), sum: make([]float64, model.OutputDim), total: make([]float64, model.OutputDim)}
		weighted := rapid.Bool().Draw(t, "weighted")
		for m := range a.poses {
			a.runs[m] = &model.Runtime{}
			a.poses[m] = rapid.SliceOfN(rapid.Float32Range(-4, 4), 2*model.OutputDim, 2*model.OutputDim).Draw(t, "pose")
			if weighted {
				a.weights[m] = rapid.SliceOfN(rapid.Float64Range(0.1, 100), model.OutputDim, model.OutputDim).Draw(t, "weights")
			}
		}
		for i := range a.mean {
			a.mean[i] = float32(i)
		}
		mask := modality.Set(rapid.IntRange(0, 15).Draw(t, "coalition"))
		present := modality.Set(rapid.IntRange(0, 15).Draw(t, "present"))
		a.present = []modality.Set{modality.All, present}
		out := make([]float32, 2*model.OutputDim)
		if err := a.Coalition(mask, 2, out); err != nil {
			t.Fatal(err)
		}
		for i, got := range out {
			members := mask & a.present[i/model.OutputDim]
			var sum, total float64
			for m := range modality.Count {
				if !members.Has(m) {
					continue
				}
				w := 1.0
				if weighted {
					w = a.weights[m][i%model.OutputDim]
				}
				sum += w * float64(a.poses[m][i])
				total += w
			}
			want := float64(i % model.OutputDim)
			if members != 0 {
				want = sum / total
			}
			if math.Abs(float64(got)-want) > 1e-5 {
				t.Fatalf("coalition %s of %s, value %d: %g, want %g", mask, a.present[i/model.OutputDim], i, got, want)
			}
		}
	})
}

func TestAverageRefuses(t *testing.T) {
	one := func(modalities string) *model.Network {
		cfg := modeltest.Small()
		cfg.Modalities = modalities
		n, err := model.New(cfg, 1)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	mean, w := make([]float32, model.OutputDim), make([]float64, model.OutputDim)
	r, l := one("R"), one("L")
	for want, c := range map[string]struct {
		nets    []*model.Network
		weights [][]float64
		mean    []float32
	}{
		"one modality":      {nets: []*model.Network{r, one("LM")}, mean: mean},
		"a network already": {nets: []*model.Network{r, r}, mean: mean},
		"no network":        {mean: mean},
		"mean pose of 3":    {nets: []*model.Network{r}, mean: mean[:3]},
		"1 weights for 2":   {nets: []*model.Network{r, l}, weights: [][]float64{w}, mean: mean},
		"weight 0":          {nets: []*model.Network{r}, weights: [][]float64{w}, mean: mean},
		"0 weights, want":   {nets: []*model.Network{r}, weights: [][]float64{nil}, mean: mean},
	} {
		if _, err := NewAverage(c.nets, c.weights, c.mean); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", want, err)
		}
	}
}

// The weights are the inverse squared errors, and a row of checkpoints works
// as one of networks in memory.
func TestErrorWeightsAndCheckpoints(t *testing.T) {
	cfg := modeltest.Small()
	cfg.Modalities = "RM"
	data := simulated(t, "mmfi", cfg, clips(1, 2), 24, 6)
	var nets, loaded []*model.Network
	for _, m := range []string{"R", "M"} {
		one := cfg
		one.Modalities = m
		n, err := model.New(one, 3)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if _, err = model.SaveCheckpoint(dir, n, model.Card{Window: model.Causal}); err != nil {
			t.Fatal(err)
		}
		l, _, err := model.LoadCheckpoint(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		nets, loaded = append(nets, n), append(loaded, l)
	}
	weights, err := ErrorWeights(t.Context(), nets, data)
	if err != nil {
		t.Fatal(err)
	}
	poses := func(nets []*model.Network, weights [][]float64, mask modality.Set) []float32 {
		p, err := NewAverage(nets, weights, MeanPose(data))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		b := data.NewBatch(len(data.Samples))
		for i, s := range data.Samples {
			data.Fill(b, i, s)
		}
		out := make([]float32, len(data.Samples)*model.OutputDim)
		if err := p.InferBatch(b, len(data.Samples), out); err != nil {
			t.Fatal(err)
		}
		if err := p.Coalition(mask, len(data.Samples), out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for k, m := range []modality.Kind{modality.Camera, modality.Radar} {
		alone := poses(nets, nil, 1<<m)
		squares := make([]float64, model.OutputDim)
		for i, v := range alone {
			e := float64(v) - float64(truth(data, data.Samples[i/model.OutputDim])[i%model.OutputDim])
			squares[i%model.OutputDim] += e * e
		}
		for i, v := range squares {
			want := float64(len(data.Samples)) / v
			if math.Abs(weights[k][i]-want) > 1e-9*want {
				t.Errorf("%s: weight %d is %g, want %g", modality.Set(1<<m), i, weights[k][i], want)
			}
		}
	}
	want, got := poses(nets, weights, 5), poses(loaded, weights, 5)
	for i := range want {
		if want[i] != got[i] {
			t.Fatalf("value %d: %g from checkpoints, %g from memory", i, got[i], want[i])
		}
	}
}

func TestHoldOut(t *testing.T) {
	for name, c := range map[string]struct {
		keys []recording.Key
		want []int // clips held out
	}{
		"two subjects":  {clips(3, 1), []int{0, 1}}, // the later subject
		"eleven":        {clips(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), []int{8, 9, 18, 19}},
		"one subject":   {clips(4), []int{1}},
		"a single clip": {clips(4)[:1], nil},
	} {
		t.Run(name, func(t *testing.T) {
			data := &train.Data{}
			for i, k := range c.keys {
				data.Clips = append(data.Clips, &train.ClipData{Key: k})
				for row := range 2 + i {
					data.Samples = append(data.Samples, train.SampleRef{Clip: i, Row: row})
				}
			}
			fit, val, err := HoldOut(data)
			if c.want == nil {
				if err == nil || !strings.Contains(err.Error(), "at least 2") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(val.Clips) != len(c.want) || len(fit.Clips)+len(val.Clips) != len(data.Clips) || len(fit.Samples)+len(val.Samples) != len(data.Samples) {
				t.Fatalf("%d clips and %d samples held out of %d and %d", len(val.Clips), len(val.Samples), len(data.Clips), len(data.Samples))
			}
			for i, at := range c.want {
				if val.Clips[i] != data.Clips[at] {
					t.Errorf("clip %d held out is %s, want %s", i, val.Clips[i].Key, data.Clips[at].Key)
				}
			}
			rows := map[*train.ClipData]int{}
			for _, p := range []*train.Data{fit, val} {
				for _, s := range p.Samples {
					rows[p.Clips[s.Clip]]++
				}
			}
			for i, clip := range data.Clips {
				if rows[clip] != 2+i {
					t.Errorf("clip %s keeps %d of %d samples", clip.Key, rows[clip], 2+i)
				}
			}
		})
	}
}
