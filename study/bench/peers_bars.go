package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"posefuse/model"
	"posefuse/model/shipped"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/train"
)

// barResult is one bar of reference/engine.md, part 4.
type barResult struct {
	Bar      string  `json:"bar"`
	Measured float64 `json:"measured"`
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit"` // "of the peer", "ms", "allocations"
	Met      bool    `json:"met"`
	Missing  string  `json:"missing,omitempty"` // why it could not be measured
}

// dearest is the most that a lower precision may cost, mm of MPJPE.
const dearest = 0.5

// modeCost is what a precision costs in accuracy on held-out simulated frames.
// The networks that are timed have random weights and no accuracy to lose.
type modeCost struct {
	Mode           model.Precision `json:"mode"`
	Network        string          `json:"network"`
	Data           string          `json:"data"`
	Frames         int             `json:"frames"`
	MPJPEFloat32MM float64         `json:"mpjpe_float32_mm"`
	MPJPEMM        float64         `json:"mpjpe_mm"`
	CSIFloat32MM   float64         `json:"csi_alone_mpjpe_float32_mm"`
	CSIMM          float64         `json:"csi_alone_mpjpe_mm"`
}

// worst is the larger cost of all sensors and of WiFi alone, the encoder that
// computes in the lower precision.
func (c *modeCost) worst() float64 {
	return max(math.Abs(c.MPJPEMM-c.MPJPEFloat32MM), math.Abs(c.CSIMM-c.CSIFloat32MM))
}

// accuracy measures the cost of every precision that was timed.
func (p *peers) accuracy(ctx context.Context) error {
	const frames = 64
	net, card, err := shipped.Open(p.Model)
	if err != nil {
		return err
	}
	defer func() { _ = net.Close() }() // only read
	name := "shipped edge"
	if p.Model != "" {
		name = card.Config.Size + " of " + p.Model
	}
	split, err := simulatedSplit()
	if err != nil {
		return err
	}
	for _, mode := range []model.Precision{model.BFloat16, model.Int8} {
		if p.row("paper infer:RLMW "+string(mode)) == nil {
			continue
		}
		q, err := train.Quantize(ctx, net, card.Window, split, frames, model.QuantizeOptions{Mode: mode, TimedRuns: 1}, nil)
		if err != nil {
			return err
		}
		c := modeCost{Mode: mode, Network: name, Data: q.Data, Frames: q.HeldOut,
			MPJPEFloat32MM: q.MPJPEFloat32MM, MPJPEMM: q.MPJPEMM, CSIFloat32MM: q.CSIFloat32MM, CSIMM: q.CSIMM}
		p.report.Costs = append(p.report.Costs, c)
		if c.worst() > dearest {
			p.report.Notes = append(p.report.Notes, fmt.Sprintf("%s costs %.2f mm on the network %s, more than %g: it does not count as the fastest mode", mode, c.worst(), name, dearest))
		}
	}
	return nil
}

// simulatedSplit returns simulated people to calibrate on and others to
// measure on.
func simulatedSplit() (train.Split, error) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi"})
	if err != nil {
		return train.Split{}, err
	}
	trainKeys, testKeys, err := mmfi.Split(3, "S2")
	return train.Split{Name: "protocol 3, split s2", Train: train.Selection{Data: ds, Keys: trainKeys}, Test: train.Selection{Data: ds, Keys: testKeys}}, err
}

// cost returns what accuracy found for a precision, or nil.
func (p *peers) cost(mode model.Precision) *modeCost {
	i := slices.IndexFunc(p.report.Costs, func(c modeCost) bool { return c.Mode == mode })
	if i < 0 {
		return nil
	}
	return &p.report.Costs[i]
}

