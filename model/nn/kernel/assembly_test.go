package kernel

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// An SSE instruction among AVX ones costs an Intel processor some hundred
// cycles. AVX's begin with V; a MOV to or from a vector register without it is
// SSE's, and so is arithmetic that ends in SS, SD, PS or PD.
func TestAssemblyHasNoSSE(t *testing.T) {
	sse := regexp.MustCompile(`(?m)^\s+(MOV\w+\s.*\bX\d+|MOVS[SD]\s.*|[A-UW-Z]\w*[SP][SD]\s.*\bX\d+.*)$`)
	for line, want := range map[string]bool{
		"\tMOVSS inv+12(FP), X1": true, "\tMOVD CX, X4": true, "\tADDPS X1, X2": true,
		"\tVMOVSS X1, ret+16(FP)": false, "\tMOVQ n+0(FP), AX": false, "\tVADDPS X1, X2, X3": false,
	} {
		if sse.MatchString(line) != want {
			t.Errorf("%q: SSE %v, want %v", line, !want, want)
		}
	}
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("assembly: %v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range sse.FindAll(b, 5) {
			t.Errorf("%s: %s", f, m)
		}
	}
}
