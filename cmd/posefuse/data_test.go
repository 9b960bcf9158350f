package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posefuse/recording/mmfi"
	"posefuse/train"
)

// TestBrokenDataSetIsListedAndSkipped damages a data set in two places: the check
// names both, a training does too and stops, or goes on without them if told to.
func TestBrokenDataSetIsListedAndSkipped(t *testing.T) {
	data := writeClips(t)
	for _, file := range []string{"E01/S01/A12/mmwave/frame003.bin", "E01/S02/A12/ground_truth.npy"} {
		if err := os.Remove(filepath.Join(data, file)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(args ...string) string {
		t.Helper()
		var stdout bytes.Buffer
		cmd := exec.Command(binary(t), append([]string{"data", "check", data}, args...)...)
		cmd.Stdout = &stdout
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("check %v ended with %v, want 1", args, err)
		}
		return stdout.String()
	}
	text := check()
	for _, want := range []string{"missing: E01/S01/A12/mmwave frames 3", "missing: E01/S02/A12/ground_truth.npy", "8 of MM-Fi's 1080 clips, 6 of them without a problem"} {
		if !strings.Contains(text, want) {
			t.Errorf("check says %q, want %q in it", text, want)
		}
	}
	var rep mmfi.CheckReport
	if err := json.Unmarshal([]byte(check("--json")), &rep); err != nil || len(rep.Problems) != 2 || rep.Counts[mmfi.MissingFile] != 2 {
		t.Errorf("as JSON: %+v, %v", rep, err)
	}
	made := t.TempDir()
	args := []string{"train", "--mmfi", data, "--out", filepath.Join(made, "m"), "--modalities", "M", "--val-stride", "8", "--batch", "8", "--replicas", "1", "--epochs", "1"}
	out, err := exec.Command(binary(t), args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "frame003.bin") || !strings.Contains(string(out), "S02/A12") {
		t.Errorf("training on it: %v\n%s", err, out)
	}
	out, err = exec.Command(binary(t), append(args, "--skip-broken")...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "that cannot be used are skipped") {
		t.Errorf("training on the rest: %v\n%s", err, out)
	}
	cmd := exec.Command(binary(t), "eval", "--mmfi", data, "--model", filepath.Join(made, "m"), "--subjects", "1-2,S10", "--skip-broken", "--json",
		"--predictions", filepath.Join(made, "poses"), "--pictures", filepath.Join(made, "poses.svg"))
	if out, err = cmd.Output(); err != nil {
		t.Fatalf("eval: %v", err)
	}
	var eval train.Report
	if err = json.Unmarshal(out, &eval); err != nil {
		t.Fatal(err)
	}
	// Of split s2 the subjects 5, 10 and so on validate.
	if eval.About.Split != "protocol 3, split s2, subjects 1-2,S10" || eval.About.MissingClips != 26 || eval.About.Clips != 1 || !strings.HasPrefix(eval.About.Model, "edge") || eval.Details["M"].MAEMM <= 0 {
		t.Errorf("the report says it is of %+v", eval.About)
	}
	for _, name := range []string{"M", "truth"} {
		f, openErr := os.Open(filepath.Join(made, "poses", name+".npy"))
		if openErr != nil {
			t.Fatal(openErr)
		}
		a, npyErr := mmfi.ReadNPY(f)
		_ = f.Close()
		if npyErr != nil || !slices.Equal(a.Shape, []int{16, 17, 3}) {
			t.Errorf("%s.npy: %v, %v", name, a, npyErr)
		}
	}
	if b, readErr := os.ReadFile(filepath.Join(made, "poses.svg")); readErr != nil || !bytes.Contains(b, []byte("S10/A12 frame ")) {
		t.Errorf("the picture: %v", readErr)
	}
}
