package onnx

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// runner is the folder of the scripts that drive ONNX Runtime.
const runner = "../../study/bench/ort"

// needRuntime leaves a test out where ONNX Runtime cannot be driven.
func needRuntime(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		testenv.LeaveOut(t, "no ONNX Runtime, "+err.Error()+": run make need-ort")
	}
	if _, err := os.Stat(filepath.Join(runner, "node_modules/onnxruntime-node")); err != nil {
		testenv.LeaveOut(t, "no ONNX Runtime, "+err.Error()+": run make need-ort")
	}
}

// small is a network of odd extents: neighbourhoods larger than the level
// before's and than the level, a second level of the same points, one pass of
// each branch of the exporter.
func small(modalities string) model.Config {
	return model.Config{Size: "small", Modalities: modalities, Head: "concat",
		Camera: model.CameraConfig{Channels: 24, Widths: []int{3, 9, 1, 3}},
		LiDAR:  model.PointsConfig{Points: 61, Planes: []int{8, 16, 16, 24, 32}, Strides: []int{1, 3, 1, 2, 4}, Neighbours: []int{5, 7, 9, 16, 6}},
		Radar:  model.PointsConfig{Points: 33, Planes: []int{16, 8, 24}, Strides: []int{1, 2, 2}, Neighbours: []int{40, 40, 3}},
		CSI:    model.CSIConfig{Height: 19, Width: 11, Base: 6, Blocks: []int{2, 1, 1}, Heads: 2, MLP: 3}}
}

// drawn is a random legal configuration.
func drawn(seed uint64) model.Config {
	rng := rand.New(rand.NewPCG(seed, 13))
	from := func(lo, hi int) int { return lo + rng.IntN(hi-lo+1) }
	points := func() model.PointsConfig {
		p := model.PointsConfig{Points: from(1, 70)}
		left := p.Points
		for i := range from(1, 5) {
			stride := 1
			if i > 0 {
				stride = from(1, min(left, 3))
			}
			left /= stride
			p.Strides = append(p.Strides, stride)
			p.Planes = append(p.Planes, 8*from(1, 4))
			p.Neighbours = append(p.Neighbours, from(1, 20))
		}
		return p
	}
	widths := [][]int{{3, 3, 3, 3}, {81}, {9, 9}, {1, 27, 3}, {3, 27, 1}}
	c := model.Config{Size: "drawn", Modalities: modality.Set(from(1, 15)).String(), Head: "concat",
		Camera: model.CameraConfig{Channels: 2 * from(1, 20), Widths: widths[rng.IntN(len(widths))]}, LiDAR: points(), Radar: points(),
		CSI: model.CSIConfig{Height: from(1, 40), Width: from(1, 20), Base: 2 * from(1, 6), Heads: from(1, 4), MLP: from(1, 4)}}
	for range from(1, 4) {
		c.CSI.Blocks = append(c.CSI.Blocks, from(1, 2))
	}
	return c
}

// randomNetwork has weights and running statistics unlike those of a fresh
// network, so that folding them wrongly shows.
func randomNetwork(t *testing.T, cfg model.Config, seed uint64) *model.Network {
	t.Helper()
	net, err := model.New(cfg, seed)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	for _, p := range net.Parameters() {
		switch {
		case strings.HasSuffix(p.Name, ".bias"), strings.HasSuffix(p.Name, "position_embedding"):
			for i := range p.Value {
				p.Value[i] = 0.4*rng.Float32() - 0.2
			}
		case strings.HasPrefix(p.Name, "head.correction."): // whose last layer begins with zeros
			for i := range p.Value {
				p.Value[i] = 0.1*rng.Float32() - 0.05
			}
		case len(p.Shape) == 1: // of a normalisation: both signs
			for i := range p.Value {
				p.Value[i] = 1.5*rng.Float32() - 0.5
			}
		}
	}
	for _, b := range net.Buffers() {
		for i := range b.Value {
			if b.Value[i] = 0.4*rng.Float32() - 0.2; strings.HasSuffix(b.Name, "running_var") {
				b.Value[i] = 0.5 + rng.Float32()
			}
		}
	}
	return net
}

