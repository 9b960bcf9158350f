package balance

import "math"

// MMPareto (Wei and Hu 2024) joins the gradients of the joint and the
// uni-modal loss of one encoder so that neither works against the other.
type MMPareto struct{}

// Weights returns the factors of the joint and the uni-modal gradient of one
// encoder, given as tensors: one half each if the gradients agree, else the
// point of smallest norm between them.
func (MMPareto) Weights(joint, uni [][]float32) (kJoint, kUni float64) {
	var n1, n2, dot float64
	for t, g := range joint {
		u := uni[t]
		for i, a := range g {
			b := float64(u[i])
			n1 += float64(a) * float64(a)
			n2 += b * b
			dot += float64(a) * b
		}
	}
	if dot > 0 {
		return 0.5, 0.5
	}
	var g float64
	switch {
	case dot >= n1:
		g = 0.999
	case dot >= n2:
		g = 0.001
	default:
		g = (n2 - dot) / (n1 + n2 - 2*dot)
	}
	return g, 1 - g
}

// Blend writes the joined gradient of one tensor over joint. The tensor's
// gradient of the sum of all losses is joint + uni; the result is never
// shorter than 1.5 times that.
func (MMPareto) Blend(joint, uni []float32, kJoint, kUni float64) {
	var all, h2 float64
	for i, a := range joint {
		b := float64(uni[i])
		h := 2*kJoint*float64(a) + 2*kUni*b
		s := float64(a) + b
		h2 += h * h
		all += s * s
	}
	q := 1.0
	if h2 > 0 {
		q = max(1, math.Sqrt(all)/math.Sqrt(h2))
	}
	for i, a := range joint {
		joint[i] = float32(1.5 * q * (2*kJoint*float64(a) + 2*kUni*float64(uni[i])))
	}
}
