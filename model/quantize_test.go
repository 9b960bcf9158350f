package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/model/nn/kernel"
	"posefuse/sensors/modality"
)

// smallCSI is a network of the WiFi encoder alone, small enough for portable
// code, and samples for it.
func smallCSI(t testing.TB) (*Network, Samples) {
	t.Helper()
	cfg := Edge()
	cfg.Modalities = "W"
	cfg.CSI = CSIConfig{Height: 12, Width: 9, Base: 6, Blocks: []int{2, 1}, Heads: 2, MLP: 2}
	net, err := New(cfg, 3)
	if err != nil {
		t.Fatal(err)
	}
	return net, Samples{Batch: randomBatch(cfg, 12), N: 12}
}

func calibrated(t testing.TB, net *Network, s Samples, clip string) map[string]float32 {
	t.Helper()
	c, err := NewCalibrator(net)
	if err != nil {
		t.Fatal(err)
	}
	if err = c.Observe(s.Batch.CSI, s.N); err != nil {
		t.Fatal(err)
	}
	scales, err := c.InputScales(clip)
	if err != nil {
		t.Fatal(err)
	}
	return scales
}

// TestCalibrationDoesNotDependOnGrouping holds the scales of samples seen one
// by one, and by several threads, equal to those of samples seen at once.
func TestCalibrationDoesNotDependOnGrouping(t *testing.T) {
	net, s := smallCSI(t)
	saved := kernel.Threads()
	defer kernel.SetThreads(saved)
	for _, clip := range []string{ClipMSE, ClipMax, ClipPercent} {
		kernel.SetThreads(1)
		want := calibrated(t, net, s, clip)
		if got := slices.Sorted(maps.Keys(want)); !slices.Equal(got, net.Config.lowConvs()) {
			t.Fatalf("scales of %v, want %v", got, net.Config.lowConvs())
		}
		kernel.SetThreads(3)
		c, err := NewCalibrator(net)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.N {
			if err := c.Observe(s.Batch.CSI[i*CSIValues:(i+1)*CSIValues], 1); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.InputScales(clip); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: one by one %v (%v), at once %v", clip, got, err, want)
		}
	}
}

func TestCalibrationRefuses(t *testing.T) {
	net, s := smallCSI(t)
	c, err := NewCalibrator(net)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.InputScales(ClipMSE); err == nil || !strings.Contains(err.Error(), "no sample") {
		t.Errorf("scales of nothing: %v", err)
	}
	if err = c.Observe(s.Batch.CSI, s.N+1); err == nil {
		t.Error("a short batch was taken")
	}
	if err = c.Observe(s.Batch.CSI, s.N); err != nil {
		t.Fatal(err)
	}
	if _, err = c.InputScales("best"); err == nil || !strings.Contains(err.Error(), `"best"`) {
		t.Errorf("unknown clip: %v", err)
	}
	cfg := Edge()
	cfg.Modalities = "RL"
	without, err := New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewCalibrator(without); err == nil || !strings.Contains(err.Error(), "csi") {
		t.Errorf("a network without CSI: %v", err)
	}
}

// TestActivationRange holds the histogram's bounds against the numbers.
func TestActivationRange(t *testing.T) {
	r := &activationRange{}
	v := make([]float32, 100000)
	for i := range v {
		v[i] = float32(i+1) / float32(len(v)) * 3
	}
	v[0] = 40 // one outlier
	r.add([]float32{-1, 0, float32(math.NaN()), 1e-30})
	r.add(v)
	if r.max != 40 {
		t.Errorf("max %g, want 40", r.max)
	}
	if q := r.quantile(0.9999); q < 2.95 || q > 3.05 {
		t.Errorf("99.99 %% quantile %g, want about 3", q)
	}
	// Clipping one of 100,000 at 3 costs 37² in all, rounding all of them over
	// 40 instead of 3 costs 1e5·(40²-3²)/255²/12 = 204: in between lies the least.
	if m := r.leastError(); m < 10 || m >= 40 {
		t.Errorf("least error at %g, want between 10 and 40", m)
	}
	one := &activationRange{}
	one.add([]float32{2})
	if m := one.leastError(); m > 2 || m < 1.99 {
		t.Errorf("least error of a single 2 at %g", m)
	}
}

// TestPrecisions holds the poses of the low precisions near float32's, with
// and without the CPU's instructions, alone and in a batch.
func TestPrecisions(t *testing.T) {
	net, s := smallCSI(t)
	scales := calibrated(t, net, s, ClipMSE)
	poses := func(opt RuntimeOptions) []float32 {
		rt, err := NewRuntimeWith(net, opt)
		if err != nil {
			t.Fatal(err)
		}
		if rt.Precision() != opt.Precision {
			t.Fatalf("precision %s, asked for %s", rt.Precision(), opt.Precision)
		}
		pose := make([]float32, s.N*OutputDim)
		if err := rt.InferBatch(s.Batch, s.N, pose); err != nil {
			t.Fatal(err)
		}
		var out Output
		if err := rt.Infer(sample(net.Config, s.Batch, 5), &out); err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(out.Pose[:], pose[5*OutputDim:6*OutputDim]); d > 1e-5 {
			t.Errorf("%s: alone and in a batch differ by %g m", opt.Precision, d)
		}
		return pose
	}
	want := poses(RuntimeOptions{Precision: Float32})
	var size float64
	for _, v := range want {
		size = max(size, math.Abs(float64(v)))
	}
	for _, p := range []Precision{BFloat16, Int8} {
		got := poses(RuntimeOptions{Precision: p, InputScales: scales, Emulate: true})
		if d := maxDiff(got, want); d > 0.02*size || d == 0 {
			t.Errorf("%s: a coordinate is off by %g m of %g", p, d, size)
		}
	}
}

