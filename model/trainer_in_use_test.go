package model

import (
	"math"
	"slices"
	"testing"

	"posefuse/sensors/modality"
)

// A trainer in use has the loss of the poses that a runtime gives, leaves the running
// statistics alone, and its gradients are those of that loss: along them it falls as
// fast as they say.
func TestTrainerInUse(t *testing.T) {
	const n = 6
	for _, head := range []string{ConcatHead, PrecisionHead, ReprojectionHead} {
		t.Run(head, func(t *testing.T) {
			cfg := small()
			cfg.Head = head
			if head == ReprojectionHead {
				cfg.Recipe = RecipeRoom
			}
			net, err := New(cfg, 3)
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range net.Buffers() { // unlike those of any batch
				for j := range b.Value {
					b.Value[j] += 0.3 + 0.1*float32((i+j)%3)
				}
			}
			b := randomBatch(cfg, n)
			b.Present = slices.Repeat([]modality.Set{modality.All}, n)
			b.Present[1] = modality.Of(modality.Camera, modality.CSI)
			tr, err := NewTrainer(net, n, TrainerOptions{InUse: true})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			before, err := net.Clone()
			if err != nil {
				t.Fatal(err)
			}
			loss := func() float64 {
				l, failure := tr.ForwardBackward(b)
				if failure != nil {
					t.Fatal(failure)
				}
				return l
			}
			have := loss()
			run, err := NewRuntime(net)
			if err != nil {
				t.Fatal(err)
			}
			defer run.Close()
			poses, want := make([]float32, n*OutputDim), 0.0
			if err := run.InferBatch(b, n, poses); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				row := slice(poses, i)
				want += MPJPE(row, slice(b.Target, i)) / n
			}
			if math.Abs(have-want) > 1e-4*want {
				t.Errorf("loss %.7g m, the runtime's poses are %.7g m off", have, want)
			}
			for i, buffer := range net.Buffers() {
				if !slices.Equal(buffer.Value, before.Buffers()[i].Value) {
					t.Errorf("%s changed", buffer.Name)
				}
			}
			var square float64
			var gradients [][]float32
			for _, p := range net.Parameters() {
				gradients = append(gradients, slices.Clone(p.Grad))
				for _, g := range p.Grad {
					square += float64(g) * float64(g)
				}
			}
			step := float32(2e-3 * have / square)
			was := before.Parameters()
			move := func(by float32) float64 {
				for i, p := range net.Parameters() {
					for j, g := range gradients[i] {
						if !p.NoGrad {
							p.Value[j] = was[i].Value[j] + by*g
						}
					}
				}
				return loss()
			}
			if slope := (move(step) - move(-step)) / (2 * float64(step) * square); math.Abs(slope-1) > 0.02 {
				t.Errorf("along its gradient the loss rises %.4f times as fast as the gradient says", slope)
			}
		})
	}
}

func slice(poses []float32, i int) []float32 { return poses[i*OutputDim : (i+1)*OutputDim] }
