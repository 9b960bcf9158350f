package house

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// allowed is the import table of docs/design.md: which rooms a room imports. A
// room not listed here fails the test, so that a new folder is a decision, and
// so does a permission that nobody uses.
var allowed = map[string][]string{
	"setting":          {},
	"sensors/modality": {},
	"frame":            {"setting"},
	"sensors":          {"sensors/modality", "setting"},
	"sensors/camera":   {"sensors", "sensors/modality", "setting"},
	"sensors/capture":  {"sensors/modality"},
	"sensors/lidar":    {"sensors", "sensors/capture", "sensors/modality", "setting"},
	"sensors/radar":    {"sensors", "sensors/capture", "sensors/modality", "setting"},
	"sensors/csi":      {"sensors", "sensors/capture", "sensors/modality", "setting"},
	"sync":             {"sensors", "sensors/modality"},

	"model/nn/kernel":   {},
	"model/safetensors": {},
	"model/nn":          {"model/nn/kernel"},
	"model":             {"frame", "internal/jsonfile", "model/nn", "model/nn/kernel", "model/safetensors", "sensors/modality"},
	"model/registry":    {"internal/jsonfile", "model", "setting"},
	"model/shipped":     {"model"},
	"model/onnx":        {"model", "sensors/modality"},
	"model/keypoint":    {"model/nn/kernel", "model/safetensors", "setting"},
	"balance":           {},

	"calibration": {"frame", "person", "sensors", "setting"},

	"person": {"frame", "sensors", "sensors/modality", "setting"},

	"skeleton": {"sensors/modality"},

	"intake": {"frame", "model", "person", "sensors", "sensors/modality"},

	"hub":               {},
	"message":           {},
	"audit":             {},
	"pipeline/bus":      {"audit", "message", "setting"},
	"pipeline/web":      {},
	"pipeline/foxglove": {"message"},
	"pipeline":          {"audit", "frame", "intake", "message", "model", "model/keypoint", "model/registry", "person", "pipeline/bus", "sensors", "sensors/camera", "sensors/csi", "sensors/lidar", "sensors/modality", "sensors/radar", "setting", "skeleton", "sync"},
	"exercise":          {"message", "setting", "skeleton"},

	"recording":              {"sensors/modality"},
	"recording/mmfi":         {"frame", "recording", "sensors/modality", "setting"},
	"recording/mars":         {"recording", "recording/mmfi", "sensors/modality"},
	"recording/sim":          {"frame", "recording", "recording/mmfi", "sensors", "sensors/modality", "setting"},
	"export":                 {"exercise", "message", "recording/motionfile", "skeleton"},
	"history":                {"message", "recording/session"},
	"recording/motionfile":   {"skeleton"},
	"recording/label":        {"frame", "recording", "recording/mmfi", "recording/motionfile", "setting"},
	"recording/session":      {"frame", "internal/jsonfile", "recording", "recording/session/mcap", "sensors", "sensors/modality", "skeleton"},
	"recording/session/mcap": {},
	"replay":                 {"frame", "internal/jsonfile", "recording", "recording/mmfi", "recording/sim", "sensors", "sensors/camera", "sensors/capture", "sensors/csi", "sensors/lidar", "sensors/modality", "sensors/radar"},

	"train":            {"balance", "frame", "intake", "internal/jsonfile", "model", "person", "recording", "sensors", "sensors/modality", "skeleton"},
	"retrain":          {"model", "model/registry", "recording", "sensors/modality", "skeleton", "train"},
	"study/plot":       {},
	"study/baseline":   {"model", "model/nn", "recording", "sensors/modality", "train"},
	"doctor":           {"sensors/lidar", "sensors/radar"},
	"study/bench":      {"model", "model/keypoint", "model/onnx", "model/shipped", "recording/mmfi", "recording/session", "recording/sim", "sensors", "sensors/lidar", "sensors/modality", "sensors/radar", "train"},
	"study/experiment": {"internal/jsonfile", "balance", "model", "recording", "recording/mars", "recording/mmfi", "recording/sim", "sensors/modality", "study/baseline", "study/plot", "train"},
	"study/world":      {"frame", "model", "person", "recording", "recording/mmfi", "recording/sim", "sensors", "sensors/modality", "setting", "study/plot", "train"},

	"cmd/posefuse": {"*"},
	"configs":      {},

	"internal/jsonfile": {},

	// For tests only: they must stay out of the binary.
	"internal/house":       {"internal/testenv"},
	"internal/testenv":     {},
	"internal/hubtest":     {"internal/testenv"},
	"internal/modeltest":   {"model"},
	"internal/rtsptest":    {"internal/testenv"},
	"internal/schematest":  {"internal/testenv", "message"},
	"pipeline/web/browser": {"internal/testenv"},
}

