package model

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"posefuse/model/nn"
	"posefuse/model/nn/kernel"
	"posefuse/sensors/modality"
)

// Precision is the number format of the WiFi trunk's convolutions in
// inference, nine tenths of the paper's arithmetic. With a precision below
// float32 the linear layers behind the trunk compute in bfloat16 where the CPU
// has it; all else is float32.
type Precision string

// The precisions of a Runtime.
const (
	Float32  Precision = "float32"
	BFloat16 Precision = "bf16"
	Int8     Precision = "int8"
)

func (p Precision) format() (kernel.LowFormat, error) {
	switch p {
	case BFloat16:
		return kernel.BFloat16, nil
	case Int8:
		return kernel.Int8, nil
	case Float32: // has no format of its own
	}
	return 0, fmt.Errorf("precision %q: use %s, %s or %s", p, Float32, BFloat16, Int8)
}

// Native reports whether this CPU computes the precision with instructions that
// make it faster than float32. A Runtime does not offer any other.
func (p Precision) Native() bool {
	f, err := p.format()
	return err != nil || kernel.LowPays(f)
}

// Path returns the name of the instructions that compute the precision, e.g. amx,
// or "" if the CPU has none of its own for it.
func (p Precision) Path() string {
	f, err := p.format()
	if err != nil {
		return ""
	}
	return kernel.LowPath(f)
}

// Quantization is the part of a checkpoint's card that says which precision
// its runtimes use and what that costs. The weights themselves stay float32 in
// the file.
type Quantization struct {
	Mode Precision `json:"mode"`
	// InputScales says, for int8, what an activation of 1 stands for at the
	// input of each convolution, by the convolution's name.
	InputScales InputScales `json:"input_scales,omitempty"`

	Created         string  `json:"created,omitempty"` // RFC 3339
	Command         string  `json:"command,omitempty"` // reproduces it
	Clip            string  `json:"clip,omitempty"`    // how the scales were chosen
	Data            string  `json:"data"`
	Samples         int     `json:"samples"`          // calibrated on
	HeldOut         int     `json:"held_out_samples"` // evaluated on, of other clips
	MPJPEFloat32MM  float64 `json:"mpjpe_float32_mm"`
	MPJPEMM         float64 `json:"mpjpe_mm"`
	DifferenceMM    float64 `json:"mpjpe_difference_mm"`
	DisplacementMM  float64 `json:"mean_joint_displacement_mm"` // between the poses of both precisions
	CSIFloat32MM    float64 `json:"csi_alone_mpjpe_float32_mm"` // without the other modalities
	CSIMM           float64 `json:"csi_alone_mpjpe_mm"`
	CSIMovesMM      float64 `json:"csi_alone_displacement_mm"`
	CPU             string  `json:"cpu"`
	Threads         int     `json:"threads"`
	MedianFloat32MS float64 `json:"median_float32_ms,omitempty"` // one sample of all modalities; none if emulated
	MedianMS        float64 `json:"median_ms,omitempty"`
	TimeRatio       float64 `json:"time_ratio,omitempty"`
}

// InputScales are numbers by the names of convolutions.
type InputScales map[string]float32

// UnmarshalJSON names the convolution whose value is no float32.
func (s *InputScales) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("input_scales: %w", err)
	}
	*s = make(InputScales, len(raw))
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		var v float32
		if err := json.Unmarshal(raw[name], &v); err != nil {
			return fmt.Errorf("input_scales: %q: %w: want a positive number, run posefuse models quantize again", name, err)
		}
		(*s)[name] = v
	}
	return nil
}

