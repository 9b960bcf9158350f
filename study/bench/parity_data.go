package bench

import (
	"context"
	le "encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"posefuse/model"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// simulatedBatches returns batches of simulated frames of several people and
// activities.
func simulatedBatches(ctx context.Context, cfg model.Config, batch, steps int) ([]*model.Batch, error) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi"})
	if err != nil {
		return nil, err
	}
	all := ds.Keys()
	clips := min(8, batch*steps, len(all))
	keys := all[:0:0]
	for i := range clips {
		keys = append(keys, all[i*len(all)/clips])
	}
	const frames = 297
	data, err := train.Load(ctx, ds, keys, cfg, train.LoadOptions{Window: model.Causal, Stride: max(1, frames*clips/(2*batch*steps))})
	if err != nil {
		return nil, err
	}
	order := rand.New(rand.NewPCG(1, 3)).Perm(len(data.Samples))
	out := make([]*model.Batch, steps)
	for s := range out {
		out[s] = data.NewBatch(batch)
		for row := range batch {
			data.Fill(out[s], row, data.Samples[order[(s*batch+row)%len(order)]])
		}
	}
	return out, nil
}

// leaveTies moves biases and the weights of norms away from their initial 0 and
// 1. There, where a point's neighbours are all points, the row of a point and
// itself lies exactly on the position encoding's ReLU, and rounding alone would
// choose its gradient.
func leaveTies(net *model.Network) {
	rng := rand.New(rand.NewPCG(1, 5))
	for _, p := range net.Parameters() {
		if len(p.Shape) != 1 {
			continue
		}
		for i := range p.Value {
			p.Value[i] += 0.1 * (2*rng.Float32() - 1)
		}
	}
}

func setMeanPose(net *model.Network, batches []*model.Batch) {
	for _, p := range net.Parameters() {
		if p.Modality >= 0 || len(p.Shape) != 1 || len(p.Value) != model.OutputDim {
			continue
		}
		n := 0
		sum := make([]float64, model.OutputDim)
		for _, b := range batches {
			for i, v := range b.Target {
				sum[i%model.OutputDim] += float64(v)
			}
			n += len(b.Target) / model.OutputDim
		}
		for i := range p.Value {
			p.Value[i] = float32(sum[i] / float64(n))
		}
	}
}

// writeBatches writes all values as little-endian float32, step by step:
// inputs in the order of the modalities, then the target.
func writeBatches(path string, cfg model.Config, batches []*model.Batch) error {
	mask := cfg.Mask()
	var out []byte
	for _, b := range batches {
		for m, x := range [][]float32{b.Camera, b.LiDAR, b.Radar, b.CSI, b.Target} {
			if m < int(modality.Count) && !mask.Has(modality.Kind(m)) {
				continue
			}
			for _, v := range x {
				out = le.LittleEndian.AppendUint32(out, math.Float32bits(v))
			}
		}
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		return fmt.Errorf("write batches: %w", err)
	}
	return nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("PyTorch's result %s: %w", filepath.Base(path), err)
	}
	return nil
}

func readFloats(path string) ([]float32, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("PyTorch's result: %w", err)
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(le.LittleEndian.Uint32(b[4*i:]))
	}
	return out, nil
}
