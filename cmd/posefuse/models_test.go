package main

import (
	le "encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/model/shipped"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/train"
)

func decodeJSON[T any](t *testing.T, s string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	return v
}

func TestModelsListAndShow(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "a", "good")
	if err := os.Rename(saveShipped(t, func(c *model.Card) { c.Name = "mine" }), mkParent(t, good)); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad")
	writeFile(t, mkParent(t, filepath.Join(bad, model.CardFile)), []byte("{"))
	rows := decodeJSON[[]modelRow](t, posefuse(t, "models", "list", dir, "--json"))
	if len(rows) != 3 || rows[0].Path != shippedName || rows[1].Path != good || rows[2].Path != bad {
		t.Fatalf("rows %+v", rows)
	}
	if r := rows[1]; r.Name != "mine" || r.Precision != "float32" || r.Parameters != 3306578 || r.Bytes < 4*int64(r.Parameters) || r.MPJPEMM == nil || r.Metric != "sim_val_RLMW" {
		t.Errorf("row %+v", r)
	}
	if !strings.Contains(rows[2].Error, model.CardFile) {
		t.Errorf("the broken card's row says %q", rows[2].Error)
	}
	for _, part := range []string{shippedName, good, bad, "sim_val_RLMW", "float32"} {
		if out := posefuse(t, "models", "list", dir); !strings.Contains(out, part) {
			t.Errorf("the table lacks %q:\n%s", part, out)
		}
	}

	v := decodeJSON[modelView](t, posefuse(t, "models", "show", good, "--tensors", "--json"))
	net, card, err := shipped.Load()
	if err != nil {
		t.Fatal(err)
	}
	if v.Card.Name != "mine" || v.Card.SHA256 != card.SHA256 || len(v.Tensors) != len(net.Parameters())+len(net.Buffers()) {
		t.Errorf("card %+v, %d tensors", v.Card, len(v.Tensors))
	}
	if m := v.Memory; m.Mapped+m.Heap < 4*int64(card.Parameters) || m.Packed+m.Runtime < 1<<20 {
		t.Errorf("memory %+v", m)
	}
	if out := posefuse(t, "models", "show"); !strings.Contains(out, card.SHA256) || !strings.Contains(out, "memory") {
		t.Errorf("show:\n%s", out)
	}
}

// mkParent makes the folder above path and returns path.
func mkParent(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestModelsRoundTrip exports a fresh network and takes it back; the result is
// the same network.
func TestModelsRoundTrip(t *testing.T) {
	dir := t.TempDir()
	start, out := filepath.Join(dir, "start", "weights.safetensors"), filepath.Join(dir, "back")
	posefuse(t, "models", "export", "--safetensors", start, "--size", "edge", "--modalities", "RL", "--head", "mlp", "--seed", "7", "--window", "centred")
	v := decodeJSON[importView](t, posefuse(t, "models", "import", start, "--card", filepath.Dir(start), "--out", out,
		"--name", "gpu", "--data", "nothing", "--split", "none", "--json"))
	if c := v.Card; c.Name != "gpu" || c.Window != model.Centred || c.Config.Modalities != "RL" || c.Data != "nothing" {
		t.Errorf("card %+v", c)
	}
	net, card, err := model.LoadCheckpoint(out)
	if err != nil {
		t.Fatal(err)
	}
	cfg := model.Edge()
	cfg.Modalities, cfg.Head = "RL", model.MLPHead
	want, err := model.New(cfg, 7)
	if err != nil {
		t.Fatal(err)
	}
	got := net.Parameters()
	for i, p := range want.Parameters() {
		if p.Name != got[i].Name || p.Value[0] != got[i].Value[0] {
			t.Fatalf("parameter %s starts with %v, want %s with %v", got[i].Name, got[i].Value[0], p.Name, p.Value[0])
		}
	}
	// By size instead of by card: the same weights.
	again := filepath.Join(dir, "again")
	if _, err = os.Stat(filepath.Join(out, card.Weights)); err != nil {
		t.Fatal(err)
	}
	w := decodeJSON[importView](t, posefuse(t, "models", "import", filepath.Join(out, card.Weights), "--size", "edge", "--modalities", "RL", "--head", "mlp", "--out", again, "--json"))
	if w.Card.SHA256 != card.SHA256 || len(w.Notices) != 1 || !strings.Contains(w.Notices[0], "--data") {
		t.Errorf("by size: %+v", w)
	}
}

func TestModelsExportONNX(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "edge.onnx")
	v := decodeJSON[exportView](t, posefuse(t, "models", "export", "--onnx", file, "--modalities", "RM", "--batch", "dynamic", "--json"))
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	o := v.ONNX
	if o == nil || o.Bytes != st.Size() || o.Precision != "float32" || o.Opset != 17 || o.Modalities != "RM" || len(o.Inputs) != 2 || len(o.Outputs) != 3 || o.Inputs[0].Shape[0] != -1 {
		t.Errorf("view %+v", o)
	}
}