// validate checks a card's quantization against the configuration.
func (q *Quantization) validate(c Config) error {
	if _, err := q.Mode.format(); err != nil {
		return fmt.Errorf("quantization: mode: %w", err)
	}
	if !c.Mask().Has(modality.CSI) {
		return fmt.Errorf("quantization: %s concerns the csi encoder, which this network does not have", q.Mode)
	}
	if q.Mode != Int8 {
		if len(q.InputScales) > 0 {
			return fmt.Errorf("quantization: %s has no input_scales", q.Mode)
		}
		return nil
	}
	want := c.lowConvs()
	for _, name := range want {
		v, ok := q.InputScales[name]
		if !ok {
			return fmt.Errorf("quantization: input_scales: %q is missing: run posefuse models quantize again", name)
		}
		if !nn.LegalScale(v) {
			return fmt.Errorf("quantization: input_scales: %q is %v, no scale of activations: run posefuse models quantize again", name, v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.InputScales)) {
		if !slices.Contains(want, name) {
			return fmt.Errorf("quantization: input_scales: this network has no convolution %q", name)
		}
	}
	return nil
}

// lowConvs returns the names of the convolutions whose inputs are rounded in
// low precision, in order.
func (c Config) lowConvs() []string {
	var names []string
	for i, blocks := range c.CSI.Blocks {
		for j := range blocks {
			for _, conv := range []string{"conv1", "conv2"} {
				names = append(names, fmt.Sprintf("%s.layer%d.%d.%s", modality.CSI.String(), i+1, j, conv))
			}
		}
	}
	return names
}

// Quantization returns what the network's checkpoint says about its
// precision, nil if nothing.
func (n *Network) Quantization() *Quantization { return n.quant }

// RuntimeOptions configure a Runtime.
type RuntimeOptions struct {
	// Precision of the WiFi trunk; empty for the one the network's checkpoint
	// names, else float32. A precision that is not Native becomes float32, and a
	// warning says so once.
	Precision Precision
	// InputScales for int8; nil for those of the network's checkpoint.
	InputScales InputScales
	// Emulate computes a precision that is not Native, slower than float32, e.g. to
	// learn its accuracy. What is runs as without it.
	Emulate bool
}

// Precision returns the precision in use.
func (r *Runtime) Precision() Precision { return r.precision }

var warnLacking = map[Precision]*sync.Once{BFloat16: {}, Int8: {}}

// NotCalibratedError is a network without the scales that a precision needs.
type NotCalibratedError struct{ Precision Precision }

func (e *NotCalibratedError) Error() string {
	return fmt.Sprintf("the network is not calibrated for %s", e.Precision)
}

// lower brings the instance's WiFi trunk to the precision asked for and
// returns the one in use.
func (inst *instance[T]) lower(n *Network, opt RuntimeOptions) (Precision, error) {
	p, scales := opt.Precision, opt.InputScales
	if p == "" && n.quant != nil {
		p = n.quant.Mode
	}
	if p == "" || p == Float32 {
		return Float32, nil
	}
	f, err := p.format()
	if err != nil {
		return "", err
	}
	e := any(inst.encoders[modality.CSI]).(*encoder[float32])
	if e == nil {
		return Float32, nil
	}
	if !p.Native() && !opt.Emulate {
		warnLacking[p].Do(func() {
			slog.Warn("this CPU has no instructions that make the model's precision faster than float32: computing in float32",
				"precision", string(p), "cpu_path", kernel.Path())
		})
		return Float32, nil
	}
	if scales == nil && n.quant != nil {
		scales = n.quant.InputScales
	}
	if f == kernel.Int8 && scales == nil {
		return "", &NotCalibratedError{p}
	}
	first, blocks := e.basicBlocks()
	trunk, err := nn.NewLowTrunk(blocks, f, scales)
	if err != nil {
		return "", err
	}
	if kernel.LowNative(kernel.BFloat16) || opt.Emulate && !kernel.LowNative(f) {
		for _, st := range e.steps {
			if t, ok := st.block.(*nn.ChannelTransformer[float32]); ok {
				t.Lower()
			}
		}
	}
	e.steps = slices.Replace(e.steps, first, first+len(blocks), step[float32]{name: "trunk-" + string(p), block: trunk})
	return p, nil
}

// basicBlocks returns the encoder's chain of basic blocks and the step it
// starts at.
func (e *encoder[T]) basicBlocks() (first int, blocks []*nn.BasicBlock[T]) {
	for i, s := range e.steps {
		if b, ok := s.block.(*nn.BasicBlock[T]); ok {
			if len(blocks) == 0 {
				first = i
			}
			blocks = append(blocks, b)
		} else if len(blocks) > 0 {
			break
		}
	}
	return first, blocks
}
