package model

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// maxHeader bounds the header of a weights file, bytes: twenty times the
// paper's network.
const maxHeader = 2 << 20

// tensorEntry is one tensor in a safetensors header.
type tensorEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// namedTensor is one float32 tensor of a weights file.
type namedTensor struct {
	name  string
	shape []int
	value []float32
}

// encodeSafetensors returns what WriteTensors writes.
func encodeSafetensors(tensors []namedTensor) ([]byte, error) {
	list, size := make([]Tensor, len(tensors)), 0
	for i, t := range tensors {
		list[i] = Tensor{t.name, t.shape, t.value}
		size += 4 * len(t.value)
	}
	var out bytes.Buffer
	out.Grow(size + 256*len(tensors))
	if err := WriteTensors(&out, list); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// rawTensor is one tensor of a decoded file: its data still as bytes.
type rawTensor struct {
	dtype string
	shape []int
	data  []byte
}

// decodeSafetensors reads the header and checks that the tensors have data of
// their own type and shape and fill the file without gap or overlap, as the
// format demands.
func decodeSafetensors(b []byte) (map[string]rawTensor, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("weights: %d bytes are too few for a header: copy the file again", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader {
		return nil, fmt.Errorf("weights: header of %d bytes, at most %d are read: is it a safetensors file?", n, maxHeader)
	}
	if n > uint64(len(b)-8) {
		return nil, fmt.Errorf("weights: header of %d bytes in a file of %d: it is truncated, copy it again", n, len(b))
	}
	entries, err := decodeHeader(b[8 : 8+n])
	if err != nil {
		return nil, err
	}
	data := b[8+n:]
	out := make(map[string]rawTensor, len(entries))
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
		out[e.name] = rawTensor{e.DType, e.Shape, data[lo:hi]}
	}
	if end != int64(len(data)) {
		return nil, fmt.Errorf("weights: the last %d bytes belong to no tensor", int64(len(data))-end)
	}
	return out, nil
}

// headerEntry is a tensor's entry with its name.
type headerEntry struct {
	name string
	tensorEntry
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
		if err := dec.Decode(&e.tensorEntry); err != nil {
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

// dtypeBytes are the element sizes of the format.
var dtypeBytes = map[string]int64{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
	"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}

// bytes returns how many bytes a tensor of this type and shape takes.
func (e *tensorEntry) bytes() (n int64, ok bool) {
	n, ok = dtypeBytes[e.DType]
	for _, d := range e.Shape {
		if d < 0 || d > maxWeights || n > maxWeights {
			return 0, false
		}
		n *= int64(d)
	}
	return n, ok && n <= maxWeights
}

// layout is what tensors a network has: no values.
type layout struct {
	tensors    []namedTensor
	bytes      int64 // of all values, float32
	parameters int
}

// compare refuses the first tensor that is missing, superfluous or of another
// type or shape.
func (l *layout) compare(have map[string]rawTensor) error {
	for _, w := range l.tensors {
		h, ok := have[w.name]
		if !ok {
			return fmt.Errorf("weights: tensor %q is missing: the file is of another network than the card", w.name)
		}
		if h.dtype != "F32" {
			return fmt.Errorf("weights: tensor %q has type %s, want F32: convert the file to float32", w.name, h.dtype)
		}
		if !slices.Equal(h.shape, w.shape) {
			return fmt.Errorf("weights: tensor %q has shape %v, want %v: the file is of another size than the card", w.name, h.shape, w.shape)
		}
	}
	if len(have) == len(l.tensors) {
		return nil
	}
	known := make(map[string]bool, len(l.tensors))
	for _, w := range l.tensors {
		known[w.name] = true
	}
	var extra []string
	for name := range have {
		if !known[name] {
			extra = append(extra, name)
		}
	}
	slices.Sort(extra)
	return fmt.Errorf("weights: tensor %q does not belong to this network", extra[0])
}