// randomInputs are samples for every modality of the network. Point clouds
// repeat points, as preprocessing does with short frames: the ties must be
// broken alike.
func randomInputs(cfg model.Config, samples int, seed uint64) []model.Input {
	rng := rand.New(rand.NewPCG(seed, 11))
	fill := func(n int, lo, hi float32) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = lo + (hi-lo)*rng.Float32()
		}
		return x
	}
	cyclic := func(x []float32, dim, distinct int) []float32 {
		for i := distinct * dim; i < len(x); i++ {
			x[i] = x[i-distinct*dim]
		}
		return x
	}
	out := make([]model.Input, samples)
	for i := range out {
		out[i] = model.Input{Present: cfg.Mask(), Camera: fill(cfg.CameraValues(), -1, 1), CSI: fill(model.CSIValues, 0, 1),
			LiDAR: fill(cfg.LiDAR.Points*model.LiDARPointDim, -2, 2), Radar: fill(cfg.Radar.Points*model.RadarPointDim, -2, 2)}
		if n := cfg.KeypointFrame(); n == model.ViewedKeypoints { // somebody at a place, all but one keypoint found
			set := out[i].Camera[len(out[i].Camera)-n:]
			for k := range model.NumJoints {
				set[2*k], set[2*k+1], set[2*model.NumJoints+k] = 0.3*set[2*k], 0.3*set[2*k+1], 1
			}
			set[2*model.NumJoints+9], set[n-2], set[n-1] = 0, 1.3, 3.2
		}
		switch (int(seed) + i) % 3 {
		case 1: // a few distinct points
			cyclic(out[i].LiDAR, model.LiDARPointDim, 7)
			cyclic(out[i].Radar, model.RadarPointDim, 3)
		case 2: // a grid: many equal distances
			for _, x := range [][]float32{out[i].LiDAR, out[i].Radar} {
				for j := range x {
					x[j] = float32(math.Round(float64(x[j])))
				}
			}
		}
	}
	return out
}

// runORT runs the model file on the samples and returns its outputs by name.
func runORT(t *testing.T, file string, mask modality.Set, in []model.Input) map[string][]float32 {
	t.Helper()
	dir := t.TempDir()
	for m := range modality.Count {
		if !mask.Has(m) {
			continue
		}
		var b []byte
		for i := range in {
			for _, v := range [...][]float32{in[i].Camera, in[i].LiDAR, in[i].Radar, in[i].CSI}[m] {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
			}
		}
		if err := os.WriteFile(filepath.Join(dir, InputName(m)+".f32"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	outDir := filepath.Join(dir, "out")
	cmd := exec.CommandContext(ctx, "node", filepath.Join(runner, "run.mjs"), "--model", file, "--inputs", dir, "--outputs", outDir, "--batch", fmt.Sprint(len(in)))
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ONNX Runtime: %v\n%s", err, msg)
	}
	out := map[string][]float32{}
	files, err := os.ReadDir(outDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(outDir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float32, len(b)/4)
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		out[strings.TrimSuffix(f.Name(), ".f32")] = x
	}
	return out
}

// relativeDifference is the largest difference over the largest value.
func relativeDifference(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var d, m float64
	for i, v := range want {
		if e := math.Abs(float64(got[i]) - float64(v)); !(e <= d) {
			d = e
		}
		m = max(m, math.Abs(float64(v)))
	}
	return d / m
}

// compareWithRuntime exports the coalition, runs it in ONNX Runtime and
// returns the largest relative difference to package model.
func compareWithRuntime(t *testing.T, net *model.Network, mask modality.Set, batch int, in []model.Input) float64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "net.onnx")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Write(f, net, Options{Modalities: mask, Batch: batch}); err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	got := runORT(t, file, mask, in)
	run, err := model.NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	pose := make([]float32, 0, len(in)*model.OutputDim)
	features := map[string][]float32{}
	for i := range in {
		one := in[i]
		one.Present = mask
		var out model.Output
		if err := run.Infer(&one, &out); err != nil {
			t.Fatal(err)
		}
		pose = append(pose, out.Pose[:]...)
		for m := range modality.Count {
			if mask.Has(m) {
				features[FeatureOutput(m)] = append(features[FeatureOutput(m)], out.Features[m][:]...)
			}
		}
	}
	if len(got) != len(features)+1 {
		t.Fatalf("the model has %d outputs, want %d", len(got), len(features)+1)
	}
	worst := relativeDifference(got[PoseOutput], pose)
	for name, want := range features {
		worst = max(worst, relativeDifference(got[name], want))
	}
	return worst
}

