package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/train"
)

// TestTorchRefusesWhatItDoesNotDo asks for what only the program's own engine does,
// and for an interpreter that is none.
func TestTorchRefusesWhatItDoesNotDo(t *testing.T) {
	scripts := filepath.Join(testenv.Root(), "study/bench/torch")
	for want, args := range map[string]string{
		"leave --balance out":      "--balance awc",
		"the paper's form only":    "--recipe room --modalities RLM",
		"concat, mlp and":          "--fusion precision",
		"--holdout, --time-limit":  "--holdout 0.2",
		"that divides --batch 192": "--processes 5",
		"with --scripts":           "--scripts nowhere",
		"cannot import torch":      "--python /bin/false --scripts " + scripts,
	} {
		cmd := exec.Command(binary(t), append(strings.Fields("train --engine torch --out "+filepath.Join(t.TempDir(), "m")), strings.Fields(args)...)...)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s\nwant %q", args, err, out, want)
		}
	}
}

// TestTorchTrainsInTwoProcesses trains a small network elsewhere, ends it in the
// middle, goes on, and finds the weights of an uninterrupted training.
func TestTorchTrainsInTwoProcesses(t *testing.T) {
	testenv.Slow(t)
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import numpy, torch.distributed").Run(); err != nil {
		testenv.LeaveOut(t, "PyTorch is missing: apt-get install python3-torch libopenblas0-openmp")
	}
	data, made := writeClips(t), t.TempDir()
	run := func(out string, more ...string) (string, error) {
		args := append([]string{"train", "--engine", "torch", "--processes", "2", "--scripts", filepath.Join(testenv.Root(), "study/bench/torch"), "--mmfi", data,
			"--modalities", "M", "--epochs", "2", "--batch", "8", "--modality-dropout", "0.3", "--out", out}, more...)
		text, err := exec.Command(binary(t), args...).CombinedOutput()
		return string(text), err
	}
	whole := filepath.Join(made, "whole")
	if text, err := run(whole); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	weights := func(out string) []byte {
		b, err := os.ReadFile(filepath.Join(out, train.ElsewhereFolder, "trained.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// What the other program says of the validation clips, its weights say here, too.
	var rep train.Report
	b, err := os.ReadFile(filepath.Join(whole, train.EvaluationFile))
	if err == nil {
		err = json.Unmarshal(b, &rep)
	}
	if err != nil {
		t.Fatal(err)
	}
	curve, err := os.ReadFile(filepath.Join(whole, train.CurveFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(curve), []byte("\n"))
	var last struct {
		Epoch int     `json:"epoch"`
		ValMM float64 `json:"val_mpjpe_mm"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		t.Fatal(err)
	}
	if last.Epoch != 2 || math.Abs(last.ValMM-rep.Coalitions["M"].MPJPEMM) > 0.01 {
		t.Errorf("after epoch %d PyTorch says %v mm, the evaluation %v", last.Epoch, last.ValMM, rep.Coalitions["M"].MPJPEMM)
	}
	// A training whose samples and state of the first epoch are there, as a kill leaves
	// it: the start is that of the whole one, and the state is made by one epoch of it.
	cut := filepath.Join(made, "cut")
	if err := os.CopyFS(filepath.Join(cut, train.ElsewhereFolder), os.DirFS(filepath.Join(whole, train.ElsewhereFolder))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.pt", "trained.safetensors"} {
		if err := os.Remove(filepath.Join(cut, train.ElsewhereFolder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := run(cut); err == nil || !strings.Contains(text, "holds a training already") {
		t.Errorf("over a training: %v\n%s", err, text)
	}
	if text, err := run(cut, "--resume", "--python", interrupted(t, python, made)); err == nil || !strings.Contains(text, "PyTorch ended early") {
		t.Fatalf("interrupted: %v\n%s", err, text)
	}
	if text, err := run(cut, "--resume"); err != nil || strings.Contains(text, "epoch 1:") {
		t.Fatalf("going on: %v\n%s", err, text)
	}
	if !bytes.Equal(weights(cut), weights(whole)) {
		t.Error("an interrupted training has other weights")
	}
}

// interrupted returns an interpreter that kills the training after its first epoch.
func interrupted(t *testing.T, python, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "interrupted")
	script := "#!/bin/sh\ncase \"$*\" in *torch.distributed.run*) ;; *) exec " + python + " \"$@\";; esac\n" +
		"mkfifo " + path + ".lines\nsetsid " + python + " \"$@\" > " + path + ".lines & it=$!\n" +
		"while read -r line; do echo \"$line\"; case \"$line\" in *'\"epoch\": 1,'*) kill -9 -$it; exit 1;; esac; done < " + path + ".lines\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