// TestModelsExportInt8 goes the way of docs/models.md: calibrate, then export.
func TestModelsExportInt8(t *testing.T) {
	dir := t.TempDir()
	low, file := filepath.Join(dir, "int8"), filepath.Join(dir, "int8.onnx")
	posefuse(t, "models", "quantize", "--mode", "int8", "--samples", "2", "--out", low)
	v := decodeJSON[exportView](t, posefuse(t, "models", "export", "--onnx", file, "--precision", "int8", "--model", low, "--json"))
	if v.ONNX == nil || v.ONNX.Precision != "int8" || len(v.Notices) != 0 {
		t.Errorf("view %+v", v)
	}
	v = decodeJSON[exportView](t, posefuse(t, "models", "export", "--onnx", file, "--model", low, "--json"))
	if v.ONNX == nil || v.ONNX.Precision != "float32" || len(v.Notices) != 1 || !strings.Contains(v.Notices[0], "in float32, the checkpoint in int8") {
		t.Errorf("view %+v", v)
	}
}

// TestModelsSamples: the files hold what training here sees, row by row.
func TestModelsSamples(t *testing.T) {
	dir := t.TempDir()
	data, start, out := filepath.Join(dir, "data"), filepath.Join(dir, "start"), filepath.Join(dir, "samples")
	posefuse(t, "simulate", "--out", data, "--subjects", "4,5", "--activities", "12", "--frames", "7")
	posefuse(t, "models", "export", "--safetensors", filepath.Join(start, "w.safetensors"), "--size", "edge", "--modalities", "RM", "--window", "centred")
	v := decodeJSON[train.Samples](t, posefuse(t, "models", "samples", "--mmfi", data, "--split", "s2", "--model", start, "--stride", "2", "--val-stride", "3", "--out", out, "--json"))
	if len(v.Arrays) != 3 || v.Window != model.Centred || v.Parts["train"].Clips != 1 || v.Parts["val"].Clips != 1 {
		t.Fatalf("view %+v", v)
	}
	folder, err := mmfi.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	for part, p := range map[string]struct{ subject, stride int }{"train": {4, 2}, "val": {5, 3}} {
		d, loadErr := train.Load(t.Context(), folder, []recording.Key{{Subject: p.subject, Activity: 12}}, v.Config, train.LoadOptions{Window: v.Window, Stride: p.stride})
		if loadErr != nil {
			t.Fatal(loadErr)
		}
		if v.Parts[part].Samples != len(d.Samples) || len(d.Samples) < 2 {
			t.Errorf("%s: %d samples, want %d", part, v.Parts[part].Samples, len(d.Samples))
		}
		b := d.NewBatch(len(d.Samples))
		for i, ref := range d.Samples {
			d.Fill(b, i, ref)
		}
		for name, want := range map[string][]float32{"camera": b.Camera, "radar": b.Radar, "target": b.Target} {
			got, readErr := os.ReadFile(filepath.Join(out, part, name+".f32"))
			if readErr != nil {
				t.Fatal(readErr)
			}
			var bytes []byte
			for _, x := range want {
				bytes = le.LittleEndian.AppendUint32(bytes, math.Float32bits(x))
			}
			if string(got) != string(bytes) {
				t.Errorf("%s/%s.f32 holds %d bytes, other than the %d expected", part, name, len(got), len(bytes))
			}
		}
	}
	again, err := exec.CommandContext(t.Context(), binary(t), "models", "samples", "--mmfi", data, "--out", out).CombinedOutput()
	if err == nil || !strings.Contains(string(again), "another folder") {
		t.Errorf("over other samples: %v\n%s", err, again)
	}
}

