package model

import "posefuse/sensors/modality"

// FLOPs returns the arithmetic of one inference of the network for one sample
// with the modalities of mask: two per multiply-add of its convolutions, linear
// layers and attention products. Norms, activations, neighbour search, gathers
// and the head's extra passes for leave-one-out are not counted (model.md,
// part 7), nor is anything saved by a cleverer way to the same sums, such as
// Winograd's.
func FLOPs(cfg Config, mask modality.Set) int64 {
	mask &= cfg.Mask()
	macs := int64(len(cfg.Modalities) * FeatureDim * OutputDim)
	if mask.Has(modality.Camera) {
		macs += cfg.Camera.macs()
	}
	if mask.Has(modality.LiDAR) {
		macs += cfg.LiDAR.macs(LiDARPointDim)
	}
	if mask.Has(modality.Radar) {
		macs += cfg.Radar.macs(RadarPointDim)
	}
	if mask.Has(modality.CSI) {
		macs += cfg.CSI.macs()
	}
	return 2 * macs
}

func projectionMACs(c int) int64 { return int64(c)*int64(c/2) + int64(c/2)*FeatureDim }

// macs counts the one-output form.
func (c CameraConfig) macs() int64 {
	ch := int64(c.Channels)
	frames := int64(CameraWindow / c.Widths[0])
	sum := frames * int64(c.Widths[0]) * 2 * NumJoints * ch
	for _, w := range c.Widths[1:] {
		frames /= int64(w)
		sum += frames * (int64(w) + 1) * ch * ch
	}
	return sum + projectionMACs(c.Channels)
}

func (p PointsConfig) macs(dim int) int64 {
	sum := int64(0)
	n, cin := p.Points, dim
	for i, c := range p.Planes {
		rows, width := n, cin
		if s := p.Strides[i]; s > 1 {
			rows, width = n/s*min(p.Neighbours[i], n), 3+cin
			n /= s
		}
		sum += int64(rows) * int64(width) * int64(c)
		sum += int64(n) * 5 * int64(c) * int64(c) // two linear layers, query, key, value
		pairs := int64(n) * int64(min(p.Neighbours[i], n))
		shared := int64(c / 8)
		sum += pairs * (9 + 3*int64(c) + int64(c)*shared + shared*shared)
		cin = c
	}
	return sum + projectionMACs(cin)
}

func (c CSIConfig) macs() int64 {
	h, w, ch := c.Height, c.Width, c.Base
	trunk := int64(h*w) * 9 * int64(ch)
	for i, blocks := range c.Blocks {
		out := c.Base << i
		for j := range blocks {
			if i > 0 && j == 0 {
				h, w = (h-1)/2+1, (w-1)/2+1
			}
			at := int64(h * w)
			trunk += at * 9 * int64(ch+out) * int64(out)
			if ch != out || i > 0 && j == 0 {
				trunk += at * int64(ch) * int64(out)
			}
			ch = out
		}
	}
	tokens, cc := int64(CSIAntennas*h*w), int64(ch)
	heads := int64(c.Heads)
	linear := tokens * cc * cc * (3*heads + 1 + 2*int64(c.MLP))
	attention := 2 * heads * tokens * cc * cc
	return CSIAntennas*trunk + linear + attention + projectionMACs(ch)
}
