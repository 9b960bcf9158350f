package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
)

// quantized is a frozen network from a file, calibrated for int8, with samples.
func quantized(t *testing.T, change func(*Quantization)) (*Network, Samples) {
	t.Helper()
	net, s := smallCSI(t)
	q := &Quantization{Mode: Int8, InputScales: calibrated(t, net, s, ClipMSE), HeldOut: 64, MPJPEFloat32MM: 50, MPJPEMM: 50.1, DifferenceMM: 0.1, CSIFloat32MM: 90, CSIMM: 90.2}
	if change != nil {
		change(q)
	}
	dir := t.TempDir()
	if _, err := SaveCheckpoint(dir, net, Card{Window: Causal, Quantization: q}); err != nil {
		t.Fatal(err)
	}
	back, _, err := LoadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := back.Close(); err != nil {
			t.Error(err)
		}
	})
	return back, s
}

// The faster precision wins, its poses are those of a runtime made in it, and the
// other one leaves no weights behind.
func TestFastestPrecision(t *testing.T) {
	if !Int8.Native() {
		testenv.LeaveTo(t, "amd64", "this CPU path has no int8, so there is nothing to choose")
	}
	broken := errors.New("the trial broke")
	for _, c := range []struct {
		name       string
		low, float time.Duration
		fails      error
		want       Precision
		says       []string
	}{
		{"int8 is faster", 40 * time.Millisecond, 60 * time.Millisecond, nil, Int8, []string{"40 ms", "float32's 60", "0.20 mm"}},
		{"float32 is faster", 60 * time.Millisecond, 40 * time.Millisecond, nil, Float32, []string{"40 ms", "int8 60"}},
		{"neither is", time.Millisecond, time.Millisecond, nil, Float32, []string{"int8 1"}},
		{"the trial fails", 0, 0, broken, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, s := quantized(t, nil)
			rt, why, err := fastest(net, func(low, float *Runtime) (time.Duration, time.Duration, error) {
				if low.Precision() != Int8 || float.Precision() != Float32 {
					t.Errorf("%s was tried against %s", low.Precision(), float.Precision())
				}
				return c.low, c.float, c.fails
			})
			if !errors.Is(err, c.fails) {
				t.Fatalf("error %v, want %v", err, c.fails)
			}
			if err != nil {
				return
			}
			if rt.Precision() != c.want {
				t.Errorf("runs in %s, want %s (%s)", rt.Precision(), c.want, why)
			}
			for _, part := range c.says {
				if !strings.Contains(why, part) {
					t.Errorf("said %q, which lacks %q", why, part)
				}
			}
			got, want := make([]float32, s.N*OutputDim), make([]float32, s.N*OutputDim)
			if err = rt.InferBatch(s.Batch, s.N, got); err != nil {
				t.Fatal(err)
			}
			memory := net.Memory().Packed
			alone, _ := quantized(t, nil)
			only, err := NewRuntimeWith(alone, RuntimeOptions{Precision: c.want})
			if err != nil {
				t.Fatal(err)
			}
			if err := only.InferBatch(s.Batch, s.N, want); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Error("its poses are not those of that precision")
			}
			if m := alone.Memory().Packed; m != memory {
				t.Errorf("it packs %d bytes of weights, a runtime of that precision %d", memory, m)
			}
			for _, r := range []*Runtime{rt, only} {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// What is not to be chosen is not tried, and the reason is said.
func TestPrecisionNotTried(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Quantization)
		says   string
	}{
		{"too dear", func(q *Quantization) { q.DifferenceMM = 0.51 }, "int8 costs 0.51 mm"},
		{"too dear by WiFi alone", func(q *Quantization) { q.CSIMM = 91 }, "int8 costs 1.00 mm"},
		{"not measured", func(q *Quantization) { q.HeldOut = 0 }, "does not say what its int8 costs"},
		{"float32 in the card", func(q *Quantization) { *q = Quantization{Mode: BFloat16} }, "bf16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.says == "bf16" && BFloat16.Native() {
				c.says = "does not say what its bf16 costs"
			}
			if c.says != "bf16" && !Int8.Native() {
				c.says = "no instructions"
			}
			net, _ := quantized(t, c.change)
			rt, why, err := fastest(net, func(_, _ *Runtime) (time.Duration, time.Duration, error) {
				t.Error("it was tried")
				return 0, 0, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if rt.Precision() != Float32 || !strings.Contains(why, c.says) {
				t.Errorf("runs in %s: %q, want float32 and %q", rt.Precision(), why, c.says)
			}
			if err := rt.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	plain, _ := smallCSI(t)
	if _, why, err := NewFastestRuntime(plain); err != nil || !strings.Contains(why, "no other precision") {
		t.Errorf("a card without precisions: %q, %v", why, err)
	}
}

// The trial itself gives a runtime that runs, and times of both.
func TestPrecisionTrial(t *testing.T) {
	net, s := quantized(t, nil)
	rt, why, err := NewFastestRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	if Int8.Native() && !strings.Contains(why, "ms here") {
		t.Errorf("no times are said: %q", why)
	}
	var out Output
	if err := rt.Infer(sample(net.Config, s.Batch, 0), &out); err != nil || out.Coalition == 0 {
		t.Errorf("after the trial: %v, coalition %v", err, out.Coalition)
	}
	if err := rt.Close(); err != nil {
		t.Error(err)
	}
}
