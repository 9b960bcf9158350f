package model

import (
	"math"
	"slices"
)

// TensorSummary tells about one tensor of a network.
type TensorSummary struct {
	Name      string  `json:"name"`
	Shape     []int   `json:"shape"`
	Trainable bool    `json:"trainable"`
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	RMS       float64 `json:"rms"`
}

func newTensorSummary(name string, shape []int, trainable bool, value []float32) TensorSummary {
	v := TensorSummary{Name: name, Shape: shape, Trainable: trainable}
	if len(value) == 0 {
		return v
	}
	v.Min, v.Max = float64(slices.Min(value)), float64(slices.Max(value))
	var sum float64
	for _, x := range value {
		sum += float64(x) * float64(x)
	}
	v.RMS = math.Sqrt(sum / float64(len(value)))
	return v
}

// Summary tells about every parameter, then about every buffer.
func (n *Network) Summary() []TensorSummary {
	var all []TensorSummary
	for _, p := range n.Parameters() {
		all = append(all, newTensorSummary(p.Name, p.Shape, !p.NoGrad, p.Value))
	}
	for _, b := range n.Buffers() {
		all = append(all, newTensorSummary(b.Name, b.Shape, false, b.Value))
	}
	return all
}

// UsedMemory is the memory of one network and one runtime, bytes.
type UsedMemory struct {
	Mapped  int64 `json:"mapped_bytes"`  // weights in the file's mapping
	Heap    int64 `json:"heap_bytes"`    // weights and statistics in memory
	Packed  int64 `json:"packed_bytes"`  // weights as inference reads them
	Runtime int64 `json:"runtime_bytes"` // buffers of one runtime, one sample
}

// MeasureMemory runs the network once, so that its buffers have their size.
func (n *Network) MeasureMemory() (UsedMemory, error) {
	run, err := NewRuntime(n)
	if err != nil {
		return UsedMemory{}, err
	}
	cfg := n.Config
	in := Input{Present: cfg.Mask(), Camera: make([]float32, cfg.CameraValues()), CSI: make([]float32, CSIValues),
		LiDAR: make([]float32, cfg.LiDAR.Points*LiDARPointDim), Radar: make([]float32, cfg.Radar.Points*RadarPointDim)}
	var out Output
	if err := run.Infer(&in, &out); err != nil {
		return UsedMemory{}, err
	}
	m := n.Memory()
	return UsedMemory{Mapped: m.Mapped, Heap: m.Heap, Packed: m.Packed, Runtime: run.Memory()}, nil
}
