package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Peers times the network against other programs and holds it against bars.
type Peers struct {
	pythonFlags
	Node         string `default:"node" help:"Node.js for ONNX Runtime (npm ci in study/bench/ort)."`
	MoveNet      string `name:"movenet" default:"model/keypoint/convert/node_modules/@vladmandic/human/models/movenet-lightning.json" placeholder:"FILE" help:"MoveNet as TensorFlow.js publishes it (make weights)."`
	Threads      int    `default:"2" help:"CPU threads of everybody; edge always has one, as its bar says."`
	Rounds       int    `default:"5" help:"Rounds; in each everybody runs in turn."`
	Runs         int    `default:"5" help:"Inferences of each in a round."`
	Batch        []int  `default:"8" help:"Samples per training step, e.g. 8,16."`
	Model        string `placeholder:"DIR" help:"Trained checkpoint on which the lower precisions' cost in accuracy is measured, best one of the paper's size; the shipped edge model if empty."`
	SkipTraining bool   `help:"Leave the training steps out, which take minutes."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (Peers) Help() string {
	return "Times the same network here, in ONNX Runtime and in PyTorch, turn by turn, and holds the ratios\n" +
		"against the project's bars. A ratio is the median over the rounds of our best time in a round\n" +
		"by the peer's, so that a disturbance hits both. PyTorch's best mode counts, chosen before: frozen\n" +
		"or not, threads that wait awake or asleep, in the low precisions int8 (linear layers, or the\n" +
		"calibrated WiFi trunk as well) and bfloat16. ONNX Runtime runs in every round with spinning threads\n" +
		"and without, and the better one counts; beside our int8 it computes in its own as well. Of our\n" +
		"precisions the fastest counts that costs at most 0.5 mm on simulated frames. A bar that is not\n" +
		"met is an error; a peer that is not installed leaves its bars out.\n\n" +
		"Example:\n\n  posefuse bench peers --threads 2"
}

// errAbsent is a peer that is not installed.
var errAbsent = errors.New("not installed")

// peerRow is one task with everybody's times.
type peerRow struct {
	Task    string             `json:"task"`
	Threads int                `json:"threads"`
	OursMS  peerTimes          `json:"ours"`
	Peers   map[string]peerRun `json:"peers"` // each in its best mode
	Modes   []peerMode         `json:"modes"` // all that ran
}

// peerMode is one way in which a peer ran.
type peerMode struct {
	Peer string `json:"peer"`
	peerRun
}

type peerTimes struct {
	MinMS    float64 `json:"min_ms"`
	MedianMS float64 `json:"median_ms"`
	P99MS    float64 `json:"p99_ms,omitempty"` // of ours alone, many runs in a row
	Bytes    int64   `json:"peak_bytes,omitempty"`
}

type peerRun struct {
	peerTimes
	Mode  string  `json:"mode,omitempty"`
	Ratio float64 `json:"ratio"` // ours by theirs
}

type peersReport struct {
	CPU         string      `json:"cpu_path"`
	PeakGFLOPS  float64     `json:"peak_gflop_per_s"`
	TorchGFLOPS float64     `json:"pytorch_gemm_gflop_per_s,omitempty"`
	Notes       []string    `json:"notes"`
	Rows        []*peerRow  `json:"rows"`
	Costs       []modeCost  `json:"precision_costs"`
	Bars        []barResult `json:"bars"`
}

// contestant runs a task some times and returns each run's milliseconds.
type contestant struct {
	name string // "" for ours
	mode string
	long bool // needs no warming up before its runs of a round
	run  func(runs int) (timings, error)
}

// Run measures and prints.
func (c Peers) Run(ctx context.Context, out io.Writer) error {
	if c.Threads < 1 || c.Rounds < 1 || c.Runs < 1 {
		return errors.New("--threads, --rounds and --runs: want at least 1")
	}
	dir, err := os.MkdirTemp("", "posefuse-peers-")
	if err != nil {
		return fmt.Errorf("exchange folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover below /tmp harms nobody
	model.SetThreads(c.Threads)
	p := &peers{Peers: c, out: out, dir: dir, report: peersReport{CPU: model.CPUPath(), PeakGFLOPS: peakGFLOPS(), Notes: []string{}, Costs: []modeCost{}}}
	defer p.close()
	if err := p.measure(ctx); err != nil {
		return err
	}
	if got := p.report.TorchGFLOPS; got > 0 && got < p.report.PeakGFLOPS/3 {
		p.note(fmt.Sprintf("PyTorch's matrix product reaches %.0f GFLOP/s: it lacks a fast BLAS, the comparison is unfair; apt-get install libopenblas0-openmp, or set OPENBLAS_CORETYPE if it is installed", got))
	}
	p.judge()
	if !c.JSON {
		p.report.print(out)
		return p.report.missed()
	}
	if err := json.NewEncoder(out).Encode(p.report); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return p.report.missed()
}

// peers is one run of the command.
type peers struct {
	Peers
	out    io.Writer
	dir    string
	report peersReport
	torch  map[torchKey]*torchServer
	allocs float64
	absent map[string]string // peer: why
}

// The peers, each in its best mode. In the low precisions they are others: a bar
// may be against either.
const (
	peerTorch    = "PyTorch"
	peerTorchLow = "PyTorch, low precision"
	peerORT      = "ONNX Runtime"
	peerORTInt8  = "ONNX Runtime, int8"
)

func (p *peers) close() {
	for _, t := range p.torch {
		t.close()
	}
}

func (p *peers) measure(ctx context.Context) error {
	p.torch, p.absent = map[torchKey]*torchServer{}, map[string]string{}
	if err := p.check(ctx); err != nil {
		p.leaveOut(peerTorch, err)
	}
	if err := p.checkNode(ctx); err != nil {
		p.leaveOut(peerORT, err)
	}
	rlm := modality.Of(modality.Camera, modality.LiDAR, modality.Radar)
	for _, size := range []string{"paper", "edge"} {
		net, err := randomNetwork(size)
		if err != nil {
			return err
		}
		if _, err = model.SaveCheckpoint(filepath.Join(p.dir, size), net, model.Card{Name: size, Window: model.Causal}); err != nil {
			return err
		}
		for _, mask := range []modality.Set{modality.All, rlm, 1 << modality.CSI} {
			if err := p.inference(ctx, net, mask); err != nil {
				return err
			}
		}
		if size != "paper" {
			continue
		}
		for _, precision := range []model.Precision{model.BFloat16, model.Int8} {
			if err := p.lowPrecision(ctx, net, precision); err != nil {
				return err
			}
		}
	}
	p.forgetTorch()
	if err := p.keypoints(ctx); err != nil {
		return err
	}
	if err := p.accuracy(ctx); err != nil {
		return err
	}
	if p.SkipTraining {
		return nil
	}
	for _, batch := range p.Batch {
		for _, letters := range []string{"W", "RLMW"} {
			if err := p.training(ctx, letters, batch); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *peers) leaveOut(peer string, err error) {
	if _, known := p.absent[peer]; !known {
		p.absent[peer] = err.Error()
		p.report.Notes = append(p.report.Notes, fmt.Sprintf("%s: left out: %v", peer, err))
	}
}

// threads returns how many threads a size gets: the bar of edge is for one core.
func (p *peers) threads(size string) int {
	if size == "edge" {
		return 1
	}
	return p.Threads
}

// inference times one sample of one set of sensors in float32.
func (p *peers) inference(ctx context.Context, net *model.Network, mask modality.Set) error {
	size := net.Config.Size
	model.SetThreads(p.threads(size))
	defer model.SetThreads(p.Threads)
	task := "infer:" + mask.String()
	ours, err := p.ours(net, mask, model.Float32)
	if err != nil {
		return err
	}
	all := []contestant{ours}
	if all, err = p.withTorch(ctx, all, size, peerTorch, task, inferModes); err != nil {
		return err
	}
	if all, err = p.withORT(ctx, all, net, mask, model.Float32); err != nil {
		return err
	}
	row, err := p.compete(size+" "+task, all)
	if err != nil {
		return err
	}
	return p.tail(row, ours)
}

// tail times us alone, many runs in a row, for the percentile that a handful of
// runs between other programs' cannot give.
func (p *peers) tail(row *peerRow, ours contestant) error {
	const runs = 100
	settle()
	t, err := ours.run(runs)
	if err != nil {
		return fmt.Errorf("%s: %w", row.Task, err)
	}
	row.OursMS.P99MS = t.p99()
	if !p.JSON {
		fmt.Fprintf(p.out, "%22s alone, %d runs in a row: median %s ms, p99 %s\n", "", runs, milli(t.median()), milli(row.OursMS.P99MS))
	}
	return nil
}

// lowPrecision times all sensors against ONNX Runtime in float32, against its
// own int8 and against PyTorch's low precisions.
func (p *peers) lowPrecision(ctx context.Context, net *model.Network, precision model.Precision) error {
	if !precision.Native() {
		p.report.Notes = append(p.report.Notes, fmt.Sprintf("%s: left out: this CPU has no instructions that make it faster than float32", precision))
		return nil
	}
	ours, err := p.ours(net, modality.All, precision)
	if err != nil {
		return err
	}
	all := []contestant{ours}
	for _, theirs := range []model.Precision{model.Float32, precision} {
		if theirs == model.BFloat16 {
			continue // ONNX Runtime has no bfloat16 on CPUs
		}
		if all, err = p.withORT(ctx, all, net, modality.All, theirs); err != nil {
			return err
		}
	}
	if all, err = p.withTorch(ctx, all, net.Config.Size, peerTorchLow, "infer:"+modality.All.String(), lowModes[precision]); err != nil {
		return err
	}
	row, err := p.compete(fmt.Sprintf("paper infer:RLMW %s", precision), all)
	if err != nil {
		return err
	}
	return p.tail(row, ours)
}

// ours is this program's runtime.
func (p *peers) ours(net *model.Network, mask modality.Set, precision model.Precision) (contestant, error) {
	run, err := runtimeIn(net, precision)
	if err != nil {
		return contestant{}, err
	}
	in := randomInput(net.Config)
	in.Present = mask
	var out model.Output
	tick := func() error { return run.Infer(&in, &out) }
	if err = tick(); err != nil {
		return contestant{}, err
	}
	allocs, err := allocationsPerRun(10, tick)
	p.allocs = max(p.allocs, allocs)
	return contestant{run: func(runs int) (timings, error) { return repeat(0, runs, tick) }}, err
}

// training times steps and then, each in a process of its own, their memory.
func (p *peers) training(ctx context.Context, letters string, batch int) error {
	cfg := model.Paper()
	cfg.Modalities = letters
	task := fmt.Sprintf("train:%s:%d", letters, batch)
	step, closer, err := trainingStep(cfg, batch)
	if err != nil {
		return err
	}
	defer closer()
	if err = step(); err != nil {
		return err
	}
	all := []contestant{{long: true, run: func(int) (timings, error) { return repeat(0, 1, step) }}}
	if all, err = p.withTorch(ctx, all, "paper", peerTorch, task, trainModes); err != nil {
		return err
	}
	for i := range all[1:] {
		c := &all[i+1]
		many := c.run
		c.long = true
		c.run = func(int) (timings, error) { return many(1) }
	}
	row, err := p.compete("paper "+task, all)
	if err != nil {
		return err
	}
	p.forgetTorch()
	return p.memory(ctx, row, letters, batch, task)
}

// compete runs the rounds.
func (p *peers) compete(task string, all []contestant) (*peerRow, error) {
	times := make([]timings, len(all))
	ratios := make([]timings, len(all))
	for range p.Rounds {
		var ours float64
		for i, c := range all {
			settle()
			if !c.long {
				// The other programs have emptied the caches.
				if _, err := c.run(1); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", task, c.name, err)
				}
			}
			t, err := c.run(p.Runs)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", task, c.name, err)
			}
			times[i] = append(times[i], t...)
			if i == 0 {
				ours = t.min()
			}
			ratios[i] = append(ratios[i], ours/t.min())
		}
	}
	row := &peerRow{Task: task, Threads: model.Threads(), Peers: map[string]peerRun{}, Modes: []peerMode{}}
	for i, c := range all {
		t := peerTimes{MinMS: times[i].min(), MedianMS: times[i].median()}
		if i == 0 {
			row.OursMS = t
			continue
		}
		r := peerRun{peerTimes: t, Mode: c.mode, Ratio: ratios[i].median()}
		row.Modes = append(row.Modes, peerMode{c.name, r})
		if best, ok := row.Peers[c.name]; !ok || r.Ratio > best.Ratio {
			row.Peers[c.name] = r
		}
	}
	p.report.Rows = append(p.report.Rows, row)
	if !p.JSON {
		row.print(p.out)
	}
	return row, nil
}

func (r *peerRow) print(out io.Writer) {
	fmt.Fprintf(out, "%-22s ours %9s ms (median %s)\n", r.Task, milli(r.OursMS.MinMS), milli(r.OursMS.MedianMS))
	for _, q := range r.Modes {
		fmt.Fprintf(out, "%22s %-22s %9s ms (median %s)  ratio %.2f  %s\n", "", q.Peer, milli(q.MinMS), milli(q.MedianMS), q.Ratio, q.Mode)
	}
}

func (p *peers) row(task string) *peerRow {
	i := slices.IndexFunc(p.report.Rows, func(r *peerRow) bool { return r.Task == task })
	if i < 0 {
		return nil
	}
	return p.report.Rows[i]
}
