package train

// Plain is training without balancing.
const Plain = "none"

var plainMethod = MethodDescriptor{
	Name: Plain, Label: "no balancing", Doc: "nothing",
	Tuned: tunesWeightDecay, Generation: 1,
	New: func(MethodSettings) Method { return nil },
}