// TestTrainedElsewhere follows docs/models.md: samples go out, train.py trains,
// the result comes back and evaluates as the script said.
func TestTrainedElsewhere(t *testing.T) {
	testenv.Slow(t)
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import torch").CombinedOutput(); err != nil {
		testenv.LeaveOut(t, fmt.Sprintf("%s cannot import torch (%v): apt-get install python3-torch libopenblas0-openmp\n%s", python, err, out))
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	posefuse(t, "simulate", "--out", at("data"), "--subjects", "4,5", "--activities", "12", "--frames", "40")
	posefuse(t, "models", "export", "--safetensors", at("start/weights.safetensors"), "--size", "edge", "--window", "centred")
	posefuse(t, "models", "samples", "--mmfi", at("data"), "--split", "s2", "--model", at("start"), "--out", at("samples"))
	cmd := exec.CommandContext(t.Context(), python, filepath.Join(testenv.Root(), "study/bench/torch/train.py"), "--model", at("start"), "--samples", at("samples"), "--modality-dropout", "0.5",
		"--epochs", "1", "--batch", "8", "--threads", "1", "--device", "cpu", "--out", at("trained.safetensors"))
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("train.py: %v\n%s", err, log.String())
	}
	epoch := decodeJSON[struct {
		MPJPEMM float64 `json:"val_mpjpe_mm"`
	}](t, string(out))
	posefuse(t, "models", "import", at("trained.safetensors"), "--card", at("start/card.json"), "--out", at("back"))
	rep := decodeJSON[train.Report](t, posefuse(t, "eval", "--mmfi", at("data"), "--split", "s2", "--stride", "4", "--model", at("back"), "--json"))
	if got := rep.Coalitions["RLMW"]; got.Frames != 10 || !(math.Abs(got.MPJPEMM-epoch.MPJPEMM) < 0.05) {
		t.Errorf("eval gives %v mm on %d frames, train.py %v", got.MPJPEMM, got.Frames, epoch.MPJPEMM)
	}
}

func TestModelsRefuse(t *testing.T) {
	dir := t.TempDir()
	start := filepath.Join(dir, "start", "weights.safetensors")
	posefuse(t, "models", "export", "--safetensors", start, "--size", "edge", "--modalities", "R")
	whole := saveShipped(t, func(*model.Card) {})
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"export nothing", []string{"export"}, []string{"--onnx", "--safetensors"}},
		{"export of two networks", []string{"export", "--onnx", at("x"), "--size", "edge", "--model", whole}, []string{"--model", "--size"}},
		{"unknown modality", []string{"export", "--onnx", at("x"), "--modalities", "RX"}, []string{"--modalities", "RX"}},
		{"modality the network lacks", []string{"export", "--onnx", at("x"), "--modalities", "W", "--model", filepath.Dir(start)}, []string{"W", "only R"}},
		{"bad batch", []string{"export", "--onnx", at("x"), "--batch", "many"}, []string{"--batch", "many", "dynamic"}},
		{"export in int8 of what is not calibrated", []string{"export", "--onnx", at("x"), "--precision", "int8"}, []string{"not calibrated", "models quantize --mode int8"}},
		{"export in int8 without WiFi", []string{"export", "--onnx", at("x"), "--precision", "int8", "--modalities", "RM"}, []string{"int8", "RM", "float32"}},
		{"part of a checkpoint", []string{"export", "--safetensors", at("x"), "--modalities", "R"}, []string{"--safetensors", "whole", "--modalities"}},
		{"over another checkpoint", []string{"export", "--safetensors", filepath.Join(whole, "w.safetensors")}, []string{model.CardFile, "another folder"}},
		{"import without a network", []string{"import", start, "--out", at("m")}, []string{"--card", "--size"}},
		{"import as another size", []string{"import", start, "--size", "paper", "--modalities", "R", "--out", at("m")}, []string{start, "camera.expand_conv.weight", "[256 34 3]", "[1024 34 3]"}},
		{"import over a checkpoint", []string{"import", start, "--card", filepath.Dir(start), "--out", whole}, []string{whole, "another folder"}},
		{"import without the file", []string{"import", at("none"), "--card", filepath.Dir(start), "--out", at("m")}, []string{"none", "no such file"}},
		{"import with a wrong card", []string{"import", start, "--card", start, "--out", at("m")}, []string{"--card", start}},
		{"list of no folder", []string{"list", at("nowhere")}, []string{"nowhere", "no such file"}},
		{"show of no checkpoint", []string{"show", at("nowhere")}, []string{"nowhere", model.CardFile}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), binary(t), append([]string{"models"}, c.args...)...).CombinedOutput()
			if err == nil {
				t.Fatalf("posefuse models %v succeeded:\n%s", c.args, out)
			}
			for _, part := range c.want {
				if !strings.Contains(string(out), part) {
					t.Errorf("the error does not name %q:\n%s", part, out)
				}
			}
			for _, left := range []string{"x", "m"} {
				if _, err := os.Stat(at(left)); err == nil {
					t.Errorf("%s was left behind", left)
				}
			}
		})
	}
}