// judge holds the measurements against the bars.
func (p *peers) judge() {
	ratio := func(bar, task, peer string, limit float64) {
		b := barResult{Bar: bar, Limit: limit, Unit: "of " + peer}
		if r := p.row(task); r == nil {
			b.Missing = "not measured"
		} else if q, ok := r.Peers[peer]; !ok {
			program, _, _ := strings.Cut(peer, ",")
			b.Missing, _, _ = strings.Cut(p.absent[program], "\n") // the notes have it whole
		} else {
			b.Measured = q.Ratio
		}
		p.bar(b)
	}
	ratio("paper size, all four, float32", "paper infer:RLMW", peerORT, 1)
	ratio("paper size, all four, float32", "paper infer:RLMW", peerTorch, 0.7)
	if task, mode := p.fastest(); task != "" {
		ratio(fmt.Sprintf("paper size, all four, fastest mode (%s)", mode), task, peerORT, 0.5)
		p.bar(barResult{Bar: fmt.Sprintf("paper size, all four, %s, p99 on %d core(s)", mode, p.Threads), Measured: p.row(task).OursMS.P99MS, Limit: 100, Unit: "ms"})
		if c := p.cost(mode); c != nil {
			b := barResult{Bar: fmt.Sprintf("MPJPE of %s against float32, %s", mode, c.Network), Measured: c.worst(), Limit: dearest, Unit: "mm"}
			if c.worst() == 0 {
				b.Missing = "this network's WiFi encoder, which alone is computed so, says nothing: give --model with one that does"
			}
			p.bar(b)
		}
	}
	if p.row("paper infer:RLMW int8") != nil {
		limit := 1.0
		if model.Int8.Path() == "amx" {
			limit = 0.6
		}
		ratio("paper size, all four, int8", "paper infer:RLMW int8", peerORTInt8, limit)
	}
	ratio("paper size, R + L + M, float32", "paper infer:RLM", peerTorch, 0.3)
	if r := p.row("edge infer:RLMW"); r != nil {
		p.bar(barResult{Bar: "edge, all four, on one core", Measured: r.OursMS.MedianMS, Limit: 8, Unit: "ms"})
	}
	if r := p.row(keypointTask); r != nil {
		ratio("keypoints of a picture, on one core", keypointTask, peerORT, 1)
		p.bar(barResult{Bar: "keypoints of a picture, on one core", Measured: r.OursMS.MedianMS, Limit: 15, Unit: "ms"})
	}
	for _, batch := range p.Batch {
		for _, letters := range []string{"W", "RLMW"} {
			task := fmt.Sprintf("paper train:%s:%d", letters, batch)
			ratio(fmt.Sprintf("training step of %s, batch %d", letters, batch), task, peerTorch, 1)
			b := barResult{Bar: fmt.Sprintf("memory of training %s, batch %d", letters, batch), Limit: 1, Unit: "of " + peerTorch}
			r := p.row(task)
			if r == nil || r.OursMS.Bytes == 0 || r.Peers[peerTorch].Bytes == 0 {
				b.Missing = "not measured"
			} else {
				b.Measured = float64(r.OursMS.Bytes) / float64(r.Peers[peerTorch].Bytes)
			}
			p.bar(b)
		}
	}
	p.bar(barResult{Bar: "allocations per inference", Measured: p.allocs, Limit: 0, Unit: "allocations"})
}

// fastest returns the task with all sensors at paper size whose best time is
// least, of those modes that cost no more than the bar allows.
func (p *peers) fastest() (task string, mode model.Precision) {
	best := math.Inf(1)
	for _, m := range []model.Precision{model.Float32, model.BFloat16, model.Int8} {
		t := "paper infer:RLMW"
		if m != model.Float32 {
			t += " " + string(m)
			if c := p.cost(m); c == nil || !(c.worst() <= dearest) {
				continue
			}
		}
		if r := p.row(t); r != nil && r.OursMS.MinMS < best {
			best, task, mode = r.OursMS.MinMS, t, m
		}
	}
	return task, mode
}

// missed returns an error that counts the measured bars which are not met.
func (r *peersReport) missed() error {
	n := 0
	for _, b := range r.Bars {
		if b.Missing == "" && !b.Met {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d bars not met; on a busy machine try again with more --rounds", n, len(r.Bars))
}

func (p *peers) bar(b barResult) {
	b.Met = b.Missing == "" && b.Measured <= b.Limit && !math.IsNaN(b.Measured)
	p.report.Bars = append(p.report.Bars, b)
}

func (r *peersReport) print(out io.Writer) {
	fmt.Fprintf(out, "\npeak of a matrix product here %.0f GFLOP/s (%s)", r.PeakGFLOPS, r.CPU)
	if r.TorchGFLOPS > 0 {
		fmt.Fprintf(out, ", in PyTorch %.0f", r.TorchGFLOPS)
	}
	fmt.Fprintln(out)
	for _, row := range r.Rows {
		if q := row.Peers[peerTorch]; row.OursMS.Bytes > 0 {
			fmt.Fprintf(out, "memory of %s: ours %s, PyTorch %s\n", row.Task, megabytes(row.OursMS.Bytes), megabytes(q.Bytes))
		}
	}
	for _, c := range r.Costs {
		fmt.Fprintf(out, "%s, %s, %d frames of %s: MPJPE %.2f mm, float32 %.2f; WiFi alone %.2f, float32 %.2f\n",
			c.Mode, c.Network, c.Frames, c.Data, c.MPJPEMM, c.MPJPEFloat32MM, c.CSIMM, c.CSIFloat32MM)
	}
	fmt.Fprintf(out, "\n%-56s %10s %8s\n", "bar", "measured", "limit")
	for _, b := range r.Bars {
		state := "met"
		switch {
		case b.Missing != "":
			fmt.Fprintf(out, "%-56s %10s %8g %s: %s\n", b.Bar, "-", b.Limit, b.Unit, b.Missing)
			continue
		case !b.Met:
			state = "NOT MET"
		}
		fmt.Fprintf(out, "%-56s %10.3g %8g %s: %s\n", b.Bar, b.Measured, b.Limit, b.Unit, state)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(out, n)
	}
}
