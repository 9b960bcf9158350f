package baseline

import (
	"fmt"

	"posefuse/model"
	"posefuse/model/nn"
)

// The layout of HPELi. The maps of channels keep subcarriers as height and
// packets as width; pooling by two leaves out what is odd:
//
//	  3 x 114 x 10  amplitudes, 0..1, cleaned as for the encoder W
//	 64 x 114 x 10  first unit
//	 64 x  57 x  5  mean of 2 x 2
//	128 x  57 x  5  second unit
//	128 x  28 x  2  mean of 2 x 2
//	      7168      = 128·28·2 features
//	32 → 64 → 51    regression
const (
	hpeLiFeatures = 128 * (model.CSISubcarriers / 4) * (model.CSIPackets / 4)
	hpeLiDropout  = 0.1
)

// hpeLiUnits are the two selective-kernel units: four branches of 3 x 3 with
// dilations 1 to 4, which reach over 3 to 9 positions, in 32 groups; the
// description is averaged over the packets, so that every subcarrier and
// channel has weights of its own, and squeezed by 32.
var hpeLiUnits = [2]nn.SelectiveKernelConfig{
	{In: model.CSIAntennas, Out: 64, H: model.CSISubcarriers, W: model.CSIPackets, Dilations: []int{1, 2, 3, 4}, Groups: 32, Squeeze: 2},
	{In: 64, Out: 128, H: model.CSISubcarriers / 2, W: model.CSIPackets / 2, Dilations: []int{1, 2, 3, 4}, Groups: 32, Squeeze: 4},
}

// hpeLi is the network of HPELi on its own parameters.
type hpeLi[T nn.Float] struct {
	ctx    *nn.Context
	store  *nn.Store[T]
	blocks []nn.Block[T]
	last   *nn.Regressor[T]
	x      []T // [b, subcarriers, packets, antennas]
}

func newHPELi[T nn.Float](seed uint64) *hpeLi[T] {
	h := &hpeLi[T]{ctx: &nn.Context{Seed: seed}, store: nn.NewStore[T](seed)}
	for i, u := range hpeLiUnits {
		h.blocks = append(h.blocks, nn.NewSelectiveKernel(h.store, h.ctx, fmt.Sprintf("skunit%d", i+1), u, i == 0), nn.NewAveragePool[T](u.H, u.W, u.Out))
	}
	h.last = nn.NewRegressor(h.store, h.ctx, "regression", hpeLiFeatures, 32, 64, model.OutputDim, hpeLiDropout)
	h.blocks = append(h.blocks, h.last)
	return h
}

// forward returns the poses of b samples of 3 x 114 x 10 amplitudes; they
// belong to the network.
func (h *hpeLi[T]) forward(csi []float32, b int) []T {
	if len(h.x) < len(csi) {
		h.x = make([]T, len(csi))
	}
	const maps = model.CSISubcarriers * model.CSIPackets
	for s := range b {
		from, to := csi[s*model.CSIValues:(s+1)*model.CSIValues], h.x[s*model.CSIValues:]
		for i, v := range from {
			to[i%maps*model.CSIAntennas+i/maps] = T(v)
		}
	}
	y := h.x[:b*model.CSIValues]
	for _, l := range h.blocks {
		y = l.Forward(y, b)
	}
	return y
}

// backward takes the gradient of the poses and leaves those of the parameters.
func (h *hpeLi[T]) backward(dy []T) {
	for i := len(h.blocks) - 1; i >= 0; i-- {
		dy = h.blocks[i].Backward(dy)
	}
}

// parameters returns the number of values that are trained.
func (h *hpeLi[T]) parameters() int {
	n := 0
	for _, t := range h.store.All {
		if !t.IsBuffer() {
			n += len(t.Value)
		}
	}
	return n
}
