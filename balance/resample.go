package balance

// MaxResample bounds the extra share of samples per modality.
const MaxResample = 0.5

// ResampleShares appends to dst, per modality, which share of the training
// samples is to be repeated with the superior modalities silenced, so that the
// modality catches up (Wei et al. 2024, modality-level resampling, in the
// regression form of model.md 4.6). phi are the contributions, dims the number
// of coordinates they are summed over.
func ResampleShares(dst, phi []float64, dims int, alpha float64) []float64 {
	n := len(phi)
	top := phi[0]
	for _, p := range phi {
		top = max(top, p)
	}
	unit := float64(dims) / float64(n)
	for _, p := range phi {
		share := 0.0
		if n > 1 {
			share = 2.0 / 3 * alpha * (top - p) / unit / float64(n-1)
		}
		dst = append(dst, min(max(share, 0), MaxResample))
	}
	return dst
}
