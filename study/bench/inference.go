package bench

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Inference times one sample after the other.
type Inference struct {
	Model      string        `placeholder:"DIR" help:"Checkpoint folder to measure instead of random weights of a size."`
	Size       []string      `default:"edge" enum:"edge,paper" help:"Network sizes: edge, paper or both."`
	Precision  []string      `default:"float32" enum:"float32,bf16,int8" help:"Precisions of the WiFi trunk: float32, bf16, int8. The weights are random, so int8 needs no calibration here."`
	Threads    []int         `default:"1" help:"CPU threads, e.g. 1,2."`
	Coalitions []string      `default:"R,L,M,W,RLM,RLMW" help:"Sets of sensors, e.g. R,RLM,RLMW."`
	For        time.Duration `default:"3s" help:"How long to measure each row."`
	JSON       bool          `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (Inference) Help() string {
	return "Times one sample after the other. GFLOP/s come from the arithmetic the network defines, whatever\n" +
		"shortcut the kernels take; the peak is that of a matrix product in the same run, so that a share\n" +
		"above 1 means fewer multiplications or cheaper ones.\n\nExample:\n\n  posefuse bench model --size edge,paper --threads 1,2 --precision float32,bf16"
}

// benchRow is one measurement of inference.
type inferenceRow struct {
	Size      string  `json:"size"`
	Precision string  `json:"precision"`
	Coalition string  `json:"coalition"`
	Threads   int     `json:"threads"`
	CPU       string  `json:"cpu_path"`
	Runs      int     `json:"runs"`
	MinMS     float64 `json:"min_ms"`
	MedianMS  float64 `json:"median_ms"`
	P99MS     float64 `json:"p99_ms"`
	GFLOP     float64 `json:"gflop"`
	GFLOPS    float64 `json:"gflop_per_s"` // at the median
	Peak      float64 `json:"peak_gflop_per_s"`
	Share     float64 `json:"share_of_peak"`
	Allocs    float64 `json:"allocations_per_tick"`
}

// Run times one-sample inference.
func (c Inference) Run(out io.Writer) error {
	var masks []modality.Set
	for _, s := range c.Coalitions {
		m, err := modality.Parse(s)
		if err != nil {
			return fmt.Errorf("--coalitions: %w", err)
		}
		masks = append(masks, m)
	}
	for _, n := range c.Threads {
		if n < 1 {
			return fmt.Errorf("--threads %d: want at least 1", n)
		}
	}
	var nets []*model.Network
	if c.Model != "" {
		net, _, err := model.LoadCheckpoint(c.Model)
		if err != nil {
			return err
		}
		nets = append(nets, net)
	} else {
		for _, size := range c.Size {
			net, err := randomNetwork(size)
			if err != nil {
				return err
			}
			nets = append(nets, net)
		}
	}
	table := newTable(out, c.JSON, "size", "precision", "threads", "coalition", "min ms", "median ms", "p99 ms", "GFLOP/s", "of peak", "allocations", "runs")
	for _, threads := range c.Threads {
		model.SetThreads(threads)
		peak := peakGFLOPS()
		for _, net := range nets {
			for _, p := range c.Precision {
				rows, err := c.measure(net, model.Precision(p), masks)
				if err != nil {
					return err
				}
				for _, r := range rows {
					r.Threads, r.Peak = threads, peak
					r.Share = r.GFLOPS / peak
					table.add(r, r.Size, r.Precision, fmt.Sprint(threads), r.Coalition, milli(r.MinMS), milli(r.MedianMS), milli(r.P99MS),
						fmt.Sprintf("%.1f", r.GFLOPS), fmt.Sprintf("%.2f", r.Share), fmt.Sprintf("%.2g", r.Allocs), fmt.Sprint(r.Runs))
				}
			}
		}
		table.note("%d thread(s) of the %s path; peak of a matrix product %.0f GFLOP/s float32", threads, model.CPUPath(), peak)
	}
	return table.end()
}

// measure times every coalition in one precision.
func (c Inference) measure(net *model.Network, p model.Precision, masks []modality.Set) ([]inferenceRow, error) {
	run, err := runtimeIn(net, p)
	if err != nil {
		return nil, err
	}
	in := randomInput(net.Config)
	var rows []inferenceRow
	for _, mask := range masks {
		in.Present = mask & net.Config.Mask()
		if in.Present != mask {
			continue // the network has fewer sensors
		}
		var out model.Output
		tick := func() error { return run.Infer(&in, &out) }
		if err := tick(); err != nil { // buffers
			return nil, err
		}
		t, err := repeat(c.For, 3, tick)
		if err != nil {
			return nil, err
		}
		allocs, err := allocationsPerRun(10, tick)
		if err != nil {
			return nil, err
		}
		gflop := float64(model.FLOPs(net.Config, mask)) / 1e9
		rows = append(rows, inferenceRow{Size: net.Config.Size, Precision: string(run.Precision()), Coalition: mask.String(), CPU: model.CPUPath(), Runs: len(t),
			MinMS: t.min(), MedianMS: t.median(), P99MS: t.p99(), GFLOP: gflop, GFLOPS: gflop / t.median() * 1000, Allocs: allocs})
	}
	return rows, nil
}

// randomNetwork returns a named size with initial weights.
func randomNetwork(size string) (*model.Network, error) {
	cfg, err := model.NamedConfig(size)
	if err != nil {
		return nil, err
	}
	return model.New(cfg, 1)
}

// runtimeIn prepares net in a precision. A network that is not calibrated gets
// some scales: the time does not depend on them.
func runtimeIn(net *model.Network, p model.Precision) (*model.Runtime, error) {
	opt := model.RuntimeOptions{Precision: p}
	if p == model.Int8 && net.Quantization() == nil {
		opt.InputScales = someScales(net)
	}
	run, err := model.NewRuntimeWith(net, opt)
	if err != nil {
		return nil, err
	}
	if run.Precision() != p {
		return nil, fmt.Errorf("this CPU (path %s) has no instructions that make %s faster than float32: leave it out of --precision", model.CPUPath(), p)
	}
	return run, nil
}

// someScales are scales of activations for a network that nobody calibrated.
func someScales(net *model.Network) model.InputScales {
	scales := model.InputScales{}
	for _, t := range net.Parameters() {
		if name, ok := strings.CutSuffix(t.Name, ".weight"); ok && strings.HasPrefix(name, "csi.layer") && strings.Contains(name, ".conv") {
			scales[name] = 0.05
		}
	}
	return scales
}

// allocationsPerRun returns the fewest heap allocations of the process in any
// run: what f does every time is in each of them, what the Go runtime allocates
// now and then for its own threads is not.
func allocationsPerRun(runs int, f func() error) (float64, error) {
	least := math.Inf(1)
	var before, after runtime.MemStats
	for range runs {
		runtime.ReadMemStats(&before)
		if err := f(); err != nil {
			return 0, err
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs))
	}
	return least, nil
}

// peakGFLOPS is the rate of the best of many products of matrices that fit the
// caches, with the kernel's threads.
func peakGFLOPS() float64 {
	const n, runs = 768, 40
	rng := rand.New(rand.NewPCG(1, 4))
	m := func() []float32 {
		x := make([]float32, n*n)
		for i := range x {
			x[i] = rng.Float32()
		}
		return x
	}
	a, b, c := m(), m(), make([]float32, n*n)
	t, _ := repeat(0, runs, func() error { // the product cannot fail
		model.Product(n, a, b, c)
		return nil
	})
	return 2 * n * n * n / t.min() / 1e6
}
