package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// TestSlowCPUPathIsSaidOnce forces the path that a CPU without AVX2 takes. The
// model or data named do not exist, so that the command ends after its start.
func TestSlowCPUPathIsSaidOnce(t *testing.T) {
	config := filepath.Join(t.TempDir(), "posefuse.yaml")
	writeFile(t, config, []byte("model: {path: /nonexistent}\n"))
	for _, c := range []struct {
		env  string
		args []string
		want string // "" if no notice is due
	}{
		{"portable", []string{"run", "--config", config}, "times slower"},
		{"sse9", []string{"run", "--config", config}, "sse9"},
		{"", []string{"run", "--config", config}, ""},
		{"portable", []string{"bench", "--for", "1ms"}, "times slower"},
		{"portable", []string{"train", "--mmfi", "/nonexistent", "--out", t.TempDir()}, "times slower"},
		{"portable", []string{"eval", "--model", "/nonexistent"}, "times slower"},
		{"portable", []string{"experiment", "/nonexistent.yaml"}, "times slower"},
		{"portable", []string{"models", "quantize", "--mode", "int8", "--model", "/nonexistent", "--out", "/nonexistent"}, "times slower"},
	} {
		t.Run(c.args[0]+" "+c.env, func(t *testing.T) {
			if c.args[0] == "bench" {
				testenv.Slow(t)
			}
			cmd := exec.CommandContext(t.Context(), binary(t), c.args...)
			cmd.Env = append(os.Environ(), "POSEFUSE_CPU="+c.env)
			var errs strings.Builder
			cmd.Stderr = &errs
			_ = cmd.Run() // run fails for want of a model
			if n := strings.Count(errs.String(), "POSEFUSE_CPU"); c.want == "" && n != 0 || c.want != "" && n != 1 {
				t.Errorf("the path is mentioned %d times:\n%s", n, errs.String())
			}
			if !strings.Contains(errs.String(), c.want) {
				t.Errorf("no word of %q:\n%s", c.want, errs.String())
			}
		})
	}
}
