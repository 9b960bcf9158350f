package onnx

import "strconv"

// value is the name of a tensor that flows through the graph.
type value string

// graph collects the nodes and constants of one ONNX graph. A subgraph (the
// body of a loop) shares its parent's counter, so that all names differ.
type graph struct {
	nodes, constants []byte
	inputs, outputs  []byte
	scope            string
	count            *int
	ints             map[string]value // constants of this graph by content
}

func newGraph() *graph { return &graph{count: new(int), ints: map[string]value{}} }

// name makes a name that no other value of the model has.
func (g *graph) name(kind string) string {
	*g.count++
	return g.scope + "/" + kind + "_" + strconv.Itoa(*g.count)
}

// op adds a node with one output.
func (g *graph) op(kind string, in []value, attrs ...attribute) value {
	out := value(g.name(kind))
	g.node(kind, in, []value{out}, attrs...)
	return out
}

// opTo adds a node whose output has a given name, as a model's outputs have.
func (g *graph) opTo(out value, kind string, in []value, attrs ...attribute) value {
	g.node(kind, in, []value{out}, attrs...)
	return out
}

// opN adds a node with n outputs.
func (g *graph) opN(kind string, n int, in []value, attrs ...attribute) []value {
	out := make([]value, n)
	for i := range out {
		out[i] = value(g.name(kind))
	}
	g.node(kind, in, out, attrs...)
	return out
}

func (g *graph) node(kind string, in, out []value, attrs ...attribute) {
	var b []byte
	for _, v := range in {
		b = appendString(b, nodeInput, string(v))
	}
	for _, v := range out {
		b = appendString(b, nodeOutput, string(v))
	}
	b = appendString(b, nodeName, string(out[0]))
	b = appendString(b, nodeOpType, kind)
	for _, a := range attrs {
		b = appendMessage(b, nodeAttribute, a)
	}
	g.nodes = appendMessage(g.nodes, graphNode, b)
}

// floats adds a float32 constant.
func (g *graph) floats(name string, v []float32, shape ...int) value {
	n := value(g.name(name))
	g.constants = appendTensor(g.constants, string(n), shape, v)
	return n
}

// scalar adds a float32 constant without dimensions.
func (g *graph) scalar(name string, v float32) value { return g.floats(name, []float32{v}) }

// constant adds a constant of an integer type.
func constant[T int8 | uint8 | int32](g *graph, name string, v []T, shape ...int) value {
	n := value(g.name(name))
	g.constants = appendTensor(g.constants, string(n), shape, v)
	return n
}

// vector returns an int64 constant of one dimension, one per content.
func (g *graph) vector(v ...int64) value { return g.indices([]int{len(v)}, v) }

// index returns an int64 constant without dimensions.
func (g *graph) index(v int64) value { return g.indices(nil, []int64{v}) }

func (g *graph) indices(shape []int, v []int64) value {
	key := strconv.Itoa(len(shape))
	for _, d := range shape {
		key += "x" + strconv.Itoa(d)
	}
	for _, x := range v {
		key += "," + strconv.FormatInt(x, 10)
	}
	if n, ok := g.ints[key]; ok {
		return n
	}
	n := value(g.name("index"))
	g.constants = appendTensor(g.constants, string(n), shape, v)
	g.ints[key] = n
	return n
}

func (g *graph) input(name string, element int64, shape []dimension) value {
	g.inputs = appendMessage(g.inputs, graphInput, valueInfo(name, element, shape))
	return value(name)
}

func (g *graph) output(name value, element int64, shape []dimension) {
	g.outputs = appendMessage(g.outputs, graphOutput, valueInfo(string(name), element, shape))
}

// parts returns the GraphProto in pieces, which are not copied: constants are
// as large as the network.
func (g *graph) parts(name string) [][]byte {
	return [][]byte{g.nodes, appendString(nil, graphName, name), g.constants, g.inputs, g.outputs}
}

// Small operations that every encoder uses.

func (g *graph) reshape(x value, shape ...int64) value {
	return g.op("Reshape", []value{x, g.vector(shape...)})
}

func (g *graph) transpose(x value, perm ...int64) value {
	return g.op("Transpose", []value{x}, attrInts("perm", perm...))
}

// slice takes lo..hi-1 along an axis.
func (g *graph) slice(x value, axis, lo, hi int) value {
	return g.op("Slice", []value{x, g.vector(int64(lo)), g.vector(int64(hi)), g.vector(int64(axis))})
}

func (g *graph) gather(x, index value, axis int64) value {
	return g.op("Gather", []value{x, index}, attrInt("axis", axis))
}

func (g *graph) relu(x value) value { return g.op("Relu", []value{x}) }

func (g *graph) add(x, y value) value { return g.op("Add", []value{x, y}) }

func (g *graph) sub(x, y value) value { return g.op("Sub", []value{x, y}) }

func (g *graph) mul(x, y value) value { return g.op("Mul", []value{x, y}) }
