package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The numbers are LLVM's: llvm-mc --triple=aarch64 --show-encoding.
func TestEncodingsAreTheAssemblers(t *testing.T) {
	for want, emit := range map[string]func(fn *function){
		"WORD $0x4F821020 // fmla v0.4s, v1.4s, v2.s[0]":      func(fn *function) { fn.fmlaLane(0, 1, 2, 0) },
		"WORD $0x4FBD1BDF // fmla v31.4s, v30.4s, v29.s[3]":   func(fn *function) { fn.fmlaLane(31, 30, 29, 3) },
		"WORD $0x4E23D441 // fadd v1.4s, v2.4s, v3.4s":        func(fn *function) { fn.fadd(1, 2, 3) },
		"WORD $0x4EA3D441 // fsub v1.4s, v2.4s, v3.4s":        func(fn *function) { fn.fsub(1, 2, 3) },
		"WORD $0x6E23DC41 // fmul v1.4s, v2.4s, v3.4s":        func(fn *function) { fn.fmul(1, 2, 3) },
		"WORD $0x6E23FC41 // fdiv v1.4s, v2.4s, v3.4s":        func(fn *function) { fn.fdiv(1, 2, 3) },
		"WORD $0x4E23F441 // fmax v1.4s, v2.4s, v3.4s":        func(fn *function) { fn.fmax(1, 2, 3) },
		"WORD $0x4FA35841 // fmls v1.4s, v2.4s, v3.s[3]":      func(fn *function) { fn.subTimes(1, 2, lane{3, 3}) },
		"WORD $0x4F839841 // fmul v1.4s, v2.4s, v3.s[2]":      func(fn *function) { fn.times(1, 2, lane{3, 2}) },
		"WORD $0x4FA31041 // fmla v1.4s, v2.4s, v3.s[1]":      func(fn *function) { fn.addTimes(1, 2, lane{3, 1}) },
		"WORD $0x6EA1F841 // fsqrt v1.4s, v2.4s":              func(fn *function) { fn.fsqrt(1, 2) },
		"WORD $0x4F83E041 // sdot v1.4s, v2.16b, v3.4b[0]":    func(fn *function) { fn.sdotLane(1, 2, 3, 0) },
		"WORD $0x4FBDEBDF // sdot v31.4s, v30.16b, v29.4b[3]": func(fn *function) { fn.sdotLane(31, 30, 29, 3) },
		"WORD $0x4E83AC41 // usmmla v1.4s, v2.16b, v3.16b":    func(fn *function) { fn.usmmla(1, 2, 3) },
		"WORD $0x4E21D841 // scvtf v1.4s, v2.4s":              func(fn *function) { fn.scvtf(1, 2) },
		"WORD $0x4E23C441 // fmaxnm v1.4s, v2.4s, v3.4s":      func(fn *function) { fn.fmaxnm(1, 2, 3) },
		"WORD $0x6E21A841 // fcvtnu v1.4s, v2.4s":             func(fn *function) { fn.two("fcvtnu", codeFCVTNU, 1, 2, "4s", "4s") },
		"WORD $0x0E612841 // xtn v1.4h, v2.4s":                func(fn *function) { fn.two("xtn", codeXTN4H, 1, 2, "4h", "4s") },
		"WORD $0x0E212841 // xtn v1.8b, v2.8h":                func(fn *function) { fn.two("xtn", codeXTN8B, 1, 2, "8b", "8h") },
	} {
		fn := &function{f: &file{}}
		emit(fn)
		if got := strings.TrimSpace(fn.f.text.String()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestParametersLieWhereGoPutsThem(t *testing.T) {
	fn := (&file{}).function("f", "f.", "n int, alpha float32, x *float32, beta float32, c *[8]float32")
	for name, want := range map[string]int{"n": 0, "alpha": 8, "x": 16, "beta": 24, "c": 32} {
		if got := fn.params[name].at; got != want {
			t.Errorf("%s lies at %d, want %d", name, got, want)
		}
	}
	if got := fn.f.text.String(); !strings.Contains(got, "$0-40") {
		t.Errorf("arguments do not take 40 bytes: %s", got)
	}
}

func TestCommittedAssemblyIsCurrent(t *testing.T) {
	f := generate("go run ./gen/neon -out micro_arm64.s -stubs micro_arm64.go -pkg kernel")
	for name, want := range map[string][]byte{"micro_arm64.s": f.assembly(), "micro_arm64.go": f.declarations("kernel")} {
		got, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes; run go generate in model/nn/kernel", name)
		}
	}
}