func TestPrecisionNeedsCalibration(t *testing.T) {
	net, _ := smallCSI(t)
	var scales *NotCalibratedError
	if _, err := NewRuntimeWith(net, RuntimeOptions{Precision: Int8, Emulate: true}); !errors.As(err, &scales) || scales.Precision != Int8 {
		t.Errorf("int8 without scales: %v", err)
	}
	if _, err := NewRuntimeWith(net, RuntimeOptions{Precision: "fp4"}); err == nil || !strings.Contains(err.Error(), `"fp4"`) {
		t.Errorf("an unknown precision: %v", err)
	}
	cfg := Edge()
	cfg.Modalities = "R"
	camera, err := New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if rt, err := NewRuntimeWith(camera, RuntimeOptions{Precision: BFloat16}); err != nil || rt.Precision() != Float32 {
		t.Errorf("a network without CSI: %v, want float32", err)
	}
}

// TestPrecisionFallsBack checks what a CPU path does whose instructions do not
// make a precision faster than float32.
func TestPrecisionFallsBack(t *testing.T) {
	net, s := smallCSI(t)
	for _, p := range []Precision{Int8, BFloat16} {
		t.Run(string(p), func(t *testing.T) {
			if p.Native() {
				testenv.LeaveTo(t, "make test-cpu", "this CPU path has fast "+string(p)+" instructions")
			}
			var log bytes.Buffer
			before := slog.Default()
			slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
			defer slog.SetDefault(before)
			warnLacking[p] = &sync.Once{}
			for range 2 {
				rt, err := NewRuntimeWith(net, RuntimeOptions{Precision: p, InputScales: calibrated(t, net, s, ClipMSE)})
				if err != nil || rt.Precision() != Float32 {
					t.Fatalf("precision %v, %v; want float32", rt.Precision(), err)
				}
			}
			if n := strings.Count(log.String(), string(p)); n != 1 {
				t.Errorf("%d warnings, want 1: %s", n, log.String())
			}
		})
	}
}

// bfloat16 is offered where it is faster than float32: on AMX only.
func TestBFloat16IsOfferedOnAMXOnly(t *testing.T) {
	if got, want := BFloat16.Native(), kernel.LowPath(kernel.BFloat16) == "amx"; got != want {
		t.Errorf("bf16 on %q: offered %t, want %t", kernel.LowPath(kernel.BFloat16), got, want)
	}
}

func TestPrecisionAllocatesNothing(t *testing.T) {
	net, s := smallCSI(t)
	scales := calibrated(t, net, s, ClipMSE)
	for _, p := range []Precision{BFloat16, Int8} {
		rt, err := NewRuntimeWith(net, RuntimeOptions{Precision: p, InputScales: scales, Emulate: true})
		if err != nil {
			t.Fatal(err)
		}
		in := sample(net.Config, s.Batch, 0)
		var out Output
		if n := testenv.AllocsPerRun(5, func() {
			if err := rt.Infer(in, &out); err != nil {
				t.Fatal(err)
			}
		}); n > 0 && !testenv.Race {
			t.Errorf("%s: %v allocations a tick", p, n)
		}
	}
}

// quantizedCheckpoint writes a checkpoint in int8 and returns its folder.
func quantizedCheckpoint(t *testing.T) (string, *Quantization, *Network, Samples) {
	t.Helper()
	net, s := smallCSI(t)
	q, err := Quantize(net, s, s, QuantizeOptions{Mode: Int8, Data: "random numbers", TimedRuns: 1})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := SaveCheckpoint(dir, net, Card{Name: "small", Window: Causal, Quantization: q}); err != nil {
		t.Fatal(err)
	}
	return dir, q, net, s
}

