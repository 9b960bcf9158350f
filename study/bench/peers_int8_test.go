package bench

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"posefuse/model"
	"posefuse/model/onnx"
	"posefuse/sensors/modality"
)

// TestInt8ExportAgreesTrained holds what ONNX Runtime computes in int8 from the
// export of a trained network against our int8, on simulated frames that were
// not calibrated on.
func TestInt8ExportAgreesTrained(t *testing.T) {
	const (
		frames    = 32
		mostMM    = 0.1 // mean distance of a joint
		mostShare = 0.05
	)
	p := &peers{Peers: Peers{pythonFlags: pythonFlags{Scripts: scripts()}, Node: "node"}}
	if err := p.checkNode(t.Context()); err != nil {
		t.Fatalf("%v: or run make need-ort", err)
	}
	net, _, err := model.LoadCheckpoint("../../model/checkpoints/paper") // whose WiFi encoder says something
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = net.Close() }() // only read
	batches, err := simulatedBatches(t.Context(), net.Config, frames, 2)
	if err != nil {
		t.Fatal(err)
	}
	cal, err := model.NewCalibrator(net)
	if err != nil {
		t.Fatal(err)
	}
	if err = cal.Observe(batches[0].CSI, frames); err != nil {
		t.Fatal(err)
	}
	scales, err := cal.InputScales(model.ClipMSE)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "int8.onnx")
	if _, err := onnx.WriteFile(file, net, onnx.Options{Batch: frames, Precision: model.Int8, InputScales: scales}); err != nil {
		t.Fatal(err)
	}
	for m, x := range [][]float32{batches[1].Camera, batches[1].LiDAR, batches[1].Radar, batches[1].CSI} {
		if err := os.WriteFile(filepath.Join(dir, onnx.InputName(modality.Kind(m))+".f32"), floatBytes(x), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", "run.mjs", "--model", file, "--inputs", dir, "--outputs", dir, "--batch", fmt.Sprint(frames))
	cmd.Dir = filepath.Join(scripts(), "ort")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ONNX Runtime: %v\n%s", err, out)
	}
	read := func(name string) []float32 {
		x, err := readFloats(filepath.Join(dir, name+".f32"))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	ours := func(p model.Precision) (pose, features []float32) {
		rt, err := model.NewRuntimeWith(net, model.RuntimeOptions{Precision: p, InputScales: scales, Emulate: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rt.Close() }() // only returns memory
		pose = make([]float32, frames*model.OutputDim)
		if err := rt.InferBatch(batches[1], frames, pose); err != nil {
			t.Fatal(err)
		}
		return pose, slices.Clone(rt.Features()[modality.CSI])
	}
	theirs, theirFeatures := read(onnx.PoseOutput), read(onnx.FeatureOutput(modality.CSI))
	int8, features := ours(model.Int8)
	float, floatFeatures := ours(model.Float32)
	movedMM := 1000 * model.MPJPE(theirs, int8)
	share := overVariation(theirFeatures, features, frames)
	t.Logf("poses: ONNX Runtime's int8 from ours %.3f mm, ours from float32 %.3f, ONNX Runtime's from float32 %.3f", movedMM, 1000*model.MPJPE(int8, float), 1000*model.MPJPE(theirs, float))
	t.Logf("features, of what differs between frames: %.3f, %.3f, %.3f", share, overVariation(features, floatFeatures, frames), overVariation(theirFeatures, floatFeatures, frames))
	if !(movedMM <= mostMM) {
		t.Errorf("poses of ONNX Runtime's int8 are %.3f mm from ours, want at most %g", movedMM, mostMM)
	}
	if !(share <= mostShare) {
		t.Errorf("features of ONNX Runtime's int8 are %.3f of their variation from ours, want at most %g", share, mostShare)
	}
}

// overVariation is the root of the squared difference over what want varies
// between the frames.
func overVariation(have, want []float32, frames int) float64 {
	d, _ := squaredDifference(have, want)
	width := len(want) / frames
	mean := make([]float32, len(want))
	for i := range width {
		var sum float64
		for f := range frames {
			sum += float64(want[f*width+i]) / float64(frames)
		}
		for f := range frames {
			mean[f*width+i] = float32(sum)
		}
	}
	v, _ := squaredDifference(want, mean)
	return math.Sqrt(d / v)
}

func floatBytes(x []float32) []byte {
	var b []byte
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
