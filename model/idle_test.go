package model

import (
	"slices"
	"strings"
	"testing"

	"posefuse/sensors/modality"
)

// A step that weighs the camera alone gives the gradients a whole step would
// give with these weights, and leaves the other encoders as they are.
func TestEncodersThatNoLossReadsRest(t *testing.T) {
	const n = 4
	for _, head := range []string{ConcatHead, MLPHead} {
		t.Run(head, func(t *testing.T) {
			cfg := tiny(head)
			b := randomBatch(cfg, n)
			whole, ws := branchGraph(t, cfg, n, someBranches)
			stepAgain(t, whole, b)
			alone, as := branchGraph(t, cfg, n, someBranches)
			camera, none := []float32{1, 0, 0, 0, 0}, []float32{0, 0, 0, 0, 0}
			if err := whole.backward(0, camera); err != nil {
				t.Fatal(err)
			}
			before := map[string][]float64{}
			for _, x := range as.All {
				before[x.Name] = slices.Clone(x.Value)
				for i := range x.Grad {
					x.Grad[i] = 7 // a gradient of an earlier step
				}
			}
			if err := alone.setBranchWeights(0, camera); err != nil {
				t.Fatal(err)
			}
			stepAgain(t, alone, b)
			want, moved := gradients(ws), 0
			for i, got := range gradients(as) {
				x := as.All[i]
				if !x.Unused && !slices.Equal(got, want[i]) {
					t.Errorf("%s: gradient differs from the whole step's", x.Name)
				}
				if !x.IsBuffer() {
					continue
				}
				switch same := slices.Equal(x.Value, before[x.Name]); {
				case !strings.HasPrefix(x.Name, modality.Camera.String()) && !same:
					t.Errorf("%s has changed", x.Name)
				case strings.HasPrefix(x.Name, modality.Camera.String()) && !same:
					moved++
				}
			}
			if moved == 0 {
				t.Error("no running statistics of the camera's encoder have moved")
			}
			if err := alone.backward(1, none); err == nil || !strings.Contains(err.Error(), "did not run") {
				t.Errorf("a backward pass through encoders that rested: %v", err)
			}
			if err := alone.backward(0, camera); err != nil {
				t.Error(err)
			}
			// All run again as soon as a loss reads them.
			if err := alone.setBranchWeights(1, none); err != nil {
				t.Fatal(err)
			}
			for _, x := range as.All {
				copy(x.Value, before[x.Name])
			}
			stepAgain(t, alone, b)
			if err := whole.backward(1, none); err != nil {
				t.Fatal(err)
			}
			want = gradients(ws)
			for i, got := range gradients(as) {
				if x := as.All[i]; !x.Unused && !slices.Equal(got, want[i]) {
					t.Errorf("%s: gradient differs after a rest", x.Name)
				}
			}
		})
	}
}