func TestQuantizedCheckpointRoundTrip(t *testing.T) {
	dir, q, net, s := quantizedCheckpoint(t)
	if q.Samples != s.N || q.HeldOut != s.N || q.Data != "random numbers" || q.Clip != ClipMSE || !(q.DisplacementMM > 0) ||
		math.Abs(q.DifferenceMM-(q.MPJPEMM-q.MPJPEFloat32MM)) > 1e-9 || !(q.MPJPEFloat32MM > 0) || Int8.Native() != (q.TimeRatio > 0) {
		t.Errorf("card %+v", q)
	}
	back, card, err := LoadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if !maps.Equal(card.Quantization.InputScales, q.InputScales) || back.Quantization() != card.Quantization {
		t.Error("the scales changed on the way")
	}
	pose := func(n *Network, opt RuntimeOptions) []float32 {
		rt, err := NewRuntimeWith(n, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Close()
		if rt.Precision() != Int8 {
			t.Errorf("runtime in %s, want int8", rt.Precision())
		}
		var out Output
		if err := rt.Infer(sample(n.Config, s.Batch, 0), &out); err != nil {
			t.Fatal(err)
		}
		return out.Pose[:]
	}
	want := pose(net, RuntimeOptions{Precision: Int8, InputScales: q.InputScales, Emulate: true})
	if got := pose(back, RuntimeOptions{Emulate: true}); !slices.Equal(got, want) {
		t.Errorf("the loaded checkpoint gives %v, want %v", got, want)
	}
}

func TestQuantizedCheckpointRefused(t *testing.T) {
	const conv = "csi.layer2.0.conv1"
	for name, c := range map[string]struct {
		change func(q map[string]any)
		want   string
	}{
		"zero":    {func(q map[string]any) { q["input_scales"].(map[string]any)[conv] = 0 }, conv},
		"null":    {func(q map[string]any) { q["input_scales"].(map[string]any)[conv] = nil }, conv},
		"missing": {func(q map[string]any) { delete(q["input_scales"].(map[string]any), conv) }, conv},
		"extra":   {func(q map[string]any) { q["input_scales"].(map[string]any)["csi.layer9.0.conv1"] = 1 }, "csi.layer9.0.conv1"},
		"list":    {func(q map[string]any) { q["input_scales"].(map[string]any)[conv] = []int{1, 2} }, conv},
		"NaN":     {func(q map[string]any) { q["input_scales"].(map[string]any)[conv] = "NaN" }, conv},
		"tiny":    {func(q map[string]any) { q["input_scales"].(map[string]any)[conv] = 1e-42 }, conv},
		"huge":    {func(q map[string]any) { q["input_scales"].(map[string]any)[conv] = 1e300 }, conv},
		"mode":    {func(q map[string]any) { q["mode"] = "int4" }, "int4"},
		"bf16":    {func(q map[string]any) { q["mode"] = "bf16" }, "input_scales"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, _, _ := quantizedCheckpoint(t)
			path := filepath.Join(dir, CardFile)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var card map[string]any
			if err = json.Unmarshal(b, &card); err != nil {
				t.Fatal(err)
			}
			c.change(card["quantization"].(map[string]any))
			if b, err = json.Marshal(card); err != nil {
				t.Fatal(err)
			}
			if err = os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err = LoadCheckpoint(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that names %s", err, c.want)
			}
		})
	}
	net, _ := smallCSI(t)
	if _, err := SaveCheckpoint(t.TempDir(), net, Card{Window: Causal, Quantization: &Quantization{Mode: Int8}}); err == nil || !strings.Contains(err.Error(), "conv1") {
		t.Errorf("saving int8 without scales: %v", err)
	}
}

// BenchmarkPrecision times one sample at the paper's size: of the WiFi encoder
// and of all four modalities, per precision and number of threads.
func BenchmarkPrecision(b *testing.B) {
	cfg := Paper()
	net, err := New(cfg, 1)
	if err != nil {
		b.Fatal(err)
	}
	scales := map[string]float32{}
	for _, c := range cfg.lowConvs() {
		scales[c] = 0.05
	}
	in := sample(cfg, randomBatch(cfg, 1), 0)
	saved := kernel.Threads()
	defer kernel.SetThreads(saved)
	for _, p := range []Precision{Float32, BFloat16, Int8} {
		rt, err := NewRuntimeWith(net, RuntimeOptions{Precision: p, InputScales: scales})
		if err != nil {
			b.Fatal(err)
		}
		if rt.Precision() != p {
			b.Logf("%s has no instructions on this path", p)
			continue
		}
		for _, threads := range []int{1, 2} {
			for _, mask := range []modality.Set{1 << modality.CSI, modality.All} {
				b.Run(fmt.Sprintf("%s/%s/%d", p, mask, threads), func(b *testing.B) {
					kernel.SetThreads(threads)
					in.Present = mask
					var out Output
					var ms, cpu []float64
					for b.Loop() {
						start, busy := time.Now(), cpuTime()
						if err := rt.Infer(in, &out); err != nil {
							b.Fatal(err)
						}
						ms = append(ms, time.Since(start).Seconds()*1e3)
						cpu = append(cpu, (cpuTime()-busy).Seconds()*1e3)
					}
					slices.Sort(ms)
					slices.Sort(cpu)
					b.ReportMetric(cpu[0], "min-cpu-ms")
					b.ReportMetric(ms[0], "min-ms")
					b.ReportMetric(ms[len(ms)/2], "median-ms")
					b.ReportMetric(ms[len(ms)*99/100], "p99-ms")
				})
			}
		}
	}
}
