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
	"sensors":          {},
	"sensors/camera":   {"sensors"},
	"sensors/lidar":    {"sensors"},
	"sensors/radar":    {"sensors"},
	"sensors/csi":      {"sensors"},
	"sync":             {"sensors"},
	"model/nn/kernel":  {},
	"model/nn":         {"model/nn/kernel"},
	"model":            {"model/nn", "model/nn/kernel"},
	"model/shipped":    {"model"},
	"model/onnx":       {"model"},
	"balance":          {},
	"train":            {"model", "model/nn/kernel", "balance", "recording/mmfi"},
	"study/plot":       {},
	"study/baseline":   {"model", "model/nn", "model/nn/kernel", "train", "recording/mmfi"},
	"study/experiment": {"model", "train", "study/plot", "study/baseline", "balance", "recording/mmfi", "recording/mars", "recording/sim"},
	"recording/mmfi":   {},
	"recording/mars":   {"recording/mmfi"},
	"recording/sim":    {"recording/mmfi", "sensors"},
	"replay":           {"sensors", "sensors/*", "recording/mmfi", "recording/sim"},
	"message":          {},
	"pipeline/bus":     {"message"},
	"pipeline/web":     {},
	// Tests only: it must stay out of the binary.
	"pipeline/web/browser": {},
	"pipeline":             {"sensors", "sensors/*", "sync", "model", "model/shipped", "model/nn/kernel", "message", "pipeline/bus", "pipeline/web"},
	"exercise":             {"message"},
	"cmd/posefuse":         {"*"},
	"configs":              {},
	// Tests only, as the browser.
	"internal/testenv":    {},
	"internal/schematest": {"internal/testenv", "message"},
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
