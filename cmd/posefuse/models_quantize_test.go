package main

import (
	"fmt"
	"strings"
	"testing"

	"posefuse/model"
)

// TestModelsQuantize makes a checkpoint of the shipped model in each mode on a
// few simulated frames and loads it.
func TestModelsQuantize(t *testing.T) {
	for _, mode := range []model.Precision{model.BFloat16, model.Int8} {
		t.Run(string(mode), func(t *testing.T) {
			dir := t.TempDir()
			c := modelsQuantizeCmd{Model: paperModel, dataFlags: dataFlags{Preset: "mmfi", SimSeed: 1, Protocol: 3, Split: "s2"},
				Mode: string(mode), Out: dir, Samples: 6, Clip: model.ClipMSE}
			if err := c.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			net, card, err := model.LoadCheckpoint(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer net.Close()
			q := card.Quantization
			if q == nil || q.Mode != mode || q.HeldOut != 6 || !strings.Contains(q.Data, "simulated") || !strings.Contains(q.Data, "split s2") {
				t.Fatalf("card %+v", q)
			}
			if q.MPJPEFloat32MM < 20 || q.MPJPEFloat32MM > 400 || q.DifferenceMM > 0.5 || q.DifferenceMM < -0.5 || !(q.DisplacementMM > 0) {
				t.Errorf("MPJPE %g mm in float32, difference %g mm, joints move by %g mm", q.MPJPEFloat32MM, q.DifferenceMM, q.DisplacementMM)
			}
			run, err := model.NewRuntimeWith(net, model.RuntimeOptions{Emulate: true})
			if err != nil || run.Precision() != mode {
				t.Fatalf("runtime in %v (%v), want %s", run.Precision(), err, mode)
			}
			shown := string(printed(t, modelsShowCmd{Model: dir}.Run))
			if want := fmt.Sprintf("%+.3f mm of MPJPE", q.DifferenceMM); !strings.Contains(shown, string(mode)+" costs") || !strings.Contains(shown, want) {
				t.Errorf("show does not say %q:\n%s", want, shown)
			}
		})
	}
	c := modelsQuantizeCmd{Mode: "int8", Out: t.TempDir()}
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--samples") {
		t.Errorf("no samples: %v", err)
	}
}