// TestRuntimeAgrees is the bar of issue 3: what ONNX Runtime computes from the
// exported model equals our output to 1e-4.
func TestRuntimeAgrees(t *testing.T) {
	needRuntime(t)
	tests := []struct {
		name    string
		cfg     model.Config
		mask    string
		batch   int
		samples int
		seed    uint64
	}{
		{"edge", model.Edge(), "RLMW", 1, 1, 1},
		{"edge, open batch", model.Edge(), "RLMW", 0, 3, 2},
		{"small", small("RLMW"), "RLMW", 1, 1, 3},
		{"small, few points", small("RLMW"), "RLMW", 1, 1, 4},
		{"small, grid", small("RLMW"), "RLMW", 1, 1, 5},
		{"small, batch", small("RLMW"), "RLMW", 3, 3, 6},
		{"small, open batch", small("RLMW"), "RLMW", 0, 4, 7},
		{"part of the modalities", small("RLMW"), "LW", 1, 1, 8},
		{"without the camera", small("LMW"), "LMW", 2, 2, 9},
		{"camera alone", small("RM"), "R", 0, 2, 10},
		{"for any room", small("RLMW").Room(), "RLMW", 1, 1, 11},
	}
	for i, head := range []string{model.MLPHead, model.AttentionHead, model.MLPHead, model.AttentionHead, model.PrecisionHead, model.PrecisionHead} {
		cfg := small("RLMW")
		cfg.Head = head
		tests = append(tests, tests[0])
		last := &tests[len(tests)-1]
		last.name, last.cfg, last.mask = head, cfg, "RLMW"
		if i > 1 {
			last.name, last.mask, last.batch, last.samples = head+", part of the modalities", "LW", 0, 2
		}
	}
	for _, mask := range []string{"RLMW", "RM", "LW"} {
		cfg := small("RLMW").Room()
		cfg.Head = model.ReprojectionHead
		tests = append(tests, tests[0])
		last := &tests[len(tests)-1]
		last.name, last.cfg, last.mask, last.batch, last.samples = model.ReprojectionHead+" "+mask, cfg, mask, 0, 3
	}
	for seed := range uint64(4) {
		cfg := drawn(seed)
		tests = append(tests, tests[0])
		last := &tests[len(tests)-1]
		last.name, last.cfg, last.mask, last.seed = fmt.Sprintf("drawn %d", seed), cfg, cfg.Modalities, seed
		last.batch = int(seed % 3)
		last.samples = max(last.batch, 1)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mask, err := modality.Parse(tt.mask)
			if err != nil {
				t.Fatal(err)
			}
			d := compareWithRuntime(t, randomNetwork(t, tt.cfg, tt.seed), mask, tt.batch, randomInputs(tt.cfg, tt.samples, tt.seed))
			t.Logf("largest relative difference %.2g", d)
			if !(d <= 1e-4) {
				t.Errorf("largest relative difference %.2g, want at most 1e-4", d)
			}
		})
	}
}

