package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/recording/mmfi"
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
	args := []string{"train", "--mmfi", data, "--out", filepath.Join(t.TempDir(), "m"), "--modalities", "M", "--val-stride", "8", "--batch", "8", "--replicas", "1", "--epochs", "1"}
	out, err := exec.Command(binary(t), args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "frame003.bin") || !strings.Contains(string(out), "S02/A12") {
		t.Errorf("training on it: %v\n%s", err, out)
	}
	out, err = exec.Command(binary(t), append(args, "--skip-broken")...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "that cannot be used are skipped") {
		t.Errorf("training on the rest: %v\n%s", err, out)
	}
}
