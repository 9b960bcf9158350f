package model

import (
	"errors"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"posefuse/sensors/modality"
)

// rotated returns the tensors of n, by name, that a camera taken from src needs anew:
// none, unless n's camera carries more of its input in its feature than src's. The
// last layer P of the projection, of as many columns as the layer before is wide, is
// U·S·Vᵀ; the values that are left to the encoder become S·Vᵀ and the head's weights W
// become W·U, so that W·P, and with it every pose, stays. Rows of the projection
// beyond the rank stay as n has them, and the head does not read them yet. A
// projection whose rank may exceed the values that are left is refused.
func (n *Network) rotated(src *Network, which modality.Set) (map[string][]float32, error) {
	left := FeatureDim - n.Config.Carried(modality.Camera)
	if !which.Has(modality.Camera) || left == FeatureDim-src.Config.Carried(modality.Camera) {
		return nil, nil
	}
	const projection = "camera.projection.2.weight"
	to, from := n.store.Lookup(projection), src.store.Lookup(projection)
	reads := fmt.Sprintf("head.%d.weight", slotOf(n.Config.Mask(), modality.Camera))
	head, was := n.store.Lookup(reads), src.store.Lookup(fmt.Sprintf("head.%d.weight", slotOf(src.Config.Mask(), modality.Camera)))
	if from.Shape[0] != FeatureDim || from.Shape[1] != to.Shape[1] || was == nil || len(was.Value) != len(head.Value) {
		return nil, errors.New("the camera's projections differ: no way from one to the other")
	}
	rank := from.Shape[1]
	if rank > left {
		return nil, fmt.Errorf("the camera's projection has a rank of up to %d, and its feature only %d values beside the keypoints: make camera.channels at most %d, or begin anew", rank, left, 2*left)
	}
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(FeatureDim, rank, widened(from.Value)), mat.SVDThin) {
		return nil, errors.New("the camera's projection has no singular values: are its weights finite?")
	}
	var u, v, turned mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	turned.Mul(mat.NewDense(was.Shape[0], FeatureDim, widened(was.Value)), &u)
	p, h := append([]float32(nil), to.Value...), make([]float32, len(head.Value))
	for r, s := range svd.Values(nil) {
		for c := range rank {
			p[r*rank+c] = float32(s * v.At(c, r))
		}
		for o := range was.Shape[0] {
			h[o*FeatureDim+r] = float32(turned.At(o, r))
		}
	}
	return map[string][]float32{projection: p, reads: h}, nil
}

func widened(x []float32) []float64 {
	y := make([]float64, len(x))
	convert(y, x)
	return y
}
