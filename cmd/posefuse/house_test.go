package main

import (
	"os/exec"
	"strings"
	"testing"
)

// allowed is the table of docs/design and design.md, part 2: which rooms a
// room may import. A room not listed here fails the test, so that a new folder
// is a decision.
var allowed = map[string][]string{
	"sensors/modality": {},
	"sensors":          {"sensors/modality"},
	"sensors/camera":   {"sensors", "sensors/modality"},
	"sensors/lidar":    {"sensors", "sensors/modality"},
	"sensors/radar":    {"sensors", "sensors/modality"},
	"sensors/csi":      {"sensors", "sensors/modality"},
	"sync":             {"sensors", "sensors/modality"},

	"model/nn/kernel": {},
	"model/nn":        {"model/nn/kernel"},
	"model":           {"model/nn", "model/nn/kernel", "sensors/modality"},
	"model/shipped":   {"model"},
	"model/onnx":      {"model", "sensors/modality"},
	"balance":         {},

	"message":      {},
	"pipeline/bus": {"message"},
	"pipeline/web": {},
	"pipeline":     {"sensors", "sensors/*", "sync", "model", "model/nn/kernel", "message", "pipeline/bus"},
	"exercise":     {"message"},

	"recording":      {"sensors/modality"},
	"recording/mmfi": {"recording", "sensors/modality"},
	"recording/mars": {"recording", "recording/mmfi", "sensors/modality"},
	"recording/sim":  {"recording", "recording/mmfi", "sensors", "sensors/modality"},
	"replay":         {"recording", "recording/mmfi", "recording/sim", "sensors", "sensors/*"},

	"train":            {"balance", "model", "model/nn/kernel", "recording", "sensors/modality"},
	"study/plot":       {},
	"study/baseline":   {"model", "model/nn", "model/nn/kernel", "recording", "sensors/modality", "train"},
	"study/bench":      {"model", "model/nn/kernel", "model/onnx", "model/shipped", "recording/mmfi", "recording/sim", "sensors/modality", "train"},
	"study/experiment": {"balance", "model", "recording", "recording/mars", "recording/mmfi", "recording/sim", "sensors/modality", "study/baseline", "study/plot", "train"},

	"cmd/posefuse": {"*"},
	"configs":      {},

	// For tests only: they must stay out of the binary.
	"internal/testenv":     {},
	"internal/modeltest":   {"model"},
	"internal/schematest":  {"internal/testenv", "message"},
	"pipeline/web/browser": {"internal/testenv"},
}

// engine lists the modules only the model may touch.
var engine = []string{"gorgonia.org/"}

func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "posefuse/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		room := strings.TrimPrefix(fields[0], "posefuse/")
		may, known := allowed[room]
		if strings.HasPrefix(room, "model/nn/kernel/gen/") {
			continue // programs that write assembly, not part of the product
		}
		if !known {
			t.Errorf("room %q is not in the table: decide what it may import", room)
			continue
		}
		for _, imported := range fields[1:] {
			for _, e := range engine {
				if strings.HasPrefix(imported, e) && room != "model" && room != "model/nn" {
					t.Errorf("%s imports %s: the tensor library stays in model", room, imported)
				}
			}
			if dep, ours := strings.CutPrefix(imported, "posefuse/"); ours && !matches(may, dep) {
				t.Errorf("%s imports %s: the house does not allow it", room, dep)
			}
		}
	}
}

func matches(patterns []string, room string) bool {
	for _, p := range patterns {
		if p == "*" || p == room || (strings.HasSuffix(p, "/*") && strings.HasPrefix(room, strings.TrimSuffix(p, "*"))) {
			return true
		}
	}
	return false
}
