package bench

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// The bars are judged from the rows alone.
func TestPeersJudge(t *testing.T) {
	p := &peers{Peers: Peers{Threads: 2, Batch: []int{8}}, absent: map[string]string{peerORT: "not here\nat all"}}
	p.report.Rows = []*peerRow{
		{Task: "paper infer:RLMW", OursMS: peerTimes{MinMS: 3}, Peers: map[string]peerRun{peerTorch: {Ratio: 0.69}}},
		{Task: "paper infer:RLM", Peers: map[string]peerRun{peerTorch: {Ratio: 0.31}}},
		{Task: "paper infer:RLMW int8", OursMS: peerTimes{MinMS: 1, P99MS: 101}, Peers: map[string]peerRun{peerORT: {Ratio: 0.3}, peerORTInt8: {Ratio: 1.1}}},
		{Task: "paper infer:RLMW bf16", OursMS: peerTimes{MinMS: 2, P99MS: 99}, Peers: map[string]peerRun{peerORT: {Ratio: 0.4}}},
		{Task: "edge infer:RLMW", OursMS: peerTimes{MinMS: 7, MedianMS: 9}},
		{Task: "paper train:W:8", OursMS: peerTimes{Bytes: 200}, Peers: map[string]peerRun{peerTorch: {Ratio: 1, peerTimes: peerTimes{Bytes: 100}}}},
	}
	p.report.Costs = []modeCost{
		{Mode: model.Int8, Network: "x", MPJPEFloat32MM: 70, MPJPEMM: 70.1, CSIFloat32MM: 90, CSIMM: 89.4}, // the fastest, and too dear
		{Mode: model.BFloat16, Network: "x", MPJPEFloat32MM: 70, MPJPEMM: 69.6, CSIFloat32MM: 90, CSIMM: 90.1},
	}
	p.judge()
	got := map[string]string{}
	for _, b := range p.report.Bars {
		state := "missed"
		if b.Met {
			state = "met"
		} else if b.Missing != "" {
			state = b.Missing
		}
		got[b.Bar+" "+b.Unit] = state
	}
	for bar, want := range map[string]string{
		"paper size, all four, float32 of PyTorch":         "met",
		"paper size, all four, float32 of ONNX Runtime":    "not here",
		"paper size, all four, int8 of ONNX Runtime, int8": "missed",
		"paper size, R + L + M, float32 of PyTorch":        "missed",
		"training step of W, batch 8 of PyTorch":           "met",
		"memory of training W, batch 8 of PyTorch":         "missed",
		"training step of RLMW, batch 8 of PyTorch":        "not measured",
		"allocations per inference allocations":            "met",

		"paper size, all four, fastest mode (bf16) of ONNX Runtime": "met",
		"paper size, all four, bf16, p99 on 2 core(s) ms":           "met",
		"MPJPE of bf16 against float32, x mm":                       "met",
		"edge, all four, on one core ms":                            "missed",
	} {
		if got[bar] != want {
			t.Errorf("%s: %q, want %q", bar, got[bar], want)
		}
	}
	p.report.Costs[1].MPJPEMM, p.report.Costs[1].CSIMM, p.report.Bars = 70, 90, nil
	p.judge()
	if !slices.ContainsFunc(p.report.Bars, func(b barResult) bool { return !b.Met && strings.Contains(b.Missing, "WiFi encoder") }) {
		t.Errorf("a network that the precision does not touch: %+v", p.report.Bars)
	}
}

// A missed bar is an error, one that could not be measured is not.
func TestPeersFailOnMissedBars(t *testing.T) {
	r := peersReport{Bars: []barResult{{Met: true}, {Missing: "not here"}}}
	if err := r.missed(); err != nil {
		t.Error(err)
	}
	r.Bars = append(r.Bars, barResult{Measured: 2, Limit: 1})
	if err := r.missed(); err == nil || !strings.Contains(err.Error(), "1 of 3 bars not met") {
		t.Errorf("missed bar: %v", err)
	}
}

// The cost of the precisions that were timed is measured on a trained network.
func TestPeersMeasureAccuracy(t *testing.T) {
	const dir = "../../model/checkpoints/paper" // whose WiFi encoder says something
	p := &peers{Peers: Peers{Model: dir}}
	p.report.Rows = []*peerRow{{Task: "paper infer:RLMW"}, {Task: "paper infer:RLMW int8"}}
	if err := p.accuracy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(p.report.Costs) != 1 {
		t.Fatalf("costs %+v", p.report.Costs)
	}
	c := p.report.Costs[0]
	if c.Mode != model.Int8 || c.Frames < 32 || c.MPJPEFloat32MM < 20 || c.MPJPEFloat32MM > 120 || !(c.worst() > 0 && c.worst() < dearest) {
		t.Errorf("cost %+v", c)
	}
	if out := string(printed(t, func(w io.Writer) error { p.judge(); p.report.print(w); return nil })); !strings.Contains(out, "int8, edge of "+dir+", 64 frames of simulated") {
		t.Errorf("printed:\n%s", out)
	}
	p.Model = t.TempDir()
	if err := p.accuracy(t.Context()); err == nil || !strings.Contains(err.Error(), p.Model) {
		t.Errorf("no checkpoint: %v", err)
	}
}

