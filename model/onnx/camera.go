package onnx

import (
	"fmt"

	"posefuse/model"
)

// camera writes the VideoPose3D encoder in its one-output form. A convolution
// whose stride is its kernel size is a matrix product on reshaped rows. A set of
// keypoints has width values, of which the feature's last carry are the newest ones.
func (g *graph) camera(out, x value, w *weights, c model.CameraConfig, width, carry int) {
	const name = "camera"
	conv := func(conv, norm string, in, taps int) linear {
		l := newLinear(c.Channels, tapsFirst(w.get(conv+".weight", c.Channels, in, taps), c.Channels, in, taps), nil)
		return l.then(w.norm(norm, c.Channels))
	}
	frames, window := model.CameraWindow, x
	g.scope = name + "/expand"
	x = g.reshape(x, -1, int64(c.Widths[0]*width))
	x = g.relu(g.gemm(x, conv(name+".expand_conv", name+".expand_bn", width, c.Widths[0])))
	frames /= c.Widths[0]
	for i, taps := range c.Widths[1:] {
		g.scope = fmt.Sprintf("%s/block%d", name, i)
		layer := func(j, taps int) linear {
			return conv(fmt.Sprintf("%s.layers_conv.%d", name, 2*i+j), fmt.Sprintf("%s.layers_bn.%d", name, 2*i+j), c.Channels, taps)
		}
		wide := g.reshape(x, -1, int64(taps*c.Channels))
		y := g.relu(g.gemm(wide, layer(0, taps)))
		y = g.relu(g.gemm(y, layer(1, 1)))
		middle := g.slice(wide, 1, taps/2*c.Channels, (taps/2+1)*c.Channels)
		x = g.add(middle, y)
		frames /= taps
	}
	g.scope = name + "/projection"
	if carry == 0 {
		g.project(out, x, w, name+".projection", frames, c.Channels, model.FeatureDim)
		return
	}
	said := g.project("", x, w, name+".projection", frames, c.Channels, model.FeatureDim-carry)
	flat := g.reshape(window, -1, int64(model.CameraWindow*width))
	newest := g.slice(flat, 1, model.CameraWindow*width-carry, model.CameraWindow*width)
	g.opTo(out, "Concat", []value{said, newest}, attrInt("axis", 1))
}

// tapsFirst reorders a kernel [out, in, taps] to [out, taps, in].
func tapsFirst(x []float32, out, in, taps int) []float32 {
	if taps == 1 {
		return x
	}
	y := make([]float32, len(x))
	for o := range out {
		for i := range in {
			for t := range taps {
				y[(o*taps+t)*in+i] = x[(o*in+i)*taps+t]
			}
		}
	}
	return y
}
