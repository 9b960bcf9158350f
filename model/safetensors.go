package model

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strings"
)

// maxHeader bounds the header of a weights file, bytes.
const maxHeader = 16 << 20

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

// encodeSafetensors writes tensors in the safetensors format: header length
// (8 bytes, little endian), JSON header, data.
func encodeSafetensors(tensors []namedTensor) ([]byte, error) {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var at int64
	for _, t := range tensors {
		end := at + 4*int64(len(t.value))
		header[t.name] = tensorEntry{"F32", t.shape, [2]int64{at, end}}
		at = end
	}
	h, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("encode weights header: %w", err)
	}
	h = append(h, strings.Repeat(" ", (8-len(h)%8)%8)...)
	out := make([]byte, 0, 8+int64(len(h))+at)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(h)))
	out = append(out, h...)
	for _, t := range tensors {
		for _, v := range t.value {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return out, nil
}

// rawTensor is one tensor of a decoded file: its data still as bytes.
type rawTensor struct {
	dtype string
	shape []int
	data  []byte
}

// decodeSafetensors reads the header and checks that every tensor lies inside
// the file.
func decodeSafetensors(b []byte) (map[string]rawTensor, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("weights: %d bytes are too short for a header", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader || n > uint64(len(b)-8) {
		return nil, fmt.Errorf("weights: header of %d bytes in a file of %d", n, len(b))
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		return nil, fmt.Errorf("weights: header: %w", err)
	}
	data := b[8+n:]
	out := make(map[string]rawTensor, len(header))
	for name, raw := range header {
		if name == "__metadata__" {
			continue
		}
		var e tensorEntry
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("weights: header of tensor %q: %w", name, err)
		}
		lo, hi := e.Offsets[0], e.Offsets[1]
		if lo < 0 || hi < lo || hi > int64(len(data)) {
			return nil, fmt.Errorf("weights: tensor %q lies at %d..%d of %d data bytes", name, lo, hi, len(data))
		}
		out[name] = rawTensor{e.DType, e.Shape, data[lo:hi]}
	}
	return out, nil
}

// assign copies decoded tensors into want and refuses the first that is
// missing, superfluous, of another type or shape, or not finite.
func assign(have map[string]rawTensor, want []namedTensor) error {
	for _, w := range want {
		h, ok := have[w.name]
		if !ok {
			return fmt.Errorf("weights: tensor %q is missing", w.name)
		}
		if h.dtype != "F32" {
			return fmt.Errorf("weights: tensor %q has type %s, want F32", w.name, h.dtype)
		}
		if !sameShape(h.shape, w.shape) {
			return fmt.Errorf("weights: tensor %q has shape %v, want %v", w.name, h.shape, w.shape)
		}
		if len(h.data) != 4*len(w.value) {
			return fmt.Errorf("weights: tensor %q has %d bytes, want %d", w.name, len(h.data), 4*len(w.value))
		}
	}
	if len(have) > len(want) {
		known := make(map[string]bool, len(want))
		for _, w := range want {
			known[w.name] = true
		}
		var extra []string
		for name := range have {
			if !known[name] {
				extra = append(extra, name)
			}
		}
		sort.Strings(extra)
		return fmt.Errorf("weights: tensor %q does not belong to this network", extra[0])
	}
	for _, w := range want {
		data := have[w.name].data
		for i := range w.value {
			v := math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
			if v-v != 0 {
				return fmt.Errorf("weights: tensor %q holds %v at index %d", w.name, v, i)
			}
			if v < 0 && strings.HasSuffix(w.name, ".running_var") {
				return fmt.Errorf("weights: tensor %q holds a negative variance %v at index %d", w.name, v, i)
			}
			w.value[i] = v
		}
	}
	return nil
}

func sameShape(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
