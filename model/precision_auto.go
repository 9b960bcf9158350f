package model

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"posefuse/model/nn"
	"posefuse/model/nn/kernel"
	"posefuse/sensors/modality"
)

// MaxPrecisionCostMM is the largest error that a precision chosen by itself may
// add to a pose's, millimetres, by the model's card: of all modalities and of
// WiFi alone.
const MaxPrecisionCostMM = 0.5

// cost returns what the card says the precision adds to the error, millimetres,
// at worst.
func (q *Quantization) costMM() float64 { return max(q.DifferenceMM, q.CSIMM-q.CSIFloat32MM) }

// unfit says why the precision of the card is none to choose, "" if it is one.
func (q *Quantization) unfit(c Config) string {
	switch {
	case q == nil || q.Mode == Float32:
		return "the card names no other precision"
	case !c.Mask().Has(modality.CSI):
		return "the network has no WiFi encoder, the only one with another precision"
	case !q.Mode.Native():
		return fmt.Sprintf("this CPU has no instructions that make the card's %s faster than float32", q.Mode)
	case q.HeldOut < 1:
		return fmt.Sprintf("the card does not say what its %s costs", q.Mode)
	case !(q.costMM() <= MaxPrecisionCostMM):
		return fmt.Sprintf("the card's %s costs %.2f mm, more than %g", q.Mode, q.costMM(), MaxPrecisionCostMM)
	}
	return ""
}

// NewFastestRuntime prepares a network for inference in float32 or in the
// precision that its card names, whichever is faster on this machine now, and
// says in words why. The card's must cost no more than MaxPrecisionCostMM and is
// tried beside float32 for some hundred milliseconds; where float32 is the only
// choice nothing is tried.
func NewFastestRuntime(n *Network) (r *Runtime, why string, err error) { return fastest(n, race) }

func fastest(n *Network, race func(a, b *Runtime) (ofA, ofB time.Duration, err error)) (r *Runtime, why string, err error) {
	q := n.quant
	if why = q.unfit(n.Config); why != "" {
		r, err = NewRuntimeWith(n, RuntimeOptions{Precision: Float32})
		return r, why, err
	}
	low, err := NewRuntimeWith(n, RuntimeOptions{Precision: q.Mode})
	if err != nil {
		return nil, "", err
	}
	before := n.packings()
	float, err := NewRuntimeWith(n, RuntimeOptions{Precision: Float32})
	if err != nil {
		return nil, "", errors.Join(err, low.Close())
	}
	ofLow, ofFloat, err := race(low, float)
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("trial of precisions: %w", err), low.Close(), float.Close())
	}
	r, other := low, float
	drop := func(p packing) bool { return !before[p] }
	format, err := q.Mode.format()
	if err != nil {
		return nil, "", errors.Join(err, low.Close(), float.Close())
	}
	why = fmt.Sprintf("its WiFi encoder takes %.3g ms here, on %s, and float32's %.3g; it costs %.2f mm by the card",
		milliseconds(ofLow), kernel.LowPath(format), milliseconds(ofFloat), max(q.costMM(), 0))
	if ofFloat <= ofLow {
		r, other = float, low
		drop = func(p packing) bool { return nn.LayoutOf(p.layout, format) }
		why = fmt.Sprintf("its WiFi encoder takes %.3g ms here and that of the card's %s %.3g", milliseconds(ofFloat), q.Mode, milliseconds(ofLow))
	}
	if err = other.Close(); err != nil {
		return nil, "", errors.Join(err, r.Close())
	}
	n.forget(drop)
	return r, why, nil
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// The trial of two precisions: so many turns, and no new one after so long.
const (
	raceTurns = 4
	raceTime  = 250 * time.Millisecond
)

// race returns the least time of either WiFi encoder, run in turns, so that other
// work on the machine meets both.
func race(a, b *Runtime) (ofA, ofB time.Duration, err error) {
	rng := rand.New(rand.NewPCG(1, 1))
	csi := make([]float32, CSIValues)
	for i := range csi {
		csi[i] = rng.Float32()
	}
	least := [2]time.Duration{1<<63 - 1, 1<<63 - 1}
	var spent time.Duration
	for turn := 0; turn <= raceTurns && (turn < 2 || spent < raceTime); turn++ {
		for k, r := range []*Runtime{a, b} {
			start := time.Now()
			r.Begin()
			if err := r.Encode(modality.CSI, csi); err != nil {
				return 0, 0, err
			}
			took := time.Since(start)
			if turn > 0 { // the first makes the buffers
				least[k], spent = min(least[k], took), spent+took
			}
		}
	}
	a.Begin()
	b.Begin()
	return least[0], least[1], nil
}

// packing is a tensor in a layout of inference, which the runtimes of a frozen
// network share.
type packing struct {
	of     *nn.Tensor[float32]
	layout string
}

func (n *Network) packings() map[packing]bool {
	n.building.Lock()
	defer n.building.Unlock()
	all := map[packing]bool{}
	for _, t := range n.store.All {
		for _, layout := range t.Layouts() {
			all[packing{t, layout}] = true
		}
	}
	return all
}

// forget gives back what is packed as drop says. Runtimes that use it keep it.
func (n *Network) forget(drop func(packing) bool) {
	n.building.Lock()
	defer n.building.Unlock()
	for _, t := range n.store.All {
		for _, layout := range t.Layouts() {
			if drop(packing{t, layout}) {
				t.Forget(layout)
			}
		}
	}
}