// everything is the permission of the command, which puts the rooms together.
const everything = "*"

// engine lists the modules only the model may touch.
var engine = []string{"gorgonia.org/"}

// forTests reports the rooms that only tests import.
func forTests(room string) bool {
	return slices.Contains([]string{"internal/house", "internal/hubtest", "internal/modeltest", "internal/rtsptest", "internal/schematest", "internal/testenv", "pipeline/web/browser"}, room)
}

// testsReachUp lists what tests import from a higher floor, and why.
var testsReachUp = map[string]map[string]string{
	"person": {
		"recording/sim": "simulated people and rooms whose points are labelled",
	},
	"exercise": {
		"recording/sim": "simulated sets with known repetitions and angles",
	},
}

// room is a folder of the house with what its code and its tests import.
type room struct {
	imports, tests []string // of this module, without posefuse/
	other          []string // of the code
}

// rooms asks the go command.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f",
		`{{.ImportPath}}{{range .Imports}} {{.}}{{end}}{{range .TestImports}} test:{{.}}{{end}}{{range .XTestImports}} test:{{.}}{{end}}`, "posefuse/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]room{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(fields[0], "posefuse/")
		if strings.HasPrefix(name, "model/nn/kernel/gen/") || name == "model/keypoint/convert" {
			continue // programs that write assembly and weights, not part of the product
		}
		var r room
		for _, f := range fields[1:] {
			imported, test := strings.CutPrefix(f, "test:")
			dep, ours := strings.CutPrefix(imported, "posefuse/")
			switch {
			case ours && test && dep != name && !slices.Contains(r.tests, dep):
				r.tests = append(r.tests, dep)
			case ours && !test:
				r.imports = append(r.imports, dep)
			case !test:
				r.other = append(r.other, imported)
			}
		}
		all[name] = r
	}
	return all
}

func TestImportsRunOneWay(t *testing.T) {
	for name, r := range rooms(t) {
		may, known := allowed[name]
		if !known {
			t.Errorf("room %q is not in the table: decide what it may import", name)
			continue
		}
		for _, imported := range r.other {
			for _, e := range engine {
				if strings.HasPrefix(imported, e) && name != "model" && name != "model/nn" {
					t.Errorf("%s imports %s: the tensor library stays in model", name, imported)
				}
			}
		}
		for _, dep := range r.imports {
			if !slices.Contains(may, dep) && !slices.Contains(may, everything) {
				t.Errorf("%s imports %s: the house does not allow it", name, dep)
			}
			if forTests(dep) && !forTests(name) {
				t.Errorf("%s imports %s, which is for tests", name, dep)
			}
		}
	}
}

func TestHouseHasNoUnusedPermission(t *testing.T) {
	all := rooms(t)
	for name, may := range allowed {
		r, exists := all[name]
		if !exists {
			t.Errorf("the table has a room %s, the house has not", name)
			continue
		}
		for _, dep := range may {
			if dep != everything && !slices.Contains(r.imports, dep) {
				t.Errorf("%s may import %s and does not: take the permission away", name, dep)
			}
		}
	}
	for name, deps := range testsReachUp {
		for dep, why := range deps {
			if !slices.Contains(all[name].tests, dep) {
				t.Errorf("the tests of %s may import %s (%s) and do not: take the permission away", name, dep, why)
			}
		}
	}
}

// TestHouseOfTests: what tests import lies no higher than the room they test,
// or they would tie it to rooms that are built on it.
func TestHouseOfTests(t *testing.T) {
	all := rooms(t)
	floors := map[string]int{}
	var floor func(name string) int
	floor = func(name string) int {
		n, known := floors[name]
		if !known {
			for _, dep := range all[name].imports {
				n = max(n, floor(dep)+1)
			}
			floors[name] = n
		}
		return n
	}
	for name, r := range all {
		for _, dep := range r.tests {
			_, told := testsReachUp[name][dep]
			switch {
			case path.Dir(dep) == "cmd":
				t.Errorf("the tests of %s import %s: nothing imports a command", name, dep)
			case forTests(dep), forTests(name):
			case told && floor(dep) <= floor(name):
				t.Errorf("the tests of %s need no permission for %s, which lies no higher", name, dep)
			case !told && floor(dep) > floor(name):
				t.Errorf("the tests of %s (floor %d) import %s (floor %d): move what they share, or say why", name, floor(name), dep, floor(dep))
			}
		}
	}
}
