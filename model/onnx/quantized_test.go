package onnx

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// calibrated returns the scales of a network's activations on samples.
func calibrated(t *testing.T, net *model.Network, in []model.Input) model.InputScales {
	t.Helper()
	c, err := model.NewCalibrator(net)
	if err != nil {
		t.Fatal(err)
	}
	for i := range in {
		if err = c.Observe(in[i].CSI, 1); err != nil {
			t.Fatal(err)
		}
	}
	scales, err := c.InputScales(model.ClipMSE)
	if err != nil {
		t.Fatal(err)
	}
	return scales
}

// TestRuntimeAgreesInt8 holds the WiFi encoder's features that ONNX Runtime
// computes in int8 against our int8 and our float32. The networks' batch
// normalisations have not seen the data, so that this is the worst case: a
// trained network is in study/bench.
func TestRuntimeAgreesInt8(t *testing.T) {
	needRuntime(t)
	tests := []struct {
		name  string
		cfg   model.Config
		batch int
		seed  uint64
	}{
		{"edge", model.Edge(), 1, 1},
		{"small", small("W"), 1, 2},
		{"small, open batch", small("RW"), 0, 3},
		{"drawn", drawn(5), 2, 4},
		{"drawn, other", drawn(8), 0, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Modalities = modality.Of(modality.CSI).String()
			net := randomNetwork(t, tt.cfg, tt.seed)
			in := randomInputs(tt.cfg, max(tt.batch, 2), tt.seed)
			scales := calibrated(t, net, in)
			file := filepath.Join(t.TempDir(), "int8.onnx")
			in = in[:max(tt.batch, 1)]
			if _, err := WriteFile(file, net, Options{Batch: tt.batch, Precision: model.Int8, InputScales: scales}); err != nil {
				t.Fatal(err)
			}
			got := runORT(t, file, 1<<modality.CSI, in)[FeatureOutput(modality.CSI)]
			ours := func(p model.Precision) (features []float32) {
				rt, err := model.NewRuntimeWith(net, model.RuntimeOptions{Precision: p, InputScales: scales, Emulate: true})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = rt.Close() }() // only returns memory
				for i := range in {
					in[i].Present = 1 << modality.CSI
					var out model.Output
					if err := rt.Infer(&in[i], &out); err != nil {
						t.Fatal(err)
					}
					features = append(features, out.Features[modality.CSI][:]...)
				}
				return features
			}
			int8, float := ours(model.Int8), ours(model.Float32)
			d := relativeDifference(got, int8)
			t.Logf("largest relative difference %.2g to int8, %.2g to float32; of both %.2g", d, relativeDifference(got, float), relativeDifference(int8, float))
			if !(d <= 0.06) {
				t.Errorf("largest relative difference %.2g, want at most 0.06", d)
			}
		})
	}
}

func TestWriteInt8Refuses(t *testing.T) {
	net := randomNetwork(t, small("RW"), 1)
	scales := calibrated(t, net, randomInputs(net.Config, 1, 1))
	part := model.InputScales{}
	for name, v := range scales {
		if !strings.HasSuffix(name, "layer2.0.conv2") {
			part[name] = v
		}
	}
	bad := model.InputScales{}
	for name := range scales {
		bad[name] = -1
	}
	for _, tt := range []struct {
		name string
		opt  Options
		want string
	}{
		{"not calibrated", Options{Precision: model.Int8}, "not calibrated for int8"},
		{"without WiFi", Options{Precision: model.Int8, InputScales: scales, Modalities: 1 << modality.Camera}, "modalities R"},
		{"bf16", Options{Precision: model.BFloat16}, `"bf16"`},
		{"a scale missing", Options{Precision: model.Int8, InputScales: part}, `"csi.layer2.0.conv2"`},
		{"a negative scale", Options{Precision: model.Int8, InputScales: bad}, "-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if _, err := Write(&b, net, tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %s", err, tt.want)
			}
			if b.Len() > 0 {
				t.Errorf("%d bytes were written before the refusal", b.Len())
			}
		})
	}
	var lacking *model.NotCalibratedError
	if _, err := Write(&bytes.Buffer{}, net, Options{Precision: model.Int8}); !errors.As(err, &lacking) {
		t.Errorf("error %v, want a NotCalibratedError", err)
	}
}

// TestRoundWeights holds rounded layers against their numbers, an empty output
// and one that is nearly so among them.
func TestRoundWeights(t *testing.T) {
	l := linear{out: 4, weight: []float64{1, -0.5, 0.25, 0, 0, 0, 1e-25, 0, -1e-25, 127, 3, -127}, bias: []float64{0.3, 2, 1, -1e4}}
	const inScale = 0.01
	q, scale, bias := roundWeights(l, inScale)
	for o := range l.out {
		for i := range 3 {
			w := l.weight[3*o+i]
			if d := float64(q[3*o+i])*float64(scale[o]) - w; d > float64(scale[o])*0.5001 || d < -float64(scale[o])*0.5001 {
				t.Errorf("weight %d of output %d is %g, want %g to half of %g", i, o, w+d, w, scale[o])
			}
		}
		step := float64(scale[o]) * inScale
		if d := float64(bias[o])*step - l.bias[o]; d > 1e-5+step || d < -1e-5-step {
			t.Errorf("bias of output %d is off by %g", o, d)
		}
		if !(step > 1e-38) {
			t.Errorf("the sums of output %d count steps of %g, no normal number", o, step)
		}
	}
	if q[0] != 127 || q[9] != 127 || q[11] != -127 || q[3] != 0 {
		t.Errorf("weights %v", q)
	}
}

// TestActivation: zero is exact, the ends are within a step.
func TestActivation(t *testing.T) {
	for _, r := range []interval{{-1, 3}, {0.5, 2}, {-4, -1}, {0, 0}, {-1e-30, 1e-30}, {-7, 0}} {
		a := r.activation()
		lo, hi := float64(a.scale)*-float64(a.zero), float64(a.scale)*(levels-float64(a.zero))
		step := float64(a.scale)
		if !(step > 0) || lo > r.lo+step || hi < r.hi-step {
			t.Errorf("%v is stored from %g to %g", r, lo, hi)
		}
	}
}