// TestRuntimeAgreesPaper is the same at full size; it takes seconds and a
// gigabyte.
func TestRuntimeAgreesPaper(t *testing.T) {
	testenv.NoRace(t, "full size")
	needRuntime(t)
	d := compareWithRuntime(t, randomNetwork(t, model.Paper(), 1), modality.All, 1, randomInputs(model.Paper(), 1, 3))
	t.Logf("largest relative difference %.2g", d)
	if !(d <= 1e-4) {
		t.Errorf("largest relative difference %.2g, want at most 1e-4", d)
	}
}

func TestWriteRefuses(t *testing.T) {
	net, err := model.New(small("RL"), 1)
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := model.New(small("RL"), 1)
	if err != nil {
		t.Fatal(err)
	}
	unknown.Config.Head = "oracle"
	wide, err := model.New(small("RL"), 1)
	if err != nil {
		t.Fatal(err)
	}
	wide.Config.Camera.Channels *= 2
	tests := []struct {
		name string
		net  *model.Network
		opt  Options
		want string
	}{
		{"modality", net, Options{Modalities: 1 << modality.CSI}, "modalities W: the network has only RL"},
		{"batch", net, Options{Batch: -1}, "batch -1"},
		{"head", unknown, Options{}, `head "oracle"`},
		{"shape", wide, Options{}, `"camera.expand_conv.weight"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if _, err := Write(&b, tt.net, tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %s", err, tt.want)
			}
			if b.Len() > 0 {
				t.Errorf("%d bytes were written before the refusal", b.Len())
			}
		})
	}
	full := errors.New("disk full")
	if _, err := Write(failingWriter{full}, net, Options{}); !errors.Is(err, full) {
		t.Errorf("error %v, want that of the writer", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// TestWriteIsDeterministic: equal networks give equal files, whose size is the
// one returned.
func TestWriteIsDeterministic(t *testing.T) {
	var files [2]bytes.Buffer
	for i := range files {
		n, err := Write(&files[i], randomNetwork(t, small("RLMW"), 1), Options{Batch: 1, Name: "small"})
		if err != nil {
			t.Fatal(err)
		}
		if n != int64(files[i].Len()) {
			t.Errorf("size %d returned, %d bytes written", n, files[i].Len())
		}
	}
	if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
		t.Error("two exports of one network differ")
	}
}

// TestOpsetIsStated reads the versions back out of the file.
func TestOpsetIsStated(t *testing.T) {
	var b bytes.Buffer
	if _, err := Write(&b, randomNetwork(t, small("R"), 1), Options{SHA256: "abc"}); err != nil {
		t.Fatal(err)
	}
	ir, opset, meta := uint64(0), uint64(0), map[string]string{}
	eachField(t, b.Bytes(), func(n protowire.Number, v uint64, m []byte) {
		switch n {
		case modelIRVersion:
			ir = v
		case modelOpset:
			eachField(t, m, func(n protowire.Number, v uint64, _ []byte) {
				if n == opsetVersion {
					opset = v
				}
			})
		case modelMetadata:
			var key string
			eachField(t, m, func(n protowire.Number, _ uint64, s []byte) {
				if n == entryKey {
					key = string(s)
				} else {
					meta[key] = string(s)
				}
			})
		}
	})
	if ir != irVersion || opset != Opset {
		t.Errorf("IR version %d, opset %d, want %d, %d", ir, opset, irVersion, Opset)
	}
	if meta["modalities"] != "R" || meta["weights_sha256"] != "abc" {
		t.Errorf("metadata %v", meta)
	}
}

// eachField calls f for the varint and length-delimited fields of a message.
func eachField(t *testing.T, b []byte, f func(n protowire.Number, v uint64, m []byte)) {
	t.Helper()
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			f(num, v, nil)
			b = b[n:]
		case protowire.BytesType:
			m, n := protowire.ConsumeBytes(b)
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			f(num, 0, m)
			b = b[n:]
		default:
			t.Fatalf("field %d has type %d", num, typ)
		}
	}
}
