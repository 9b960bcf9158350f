package balance

// GBlendingGuard keeps a branch that has hardly begun to overfit from taking
// all the weight.
const GBlendingGuard = 1e-8

// Learned is what one branch of G-Blending did in its trial epochs: mean
// losses, in the same unit everywhere.
type Learned struct {
	TrainStart, ValStart float64
	TrainEnd, ValEnd     float64
}

// BlendWeights appends to dst the weight of each branch's loss (Wang et al.
// 2020, "What makes training multi-modal classification networks hard?"):
// generalisation over squared overfitting, normalised to sum 1. If no branch
// learned anything the weights are equal.
func BlendWeights(dst []float64, branches []Learned) []float64 {
	first, sum := len(dst), 0.0
	for _, b := range branches {
		g := b.ValEnd - b.ValStart
		o := (b.ValEnd - b.TrainEnd) - (b.ValStart - b.TrainStart)
		w := max(g, -g) / max(o*o, GBlendingGuard)
		dst = append(dst, w)
		sum += w
	}
	for i := range branches {
		if sum > 0 {
			dst[first+i] /= sum
		} else {
			dst[first+i] = 1 / float64(len(branches))
		}
	}
	return dst
}
