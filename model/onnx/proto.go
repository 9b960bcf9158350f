package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.proto, as far as an exported network needs them.
const (
	modelIRVersion    = 1
	modelProducer     = 2
	modelDoc          = 6
	modelGraph        = 7
	modelOpset        = 8
	modelMetadata     = 14
	opsetVersion      = 2
	entryKey          = 1
	entryValue        = 2
	graphNode         = 1
	graphName         = 2
	graphInitialiser  = 5
	graphInput        = 11
	graphOutput       = 12
	nodeInput         = 1
	nodeOutput        = 2
	nodeName          = 3
	nodeOpType        = 4
	nodeAttribute     = 5
	attributeName     = 1
	attributeFloat    = 2
	attributeInt      = 3
	attributeGraph    = 6
	attributeInts     = 8
	attributeType     = 20
	tensorDims        = 1
	tensorDataType    = 2
	tensorName        = 8
	tensorRaw         = 9
	valueInfoName     = 1
	valueInfoType     = 2
	typeTensor        = 1
	tensorTypeElement = 1
	tensorTypeShape   = 2
	shapeDim          = 1
	dimValue          = 1
	dimParam          = 2
)

// Element types of onnx.proto.
const (
	elementFloat = 1
	elementUint8 = 2
	elementInt8  = 3
	elementInt32 = 6
	elementInt64 = 7
	elementBool  = 9
)

// Attribute types of onnx.proto.
const (
	kindFloat = 1
	kindInt   = 2
	kindGraph = 5
	kindInts  = 7
)

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendMessage(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}

func appendInt(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

func appendInts(b []byte, field protowire.Number, v []int64) []byte {
	var packed []byte
	for _, x := range v {
		packed = protowire.AppendVarint(packed, uint64(x))
	}
	return appendMessage(b, field, packed)
}

// attribute is one attribute of a node, encoded.
type attribute []byte

func attrInt(name string, v int64) attribute {
	b := appendString(nil, attributeName, name)
	b = appendInt(b, attributeInt, v)
	return appendInt(b, attributeType, kindInt)
}

func attrInts(name string, v ...int64) attribute {
	b := appendString(nil, attributeName, name)
	b = appendInts(b, attributeInts, v)
	return appendInt(b, attributeType, kindInts)
}

func attrFloat(name string, v float32) attribute {
	b := appendString(nil, attributeName, name)
	b = protowire.AppendFixed32(protowire.AppendTag(b, attributeFloat, protowire.Fixed32Type), math.Float32bits(v))
	return appendInt(b, attributeType, kindFloat)
}

func attrGraph(name string, g []byte) attribute {
	b := appendString(nil, attributeName, name)
	b = appendMessage(b, attributeGraph, g)
	return appendInt(b, attributeType, kindGraph)
}

// dimension is one extent of an input or output: a number, or a name for an
// extent that is only known when the model runs.
type dimension struct {
	n    int64
	name string
}

func fixed(n ...int) []dimension {
	var out []dimension
	for _, v := range n {
		out = append(out, dimension{n: int64(v)})
	}
	return out
}

// valueInfo encodes the name, element type and shape of an input or output.
func valueInfo(name string, element int64, shape []dimension) []byte {
	var dims []byte
	for _, d := range shape {
		var dim []byte
		if d.name != "" {
			dim = appendString(dim, dimParam, d.name)
		} else {
			dim = appendInt(dim, dimValue, d.n)
		}
		dims = appendMessage(dims, shapeDim, dim)
	}
	tensor := appendInt(nil, tensorTypeElement, element)
	tensor = appendMessage(tensor, tensorTypeShape, dims)
	b := appendString(nil, valueInfoName, name)
	return appendMessage(b, valueInfoType, appendMessage(nil, typeTensor, tensor))
}

// appendTensor appends an initialiser of a graph.
func appendTensor[T float32 | int64 | int32 | int8 | uint8](b []byte, name string, shape []int, value []T) []byte {
	dims := make([]int64, len(shape))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	element, size := int64(elementFloat), 4
	switch any(value).(type) {
	case []int64:
		element, size = elementInt64, 8
	case []int32:
		element = elementInt32
	case []int8:
		element, size = elementInt8, 1
	case []uint8:
		element, size = elementUint8, 1
	}
	var head []byte
	if len(dims) > 0 {
		head = appendInts(head, tensorDims, dims)
	}
	head = appendInt(head, tensorDataType, element)
	head = appendString(head, tensorName, name)
	head = protowire.AppendTag(head, tensorRaw, protowire.BytesType)
	n := size * len(value)
	head = protowire.AppendVarint(head, uint64(n))
	b = protowire.AppendTag(b, graphInitialiser, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(head)+n))
	b = append(b, head...)
	switch v := any(value).(type) {
	case []float32:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	case []int64:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
		}
	case []int32:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, uint32(x))
		}
	case []int8:
		for _, x := range v {
			b = append(b, byte(x))
		}
	case []uint8:
		b = append(b, v...)
	}
	return b
}
