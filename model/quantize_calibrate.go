package model

import (
	"errors"
	"fmt"
	"math"

	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// Calibrator learns the ranges of a network's activations for int8.
type Calibrator struct {
	inst   *instance[float32]
	first  int // step at which the basic blocks start
	blocks []*nn.BasicBlock[float32]
	ranges map[string]*activationRange
}

// NewCalibrator prepares the network's float32 trunk for observation.
func NewCalibrator(n *Network) (*Calibrator, error) {
	if !n.Config.Mask().Has(modality.CSI) {
		return nil, errors.New("calibration: the network has no csi encoder, the only one with a low precision")
	}
	n.building.Lock()
	defer n.building.Unlock()
	inst, err := newInstance(n.Config, n.store, &nn.Context{Mode: nn.Eval})
	if err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	inst.encoders[modality.CSI].fold()
	c := &Calibrator{inst: inst, ranges: map[string]*activationRange{}}
	c.first, c.blocks = inst.encoders[modality.CSI].basicBlocks()
	return c, nil
}

// Observe runs n prepared CSI inputs (CSIValues each) through the trunk.
func (c *Calibrator) Observe(csi []float32, n int) error {
	if len(csi) != n*CSIValues {
		return fmt.Errorf("calibration: %d values for %d samples, want %d", len(csi), n, n*CSIValues)
	}
	x := csi
	for _, s := range c.inst.encoders[modality.CSI].steps[:c.first] {
		x = s.block.Forward(x, n)
	}
	for _, b := range c.blocks {
		b.Inputs(x, n, func(conv string, v []float32) {
			r := c.ranges[conv]
			if r == nil {
				r = &activationRange{}
				c.ranges[conv] = r
			}
			r.add(v)
		})
		x = b.Forward(x, n)
	}
	return nil
}

// The ways to choose the largest activation that int8 can express.
const (
	ClipMSE     = "mse"        // the least mean squared rounding and clipping error
	ClipMax     = "max"        // the largest seen
	ClipPercent = "percentile" // 99.99 % of those above zero
)

// InputScales returns the scale of each convolution's input, for
// Quantization.InputScales and RuntimeOptions.
func (c *Calibrator) InputScales(clip string) (map[string]float32, error) {
	if len(c.ranges) == 0 {
		return nil, errors.New("calibration: no sample was observed")
	}
	out := map[string]float32{}
	for name, r := range c.ranges {
		var top float64
		switch clip {
		case ClipMSE:
			top = r.leastError()
		case ClipMax:
			top = r.max
		case ClipPercent:
			top = r.quantile(0.9999)
		default:
			return nil, fmt.Errorf("calibration: clip %q: use %s, %s or %s", clip, ClipMSE, ClipMax, ClipPercent)
		}
		scale := float32(top / 255)
		if top < 1e-15 {
			scale = 1 // as good as never active: zero will do
		}
		if !nn.LegalScale(scale) {
			return nil, fmt.Errorf("calibration: the input of %q reaches %g: the network's weights are unusable", name, top)
		}
		out[name] = scale
	}
	return out, nil
}

const rangeBins = 4096

// activationRange is a histogram of numbers above zero. Its width doubles as
// needed, so that it does not depend on how the samples were grouped.
type activationRange struct {
	count [rangeBins]int64
	width float64 // of all bins, a power of two
	max   float64
}

func (r *activationRange) add(v []float32) {
	for _, f := range v {
		x := float64(f)
		if !(x > 0) {
			continue
		}
		r.max = max(r.max, x)
		if math.IsInf(x, 0) {
			continue
		}
		if r.width == 0 {
			r.width = math.Exp2(math.Ceil(math.Log2(x)))
		}
		for x >= r.width {
			r.double()
		}
		r.count[int(x/r.width*rangeBins)]++
	}
}

func (r *activationRange) double() {
	for i := range rangeBins / 2 {
		r.count[i] = r.count[2*i] + r.count[2*i+1]
	}
	clear(r.count[rangeBins/2:])
	r.width *= 2
}

func (r *activationRange) quantile(q float64) float64 {
	var all, below int64
	for _, n := range r.count {
		all += n
	}
	for i, n := range r.count {
		if below += n; float64(below) >= q*float64(all) {
			return min(float64(i+1)*r.width/rangeBins, r.max)
		}
	}
	return r.max
}

// leastError returns the bound at which rounding to 255 steps and clipping
// lose least together. Zeros are always exact.
func (r *activationRange) leastError() float64 {
	best, at := math.Inf(1), r.max
	const steps = 128
	for k := steps / 8; k <= steps; k++ {
		top := r.max * float64(k) / steps
		step := top / 255
		var sum float64
		for i, n := range r.count {
			if n == 0 {
				continue
			}
			if over := (float64(i)+0.5)*r.width/rangeBins - top; over > 0 {
				sum += float64(n) * over * over
			} else {
				sum += float64(n) * step * step / 12
			}
		}
		if sum < best {
			best, at = sum, top
		}
	}
	return at
}
