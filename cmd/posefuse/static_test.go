package main

import (
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"posefuse/internal/testenv"
)

// TestBinariesAreStaticAndSmall builds the daemon as `make build` does for both
// architectures and reads the files: no interpreter, no libraries, at most
// 60 MB beside the weights of the two networks inside, 75 MB with them.
func TestBinariesAreStaticAndSmall(t *testing.T) {
	testenv.Slow(t)
	const largest, largestInAll = 60e6, 75e6
	var weights int64
	for _, dir := range []string{"../../model/shipped", "../../model/keypoint/weights"} {
		before := weights
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".safetensors" {
				return err
			}
			info, err := d.Info()
			if err == nil {
				weights += info.Size()
			}
			return err
		})
		if err != nil || weights == before {
			t.Fatalf("no weights in %s: %v", dir, err)
		}
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "posefuse")
			build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-w", "-o", out, ".")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
			if msg, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", build, err, msg)
			}
			info, err := os.Stat(out)
			if err != nil {
				t.Fatal(err)
			}
			if rest := info.Size() - weights; rest > largest || info.Size() > largestInAll {
				t.Errorf("%d bytes, %d without the weights, want at most %.0f and %.0f", info.Size(), rest, largestInAll, largest)
			} else {
				t.Logf("%.1f MB, %.1f MB of it without the weights", float64(info.Size())/1e6, float64(rest)/1e6)
			}
			f, err := elf.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			if f.Machine != machine {
				t.Errorf("machine %v, want %v", f.Machine, machine)
			}
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
					t.Errorf("a %v header: the binary is not static", p.Type)
				}
			}
			if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
				t.Errorf("needs the libraries %v (%v)", libs, err)
			}
		})
	}
}
