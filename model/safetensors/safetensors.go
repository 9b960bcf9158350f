// Package safetensors reads and writes the safetensors format: header length (8
// bytes, little endian), a JSON header of names, types, shapes and offsets, data.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Bounds of a file, bytes.
const (
	MaxHeader = 2 << 20 // of the header: twenty times that of the paper's network
	MaxBytes  = 2 << 30 // of the file: ten times the paper's network
)

// entry is one tensor in the header.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Tensor is one tensor of a file: its data are still bytes.
type Tensor struct {
	DType string
	Shape []int
	Data  []byte
}

// Decode reads a file, whose bytes the tensors keep. It reads the header and checks that the tensors have data of
// their own type and shape and fill the file without gap or overlap, as the
// format demands.
func Decode(b []byte) (map[string]Tensor, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("weights: %d bytes are too few for a header: copy the file again", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > MaxHeader {
		return nil, fmt.Errorf("weights: header of %d bytes, at most %d are read: is it a safetensors file?", n, MaxHeader)
	}
	if n > uint64(len(b)-8) {
		return nil, fmt.Errorf("weights: header of %d bytes in a file of %d: it is truncated, copy it again", n, len(b))
	}
	entries, err := decodeHeader(b[8 : 8+n])
	if err != nil {
		return nil, err
	}
	data := b[8+n:]
	out := make(map[string]Tensor, len(entries))
	var end int64
	for _, e := range entries { // in the order of their data
		lo, hi := e.Offsets[0], e.Offsets[1]
		switch size, ok := e.bytes(); {
		case lo < 0 || hi < lo:
			return nil, fmt.Errorf("weights: tensor %q lies at %d..%d", e.name, lo, hi)
		case hi > int64(len(data)):
			return nil, fmt.Errorf("weights: tensor %q lies at %d..%d of %d data bytes: the file is truncated, copy it again", e.name, lo, hi, len(data))
		case lo < end:
			return nil, fmt.Errorf("weights: tensor %q lies at %d..%d, over the one that ends at %d", e.name, lo, hi, end)
		case lo > end:
			return nil, fmt.Errorf("weights: tensor %q lies at %d..%d, and bytes %d..%d belong to none", e.name, lo, hi, end, lo)
		case !ok || size != hi-lo:
			return nil, fmt.Errorf("weights: tensor %q of type %s and shape %v has %d bytes", e.name, e.DType, e.Shape, hi-lo)
		}
		end = hi
		out[e.name] = Tensor{e.DType, e.Shape, data[lo:hi]}
	}
	if end != int64(len(data)) {
		return nil, fmt.Errorf("weights: the last %d bytes belong to no tensor", int64(len(data))-end)
	}
	return out, nil
}

// headerEntry is a tensor's entry with its name.
type headerEntry struct {
	name string
	entry
}

// decodeHeader reads the header's tensors in the order of their data. The
// JSON library takes the last of two equal names, so the object is read name
// by name.
func decodeHeader(b []byte) ([]headerEntry, error) {
	fail := func(err error) ([]headerEntry, error) { return nil, fmt.Errorf("weights: header: %w", err) }
	dec := json.NewDecoder(bytes.NewReader(b))
	switch t, err := dec.Token(); {
	case err != nil:
		return fail(fmt.Errorf("%w: is it a safetensors file?", err))
	case t != json.Delim('{'):
		return fail(fmt.Errorf("starts with %v, want {: is it a safetensors file?", t))
	}
	var out []headerEntry
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fail(err)
		}
		name, ok := t.(string)
		if !ok {
			return fail(fmt.Errorf("%v is no tensor name", t))
		}
		if seen[name] {
			return fail(fmt.Errorf("tensor %q is there twice", name))
		}
		seen[name] = true
		if name == "__metadata__" {
			var meta map[string]string
			if err := dec.Decode(&meta); err != nil {
				return fail(fmt.Errorf("%s: %w", name, err))
			}
			continue
		}
		e := headerEntry{name: name}
		if err := dec.Decode(&e.entry); err != nil {
			return fail(fmt.Errorf("tensor %q: %w", name, err))
		}
		out = append(out, e)
	}
	if _, err := dec.Token(); err != nil {
		return fail(err)
	}
	if len(bytes.TrimLeft(b[dec.InputOffset():], " ")) > 0 {
		return fail(errors.New("text after the object"))
	}
	slices.SortStableFunc(out, func(x, y headerEntry) int {
		return cmp.Or(cmp.Compare(x.Offsets[0], y.Offsets[0]), cmp.Compare(x.Offsets[1], y.Offsets[1]))
	})
	return out, nil
}

// Sizes are the element sizes of the format's types, bytes.
var Sizes = map[string]int64{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
	"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}

// bytes returns how many bytes a tensor of this type and shape takes.
func (e *entry) bytes() (n int64, ok bool) {
	n, ok = Sizes[e.DType]
	for _, d := range e.Shape {
		if d < 0 || d > MaxBytes || n > MaxBytes {
			return 0, false
		}
		n *= int64(d)
	}
	return n, ok && n <= MaxBytes
}

// Named is a tensor to be written.
type Named struct {
	Name  string
	DType string
	Shape []int
	Bytes int64 // of its data
}

// Header returns the header of a file that holds tensors in this order, with
// its length before it; their data follow without gaps.
func Header(tensors []Named, metadata map[string]string) ([]byte, error) {
	header := map[string]any{"__metadata__": metadata}
	var at int64
	for _, t := range tensors {
		if header[t.Name] != nil {
			return nil, fmt.Errorf("write tensors: %q is there twice", t.Name)
		}
		header[t.Name] = entry{t.DType, t.Shape, [2]int64{at, at + t.Bytes}}
		at += t.Bytes
	}
	h, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("write tensors: header: %w", err)
	}
	h = append(h, strings.Repeat(" ", (8-len(h)%8)%8)...)
	if len(h) > MaxHeader || at > MaxBytes {
		return nil, fmt.Errorf("write tensors: header of %d bytes and %d bytes of data, at most %d and %d can be read", len(h), at, MaxHeader, MaxBytes)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...), nil
}

// Float32 returns the values of the tensor called name as float32.
func (t Tensor) Float32(name string) ([]float32, error) {
	var v []float32
	switch t.DType {
	case "F32":
		v = make([]float32, len(t.Data)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		}
	case "F64":
		v = make([]float32, len(t.Data)/8)
		for i := range v {
			v[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:])))
		}
	case "BF16":
		v = make([]float32, len(t.Data)/2)
		for i := range v {
			v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16)
		}
	case "F16":
		v = make([]float32, len(t.Data)/2)
		for i := range v {
			v[i] = fromHalf(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
	default:
		return nil, fmt.Errorf("weights: tensor %q has type %s, want F32, F64, F16 or BF16: convert it, in PyTorch with .float()", name, t.DType)
	}
	return v, nil
}

// fromHalf returns the value of an IEEE 754 half-precision number.
func fromHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent, fraction := uint32(h>>10)&31, uint32(h&1023)
	switch exponent {
	case 0: // zero and subnormal: fraction · 2^-24, exact in float32
		return math.Float32frombits(math.Float32bits(float32(fraction)/(1<<24)) | sign)
	case 31:
		return math.Float32frombits(sign | 0xFF<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