// A peer that is not installed is left out by name, with the way to get it.
func TestPeersNameWhatIsMissing(t *testing.T) {
	p := &peers{Peers: Peers{pythonFlags: pythonFlags{Python: "/nowhere/python", Scripts: scripts()}, Node: "/nowhere/node"}}
	if err := p.check(t.Context()); err == nil || !strings.Contains(err.Error(), "apt-get install python3-torch") {
		t.Errorf("PyTorch: %v", err)
	}
	if err := p.checkNode(t.Context()); err == nil || !strings.Contains(err.Error(), "npm ci --prefix") {
		t.Errorf("ONNX Runtime: %v", err)
	}
	p.Scripts = t.TempDir()
	if err := p.check(t.Context()); err == nil || !strings.Contains(err.Error(), "--scripts") {
		t.Errorf("scripts: %v", err)
	}
}

// What time.py answers is what bench peers reads.
func TestPyTorchServes(t *testing.T) {
	testenv.Slow(t)
	p := &peers{Peers: Peers{pythonFlags: needTorch(t), Threads: 1}, dir: t.TempDir(), torch: map[torchKey]*torchServer{}}
	net, err := randomNetwork("edge")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = model.SaveCheckpoint(filepath.Join(p.dir, "edge"), net, model.Card{Name: "edge", Window: model.Causal}); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for task, modes := range map[string][]string{"infer:RM": inferModes, "train:R:2": trainModes, "infer:RW": lowModes[model.Int8]} {
		for _, only := range append([][]string{modes}, singles(modes)...) {
			best, err := p.bestTorch(t.Context(), "edge", task, only)
			if err != nil {
				t.Fatal(err)
			}
			got, err := best.run(3)
			if err != nil || len(got) != 3 || got.min() <= 0 || !slices.Contains(only, best.mode) {
				t.Errorf("%s, mode %q of %v: %v, %v", task, best.mode, only, got, err)
			}
		}
	}
	p.forgetTorch()
	if len(p.report.Notes) != 0 {
		t.Errorf("notes %q", p.report.Notes)
	}
	if best, err := p.bestTorch(t.Context(), "edge", "infer:R", []string{"static", "eager"}); err != nil || best.mode != "eager" {
		t.Errorf("static without the WiFi trunk: mode %q, %v", best.mode, err)
	}
	if len(p.report.Notes) != 1 || !strings.Contains(p.report.Notes[0], "infer:R static") {
		t.Errorf("a mode that fails: notes %q", p.report.Notes)
	}
	if _, err := p.bestTorch(t.Context(), "edge", "dance:R", []string{"x"}); !errors.Is(err, errAbsent) {
		t.Errorf("an unknown task: %v", err)
	}
}

// singles returns each mode alone.
func singles(modes []string) (each [][]string) {
	for _, m := range modes {
		each = append(each, []string{m})
	}
	return each
}

// What time.mjs prints is what bench peers reads.
func TestONNXRuntimeIsTimed(t *testing.T) {
	p := &peers{Peers: Peers{pythonFlags: pythonFlags{Scripts: scripts()}, Node: "node", Threads: 1}, dir: t.TempDir()}
	if err := p.checkNode(t.Context()); err != nil {
		t.Fatalf("%v: or run make need-ort", err)
	}
	net, err := randomNetwork("edge")
	if err != nil {
		t.Fatal(err)
	}
	mask := modality.Of(modality.Camera, modality.CSI)
	for _, precision := range []model.Precision{model.Float32, model.Int8} {
		one, failed := p.withORT(t.Context(), nil, net, mask, precision)
		if failed != nil || len(one) != 1 {
			t.Fatalf("%s on one thread: %d ways, %v", precision, len(one), failed)
		}
		got, failed := one[0].run(3)
		if failed != nil || len(got) != 3 || got.min() <= 0 {
			t.Errorf("%s: %v, %v", one[0].name, got, failed)
		}
	}
	file, err := p.export(net, mask, model.Float32)
	if err != nil {
		t.Fatal(err)
	}
	ways, err := p.ortWays(t.Context(), peerORT, file, 2)
	if err != nil || len(ways) != 2 || ways[0].mode == ways[1].mode {
		t.Fatalf("two threads: %d ways, %v", len(ways), err)
	}
	for _, w := range ways {
		if got, err := w.run(1); err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", w.mode, got, err)
		}
	}
	p.absent = map[string]string{peerORT: "gone"}
	if _, err := p.export(net, 1, model.Float32); !errors.Is(err, errAbsent) {
		t.Errorf("an absent peer: %v", err)
	}
}

// A peer counts in its best mode, by the ratio over the rounds.
func TestPeersCountInTheirBestMode(t *testing.T) {
	p := &peers{Peers: Peers{Rounds: 3, Runs: 2, JSON: true}}
	always := func(ms float64) func(int) (timings, error) {
		return func(runs int) (timings, error) { return slices.Repeat(timings{ms}, runs), nil }
	}
	row, err := p.compete("task", []contestant{
		{run: always(2)},
		{name: peerORT, mode: "spinning", run: always(8)},
		{name: peerORT, mode: "not spinning", run: always(4)},
		{name: peerTorch, mode: "frozen", run: always(10)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if q := row.Peers[peerORT]; q.Mode != "not spinning" || q.Ratio != 0.5 || q.MinMS != 4 {
		t.Errorf("ONNX Runtime counts as %+v", q)
	}
	if q := row.Peers[peerTorch]; q.Ratio != 0.2 || len(row.Peers) != 2 || len(row.Modes) != 3 {
		t.Errorf("%d peers, %d modes; PyTorch counts as %+v", len(row.Peers), len(row.Modes), q)
	}
}
