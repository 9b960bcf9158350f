package onnx

import (
	"fmt"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// reprojectionHead writes a precisionHead and the correction of its pose by the
// newest keypoints' lines of sight, see nn.ReprojectionHead.
func (g *graph) reprojectionHead(f fusion, w *weights) {
	c := model.Reprojection(f.all)
	pose := g.precisionHead("", f, w)
	g.scope = "head/correction"
	person := make([]float32, c.Out)
	for i := 2; i < len(person); i += 3 {
		person[i] = float32(c.PersonM)
	}
	inputs := []value{g.sub(pose, g.floats("person", person, c.Out))}
	// The offsets come across, down and found of each pair in turn.
	if f.written.Has(modality.Camera) {
		view := g.slice(f.features[0], 1, model.FeatureDim-c.Carried(), model.FeatureDim)
		inputs = append(inputs, g.sights(pose, view), view)
	} else {
		shape := g.op("Concat", []value{g.slice(g.op("Shape", []value{pose}), 0, 0, 1), g.vector(int64(3*len(c.Pairs) + c.Carried()))}, attrInt("axis", 0))
		inputs = append(inputs, g.op("Expand", []value{g.floats("unseen", []float32{0}, 1, 1), shape}))
	}
	here := make([]float32, 0, c.N)
	for m := range f.all.Kinds() {
		v := float32(0)
		if f.written.Has(m) {
			v = 1
		}
		here = append(here, v)
	}
	shape := g.op("Concat", []value{g.slice(g.op("Shape", []value{pose}), 0, 0, 1), g.vector(int64(c.N))}, attrInt("axis", 0))
	inputs = append(inputs, g.op("Expand", []value{g.floats("present", here, 1, c.N), shape}))
	x, in := g.op("Concat", inputs, attrInt("axis", 1)), c.Inputs()
	for i, width := range c.Hidden {
		x, in = g.relu(g.gemm(x, w.lin(fmt.Sprintf("head.correction.%d", i), in, width, true))), width
	}
	last := g.gemm(x, w.lin(fmt.Sprintf("head.correction.%d", len(c.Hidden)), in, c.Out, true))
	g.opTo(PoseOutput, "Add", []value{pose, last})
}

// sights writes how far each pair's keypoint is beside its joint, across and down,
// and whether it counts: three values of each pair.
func (g *graph) sights(pose, view value) value {
	c := model.Reprojection(modality.Of(modality.Camera)) // the same whatever else there is
	columns := func(of value, at func(pair [2]int) int) value {
		var index []int64
		for _, p := range c.Pairs {
			index = append(index, int64(at(p)))
		}
		return g.gather(of, g.vector(index...), 1)
	}
	joint := func(axis int) value { return columns(pose, func(p [2]int) int { return 3*p[1] + axis }) }
	number := func(name string, v float64) value { return g.scalar(name, float32(v)) }
	metre := func(axis int) value {
		return g.op("Div", []value{columns(view, func(p [2]int) int { return 2*p[0] + axis }), number("per_m", c.PerM)})
	}
	distance := g.slice(view, 1, 3*c.Keypoints+1, 3*c.Keypoints+2)
	cameraY := g.sub(number("height", c.HeightM), g.slice(view, 1, 3*c.Keypoints, 3*c.Keypoints+1))
	known := g.op("Greater", []value{distance, number("none", 0)})
	safe := g.op("Where", []value{known, distance, number("one", 1)})
	along := g.op("Div", []value{g.add(g.sub(joint(2), number("person", c.PersonM)), safe), safe})
	right := g.sub(g.mul(metre(0), along), joint(0))
	down := g.sub(g.add(cameraY, g.mul(g.sub(metre(1), cameraY), along)), joint(1))
	counts := g.op("Not", []value{g.op("Equal", []value{columns(view, func(p [2]int) int { return 2*c.Keypoints + p[0] }), number("none", 0)})})
	counts = g.op("And", []value{counts, known})
	for _, off := range []value{right, down} {
		near := g.op("Not", []value{g.op("Greater", []value{g.op("Abs", []value{off}), number("far", c.FarOffM)})})
		counts = g.op("And", []value{counts, near})
	}
	found := g.op("Cast", []value{counts}, attrInt("to", elementFloat))
	var parts []value
	for _, off := range []value{right, down} {
		scaled := g.op("Where", []value{counts, g.mul(off, number("scale", c.Scale)), number("none", 0)})
		parts = append(parts, g.reshape(scaled, -1, int64(len(c.Pairs)), 1))
	}
	parts = append(parts, g.reshape(found, -1, int64(len(c.Pairs)), 1))
	return g.reshape(g.op("Concat", parts, attrInt("axis", 2)), -1, int64(3*len(c.Pairs)))
}
